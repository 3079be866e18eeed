//! `create_ticket` of `tickets_proxy`.

use astrolabe_kernel::{
    Error, Result,
    audit::Record,
    egress::{Method, Trust},
    error::code,
};
use serde_json::{Value, json};

use super::{MAX_REPLY, ToolContext, ToolOutput, say};
use crate::tickets::{NewTicket, Ticket, TicketState, store};

/// Opens a ticket: here, and first in the configured service when there is one. The same effect finds the same ticket.
pub(super) async fn create(context: &ToolContext<'_>, effect: &str, new: NewTicket) -> Result<ToolOutput> {
    new.validate()?;
    let (kernel, tenant) = (&context.agents.kernel, context.caller.principal.tenant);
    let known = store::by_effect(&mut kernel.db.read(tenant).await?, tenant, effect).await?;
    if let Some(ticket) = known {
        return Ok(output(context, &ticket));
    }
    let external_id = if context.agents.config.tickets_url.is_empty() { None } else { Some(send(context, effect, &new).await?) };
    let now = kernel.now();
    let ticket = Ticket {
        id: kernel.id(),
        title: new.title,
        description: new.description,
        priority: new.priority,
        state: TicketState::Open,
        created_by: format!("agent:{}", context.agent),
        external_id,
        created_at: now,
        updated_at: now,
    };
    let mut tx = kernel.db.write(tenant).await?;
    if !store::insert(&mut tx, tenant, &ticket, Some(effect)).await? {
        drop(tx);
        let ticket = store::by_effect(&mut kernel.db.read(tenant).await?, tenant, effect).await?;
        return ticket.map(|t| output(context, &t)).ok_or_else(|| Error::internal("a ticket's effect key is taken, but by no ticket"));
    }
    let payload = json!({"title": ticket.title, "agent": context.agent, "external_id": ticket.external_id});
    tx.audit(kernel, Record::of(context.caller, "create_ticket", ticket.id, payload)).await?;
    tx.commit().await?;
    Ok(output(context, &ticket))
}

/// Sends the ticket to the service; its idempotency key is the effect's, so a repeat after a lost answer makes no second one.
async fn send(context: &ToolContext<'_>, effect: &str, new: &NewTicket) -> Result<String> {
    let config = &context.agents.config;
    let egress = &context.agents.kernel.egress;
    let request = egress
        .request("tickets", Trust::Operator, Method::POST, &config.tickets_url)?
        .header("idempotency-key", effect)
        .bearer(config.tickets_token.expose())
        .json(&json!({"title": new.title, "description": new.description, "priority": new.priority}));
    let reply: Value = request.send().await?.success()?.json(MAX_REPLY).await?;
    let id = ["id", "key", "number", "ticket_id"].into_iter().find_map(|name| match &reply[name] {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    });
    id.ok_or_else(|| Error::new(code::UPSTREAM_FAILED, "the ticket service at tools.tickets_url answered without an id"))
}

fn output(context: &ToolContext<'_>, ticket: &Ticket) -> ToolOutput {
    let id = ticket.external_id.clone().unwrap_or_else(|| ticket.id.to_string());
    let text = say(context.lang, "Opened ticket", "Utworzono zgłoszenie", "Создана заявка");
    ToolOutput { text: format!("{text} {id}: {}", ticket.title), result: json!({"ticket": ticket}) }
}
