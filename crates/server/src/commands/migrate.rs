//! `astrolabe migrate`.

use astrolabe_kernel::{
    Result,
    db::{Plan, SecondFence},
    error::code,
};
use clap::{Args, Subcommand};

use crate::{
    app::{MIGRATIONS, Parts},
    cli::{Context, Done},
};

/// Bring the database to the schema of this version.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "`astrolabe serve` does this by itself; use this command to do it as a separate step, before new servers start. Processes that \
start together wait for each other, and one of them does it.

Examples:
  astrolabe migrate --dry-run                                     what would be done
  astrolabe migrate status                                        what was done; exit code 6 while something is missing
  DATABASE_URL=postgres://astrolabe@db/astrolabe astrolabe migrate"
)]
pub struct Migrate {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only print what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// What else there is to do than to migrate.
#[derive(Debug, Subcommand)]
enum Action {
    /// Print which steps are applied, which are missing, and whether PostgreSQL's row-level security holds.
    Status,
}

/// Applies the steps that are missing, or tells of them.
///
/// # Errors
/// What opening the database and applying the steps say.
pub async fn run(context: &Context, args: &Migrate) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = context.create_data_dir()?;
    let parts = Parts::real(config, dir)?;
    let db = parts.database(1).await?;
    let only_look = args.dry_run || args.action.is_some();
    let result = db.migrate(MIGRATIONS, &parts.clock, only_look).await;
    let fence = db.second_fence();
    db.close().await;
    let plan = result?;
    match args.action {
        Some(Action::Status) => status(context, &plan, &fence),
        None => migrated(context, &plan, args.dry_run),
    }
}

fn migrated(context: &Context, plan: &Plan, dry_run: bool) -> Result<Done> {
    let verb = if dry_run { "would apply" } else { "applied" };
    for step in &plan.pending {
        context.output.line(format!("{verb} {step}"));
    }
    if plan.pending.is_empty() {
        context.output.line(format!("the database is up to date ({} steps)", plan.applied.len()));
    }
    context.output.document(&serde_json::json!({ "applied_before": plan.applied, "pending": plan.pending, "dry_run": dry_run }))?;
    Ok(Done::All)
}

fn status(context: &Context, plan: &Plan, fence: &SecondFence) -> Result<Done> {
    for (steps, word) in [(&plan.applied, "applied"), (&plan.pending, "missing")] {
        for step in steps {
            context.output.line(format!("{word}  {step}"));
        }
    }
    let security = match fence {
        // Before the first migration there is nothing to hold.
        SecondFence::None => None,
        _ if plan.applied.is_empty() => None,
        SecondFence::Up => Some("on".to_owned()),
        SecondFence::Off(reason) => Some(format!("off: {reason}")),
    };
    if let Some(security) = &security {
        context.output.line(format!("row-level security is {security}"));
    }
    context.output.document(&serde_json::json!({ "applied": plan.applied, "pending": plan.pending, "row_level_security": security }))?;
    Ok(if plan.pending.is_empty() { Done::All } else { Done::Code(code::MIGRATION_NEEDED.kind.exit_code()) })
}
