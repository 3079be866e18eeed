//! A database beside the configured one, for work that must not touch it.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};

use crate::{Error, Random, Result, error::code};

/// An empty PostgreSQL database on the server of another one's URL. It stays until [`Scratch::remove`].
pub struct Scratch {
    server: PgConnectOptions,
    name: String,
    url: String,
}

impl Scratch {
    /// Makes a database with a name of its own, `astrolabe_<purpose>_…`, on the server that `url` names; `purpose` is one lower-case word. The role
    /// needs the right to make databases.
    ///
    /// # Errors
    /// `invalid_config` when `url` is none of PostgreSQL; `upstream_failed` when the server does not answer or refuses.
    pub async fn create(url: &str, purpose: &str, random: &Random) -> Result<Self> {
        let invalid = || Error::new(code::INVALID_CONFIG, "database.url: is not a PostgreSQL URL");
        let server = super::open::server(url)?;
        let mut own = [0u8; 8];
        random.fill(&mut own);
        let name = format!("astrolabe_{purpose}_{}", hex::encode(own));
        let scratch = Self { url: with_database(url, &name).ok_or_else(invalid)?, server, name };
        scratch.run(format!("CREATE DATABASE \"{}\"", scratch.name)).await.map_err(|e| {
            Error::new(code::UPSTREAM_FAILED, "PostgreSQL does not answer at database.url, or its role may not make a database (CREATEDB)")
                .with_internal(e)
        })?;
        Ok(scratch)
    }

    /// Its URL, which may hold a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it with everything in it, whoever is still connected.
    ///
    /// # Errors
    /// `upstream_failed`, naming what stays behind.
    pub async fn remove(self) -> Result<()> {
        self.run(format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name))
            .await
            .map_err(|e| Error::new(code::UPSTREAM_FAILED, format!("the database {} could not be removed", self.name)).with_internal(e))
    }

    async fn run(&self, sql: String) -> Result<(), sqlx::Error> {
        let mut connection = self.server.connect().await?;
        // Made of a fixed word and hexadecimal digits.
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    }
}

/// The URL with another database: what stands between the host and the parameters.
fn with_database(url: &str, name: &str) -> Option<String> {
    let (base, parameters) = url.split_once('?').map_or((url, None), |(b, p)| (b, Some(p)));
    let (scheme, rest) = base.split_once("://")?;
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    Some(match parameters {
        Some(parameters) => format!("{scheme}://{host}/{name}?{parameters}"),
        None => format!("{scheme}://{host}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_url_keeps_everything_but_its_database() {
        for (url, expected) in [
            ("postgres://u:p@h:5432/app", "postgres://u:p@h:5432/new"),
            ("postgresql://h/app?sslmode=require", "postgresql://h/new?sslmode=require"),
            ("postgres:///app?host=/tmp/socket/dir", "postgres:///new?host=/tmp/socket/dir"),
            ("postgres://h", "postgres://h/new"),
        ] {
            assert_eq!(with_database(url, "new").as_deref(), Some(expected));
        }
        assert_eq!(with_database("app", "new"), None);
    }
}
