//! Reading JSON as its description has it: an object is an object, and a word is a word. serde also reads the fields of a struct from a list, in their order,
//! wherever a struct may stand; a caller who sent a list for an object by mistake would have its first item taken for the first field.

use serde::{
    de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

/// Reads a value as a `T`.
///
/// # Errors
/// The path to the place that is wrong, and what is wrong there.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| (error.path().to_string(), error.into_inner().to_string()))
}

/// A value that gives a struct only what is an object.
struct Strict<'a>(&'a Value);

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(yes) => visitor.visit_bool(*yes),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(n), ..) => visitor.visit_u64(n),
                (_, Some(n), _) => visitor.visit_i64(n),
                // Whole numbers may be written as fractions; within 53 bits the cast loses nothing.
                (_, _, Some(n)) if n.fract() == 0.0 && n.abs() < 9e15 => visitor.visit_i64(n as i64),
                (_, _, n) => visitor.visit_f64(n.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(de::value::SeqDeserializer::new(items.iter().map(Strict))),
            Value::Object(map) => visitor.visit_map(de::value::MapDeserializer::new(map.iter().map(|(k, v)| (k.as_str(), Strict(v))))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Our enums are words. serde also reads one from an object with the word as its only field.
    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a word")),
            Value::Object(_) => Err(de::Error::invalid_type(Unexpected::Map, &"a word")),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, de::value::Error> for Strict<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
