//! Row-level security on PostgreSQL: the second fence, under the tenant in every `WHERE` (docs/adr/0015-row-level-security.md).
//!
//! Every table with a tenant has a policy that compares it with the [`Scope`](super::Scope) of the transaction. Superusers and roles with
//! BYPASSRLS are not held by policies, so their transactions switch to a role without these rights for as long as they last.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{Db, Dialect, FromRow, Row, Scope, Tx};
use crate::{Result, args};

/// The role that transactions of superusers switch to. It belongs to the whole server, and every Astrolabe database on it uses the same.
pub const APP_ROLE: &str = "astrolabe_app";

/// The policy's name on every table that has it.
const POLICY: &str = "astrolabe_tenant";

/// Another database may make the role in the same moment; then it is there, which is what was wanted.
const CREATE_ROLE: &str =
    "DO $$ BEGIN CREATE ROLE astrolabe_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Tables of this schema that hold rows of tenants: `c` of `pg_class`.
const TENANT_TABLES: &str = "FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND (EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
         OR EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'astrolabe_tenant'))";

/// Tables, views and sequences of ours in this schema that the role `$1` may not use as the program does.
const CLOSED: &str = "FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND pg_has_role(c.relowner, 'USAGE')
    AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(CAST($1 AS name), c.oid, 'USAGE')
             WHEN c.relkind IN ('r', 'p', 'v') THEN NOT (
                 has_table_privilege(CAST($1 AS name), c.oid, 'SELECT') AND has_table_privilege(CAST($1 AS name), c.oid, 'INSERT')
                 AND has_table_privilege(CAST($1 AS name), c.oid, 'UPDATE') AND has_table_privilege(CAST($1 AS name), c.oid, 'DELETE'))
             ELSE false END";

/// Whether row-level security holds every statement of this process to its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondFence {
    /// The engine has none; the tenant in every statement is the only fence.
    None,
    /// It holds.
    Up,
    /// It does not hold everywhere, and why, with the way out.
    Off(String),
}

/// What is known of the fence, shared by the clones of a [`Db`].
pub(super) struct Fence {
    /// Whether a transaction switches to [`APP_ROLE`].
    switches: AtomicBool,
    state: Mutex<SecondFence>,
}

impl Fence {
    pub(super) fn new() -> Self {
        Self { switches: AtomicBool::new(false), state: Mutex::new(SecondFence::None) }
    }

    /// The statements that begin a transaction, in one round trip. The setting and the role end with the transaction, so connections may be
    /// shared by a pooler in transaction mode.
    pub(super) fn begin(&self, scope: &Scope) -> String {
        let role = if self.switches.load(Ordering::Relaxed) { "; SET LOCAL ROLE astrolabe_app" } else { "" };
        format!("BEGIN{role}; SET LOCAL astrolabe.tenant = '{}'", scope.mark())
    }

    fn set(&self, switches: bool, state: SecondFence) {
        self.switches.store(switches, Ordering::Relaxed);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// What a session may do that the fence depends on.
struct Session {
    name: String,
    bypasses: bool,
    schema: Option<String>,
}

impl FromRow for Session {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { name: row.get("name")?, bypasses: row.get("bypasses")?, schema: row.get("schema")? })
    }
}

impl Db {
    /// Whether the second fence holds, as it was when the database was opened, migrated, or given tables of an index.
    pub fn second_fence(&self) -> SecondFence {
        self.fence.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the database again: whether transactions have to switch roles, and whether policies hold then.
    ///
    /// # Errors
    /// When the database does not answer. That the fence is not up is no error.
    pub async fn look_at_fence(&self) -> Result<()> {
        if self.dialect() != Dialect::Postgres {
            return Ok(());
        }
        let mut tx = self.write_schema().await?;
        let session = tx.session().await?;
        let mut switches = false;
        if session.bypasses {
            if let Some(reason) = tx.switch(&session).await? {
                self.fence.set(false, SecondFence::Off(reason));
                return Ok(());
            }
            switches = true;
        }
        let open: Option<String> = tx
            .one(format!("SELECT string_agg(c.relname, ', ' ORDER BY c.relname) {TENANT_TABLES} AND NOT row_security_active(c.oid)"), &[])
            .await?;
        let state = match open {
            None => SecondFence::Up,
            Some(tables) => SecondFence::Off(format!("no policy holds on {tables}: run `astrolabe migrate` as the owner of the tables")),
        };
        self.fence.set(switches, state);
        Ok(())
    }
}

impl Tx {
    async fn session(&mut self) -> Result<Session> {
        self.one(
            "SELECT CAST(current_user AS TEXT) AS name, CAST(current_schema() AS TEXT) AS schema, rolsuper OR rolbypassrls AS bypasses
             FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await
    }

    /// Switches to [`APP_ROLE`] when that can be done and helps; else tells why not.
    async fn switch(&mut self, session: &Session) -> Result<Option<String>> {
        let me = &session.name;
        let safe: Option<bool> =
            self.optional("SELECT NOT rolsuper AND NOT rolbypassrls FROM pg_roles WHERE rolname = $1", args![APP_ROLE]).await?;
        match safe {
            None => {
                return Ok(Some(format!(
                    "the role {me} is not held by policies, and there is no role {APP_ROLE} to switch to: let a superuser run `CREATE ROLE {APP_ROLE} \
                     NOLOGIN; GRANT {APP_ROLE} TO {me}`, then run `astrolabe migrate`; or connect as a role without SUPERUSER and BYPASSRLS"
                )));
            }
            Some(false) => {
                return Ok(Some(format!("policies do not hold {APP_ROLE}: run `ALTER ROLE {APP_ROLE} NOSUPERUSER NOBYPASSRLS`")));
            }
            Some(true) => {}
        }
        let barred = || Ok(Some(format!("the role {me} may not switch to {APP_ROLE}: let a superuser run `GRANT {APP_ROLE} TO {me}`")));
        if !self.one::<bool>("SELECT pg_has_role(CAST($1 AS name), 'MEMBER')", args![APP_ROLE]).await? {
            return barred();
        }
        let closed: Option<String> =
            self.one(format!("SELECT string_agg(c.relname, ', ' ORDER BY c.relname) {CLOSED}"), args![APP_ROLE]).await?;
        if let Some(tables) = closed {
            return Ok(Some(format!("{APP_ROLE} has no rights on {tables}: run `astrolabe migrate`")));
        }
        if self.execute("SET LOCAL ROLE astrolabe_app", &[]).await.is_err() {
            return barred();
        }
        let schema: Option<String> = self.one("SELECT CAST(current_schema() AS TEXT)", &[]).await?;
        Ok((schema != session.schema).then(|| {
            format!(
                "{APP_ROLE} does not look into the schema {}, where the tables are: let `astrolabe migrate` give it the right, and set the \
                 search_path of the database instead of the role's",
                session.schema.as_deref().unwrap_or("?")
            )
        }))
    }

    /// Puts every table with a `tenant_id` behind the fence and every view under the rights of who reads it. What is there already is left
    /// alone.
    pub(super) async fn raise_fence(&mut self) -> Result<()> {
        let lacking = format!(
            "SELECT CAST(c.relname AS TEXT) {TENANT_TABLES} AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                 AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = '{POLICY}')) ORDER BY 1"
        );
        for table in self.all::<String>(lacking, &[]).await? {
            self.add_policy(&table, "tenant_id = (SELECT current_setting('astrolabe.tenant', true))").await?;
        }
        // A view reads with its owner's rights by itself, and its owner may be a superuser.
        let views =
            "SELECT CAST(c.relname AS TEXT) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v'
                     AND c.relname LIKE 'v\\_%' AND NOT COALESCE(c.reloptions @> ARRAY['security_invoker=true'], false) ORDER BY 1";
        for view in self.all::<String>(views, &[]).await? {
            self.execute(format!("ALTER VIEW \"{view}\" SET (security_invoker = true)"), &[]).await?;
        }
        Ok(())
    }

    /// Makes [`APP_ROLE`] where that is allowed, and lets it read and write every table of ours that it may not yet. Only in a transaction of
    /// [`Db::write_schema`], on PostgreSQL.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn admit(&mut self) -> Result<()> {
        let there = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)";
        if !self.one::<bool>(there, args![APP_ROLE]).await? {
            if !self.one::<bool>("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user", &[]).await? {
                return Ok(());
            }
            self.execute(CREATE_ROLE, &[]).await?;
        }
        if !self.one::<bool>("SELECT has_schema_privilege(CAST($1 AS name), current_schema(), 'USAGE')", args![APP_ROLE]).await? {
            let schema: String = self.one("SELECT quote_ident(current_schema())", &[]).await?;
            self.execute(format!("GRANT USAGE ON SCHEMA {schema} TO astrolabe_app"), &[]).await?;
        }
        let closed = format!(
            "SELECT format(CASE WHEN c.relkind = 'S' THEN 'USAGE ON SEQUENCE %I' ELSE 'SELECT, INSERT, UPDATE, DELETE ON %I' END, c.relname)
             {CLOSED} ORDER BY 1"
        );
        for what in self.all::<String>(closed, args![APP_ROLE]).await? {
            self.execute(format!("GRANT {what} TO astrolabe_app"), &[]).await?;
        }
        Ok(())
    }

    /// Lets the role that connected switch to [`APP_ROLE`], where it has to and may not yet.
    pub(super) async fn join(&mut self) -> Result<()> {
        let there = "SELECT COUNT(*) FROM pg_roles WHERE rolname = $1 AND NOT pg_has_role(rolname, 'MEMBER')";
        if self.session().await?.bypasses && self.one::<i64>(there, args![APP_ROLE]).await? > 0 {
            self.execute("GRANT astrolabe_app TO CURRENT_USER", &[]).await?;
        }
        Ok(())
    }

    async fn add_policy(&mut self, table: &str, condition: &str) -> Result<()> {
        // The settings stand in sub-selects, so that they are read once for a statement and not once for a row.
        for statement in [
            format!("ALTER TABLE \"{table}\" ENABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE \"{table}\" FORCE ROW LEVEL SECURITY"),
            format!("DROP POLICY IF EXISTS {POLICY} ON \"{table}\""),
            format!(
                "CREATE POLICY {POLICY} ON \"{table}\" USING ({condition} OR (SELECT current_setting('astrolabe.tenant', true)) = '*')"
            ),
        ] {
            self.execute(statement, &[]).await?;
        }
        Ok(())
    }

    /// Puts a table that was made outside of the migrations behind the fence, unless it is: a transaction sees the rows for which `condition`
    /// holds, SQL that compares with `current_setting('astrolabe.tenant', true)`. Transactions without a tenant see all. Only in a
    /// transaction of [`Db::write_schema`], on PostgreSQL; [`Tx::admit`] follows it.
    ///
    /// # Errors
    /// When the table is not there, or belongs to somebody else.
    pub async fn fence(&mut self, table: &str, condition: &str) -> Result<()> {
        let fenced = format!("SELECT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = '\"{table}\"'::regclass AND polname = '{POLICY}')");
        if !self.one::<bool>(fenced, &[]).await? {
            self.add_policy(table, condition).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
