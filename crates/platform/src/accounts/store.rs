//! The tables of users and memberships.

use astrolabe_kernel::{
    Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::{Account, Member, State, UserId, stored_role};

const ACCOUNT: &str = "id, home_tenant_id, email, name, state, password_hash, must_change, issuer, subject, created_at, last_seen_at";
const MEMBER: &str = "m.user_id AS id, u.email, m.name, m.role, m.capabilities, m.state, m.version, m.created_at, m.updated_at";

impl FromRow for Account {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            home: row.id("home_tenant_id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            state: State::of_stored(&row.get::<String>("state")?),
            password_hash: row.get("password_hash")?,
            must_change: row.get("must_change")?,
            issuer: row.get("issuer")?,
            subject: row.get("subject")?,
            created_at: row.time("created_at")?,
            last_seen_at: row.optional_time("last_seen_at")?,
        })
    }
}

impl FromRow for Member {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: stored_role(&row.get::<String>("role")?),
            capabilities: row.json("capabilities")?,
            state: State::of_stored(&row.get::<String>("state")?),
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            account: None,
            version: row.get("version")?,
        })
    }
}

pub(crate) async fn insert_account(tx: &mut Tx, account: &Account) -> Result<()> {
    tx.execute(
        "INSERT INTO users (id, home_tenant_id, email, name, state, password_hash, must_change, issuer, subject, created_at, last_seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        args![
            account.id,
            account.home,
            account.email.clone(),
            &account.name,
            account.state.as_str(),
            account.password_hash.clone(),
            account.must_change,
            account.issuer.clone(),
            account.subject.clone(),
            account.created_at,
            account.last_seen_at
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn account(tx: &mut Tx, id: UserId) -> Result<Option<Account>> {
    tx.optional(format!("SELECT {ACCOUNT} FROM users WHERE id = $1"), args![id]).await
}

pub(crate) async fn account_by_email(tx: &mut Tx, email: &str) -> Result<Option<Account>> {
    tx.optional(format!("SELECT {ACCOUNT} FROM users WHERE email = $1"), args![email]).await
}

pub(crate) async fn account_by_subject(tx: &mut Tx, issuer: &str, subject: &str) -> Result<Option<Account>> {
    tx.optional(format!("SELECT {ACCOUNT} FROM users WHERE issuer = $1 AND subject = $2"), args![issuer, subject]).await
}

pub(crate) async fn set_password(tx: &mut Tx, id: UserId, hash: &str, must_change: bool) -> Result<()> {
    tx.execute("UPDATE users SET password_hash = $2, must_change = $3 WHERE id = $1", args![id, hash, must_change]).await?;
    Ok(())
}

pub(crate) async fn set_account_state(tx: &mut Tx, id: UserId, state: State) -> Result<()> {
    tx.execute("UPDATE users SET state = $2 WHERE id = $1", args![id, state.as_str()]).await?;
    Ok(())
}

pub(crate) async fn seen(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE users SET last_seen_at = $2 WHERE id = $1", args![id, now]).await?;
    Ok(())
}

/// Removes an account that is a member of nothing any more. Returns whether it was.
pub(crate) async fn delete_orphan(tx: &mut Tx, id: UserId) -> Result<bool> {
    let sql = "DELETE FROM users WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM memberships WHERE user_id = $1)";
    Ok(tx.execute(sql, args![id]).await? == 1)
}

pub(crate) async fn insert_member(tx: &mut Tx, tenant: TenantId, member: &Member) -> Result<()> {
    tx.execute(
        "INSERT INTO memberships (tenant_id, user_id, name, role, capabilities, state, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            tenant,
            member.id,
            &member.name,
            member.role.as_str(),
            serde_json::json!(member.capabilities),
            member.state.as_str(),
            member.version,
            member.created_at,
            member.updated_at
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn update_member(tx: &mut Tx, tenant: TenantId, member: &Member) -> Result<()> {
    tx.execute(
        "UPDATE memberships SET name = $3, role = $4, capabilities = $5, state = $6, version = $7, updated_at = $8
             WHERE tenant_id = $1 AND user_id = $2",
        args![
            tenant,
            member.id,
            &member.name,
            member.role.as_str(),
            serde_json::json!(member.capabilities),
            member.state.as_str(),
            member.version,
            member.updated_at
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn delete_member(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<u64> {
    tx.execute("DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2", args![tenant, id]).await
}

pub(crate) async fn member(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<Option<Member>> {
    let sql = format!("SELECT {MEMBER} FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND m.user_id = $2");
    tx.optional(sql, args![tenant, id]).await
}

/// As [`member`], and nobody else may change it until the transaction ends.
pub(crate) async fn lock_member(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<Option<Member>> {
    let sql = format!(
        "SELECT {MEMBER} FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND m.user_id = $2{}",
        tx.locking()
    );
    tx.optional(sql, args![tenant, id]).await
}

/// Up to `limit + 1` members behind the cursor, in the order of their ids; of `email` alone unless it is empty.
pub(crate) async fn members(tx: &mut Tx, tenant: TenantId, email: &str, after: &str, limit: i64) -> Result<Vec<Member>> {
    let sql = format!(
        "SELECT {MEMBER} FROM memberships m JOIN users u ON u.id = m.user_id
             WHERE m.tenant_id = $1 AND m.user_id > $2 AND ($3 = '' OR u.email = $3) ORDER BY m.user_id LIMIT $4"
    );
    tx.all(sql, args![tenant, after, email, limit + 1]).await
}

/// Whether an account is a member of other tenants than this one.
pub(crate) async fn is_elsewhere(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<bool> {
    Ok(tx.one::<i64>("SELECT COUNT(*) FROM memberships WHERE user_id = $1 AND tenant_id <> $2", args![id, tenant]).await? > 0)
}

/// The user ids of the administrators who may act, with their tenants; nobody else may change their memberships until the transaction ends.
pub(crate) async fn active_admins(tx: &mut Tx) -> Result<Vec<(TenantId, UserId)>> {
    struct Admin(TenantId, UserId);
    impl FromRow for Admin {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("tenant_id")?, row.id("user_id")?))
        }
    }
    let sql = format!(
        "SELECT m.tenant_id, m.user_id FROM memberships m JOIN users u ON u.id = m.user_id JOIN tenants t ON t.id = m.tenant_id
             WHERE m.role = 'admin' AND m.state = 'active' AND u.state = 'active' AND t.state = 'active'{}",
        tx.locking()
    );
    Ok(tx.all::<Admin>(sql, &[]).await?.into_iter().map(|a| (a.0, a.1)).collect())
}

/// How many accounts there are.
pub(crate) async fn accounts(tx: &mut Tx) -> Result<i64> {
    tx.one("SELECT COUNT(*) FROM users", &[]).await
}

/// The capability roles of a tenant's members, each once.
pub(crate) async fn capabilities(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<std::collections::BTreeSet<String>> {
    let rows: Vec<String> = tx
        .all("SELECT DISTINCT capabilities FROM memberships WHERE tenant_id = $1 AND capabilities <> '[]' LIMIT $2", args![tenant, limit])
        .await?;
    let lists = rows.iter().map(|text| serde_json::from_str::<Vec<String>>(text));
    Ok(lists.filter_map(|list| list.ok()).flatten().collect())
}
