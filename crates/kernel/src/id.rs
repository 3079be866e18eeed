//! Typed, prefixed, time-ordered ids: `doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC`.
//!
//! The part after the underscore is a ULID (48 bits of Unix milliseconds, 80 random bits, Crockford base 32; see the ULID
//! specification), so ids sort by the time they were made, and an operator who reads one in a log knows what it names.

use std::{fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::Type};

use crate::{Error, Random, Timestamp, error::code};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;

/// What an id names; implemented by empty marker types.
pub trait Named: 'static {
    /// Three lower-case letters (at most five) that start every id of this kind, such as `doc`.
    const PREFIX: &'static str;
}

/// The id of a `K`. Printed, stored and sent as `<prefix>_<26 characters>`.
pub struct Id<K> {
    value: u128,
    kind: PhantomData<fn() -> K>,
}

impl<K: Named> Id<K> {
    /// An id of this moment. Two calls in the same millisecond differ by their random part, in no promised order.
    pub fn new(now: Timestamp, random: &Random) -> Self {
        let millis = (now.micros() / 1000).max(0) as u128 & ((1 << 48) - 1);
        let mut bytes = [0u8; 16];
        random.fill(&mut bytes[6..]);
        Self::from_value(millis << 80 | u128::from_be_bytes(bytes))
    }

    /// An id made from bytes that identify its object for ever, such as a hash of a name; the same bytes give the same id.
    pub fn derived(seed: &[u8]) -> Self {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(seed);
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&digest[..16]);
        // The top two bits of 26 base-32 digits (130 bits) do not fit 128, so the value is used as it is.
        Self::from_value(u128::from_be_bytes(bytes))
    }

    fn from_value(value: u128) -> Self {
        Self { value, kind: PhantomData }
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(K::PREFIX)?.strip_prefix('_')?.as_bytes();
        if digits.len() != LENGTH || digits[0] > b'7' {
            return None;
        }
        let mut value = 0u128;
        for digit in digits {
            let position = ALPHABET.iter().position(|a| a == digit)?;
            value = value << 5 | position as u128;
        }
        Some(Self::from_value(value))
    }
}

impl<K: Named> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; LENGTH];
        let mut value = self.value;
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(value & 31) as usize];
            value >>= 5;
        }
        write!(f, "{}_", K::PREFIX)?;
        digits.iter().try_for_each(|d| fmt::Write::write_char(f, *d as char))
    }
}

impl<K: Named> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<K: Named> FromStr for Id<K> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
            .ok_or_else(|| Error::new(code::INVALID_ID, format!("expected an id such as {}_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", K::PREFIX)))
    }
}

impl<K: Named> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Named> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|e: Error| de::Error::custom(e.message()))
    }
}

// Generic types are described through this trait; utoipa derives the rest from it.
impl<K: Named> utoipa::__dev::ComposeSchema for Id<K> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^{}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$", K::PREFIX)))
            .examples([format!("{}_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", K::PREFIX)])
            .into()
    }
}

impl<K: Named> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Id", K::PREFIX).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;
    impl Named for Thing {
        const PREFIX: &'static str = "thg";
    }

    #[test]
    fn an_id_reads_back_from_what_it_prints() {
        let random = Random::seeded(1);
        for micros in [0, 1, 1_700_000_000_000_000, i64::MAX / 2] {
            let id = Id::<Thing>::new(Timestamp::from_micros(micros), &random);
            assert_eq!(id.to_string().parse::<Id<Thing>>().unwrap(), id);
        }
    }

    #[test]
    fn ids_sort_as_text_in_the_order_of_their_milliseconds() {
        let random = Random::seeded(1);
        let ids: Vec<String> =
            (0..1000).map(|ms| Id::<Thing>::new(Timestamp::from_micros(1_700_000_000_000_000 + ms * 1000), &random).to_string()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_foreign_prefix_a_wrong_length_or_a_wrong_letter_is_refused() {
        for bad in [
            "",
            "thg_",
            "doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC",
            "thg_01JD3V9M7Q4R8T2W6X0Y5Z1AB",
            "thg_81JD3V9M7Q4R8T2W6X0Y5Z1ABC",
            "thg_01jd3v9m7q4r8t2w6x0y5z1abc",
            "thg_01JD3V9M7Q4R8T2W6X0Y5Z1ABU",
        ] {
            assert!(bad.parse::<Id<Thing>>().is_err(), "{bad}");
        }
    }
}
