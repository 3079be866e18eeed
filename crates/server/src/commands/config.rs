//! `astrolabe config show` and `astrolabe config markdown`.

use astrolabe_kernel::{Result, config::markdown};
use clap::{Args, Subcommand};

use crate::{
    cli::{Context, Done},
    config::SCHEMA,
};

/// Show the settings in force.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  astrolabe config show                       every setting, its value and where it came from
  PORT=9000 astrolabe config show --json      the same for a script")]
pub struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every setting in force and the layer it came from; secrets are redacted.
    Show,
    /// Print the reference of all settings in Markdown.
    Markdown,
}

/// Prints the settings.
///
/// # Errors
/// `invalid_config`.
pub fn run(context: &Context, args: &ConfigCommand) -> Result<Done> {
    match args.what {
        What::Markdown => crate::output::write_out(markdown(SCHEMA).trim_end()),
        What::Show => {
            let shown = context.config(Vec::new())?.settings.show();
            let width = shown.iter().map(|s| s.key.len()).max().unwrap_or(0);
            for setting in &shown {
                let origin = if setting.origin == "default" { String::new() } else { format!("   ({})", setting.origin) };
                context.output.line(format!("{:width$} = {}{origin}", setting.key, setting.value));
            }
            context.output.document(&shown)?;
        }
    }
    Ok(Done::All)
}
