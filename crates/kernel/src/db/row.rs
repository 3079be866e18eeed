//! Rows of either engine, read by column name.

use sqlx::{
    Decode, Postgres, Row as _, Sqlite, Type, ValueRef,
    postgres::{PgQueryResult, PgRow},
    sqlite::{SqliteQueryResult, SqliteRow},
};

use crate::{Error, Id, Result, Timestamp, id::Named};

/// A value type that both engines can decode: `i64`, `f64`, `bool`, `String`, `Vec<u8>` and `Option` of them.
pub trait Column: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}
impl<T> Column for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

/// A type that a row becomes.
pub trait FromRow: Sized {
    /// Reads the row.
    ///
    /// # Errors
    /// `internal`, naming the column, when the row does not hold what it should.
    fn from_row(row: &Row) -> Result<Self>;
}

/// One row.
pub struct Row(Kind);

enum Kind {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    /// `internal`, naming the column, when it is missing or of another type.
    pub fn get<T: Column>(&self, column: &str) -> Result<T> {
        match &self.0 {
            Kind::Sqlite(row) => row.try_get(column),
            Kind::Postgres(row) => row.try_get(column),
        }
        .map_err(|e| Error::internal(format_args!("column {column}: {e}")))
    }

    /// The id in a column.
    ///
    /// # Errors
    /// As [`Row::get`]; also when the text is not an id of that kind.
    pub fn id<K: Named>(&self, column: &str) -> Result<Id<K>> {
        let text: String = self.get(column)?;
        text.parse().map_err(|_| Error::internal(format_args!("column {column}: {text:?} is not an id")))
    }

    /// The id in a column, or `None` when it is NULL.
    ///
    /// # Errors
    /// As [`Row::id`].
    pub fn optional_id<K: Named>(&self, column: &str) -> Result<Option<Id<K>>> {
        self.get::<Option<String>>(column)?
            .map(|text| text.parse().map_err(|_| Error::internal(format_args!("column {column}: {text:?} is not an id"))))
            .transpose()
    }

    /// The time in a column.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn time(&self, column: &str) -> Result<Timestamp> {
        self.get::<i64>(column).map(Timestamp::from_micros)
    }

    /// The time in a column, or `None` when it is NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn optional_time(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// The JSON in a column.
    ///
    /// # Errors
    /// As [`Row::get`]; also when the text does not hold a `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|e| Error::internal(format_args!("column {column}: {e}")))
    }

    fn first<T: Column>(&self) -> Result<T> {
        match &self.0 {
            Kind::Sqlite(row) => row.try_get(0),
            Kind::Postgres(row) => row.try_get(0),
        }
        .map_err(|e| Error::internal(format_args!("first column: {e}")))
    }

    /// Whether a column is NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn is_null(&self, column: &str) -> Result<bool> {
        match &self.0 {
            Kind::Sqlite(row) => row.try_get_raw(column).map(|v| v.is_null()),
            Kind::Postgres(row) => row.try_get_raw(column).map(|v| v.is_null()),
        }
        .map_err(|e| Error::internal(format_args!("column {column}: {e}")))
    }
}

macro_rules! single {
    ($($type:ty),*) => { $(
        impl FromRow for $type {
            fn from_row(row: &Row) -> Result<Self> { row.first() }
        }
    )* };
}
single!(i64, f64, bool, String, Vec<u8>, Option<i64>, Option<String>, Option<Vec<u8>>);

// What the two drivers return, brought to one type.
pub(super) struct Rows(pub Vec<Row>);
pub(super) struct MaybeRow(pub Option<Row>);
pub(super) struct Changed(pub u64);

impl From<Vec<SqliteRow>> for Rows {
    fn from(rows: Vec<SqliteRow>) -> Self {
        Self(rows.into_iter().map(|r| Row(Kind::Sqlite(r))).collect())
    }
}
impl From<Vec<PgRow>> for Rows {
    fn from(rows: Vec<PgRow>) -> Self {
        Self(rows.into_iter().map(|r| Row(Kind::Postgres(r))).collect())
    }
}
impl From<Option<SqliteRow>> for MaybeRow {
    fn from(row: Option<SqliteRow>) -> Self {
        Self(row.map(|r| Row(Kind::Sqlite(r))))
    }
}
impl From<Option<PgRow>> for MaybeRow {
    fn from(row: Option<PgRow>) -> Self {
        Self(row.map(|r| Row(Kind::Postgres(r))))
    }
}
impl From<SqliteQueryResult> for Changed {
    fn from(result: SqliteQueryResult) -> Self {
        Self(result.rows_affected())
    }
}
impl From<PgQueryResult> for Changed {
    fn from(result: PgQueryResult) -> Self {
        Self(result.rows_affected())
    }
}
