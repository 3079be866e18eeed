//! The command line: what can be said, with examples, and the way from there to a command.

use std::{path::PathBuf, process::ExitCode};

use astrolabe_kernel::{Error, Result};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    commands,
    config::{self, Config},
    data_dir::DataDir,
    output::Output,
};

/// Answers from your documents with citations, in one binary and with no network.
#[derive(Debug, Parser)]
#[command(name = "astrolabe", version, propagate_version = false, disable_version_flag = true, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  astrolabe serve                                    start; prints the address and a sign-in link
  astrolabe ingest ./manuals --source manuals        add a folder, with or without a running server
  astrolabe ask \"how long are backups kept?\"         an answer with its sources
  astrolabe check && astrolabe backup today.tar.gz   look after the data

Exit codes: 0 done, 1 defect of ours, 2 wrong usage or input, 3 done in part, 4 not allowed, 5 not found, \
6 conflict with what is there, 7 not now or not reachable.";

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Options that every command has.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where the data is: records, documents, index, keys, token.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "ASTROLABE_DATA_DIR", default_value = "data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Configuration file (TOML); `astrolabe config show` lists what can be in it.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "ASTROLABE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one setting, over file and environment.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
}

/// How to reach a server; without these, one that runs on the data directory is found by itself.
#[derive(Debug, Clone, Default, Args)]
pub struct Remote {
    /// Address of a running server, such as http://127.0.0.1:8080.
    #[arg(long, env = "ASTROLABE_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token for it; otherwise the data directory's.
    #[arg(long, env = "ASTROLABE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the API, the worker and the page.
    Serve(commands::serve::Serve),
    /// Bring the database to the schema of this version.
    Migrate(commands::migrate::Migrate),
    /// Add files and folders to a source.
    Ingest(commands::ingest::Ingest),
    /// Answer a question from the documents, with citations.
    Ask(commands::ask::Ask),
    /// List the passages that match.
    Search(commands::search::Search),
    /// Measure how good search and answers are.
    Eval(Box<commands::eval::Eval>),
    /// Print a new one-time sign-in link.
    LoginLink(commands::login_link::LoginLink),
    /// Make, list and revoke API keys.
    Key(commands::key::Key),
    /// Fill the data directory with demonstration data.
    Seed(commands::seed::Seed),
    /// Examine the data directory and report what is wrong.
    Check(commands::check::Check),
    /// Write records, documents, index, keys and token into one file.
    Backup(commands::backup::Backup),
    /// Build the search index again from the database.
    Reindex(commands::reindex::Reindex),
    /// Bring a backup back.
    Restore(commands::restore::Restore),
    /// Refuse changes while something is under maintenance.
    Maintenance(commands::maintenance::MaintenanceCommand),
    /// Read the audit log, and prove that nobody edited it.
    Audit(commands::audit::Audit),
    /// Add people, give them roles, and end their access.
    User(commands::user::User),
    /// List, make and change tenants.
    Tenant(commands::tenant::TenantCommand),
    /// List and rotate the keys that sign tokens.
    Keys(commands::keys::Keys),
    /// Look at tokens the way the server does.
    Token(commands::token::Token),
    /// List, add and verify the models that run in this process.
    Models(commands::models::Models),
    /// Show the settings in force.
    Config(commands::config::ConfigCommand),
    /// Print the OpenAPI description.
    Openapi(commands::openapi::Openapi),
    /// Print shell completions.
    Completions(commands::completions::Completions),
    /// Print the version.
    Version,
    /// Measure the embedding model; started by bench/embed.
    #[command(hide = true)]
    BenchEmbed(commands::bench_embed::BenchEmbed),
    /// Read a document from standard input under limits; started by the worker.
    #[command(hide = true)]
    Extract(commands::extract::Extract),
    /// Serve a model that follows a file of rules; started by scripts/model-sdks.sh.
    #[command(hide = true)]
    Scripted(commands::scripted::Scripted),
}

/// What a command gets to work with.
pub struct Context {
    /// The options that every command has.
    pub common: Common,
    /// Where to print.
    pub output: Output,
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything was done.
    All,
    /// A part was not done, or something is wrong; the output says what (exit 3).
    Part,
    /// The exit code of an error kind, when the result itself tells of the error, such as a broken chain.
    Code(u8),
}

impl Context {
    /// The settings in force, with `flags` of the command over everything else.
    ///
    /// # Errors
    /// `invalid_config`.
    pub fn config(&self, flags: Vec<(String, String, String)>) -> Result<Config> {
        let mut all = Vec::new();
        for pair in &self.common.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| Error::field("--set", "write it as KEY=VALUE"))?;
            all.push((key.trim().to_owned(), value.to_owned(), "--set".to_owned()));
        }
        all.extend(flags);
        Config::load(self.common.config.as_deref(), config::environment()?, &all)
    }

    /// The data directory, made when there is none.
    ///
    /// # Errors
    /// As [`DataDir::create`].
    pub fn create_data_dir(&self) -> Result<DataDir> {
        DataDir::create(&self.common.data_dir)
    }

    /// The data directory, which must be there.
    ///
    /// # Errors
    /// As [`DataDir::existing`].
    pub fn data_dir(&self) -> Result<DataDir> {
        DataDir::existing(&self.common.data_dir)
    }
}

/// The command line's own description, for completions and documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version are asked for, the rest is wrong usage.
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let output = Output { json: cli.common.json };
    let context = Context { common: cli.common, output };
    match run(&context, cli.command) {
        Ok(Done::All) => ExitCode::SUCCESS,
        Ok(Done::Part) => ExitCode::from(3),
        Ok(Done::Code(code)) => ExitCode::from(code),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(context: &Context, command: Command) -> Result<Done> {
    match command {
        Command::Serve(c) => block_on(commands::serve::run(context, c)),
        Command::Migrate(c) => block_on(commands::migrate::run(context, &c)),
        Command::Ingest(c) => block_on(commands::ingest::run(context, &c)),
        Command::Ask(c) => block_on(commands::ask::run(context, &c)),
        Command::Search(c) => block_on(commands::search::run(context, &c)),
        Command::Eval(c) => block_on(commands::eval::run(context, &c)),
        Command::LoginLink(c) => block_on(commands::login_link::run(context, &c)),
        Command::Key(c) => block_on(commands::key::run(context, &c)),
        Command::Seed(c) => block_on(commands::seed::run(context, &c)),
        Command::Check(c) => block_on(commands::check::run(context, &c)),
        Command::Backup(c) => block_on(commands::backup::run(context, &c)),
        Command::Reindex(c) => block_on(commands::reindex::run(context, &c)),
        Command::Restore(c) => commands::restore::run(context, &c),
        Command::Maintenance(c) => block_on(commands::maintenance::run(context, &c)),
        Command::Audit(c) => block_on(commands::audit::run(context, &c)),
        Command::User(c) => block_on(commands::user::run(context, &c)),
        Command::Tenant(c) => block_on(commands::tenant::run(context, &c)),
        Command::Keys(c) => block_on(commands::keys::run(context, &c)),
        Command::Token(c) => commands::token::run(context, &c),
        Command::Models(c) => commands::models::run(context, &c),
        Command::Config(c) => commands::config::run(context, &c),
        Command::Openapi(c) => block_on(commands::openapi::run(context, &c)),
        Command::Completions(c) => commands::completions::run(&c),
        Command::Version => commands::version::run(context),
        Command::BenchEmbed(c) => commands::bench_embed::run(&c),
        Command::Extract(c) => commands::extract::run(&c),
        Command::Scripted(c) => block_on(commands::scripted::run(context, &c)),
    }
}

/// Runs a command on a runtime of its own; the child process that reads documents does without.
fn block_on(work: impl Future<Output = Result<Done>>) -> Result<Done> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    let result = runtime.block_on(work);
    // Blocking work that nobody waits for any more must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}
