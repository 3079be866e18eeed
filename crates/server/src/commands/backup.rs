//! `astrolabe backup`.

use std::path::PathBuf;

use astrolabe_kernel::{Error, Result, error::code};
use clap::Args;

use crate::{
    app::Parts,
    backup,
    cli::{Context, Done},
};

/// Write records, documents, index, keys and token into one file.
#[derive(Debug, Args)]
#[command(
    after_help = "The server may go on working: the copy is consistent, as if it had been made in one moment. The file holds every document and the keys, \
so it is readable by its owner alone; keep it as safe as the data itself. Model weights are not in it.

Examples:
  astrolabe backup /backups/astrolabe-$(date +%F).tar.gz
  astrolabe restore /backups/astrolabe-2026-01-31.tar.gz --data-dir elsewhere && astrolabe check --data-dir elsewhere"
)]
pub struct Backup {
    /// The file to write; it must not be there yet.
    file: PathBuf,
}

/// Writes the backup.
///
/// # Errors
/// As [`backup::write`]; `invalid_request` when documents are in a bucket.
pub async fn run(context: &Context, args: &Backup) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = context.data_dir()?;
    let parts = Parts::real(config, dir.clone())?;
    if !parts.blobs()?.url.is_empty() {
        return Err(Error::new(
            code::INVALID_REQUEST,
            "this backup is for the embedded store: the documents are in a bucket (blobs.url), so back that up with its own tools, together with \
             the data directory and the database",
        ));
    }
    let kernel = parts.kernel().await?;
    let result = backup::write(&kernel, &dir, &args.file, |text| context.output.note(text)).await;
    kernel.db.close().await;
    let manifest = result?;
    let bytes = std::fs::metadata(&args.file)?.len();
    context.output.line(format!("wrote {} ({} files, {:.1} MB)", args.file.display(), manifest.files.len(), bytes as f64 / 1e6));
    for document in &manifest.missing {
        context.output.note(format!(
            "warning: the bytes of the document {document} are not there, so they are not in the backup; see `astrolabe check`"
        ));
    }
    context.output.document(&serde_json::json!({
        "file": args.file, "bytes": bytes, "files": manifest.files.len(), "created_at": manifest.created_at, "missing": manifest.missing,
    }))?;
    Ok(if manifest.missing.is_empty() { Done::All } else { Done::Part })
}
