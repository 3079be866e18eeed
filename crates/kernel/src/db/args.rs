//! Statement arguments that both engines can bind. Every variant holds an `Option`, because PostgreSQL wants to know a NULL's type.

use sqlx::{Postgres, Sqlite, postgres::PgArguments, query::Query, sqlite::SqliteArguments};

use crate::{Id, Timestamp, id::Named};

/// One argument of a statement.
#[derive(Debug, Clone)]
pub enum Arg {
    /// `BOOLEAN`.
    Bool(Option<bool>),
    /// `BIGINT`.
    Int(Option<i64>),
    /// `DOUBLE PRECISION`.
    Real(Option<f64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BLOB` or `BYTEA`.
    Bytes(Option<Vec<u8>>),
}

macro_rules! from {
    ($($type:ty => $variant:ident $convert:expr;)*) => { $(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self { Self::$variant(Some($convert(value))) }
        }
        impl From<Option<$type>> for Arg {
            fn from(value: Option<$type>) -> Self { Self::$variant(value.map($convert)) }
        }
    )* };
}

from! {
    bool => Bool std::convert::identity;
    i64 => Int std::convert::identity;
    i32 => Int i64::from;
    u32 => Int i64::from;
    usize => Int |v| i64::try_from(v).unwrap_or(i64::MAX);
    u64 => Int |v| i64::try_from(v).unwrap_or(i64::MAX);
    f64 => Real std::convert::identity;
    &str => Text str::to_owned;
    String => Text std::convert::identity;
    &String => Text String::clone;
    Vec<u8> => Bytes std::convert::identity;
    &[u8] => Bytes <[u8]>::to_vec;
    Timestamp => Int Timestamp::micros;
    serde_json::Value => Text |v: serde_json::Value| v.to_string();
    &serde_json::Value => Text |v: &serde_json::Value| v.to_string();
}

impl<K: Named> From<Id<K>> for Arg {
    fn from(id: Id<K>) -> Self {
        Self::Text(Some(id.to_string()))
    }
}
impl<K: Named> From<Option<Id<K>>> for Arg {
    fn from(id: Option<Id<K>>) -> Self {
        Self::Text(id.map(|id| id.to_string()))
    }
}

macro_rules! bind {
    ($name:ident, $db:ty, $arguments:ty) => {
        pub(super) fn $name<'q>(mut query: Query<'q, $db, $arguments>, args: &[Arg]) -> Query<'q, $db, $arguments> {
            for arg in args {
                query = match arg {
                    Arg::Bool(v) => query.bind(*v),
                    Arg::Int(v) => query.bind(*v),
                    Arg::Real(v) => query.bind(*v),
                    Arg::Text(v) => query.bind(v.clone()),
                    Arg::Bytes(v) => query.bind(v.clone()),
                };
            }
            query
        }
    };
}

bind!(bind_sqlite, Sqlite, SqliteArguments);
bind!(bind_postgres, Postgres, PgArguments);
