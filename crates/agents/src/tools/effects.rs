//! The journal of effects: what a step of a request with an idempotency key did is done once, however often the request is repeated.

use std::time::Duration;

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    error::code,
    id::Named,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{ToolCall, ToolContext, ToolOutput};
use crate::Agents;

/// How long effects are remembered: longer than any idempotency key is bound to its request.
const KEPT: Duration = Duration::from_secs(48 * 3600);

/// Names effects: `eff_…`; what services that bring them about get as their idempotency key.
pub(crate) struct Effect;
impl Named for Effect {
    const PREFIX: &'static str = "eff";
}

/// What is known of an effect before it is brought about.
pub(super) enum Begun {
    /// It may have to be brought about, under this name.
    Open(Id<Effect>),
    /// It has happened; this came of it.
    Done(ToolOutput),
}

struct Stored {
    id: Id<Effect>,
    call_hash: String,
    result: Option<String>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.id("id")?, call_hash: row.get("call_hash")?, result: row.get("result")? })
    }
}

/// Tells calls apart. A planner may write the same arguments in another order.
fn call_hash(call: &ToolCall) -> String {
    let mut canonical = json!([call.name, call.arguments]);
    canonical.sort_all_objects();
    hex::encode(Sha256::digest(canonical.to_string()))
}

/// Enters an effect into the journal, or finds what an earlier attempt at the same step left there. Without a step, which a request
/// without an idempotency key has not, there is nothing to find and the effect only gets its name.
///
/// # Errors
/// `idempotency_conflict` when the step was another call before.
pub(super) async fn begin(context: &ToolContext<'_>, call: &ToolCall) -> Result<Begun> {
    let (kernel, tenant) = (&context.agents.kernel, context.caller.principal.tenant);
    let id = kernel.id();
    let Some(step) = &context.step else { return Ok(Begun::Open(id)) };
    let call_hash = call_hash(call);
    let mut tx = kernel.db.write(tenant).await?;
    tx.execute(
        "INSERT INTO effects (id, tenant_id, step, call_hash, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        args![id, tenant, step, &call_hash, kernel.now()],
    )
    .await?;
    let stored: Stored =
        tx.one("SELECT id, call_hash, result FROM effects WHERE tenant_id = $1 AND step = $2", args![tenant, step]).await?;
    tx.commit().await?;
    if stored.call_hash != call_hash {
        let text = format!(
            "{}: under this idempotency key another call, or other arguments, stood in its place before; use a new key for a new effect",
            call.name
        );
        return Err(Error::new(code::IDEMPOTENCY_CONFLICT, text));
    }
    Ok(match stored.result {
        Some(result) => Begun::Done(serde_json::from_str(&result).map_err(Error::internal)?),
        None => Begun::Open(stored.id),
    })
}

/// Notes what came of an effect.
pub(super) async fn done(context: &ToolContext<'_>, id: Id<Effect>, output: &ToolOutput) -> Result<()> {
    if context.step.is_none() {
        return Ok(());
    }
    let kernel = &context.agents.kernel;
    let mut tx = kernel.db.write(context.caller.principal.tenant).await?;
    tx.execute(
        "UPDATE effects SET result = $1, finished_at = $2 WHERE tenant_id = $3 AND id = $4",
        args![serde_json::to_string(output).map_err(Error::internal)?, kernel.now(), context.caller.principal.tenant, id],
    )
    .await?;
    tx.commit().await
}

impl Agents {
    /// Forgets effects that no request can repeat any more. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune_effects(&self) -> Result<u64> {
        let mut tx = self.kernel.db.write_all().await?;
        let removed = prune(&mut tx, self.kernel.now().minus(KEPT)).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

async fn prune(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM effects WHERE created_at < $1", args![before]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_is_the_same_whatever_the_order_of_its_arguments() {
        let hash = |text: &str| call_hash(&serde_json::from_str(text).unwrap());
        let one = hash(r#"{"name": "create_ticket", "arguments": {"title": "a", "more": {"x": 1, "y": [2, 3]}}}"#);
        assert_eq!(one, hash(r#"{"arguments": {"more": {"y": [2, 3], "x": 1}, "title": "a"}, "name": "create_ticket"}"#));
        assert_ne!(one, hash(r#"{"name": "create_ticket", "arguments": {"title": "a", "more": {"x": 1, "y": [3, 2]}}}"#));
    }
}
