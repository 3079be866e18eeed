//! The ticket table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::{Priority, Ticket, TicketState};

const COLUMNS: &str = "id, title, description, priority, state, created_by, external_id, created_at, updated_at";

impl FromRow for Ticket {
    fn from_row(row: &Row) -> Result<Self> {
        let (priority, state): (String, String) = (row.get("priority")?, row.get("state")?);
        let unknown = |what: &str| Error::internal(format_args!("{what:?} is not a value of a ticket"));
        Ok(Self {
            id: row.id("id")?,
            title: row.get("title")?,
            description: row.get("description")?,
            priority: [Priority::Low, Priority::Normal, Priority::High]
                .into_iter()
                .find(|p| p.as_str() == priority)
                .ok_or_else(|| unknown(&priority))?,
            state: [TicketState::Open, TicketState::InProgress, TicketState::Closed]
                .into_iter()
                .find(|s| s.as_str() == state)
                .ok_or_else(|| unknown(&state))?,
            created_by: row.get("created_by")?,
            external_id: row.get("external_id")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// Adds a ticket, unless one with the same effect key is there. Returns whether it was added.
pub async fn insert(tx: &mut Tx, tenant: TenantId, t: &Ticket, effect_key: Option<&str>) -> Result<bool> {
    let added = tx
        .execute(
            "INSERT INTO tickets (id, tenant_id, title, description, priority, state, created_by, external_id, effect_key, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT DO NOTHING",
            args![
                t.id,
                tenant,
                &t.title,
                &t.description,
                t.priority.as_str(),
                t.state.as_str(),
                &t.created_by,
                t.external_id.clone(),
                effect_key.map(str::to_owned),
                t.created_at
            ],
        )
        .await?;
    Ok(added == 1)
}

/// The ticket that a step made.
pub async fn by_effect(tx: &mut Tx, tenant: TenantId, effect_key: &str) -> Result<Option<Ticket>> {
    tx.optional(format!("SELECT {COLUMNS} FROM tickets WHERE tenant_id = $1 AND effect_key = $2"), args![tenant, effect_key]).await
}

/// One ticket.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<Ticket>) -> Result<Option<Ticket>> {
    tx.optional(format!("SELECT {COLUMNS} FROM tickets WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// Tickets, newest first, of one state or of all (empty), after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, state: &str, after: &str, limit: i64) -> Result<Vec<Ticket>> {
    tx.all(
        format!(
            "SELECT {COLUMNS} FROM tickets WHERE tenant_id = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"
        ),
        args![tenant, state, after, limit + 1],
    )
    .await
}

/// Writes a ticket's changeable fields.
pub async fn update(tx: &mut Tx, tenant: TenantId, t: &Ticket) -> Result<()> {
    tx.execute(
        "UPDATE tickets SET title = $1, description = $2, priority = $3, state = $4, updated_at = $5 WHERE tenant_id = $6 AND id = $7",
        args![&t.title, &t.description, t.priority.as_str(), t.state.as_str(), t.updated_at, tenant, t.id],
    )
    .await?;
    Ok(())
}

/// The tickets that a person opened in the order of their making, behind an id.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Ticket>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM tickets WHERE tenant_id = $1 AND created_by = $2 AND ($3 = '' OR id > $3) ORDER BY id LIMIT $4"),
        args![tenant, principal, after, limit],
    )
    .await
}

/// Puts another name for a person on the tickets that it opened. Returns on how many.
pub async fn rename_person(tx: &mut Tx, tenant: TenantId, principal: &str, name: &str) -> Result<u64> {
    tx.execute("UPDATE tickets SET created_by = $3 WHERE tenant_id = $1 AND created_by = $2", args![tenant, principal, name]).await
}
