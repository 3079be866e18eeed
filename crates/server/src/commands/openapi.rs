//! `astrolabe openapi`.

use astrolabe_kernel::{Error, Result};
use clap::Args;

use crate::{
    app::{App, Parts},
    cli::{Context, Done},
    data_dir::DataDir,
    router,
    system::System,
};

/// Print the OpenAPI description.
#[derive(Debug, Args)]
#[command(after_help = "The description is the same as that of a running server at /api/openapi.json, without one.

Example:
  astrolabe openapi > openapi.json")]
pub struct Openapi {}

/// Prints the description, made from the routes themselves.
///
/// # Errors
/// When a temporary folder cannot be used.
pub async fn run(context: &Context, _: &Openapi) -> Result<Done> {
    // Routes are made with the state they work on, so the application is opened on a folder that goes away again.
    let folder = tempfile::tempdir()?;
    let config = crate::config::Config::load(None, Vec::new(), &[])?;
    let parts = Parts::real(config, DataDir::create(folder.path())?)?;
    let app = App::open(&parts, System::new(parts.lifecycle.clone(), false, String::new)).await?;
    let (_, description) = router::full(&app);
    app.stop(std::time::Duration::from_secs(1)).await;
    let text = serde_json::to_string_pretty(&description.make()).map_err(Error::internal)?;
    crate::output::write_out(&text);
    let _ = context;
    Ok(Done::All)
}
