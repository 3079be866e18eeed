//! `astrolabe keys list` and `astrolabe keys rotate`.

use astrolabe_kernel::{Principal, Result, Timestamp, http::Trace};
use astrolabe_platform::identity::{
    Identity,
    keys::{KeyInfo, Rotation},
};
use clap::{Args, Subcommand};

use crate::{
    app::{MIGRATIONS, Parts},
    cli::{Context, Done},
};

/// List and rotate the keys that sign tokens.
#[derive(Debug, Args)]
#[command(
    after_help = "A server that runs notices within five seconds. It must be given the same SECRET_KEY, data directory and DATABASE_URL.

Examples:
  astrolabe keys list
  astrolabe keys rotate             the next key signs; tokens of the old one stay good until they expire
  astrolabe keys rotate --revoke    every token ends now; also when SECRET_KEY is lost"
)]
pub struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the keys that are published.
    List,
    /// Let the next key sign.
    Rotate {
        /// Replace all keys, so that every token ends now.
        #[arg(long)]
        revoke: bool,
    },
}

/// Lists or rotates the keys.
///
/// # Errors
/// What opening the data directory and its keys says.
pub async fn run(context: &Context, args: &Keys) -> Result<Done> {
    let parts = Parts::real(context.config(Vec::new())?, context.data_dir()?)?;
    let kernel = parts.kernel().await?;
    kernel.db.migrate(MIGRATIONS, &kernel.clock, false).await?;
    let identity = parts.identity(&kernel)?;
    let done = work(context, &identity, &args.what, &Trace::background(&kernel.random)).await;
    kernel.db.close().await;
    done
}

async fn work(context: &Context, identity: &Identity, what: &What, trace: &Trace) -> Result<Done> {
    let keys = identity.keys();
    match what {
        What::List => {}
        What::Rotate { revoke: true } => {
            keys.revoke(&Principal::local_admin(), trace).await?;
            context.output.note("all keys are new: every token has ended");
        }
        What::Rotate { revoke: false } => match keys.rotate(&Principal::local_admin(), trace).await? {
            Rotation::Done => context.output.note("the next key signs now"),
            Rotation::ByAnother => context.output.note("another process rotated the keys at the same moment"),
        },
    }
    let all = keys.list().await?;
    if all.is_empty() {
        context.output.line("there are no keys yet: the first start of a server makes them");
    }
    for key in &all {
        context.output.line(line(key));
    }
    context.output.document(&all)?;
    Ok(Done::All)
}

fn line(key: &KeyInfo) -> String {
    let since = |word: &str, at: Option<Timestamp>| at.map_or_else(String::new, |at| format!(", {word} {at}"));
    let (active, retired, expires) =
        (since("active", key.active_at), since("retired", key.retired_at), since("published until", key.expires_at));
    format!("{:8} {}  made {}{active}{retired}{expires}", key.state, key.kid, key.created_at)
}
