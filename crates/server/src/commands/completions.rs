//! `astrolabe completions`.

use astrolabe_kernel::{Error, Result};
use clap::{Args, ValueEnum};

use crate::cli::{self, Done};

/// Print shell completions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  astrolabe completions bash > ~/.local/share/bash-completion/completions/astrolabe
  astrolabe completions zsh  > ~/.zfunc/_astrolabe
  astrolabe completions fish > ~/.config/fish/completions/astrolabe.fish")]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completions of a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Completions) -> Result<Done> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "astrolabe", &mut text);
    crate::output::write_out(String::from_utf8(text).map_err(Error::internal)?.trim_end());
    Ok(Done::All)
}
