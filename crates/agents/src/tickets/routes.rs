//! Endpoints of tickets.

use astrolabe_kernel::{
    Error, Id, Result,
    audit::Record,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::{NewTicket, Ticket, TicketChange, TicketState, check_description, check_title, store};
use crate::Agents;

/// Which tickets to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TicketQuery {
    /// Only tickets in this state.
    #[param(example = "open")]
    pub state: Option<TicketState>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// List tickets, newest first.
#[utoipa::path(get, path = "/api/v1/tickets", tag = "tickets", params(TicketQuery),
    responses((status = 200, description = "A page.", body = Page<Ticket>), CommonProblems, right::ReadTickets))]
pub async fn list_tickets(
    State(agents): State<Agents>,
    caller: May<right::ReadTickets>,
    Query(query): Query<TicketQuery>,
) -> Result<Json<Page<Ticket>>> {
    let limit = page_limit(query.limit)?;
    let state = query.state.map_or("", TicketState::as_str);
    let mut tx = agents.kernel.db.read(caller.principal.tenant).await?;
    let rows = store::page(&mut tx, caller.principal.tenant, state, query.cursor.as_deref().unwrap_or(""), limit).await?;
    Ok(Json(Page::of(rows, limit, |t| t.id.to_string())))
}

/// Open a ticket.
#[utoipa::path(post, path = "/api/v1/tickets", tag = "tickets", request_body = NewTicket,
    responses((status = 201, description = "Opened.", body = Ticket), CommonProblems, right::OpenTickets, ConflictProblem, BodyProblems))]
pub async fn create_ticket(
    State(agents): State<Agents>,
    caller: May<right::OpenTickets>,
    Json(new): Json<NewTicket>,
) -> Result<(StatusCode, Json<Ticket>)> {
    new.validate()?;
    let (kernel, tenant, now) = (&agents.kernel, caller.principal.tenant, agents.kernel.now());
    let ticket = Ticket {
        id: kernel.id(),
        title: new.title,
        description: new.description,
        priority: new.priority,
        state: TicketState::Open,
        created_by: caller.principal.id.clone(),
        external_id: None,
        created_at: now,
        updated_at: now,
    };
    let mut tx = kernel.db.write(tenant).await?;
    store::insert(&mut tx, tenant, &ticket, None).await?;
    tx.audit(kernel, Record::of(&caller, "create_ticket", ticket.id, json!({"title": ticket.title}))).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(ticket)))
}

/// Read a ticket.
#[utoipa::path(get, path = "/api/v1/tickets/{id}", tag = "tickets", params(("id" = Id<Ticket>, Path)),
    responses((status = 200, description = "The ticket.", body = Ticket), CommonProblems, right::ReadTickets, NotFoundProblem))]
pub async fn get_ticket(State(agents): State<Agents>, caller: May<right::ReadTickets>, Path(id): Path<Id<Ticket>>) -> Result<Json<Ticket>> {
    let ticket = store::get(&mut agents.kernel.db.read(caller.principal.tenant).await?, caller.principal.tenant, id).await?;
    ticket.map(Json).ok_or_else(|| Error::not_found("ticket"))
}

/// Change a ticket.
#[utoipa::path(patch, path = "/api/v1/tickets/{id}", tag = "tickets", params(("id" = Id<Ticket>, Path)), request_body = TicketChange,
    responses((status = 200, description = "The ticket as it is now.", body = Ticket), CommonProblems, right::ManageTickets, NotFoundProblem, BodyProblems))]
pub async fn update_ticket(
    State(agents): State<Agents>,
    caller: May<right::ManageTickets>,
    Path(id): Path<Id<Ticket>>,
    Json(change): Json<TicketChange>,
) -> Result<Json<Ticket>> {
    change.title.as_deref().map_or(Ok(()), check_title)?;
    change.description.as_deref().map_or(Ok(()), check_description)?;
    let (kernel, tenant) = (&agents.kernel, caller.principal.tenant);
    let mut tx = kernel.db.write(tenant).await?;
    let mut ticket = store::get(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("ticket"))?;
    ticket.title = change.title.unwrap_or(ticket.title);
    ticket.description = change.description.unwrap_or(ticket.description);
    ticket.priority = change.priority.unwrap_or(ticket.priority);
    ticket.state = change.state.unwrap_or(ticket.state);
    ticket.updated_at = kernel.now();
    store::update(&mut tx, tenant, &ticket).await?;
    tx.audit(kernel, Record::of(&caller, "tickets.update", id, json!({"state": ticket.state, "priority": ticket.priority}))).await?;
    tx.commit().await?;
    Ok(Json(ticket))
}
