//! The fence itself, on PostgreSQL; without `TEST_POSTGRES_URI` there is none and these pass at once.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

use super::*;
use crate::{
    Clock, Id,
    db::{KERNEL, Migration, Migrations},
    principal::TenantId,
    testing::{START, database_url},
};

const NOTES: Migrations = Migrations {
    domain: "notes",
    steps: &[Migration {
        version: 1,
        name: "notes",
        sql: "CREATE TABLE notes (tenant_id TEXT NOT NULL, text TEXT NOT NULL); CREATE VIEW v_notes AS SELECT tenant_id, text FROM notes;",
    }],
};

/// A migrated database on the server, as `role` when one is given, which is made for it and owns it.
async fn database(role: Option<(&str, &str)>) -> Option<(Db, String, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let mut url = database_url(folder.path()).await;
    if !url.starts_with("postgres") {
        return None;
    }
    if let Some((name, rights)) = role {
        let server = Db::open(&url, 1).await.unwrap();
        let mut tx = server.write_schema().await.unwrap();
        // Roles belong to the server: another test may have made it, or be about to.
        let make =
            format!("DO $$ BEGIN CREATE ROLE {name} LOGIN {rights}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$");
        tx.execute(make, &[]).await.unwrap();
        let own = format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO {name}', current_database()); END $$");
        tx.execute(own, &[]).await.unwrap();
        tx.commit().await.unwrap();
        server.close().await;
        let (scheme, rest) = url.split_once("://").unwrap();
        url = format!("{scheme}://{name}@{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host));
    }
    let db = Db::open(&url, 4).await.unwrap();
    db.migrate(&[KERNEL, NOTES], &Clock::manual(START), false).await.unwrap();
    Some((db, url, folder))
}

async fn note(db: &Db, scope: TenantId, owner: TenantId, text: &str) -> Result<()> {
    let mut tx = db.write(scope).await?;
    tx.execute("INSERT INTO notes (tenant_id, text) VALUES ($1, $2)", args![owner, text]).await?;
    tx.commit().await
}

/// What two tenants have to do with each other when their statements name no tenant at all.
async fn holds(db: &Db) {
    let (a, b): (TenantId, TenantId) = (Id::derived(b"a"), Id::derived(b"b"));
    note(db, a, a, "of a").await.unwrap();
    note(db, b, b, "of b").await.unwrap();
    let refused = note(db, a, b, "smuggled").await.unwrap_err();
    assert!(refused.internal_detail().unwrap().contains("row-level security"), "{refused:?}");
    for from in ["notes", "v_notes"] {
        let seen: Vec<String> = db.read(a).await.unwrap().all(format!("SELECT text FROM {from}"), &[]).await.unwrap();
        assert_eq!(seen, ["of a"], "{from}");
    }
    let mut tx = db.write(a).await.unwrap();
    assert_eq!(tx.execute("UPDATE notes SET text = 'changed'", &[]).await.unwrap(), 1);
    assert_eq!(tx.execute("DELETE FROM notes", &[]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let left: Vec<String> = db.read_all().await.unwrap().all("SELECT text FROM notes", &[]).await.unwrap();
    assert_eq!(left, ["of b"]);
}

#[tokio::test]
async fn a_superuser_is_held_by_switching_and_the_scope_ends_with_its_transaction() {
    let Some((db, url, _folder)) = database(None).await else { return };
    assert_eq!(db.second_fence(), SecondFence::Up);
    holds(&db).await;
    let role: String = db.read_all().await.unwrap().one("SELECT CAST(current_user AS TEXT)", &[]).await.unwrap();
    assert_eq!(role, APP_ROLE);

    // The same role on a connection that never said whose rows it wants, and on one whose transaction is over.
    let mut raw = PgConnection::connect(&url).await.unwrap();
    sqlx::query("SET ROLE astrolabe_app").execute(&mut raw).await.unwrap();
    let count = |rows: Vec<sqlx::postgres::PgRow>| rows[0].get::<i64, _>(0);
    let all = "SELECT COUNT(*) FROM notes";
    assert_eq!(count(sqlx::query(all).fetch_all(&mut raw).await.unwrap()), 0);
    for (mark, seen) in [("*", 1), ("", 0), ("nobody", 0)] {
        let begin = format!("BEGIN; SET LOCAL astrolabe.tenant = '{mark}'");
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut raw).await.unwrap();
        assert_eq!(count(sqlx::query(all).fetch_all(&mut raw).await.unwrap()), seen, "{mark:?}");
        sqlx::query("COMMIT").execute(&mut raw).await.unwrap();
        assert_eq!(count(sqlx::query(all).fetch_all(&mut raw).await.unwrap()), 0, "after {mark:?}");
    }
    raw.close().await.unwrap();
}

#[tokio::test]
async fn the_owner_of_the_tables_is_held_without_switching() {
    let Some((db, ..)) = database(Some(("astrolabe_test_owner", ""))).await else { return };
    assert_eq!(db.second_fence(), SecondFence::Up);
    holds(&db).await;
    let role: String = db.read_all().await.unwrap().one("SELECT CAST(current_user AS TEXT)", &[]).await.unwrap();
    assert_eq!(role, "astrolabe_test_owner");
}

#[tokio::test]
async fn a_role_that_policies_do_not_hold_and_that_may_not_switch_works_and_tells_the_way_out() {
    let Some((db, ..)) = database(Some(("astrolabe_test_bypass", "BYPASSRLS"))).await else { return };
    let SecondFence::Off(reason) = db.second_fence() else { panic!("{:?}", db.second_fence()) };
    assert!(reason.contains("astrolabe_test_bypass") && reason.contains("GRANT astrolabe_app TO astrolabe_test_bypass"), "{reason}");
    let a: TenantId = Id::derived(b"a");
    note(&db, a, a, "works").await.unwrap();
    // The policies are there all the same, for whoever connects with another role.
    let open = format!("SELECT COUNT(*) {TENANT_TABLES} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)");
    assert_eq!(db.read_all().await.unwrap().one::<i64>(open, &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_table_without_its_policy_is_named_and_the_next_migration_gives_it_back() {
    let Some((db, ..)) = database(None).await else { return };
    let mut tx = db.write_schema().await.unwrap();
    tx.execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY", &[]).await.unwrap();
    tx.commit().await.unwrap();
    db.look_at_fence().await.unwrap();
    let SecondFence::Off(reason) = db.second_fence() else { panic!("{:?}", db.second_fence()) };
    assert_eq!(reason, "no policy holds on notes: run `astrolabe migrate` as the owner of the tables");
    db.migrate(&[KERNEL, NOTES], &Clock::manual(START), false).await.unwrap();
    assert_eq!(db.second_fence(), SecondFence::Up);
    holds(&db).await;
}

#[tokio::test]
async fn a_table_of_a_later_migration_is_fenced_and_open_to_the_role() {
    const MORE: Migrations = Migrations {
        domain: "more",
        steps: &[Migration {
            version: 1,
            name: "more",
            sql: "CREATE TABLE more (number BIGINT GENERATED ALWAYS AS IDENTITY, tenant_id TEXT NOT NULL); CREATE TABLE plain (x TEXT);",
        }],
    };
    let Some((db, ..)) = database(None).await else { return };
    db.migrate(&[KERNEL, NOTES, MORE], &Clock::manual(START), false).await.unwrap();
    assert_eq!(db.second_fence(), SecondFence::Up);
    let mut tx = db.write(Id::derived(b"a")).await.unwrap();
    tx.execute("INSERT INTO plain (x) VALUES ('x')", &[]).await.unwrap();
    tx.one::<i64>("SELECT nextval(pg_get_serial_sequence('more', 'number'))", &[]).await.unwrap();
    assert!(tx.execute("INSERT INTO more (tenant_id) VALUES ('b')", &[]).await.is_err());
}
