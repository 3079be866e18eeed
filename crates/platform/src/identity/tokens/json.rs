//! JSON read so that no two readers can understand it differently: no member twice in an object, no nesting without end, nothing behind the
//! value. RFC 8259 leaves the first to the reader; with tokens a difference between two readers is a way around one of them.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Objects and arrays inside each other at most. The claims of real issuers need four.
const DEPTH: usize = 16;

/// Reads an object.
///
/// # Errors
/// What is wrong with it, in words for people; nothing of the text is repeated.
pub(in crate::identity) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict(DEPTH).deserialize(&mut reader).map_err(|error| {
        let text = error.to_string();
        [TWICE, DEEP].into_iter().find(|known| text.starts_with(known)).unwrap_or("is not JSON")
    })?;
    reader.end().map_err(|_| "has something behind its JSON")?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("is not a JSON object"),
    }
}

const TWICE: &str = "has a member twice";
const DEEP: &str = "is nested too deeply";

/// Reads a value whose objects have each name once, with at most so many levels of objects and arrays.
struct Strict(usize);

impl Strict {
    fn inner<E: de::Error>(&self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("is no number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.inner()?)?;
            if out.insert(name, value).is_some() {
                return Err(de::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_is_refused_at_every_level_and_however_it_is_escaped() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"b":2}]}"#] {
            assert_eq!(object(text.as_bytes()).unwrap_err(), TWICE, "{text}");
        }
        assert_eq!(object(r#"{"a":{"a":1},"A":2}"#.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_object_alone_is_refused() {
        for text in ["", "[]", "1", "null", "\"{}\"", "{} {}", "{},", "{\"a\":}", "{'a':1}", "{\"a\":NaN}", "{\"a\":1e999}", "\u{feff}{}"] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(br#"{"a":"\ud800"}"#).is_err(), "half a character");
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(nested(DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(object(nested(DEPTH).as_bytes()).unwrap_err(), DEEP);
        assert!(object(nested(5000).as_bytes()).is_err());
    }
}
