//! Tickets: opened, listed and changed by people and agents (P-11).

pub mod routes;
pub(crate) mod store;

use astrolabe_kernel::{Error, Id, Result, Timestamp, id::Named};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// Its id, `tkt_…`.
    pub id: Id<Ticket>,
    /// What it is about, in a line.
    pub title: String,
    /// Everything else.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it stands.
    pub state: TicketState,
    /// Who opened it.
    pub created_by: String,
    /// Its id in the ticket service at `tools.tickets_url`; null for a ticket that is kept here alone.
    pub external_id: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Named for Ticket {
    const PREFIX: &'static str = "tkt";
}

/// How urgent a ticket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When there is time.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// At once.
    High,
}

impl Priority {
    /// The priority as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// Nobody has it yet.
    Open,
    /// Somebody works on it.
    InProgress,
    /// Done.
    Closed,
}

impl TicketState {
    /// The state as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in_progress",
            Self::Closed => "closed",
        }
    }
}

/// A ticket to open.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Printer on floor 2 jams", "description": "Since this morning", "priority": "low"}))]
pub struct NewTicket {
    /// What it is about, in a line.
    #[schema(min_length = 1, max_length = 300, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub title: String,
    /// Everything else.
    #[serde(default)]
    #[schema(max_length = 20000, pattern = "^[^\\u0000]*$")]
    pub description: String,
    /// How urgent it is; `normal` when absent.
    #[serde(default)]
    pub priority: Priority,
}

impl NewTicket {
    /// Checks the fields.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub fn validate(&self) -> Result<()> {
        check_title(&self.title)?;
        check_description(&self.description)
    }
}

/// What to change of a ticket; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "closed"}))]
pub struct TicketChange {
    /// A new title.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 300, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub title: Option<String>,
    /// A new description.
    #[serde(default)]
    #[schema(max_length = 20000, pattern = "^[^\\u0000]*$")]
    pub description: Option<String>,
    /// A new priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// A new state.
    #[serde(default)]
    pub state: Option<TicketState>,
}

fn check_title(title: &str) -> Result<()> {
    if title.trim().is_empty() || title.chars().count() > 300 {
        return Err(Error::field("title", "must be 1 to 300 characters, not only white space"));
    }
    Ok(())
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() > 20_000 {
        return Err(Error::field("description", "must be at most 20000 characters"));
    }
    Ok(())
}
