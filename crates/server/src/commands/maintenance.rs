//! `astrolabe maintenance`.

use astrolabe_kernel::{Error, Result, Timestamp, egress::Method};
use astrolabe_platform::maintenance::{Maintenance, MaintenanceMode};
use clap::{Args, Subcommand};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
};

/// Refuse changes while something is under maintenance.
#[derive(Debug, Args)]
#[command(
    after_help = "While it is on, whoever wants to change something is told when to come back; reading and searching go on. It stays on until it is
turned off, over restarts too.

Examples:
  astrolabe maintenance on --message \"the database moves\" --until 2026-03-02T06:00:00Z
  astrolabe maintenance status
  astrolabe maintenance off"
)]
pub struct MaintenanceCommand {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Refuse changes from now on.
    On {
        /// What people are told.
        #[arg(long, default_value = "", value_name = "TEXT")]
        message: String,
        /// When it is expected to end, as 2026-03-02T06:00:00Z. It does not end by itself.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Accept changes again.
    Off,
    /// Print whether changes are accepted.
    Status,
}

/// Reads or sets the switch.
///
/// # Errors
/// `invalid_request` for a time that is none; what the API says.
pub async fn run(context: &Context, command: &MaintenanceCommand) -> Result<Done> {
    let wanted = match &command.what {
        What::On { message, until } => {
            let until = until.as_deref().map(moment).transpose()?;
            Some(Maintenance { mode: MaintenanceMode::ReadOnly, message: message.clone(), until })
        }
        What::Off => Some(Maintenance::default()),
        What::Status => None,
    };
    let client = Client::connect(context, &command.remote, Need::Data).await?;
    let state = ask(&client, wanted).await;
    client.close().await;
    let state = state?;
    context.output.line(match state.mode {
        MaintenanceMode::Off => "changes are accepted".to_owned(),
        MaintenanceMode::ReadOnly => {
            let message = if state.message.is_empty() { String::new() } else { format!(": {}", state.message) };
            let until = state.until.map_or_else(String::new, |until| format!(" (expected until {until})"));
            format!("changes are refused{message}{until}")
        }
    });
    context.output.document(&state)?;
    Ok(Done::All)
}

async fn ask(client: &Client, wanted: Option<Maintenance>) -> Result<Maintenance> {
    let Some(wanted) = wanted else { return client.get("/api/v1/maintenance").await };
    let body = serde_json::to_value(&wanted).map_err(Error::internal)?;
    let state = client.call(Method::PUT, "/api/v1/maintenance", Some(&body)).await?;
    serde_json::from_value(state).map_err(Error::internal)
}

fn moment(text: &str) -> Result<Timestamp> {
    serde_json::from_value(text.into()).map_err(|_| Error::field("--until", "write it as 2026-03-02T06:00:00Z"))
}
