//! A provider that follows a file of rules: the stand-in for a model in tests, demonstrations and work on the product. It is part of
//! the product (`model.name = "scripted/FILE"`), speaks the real wire formats over a real socket, and misbehaves on request.
//!
//! [`rules`] is the file, [`template`] how answers quote the conversation, [`asked`] a request whatever its format, [`plan`] what is put on
//! the wire, [`server`] the socket; `openai`, `bedrock` and `gemini` are the formats, read as strictly as the providers read them.

pub mod asked;
mod bedrock;
mod gemini;
mod openai;
pub mod plan;
pub mod rules;
pub mod server;
pub mod template;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use astrolabe_kernel::{Lifecycle, Result, config::Secret};

pub use self::{rules::Script, server::ScriptedServer};
use crate::config::GatewayConfig;

/// Starts the scripted provider on loopback when the configuration asks for it, and points the configuration to it. A relative FILE is
/// looked for below `folder`.
///
/// # Errors
/// `invalid_config` when the rules cannot be read; `address_in_use` when there is no free port.
pub async fn start_if_configured(config: &mut GatewayConfig, folder: &Path, lifecycle: &Lifecycle) -> Result<Option<ScriptedServer>> {
    let Some(file) = config.scripted_file() else {
        return Ok(None);
    };
    let script = Script::read(&folder.join(file))?;
    let server = ScriptedServer::start(script, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), lifecycle).await?;
    // `model.provider` says which of its formats is spoken.
    config.base_url = match config.provider.trim().to_ascii_lowercase().as_str() {
        "bedrock" => {
            // It is no place at AWS; a signature needs one all the same.
            if config.bedrock_region.is_empty() && config.aws_region.is_empty() {
                config.bedrock_region = "scripted".to_owned();
            }
            if config.aws_access_key_id.is_empty() && config.bedrock_api_key.is_empty() && config.api_key.is_empty() {
                config.bedrock_api_key = Secret::new("scripted");
            }
            server.root()
        }
        "gemini" | "google" => server.gemini_url(),
        _ => server.base_url(),
    };
    Ok(Some(server))
}
