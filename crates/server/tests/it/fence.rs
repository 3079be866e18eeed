//! The database as a fence, with the tables of every domain: what PostgreSQL refuses, and how processes start on it. Without
//! `TEST_POSTGRES_URI` the tests that need a server pass at once.

use astrolabe_kernel::{
    Clock, Db, Id,
    db::{Arg, FromRow, Row, SecondFence, Tx},
    principal::TenantId,
    testing::{self, START},
};
use astrolabe_server::app::MIGRATIONS;
use axum::http::Method;

use crate::support::{Binary, TestApp};

/// An empty database on the server for tests.
async fn postgres() -> Option<(String, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = testing::database_url(folder.path()).await;
    url.starts_with("postgres").then_some((url, folder))
}

struct Column {
    table: String,
    name: String,
    kind: String,
    needed: bool,
}

impl FromRow for Column {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { table: row.get("table")?, name: row.get("name")?, kind: row.get("kind")?, needed: row.get("needed")? })
    }
}

/// Tables with a tenant, from the catalogue, and what of them a row needs.
async fn tables(tx: &mut Tx) -> Vec<(String, Vec<Column>)> {
    let sql = "SELECT CAST(c.relname AS TEXT) AS table, CAST(a.attname AS TEXT) AS name, format_type(a.atttypid, NULL) AS kind,
                      a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                 AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id') ORDER BY c.relname, a.attnum";
    let mut tables: Vec<(String, Vec<Column>)> = Vec::new();
    for column in tx.all::<Column>(sql, &[]).await.unwrap() {
        match tables.last_mut().filter(|(table, _)| *table == column.table) {
            Some((_, columns)) => columns.push(column),
            None => tables.push((column.table.clone(), vec![column])),
        }
    }
    tables
}

/// A row of a tenant that is like no other tenant's.
fn insert(table: &str, columns: &[Column], tenant: TenantId) -> (String, Vec<Arg>) {
    let columns: Vec<&Column> = columns.iter().filter(|c| c.needed).collect();
    let names: Vec<String> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    let args = columns.iter().map(|c| match (c.name.as_str(), c.kind.as_str()) {
        ("tenant_id", _) => Arg::from(tenant),
        // JSON, where a view reads it.
        (_, "text") => Arg::from(format!("\"{tenant}\"")),
        (_, "bigint") => Arg::from(1_i64),
        (_, "boolean") => Arg::from(true),
        (_, "bytea") => Arg::from(vec![1_u8]),
        (name, kind) => panic!("{table}.{name} is a {kind}, which the seam does not have"),
    });
    (format!("INSERT INTO \"{table}\" ({}) VALUES ({})", names.join(", "), places.join(", ")), args.collect())
}

#[tokio::test]
async fn in_no_table_with_a_tenant_can_raw_sql_touch_another_tenants_row() {
    let Some((url, _folder)) = postgres().await else { return };
    let db = Db::open(&url, 2).await.unwrap();
    db.migrate(MIGRATIONS, &Clock::manual(START), false).await.unwrap();
    assert_eq!(db.second_fence(), SecondFence::Up);
    let (a, b): (TenantId, TenantId) = (Id::derived(b"a"), Id::derived(b"b"));

    let mut tx = db.write_schema().await.unwrap();
    let tables = tables(&mut tx).await;
    assert!(tables.len() >= 15, "the catalogue was read");
    let open = "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";
    assert_eq!(tx.all::<String>(open, &[]).await.unwrap(), Vec::<String>::new(), "tables with a tenant and no forced policy");
    // Rows of any content will do, so what a table asks of its content is put aside, in this database and this transaction.
    let checks = "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t, conname AS n FROM pg_constraint WHERE contype = 'c'
                      AND connamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.n); END LOOP; END $$";
    tx.execute(checks, &[]).await.unwrap();
    tx.execute("SET LOCAL session_replication_role = replica", &[]).await.unwrap();
    for (table, columns) in &tables {
        for tenant in [a, b] {
            let (sql, args) = insert(table, columns, tenant);
            tx.execute(sql, &args).await.unwrap();
        }
    }
    tx.commit().await.unwrap();

    for (table, columns) in &tables {
        let count = async |tx: &mut Tx, filter: &str, args: &[Arg]| {
            tx.one::<i64>(format!("SELECT COUNT(*) FROM \"{table}\" {filter}"), args).await.unwrap()
        };
        let theirs = &[Arg::from(b)];
        let mut tx = db.write(a).await.unwrap();
        assert_eq!(count(&mut tx, "", &[]).await, 1, "{table}: its own row alone");
        assert_eq!(count(&mut tx, "WHERE tenant_id = $1", theirs).await, 0, "{table}");
        for change in [format!("UPDATE \"{table}\" SET tenant_id = tenant_id"), format!("DELETE FROM \"{table}\"")] {
            assert_eq!(tx.execute(format!("{change} WHERE tenant_id = $1"), theirs).await.unwrap(), 0, "{change}");
        }
        let refused = tx.execute(format!("UPDATE \"{table}\" SET tenant_id = $1"), theirs).await.unwrap_err();
        assert!(refused.internal_detail().unwrap().contains("row-level security"), "{table}: {refused:?}");
        drop(tx);
        let (sql, args) = insert(table, columns, b);
        let refused = db.write(a).await.unwrap().execute(sql, &args).await.unwrap_err();
        assert!(refused.internal_detail().unwrap().contains("row-level security"), "{table}: {refused:?}");

        let mut tx = db.write(a).await.unwrap();
        tx.execute("SET LOCAL astrolabe.tenant = ''", &[]).await.unwrap();
        assert_eq!(count(&mut tx, "", &[]).await, 0, "{table}: nothing without a scope");
        assert_eq!(tx.execute(format!("DELETE FROM \"{table}\""), &[]).await.unwrap(), 0, "{table}");
        assert_eq!(count(&mut db.read_all().await.unwrap(), "", &[]).await, 2, "{table}: everything is still there");
    }

    let mut tx = db.read(a).await.unwrap();
    let views = "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' ORDER BY 1";
    let views: Vec<String> = tx.all(views, &[]).await.unwrap();
    assert!(views.len() >= 8, "{views:?}");
    for view in views {
        let seen: Vec<String> = tx.all(format!("SELECT DISTINCT tenant_id FROM {view}"), &[]).await.unwrap();
        assert!(seen.iter().all(|t| *t == a.to_string()), "{view}: {seen:?}");
    }
}

#[tokio::test]
async fn the_probe_tells_of_both_protections_of_the_database_and_of_its_schema() {
    let app = TestApp::new().await;
    let ready = app.anonymous(Method::GET, "/readyz").send().await.json();
    let newest = |domain: &str| ready["schema"]["versions"][domain].as_u64().unwrap_or(0);
    for migrations in MIGRATIONS {
        assert_eq!(newest(migrations.domain), migrations.steps.last().unwrap().version.unsigned_abs(), "{ready}");
    }
    let of = |name: &str| ready["dependencies"][name]["status"].as_str().map(str::to_owned);
    let db = &app.app.kernel.db;
    if db.second_fence() == SecondFence::None {
        assert_eq!((of("row_level_security"), of("durability")), (None, None));
        return;
    }
    let lossy = !db.unsafe_durability().await.unwrap().is_empty();
    assert_eq!(of("row_level_security").as_deref(), Some("ok"));
    assert_eq!(of("durability").as_deref(), Some(if lossy { "off" } else { "ok" }));
    assert_eq!(ready["degraded"].as_array().unwrap().iter().any(|name| name == "durability"), lossy);

    let mut tx = db.write_schema().await.unwrap();
    tx.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY", &[]).await.unwrap();
    tx.commit().await.unwrap();
    db.look_at_fence().await.unwrap();
    let ready = app.anonymous(Method::GET, "/readyz").send().await.json();
    assert_eq!(ready["dependencies"]["row_level_security"]["status"], "off");
    assert!(ready["dependencies"]["row_level_security"]["detail"].as_str().unwrap().contains("no policy holds on documents"), "{ready}");
    assert!(ready["degraded"].as_array().unwrap().iter().any(|name| name == "row_level_security"), "{ready}");
}

#[test]
fn processes_that_start_at_once_on_an_empty_database_migrate_it_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((url, folder)) = runtime.block_on(postgres()) else { return };
    let servers: Vec<_> = (0..5)
        .map(|n| Binary::new(&folder.path().join(n.to_string())).database(&url))
        .map(|binary| std::thread::spawn(move || binary.serve()))
        .collect();
    let servers: Vec<_> = servers.into_iter().map(|s| s.join().unwrap()).collect();
    let applied = |lines: &[String]| {
        let logs = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        logs.filter(|log| log["message"] == "the data directory is open")
            .map(|log| log["migrations_applied"].as_u64().unwrap())
            .sum::<u64>()
    };
    let steps: u64 = MIGRATIONS.iter().map(|m| m.steps.len() as u64).sum();
    let mut counts: Vec<u64> = servers.iter().map(|s| applied(&s.first)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 0, 0, steps]);
    for server in servers {
        server.stop();
    }
}

#[test]
fn what_a_migration_would_do_and_has_done_can_be_asked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = runtime.block_on(testing::database_url(folder.path()));
    let binary = Binary::new(folder.path()).database(&url);
    let before = binary.run(&["migrate", "status", "--json"]);
    assert_ne!(before.code, 0, "{before:?}");
    let missing = before.json()["pending"].as_array().unwrap().len();
    assert!(missing > 15 && before.json()["applied"].as_array().unwrap().is_empty(), "{before:?}");
    assert_eq!(binary.run(&["migrate", "--dry-run", "--json"]).json()["pending"].as_array().unwrap().len(), missing);
    assert_eq!(binary.run(&["migrate"]).code, 0);
    let after = binary.run(&["migrate", "status"]);
    assert_eq!((after.code, after.out.lines().filter(|l| l.starts_with("applied  ")).count()), (0, missing), "{after:?}");
    assert_eq!(after.out.contains("row-level security is on"), url.starts_with("postgres"), "{after:?}");
    assert_eq!(binary.run(&["migrate", "status", "--dry-run"]).code, 2);
}

#[test]
fn a_server_that_may_lose_what_was_committed_is_refused_until_somebody_allows_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((url, folder)) = runtime.block_on(postgres()) else { return };
    // Whatever the server for tests does, this database is careless.
    runtime.block_on(async {
        let db = Db::open(&url, 1).await.unwrap();
        let mut tx = db.write_schema().await.unwrap();
        let careless = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
        tx.execute(careless, &[]).await.unwrap();
        tx.commit().await.unwrap();
    });
    let strict = Binary::new(folder.path()).env("DATABASE_URL", &url);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["ask", "why?"]] {
        let ended = strict.run(command);
        assert_eq!(ended.code, 2, "{command:?}: {ended:?}");
        for word in ["synchronous_commit = off", "synchronous_commit = on", "database.allow_unsafe_durability"] {
            assert!(ended.err.contains(word), "{command:?}: {ended:?}");
        }
    }
    let server = Binary::new(folder.path()).database(&url).serve();
    let raw = crate::support::Raw::new(&Binary::new(folder.path()), &server);
    let (_, ready) = raw.call("GET", "/readyz", "", "").unwrap();
    assert!(ready["dependencies"]["durability"]["detail"].as_str().unwrap().contains("synchronous_commit = off"), "{ready}");
    server.stop();
}
