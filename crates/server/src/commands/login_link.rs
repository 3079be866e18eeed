//! `astrolabe login-link`.

use astrolabe_kernel::{Principal, Result};
use astrolabe_platform::sessions;
use clap::Args;

use crate::{
    app::{MIGRATIONS, Parts},
    cli::{Context, Done},
    data_dir::{DataDir, Holder},
};

/// Print a new one-time sign-in link.
#[derive(Debug, Args)]
#[command(after_help = "The link signs one browser in, once, within 15 minutes. Whoever can read the data directory can make one.

Examples:
  astrolabe login-link --data-dir /var/lib/astrolabe
  astrolabe login-link --user anna@example.com      for somebody who forgot the password")]
pub struct LoginLink {
    /// Sign in as the person with this e-mail, instead of the local administrator.
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
}

/// Makes a code and prints its link.
///
/// # Errors
/// What opening the data directory says.
pub async fn run(context: &Context, args: &LoginLink) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = context.data_dir()?;
    let base = address(&config, &dir);
    let parts = Parts::real(config, dir)?;
    let kernel = parts.kernel().await?;
    kernel.db.migrate(MIGRATIONS, &kernel.clock, false).await?;
    let code = match &args.user {
        Some(email) => sessions::new_code_of(&kernel, email).await,
        None => sessions::new_code(&kernel, &Principal::local_admin()).await,
    };
    kernel.db.close().await;
    let link = format!("{base}/signin?code={}", code?.expose());
    context.output.line(&link);
    context.output.document(&serde_json::json!({ "link": link, "expires_in_s": sessions::CODE_LIFE.as_secs() }))?;
    Ok(Done::All)
}

/// The address for browsers: that of the server that holds the directory, else the configured one.
pub fn address(config: &crate::config::Config, dir: &DataDir) -> String {
    match dir.holder() {
        Some(Holder { url: Some(url), .. }) => url,
        _ if !config.server.public_url.is_empty() => config.server.public_url.trim_end_matches('/').to_owned(),
        _ => format!("http://{}", config.server.listen),
    }
}
