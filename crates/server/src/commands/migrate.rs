//! `astrolabe migrate`.

use astrolabe_kernel::{Db, Result};
use clap::Args;

use crate::{
    app::{MIGRATIONS, Parts},
    cli::{Context, Done},
};

/// Bring the database to the schema of this version.
#[derive(Debug, Args)]
#[command(after_help = "`astrolabe serve` does this by itself; use this command to do it as a separate step, before new servers start.

Examples:
  astrolabe migrate --dry-run                                     what would be done
  DATABASE_URL=postgres://astrolabe@db/astrolabe astrolabe migrate")]
pub struct Migrate {
    /// Only print what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Applies the steps that are missing.
///
/// # Errors
/// What opening the database and applying the steps say.
pub async fn run(context: &Context, args: &Migrate) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = context.create_data_dir()?;
    let parts = Parts::real(config, dir)?;
    let db = Db::open(&parts.database_url()?, 1).await?;
    let result = db.migrate(MIGRATIONS, &parts.clock, args.dry_run).await;
    db.close().await;
    let plan = result?;
    let verb = if args.dry_run { "would apply" } else { "applied" };
    for step in &plan.pending {
        context.output.line(format!("{verb} {step}"));
    }
    if plan.pending.is_empty() {
        context.output.line(format!("the database is up to date ({} steps)", plan.applied.len()));
    }
    context.output.document(&serde_json::json!({ "applied_before": plan.applied, "pending": plan.pending, "dry_run": args.dry_run }))?;
    Ok(Done::All)
}
