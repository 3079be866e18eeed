//! `astrolabe audit`: read the audit log, and prove that nobody edited it.

mod read;
mod verify;

use astrolabe_kernel::Result;
use clap::{Args, Subcommand};

use crate::cli::{Context, Done};

/// Read the audit log, and prove that nobody edited it.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List entries, newest first.
    List(Box<read::List>),
    /// Write entries as lines of JSON.
    Export(Box<read::Export>),
    /// Verify the chain: every entry, every link, every signature.
    Verify(verify::Verify),
}

/// Runs the command that was named.
///
/// # Errors
/// Those of the command.
pub async fn run(context: &Context, args: &Audit) -> Result<Done> {
    match &args.what {
        What::List(args) => read::list(context, args).await,
        What::Export(args) => read::export(context, args).await,
        What::Verify(args) => verify::run(context, args).await,
    }
}
