//! `astrolabe scripted`: the scripted model as a server of its own.

use std::{net::SocketAddr, path::PathBuf};

use astrolabe_gateway::scripted::{Script, ScriptedServer};
use astrolabe_kernel::{Lifecycle, Result};
use clap::Args;

use crate::cli::{Context, Done};

/// Serve a model that follows a file of rules, in the formats of OpenAI (/v1), Bedrock (/) and Gemini (/v1beta).
#[derive(Debug, Args)]
pub struct Scripted {
    /// The rules, in TOML or JSON.
    rules: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Serves until the process is ended; there is nothing to save. The first line says where.
///
/// # Errors
/// `invalid_config` when the rules cannot be read; `address_in_use`.
pub async fn run(context: &Context, command: &Scripted) -> Result<Done> {
    let lifecycle = Lifecycle::new();
    let server = ScriptedServer::start(Script::read(&command.rules)?, command.listen, &lifecycle).await?;
    context.output.line(server.root());
    lifecycle.stopping().await;
    Ok(Done::All)
}
