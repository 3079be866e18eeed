//! `astrolabe restore`.

use std::path::PathBuf;

use astrolabe_kernel::{Clock, Result, error::code};
use clap::Args;

use crate::{
    backup,
    cli::{Context, Done},
    data_dir::DataDir,
};

/// Bring a backup back.
#[derive(Debug, Args)]
#[command(
    after_help = "Everything in the file is verified before anything is written. Stop the server first, and run `astrolabe check` afterwards.

Examples:
  astrolabe restore today.tar.gz --data-dir restored
  astrolabe restore today.tar.gz --force            moves what is in the data directory into a folder inside of it"
)]
pub struct Restore {
    /// The file that `astrolabe backup` wrote.
    file: PathBuf,
    /// Restore over a data directory that is not empty; what is there is moved aside, not deleted.
    #[arg(long)]
    force: bool,
}

/// Restores the backup.
///
/// # Errors
/// As [`backup::restore`]; `data_dir_busy` when a process uses the data directory.
pub fn run(context: &Context, args: &Restore) -> Result<Done> {
    let root = &context.common.data_dir;
    // A directory in use is never touched; one that is no data directory, or none yet, has nobody to ask.
    let lock = match DataDir::existing(root) {
        Ok(dir) => Some(dir.lock()?),
        Err(error) if error.code() == code::DATA_DIR_NEWER && !args.force => return Err(error),
        Err(_) => None,
    };
    let restored = backup::restore(&args.file, root, args.force, Clock::System.now())?;
    drop(lock);
    let manifest = &restored.manifest;
    context.output.line(format!(
        "restored {} files of {} (astrolabe {}) to {}",
        manifest.files.len(),
        manifest.created_at,
        manifest.version,
        root.display()
    ));
    if let Some(moved) = &restored.moved {
        context.output.line(format!("what was there is in {}", moved.display()));
    }
    context.output.note("run `astrolabe check` before you start the server");
    context.output.document(&serde_json::json!({
        "data_dir": root, "files": manifest.files.len(), "created_at": manifest.created_at, "version": manifest.version, "moved": restored.moved,
    }))?;
    Ok(Done::All)
}
