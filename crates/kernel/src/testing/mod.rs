//! What tests stand on: a clock they move, seeded ids, and a database of their own on either engine.
#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use crate::{Clock, Db, Kernel, Lifecycle, Random, Timestamp, db::Migrations};

/// A kernel on an empty, migrated database that goes away with it.
///
/// With `TEST_POSTGRES_URI` in the environment the database is on that server, under a name of its own; otherwise it is an SQLite
/// file in a temporary folder.
pub struct TestKernel {
    /// The handles; the clock is manual and stands at 2026-01-01.
    pub kernel: Kernel,
    /// A folder for files of the test.
    pub folder: tempfile::TempDir,
}

/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl TestKernel {
    /// A kernel whose database has the kernel's tables and those of `domains`.
    pub async fn new(domains: &[Migrations]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Clock::manual(START);
        let db = Db::open(&database_url(folder.path()).await, 4).await.expect("a test database");
        let mut all = vec![crate::db::KERNEL];
        all.extend_from_slice(domains);
        db.migrate(&all, &clock, false).await.expect("migrations");
        let egress = crate::egress::Egress::new(crate::egress::EgressConfig::default()).expect("the default egress");
        // Ids are drawn from the system: tests on one PostgreSQL server must not collide.
        let random = Random::system();
        let process = crate::Id::new(clock.now(), &random);
        let kernel = Kernel {
            clock,
            random,
            db,
            lifecycle: Lifecycle::new(),
            egress,
            stream_idle: Duration::from_secs(300),
            reads: crate::audit::Reads::default(),
            process,
        };
        Self { kernel, folder }
    }
}

/// A URL of an empty database: on the server at `TEST_POSTGRES_URI`, or in the folder.
pub async fn database_url(folder: &std::path::Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test run's only setting")]
    match std::env::var("TEST_POSTGRES_URI") {
        Ok(server) if !server.is_empty() => {
            let name = format!("t_{}", Random::system().token(9).to_lowercase().replace('-', "_"));
            let pool = sqlx::postgres::PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(Duration::from_secs(30))
                .connect(&server)
                .await
                .expect("PostgreSQL answers at TEST_POSTGRES_URI");
            sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&pool).await.expect("a test database");
            pool.close().await;
            let (base, _) = server.rsplit_once('/').expect("TEST_POSTGRES_URI ends with a database name");
            format!("{base}/{name}")
        }
        _ => format!("sqlite://{}", folder.join("test.db").display()),
    }
}
