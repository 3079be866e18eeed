//! `astrolabe token verify`.

use std::{io::Read, path::PathBuf, time::Duration};

use astrolabe_kernel::{Clock, Error, Result, Timestamp};
use astrolabe_platform::identity::tokens::{Claims, Expectations, KeySet, LEEWAY, MAX_SET, MAX_TOKEN, Verifier};
use clap::{Args, Subcommand};

use crate::{
    cli::{Context, Done},
    output,
};

/// Look at tokens the way the server does.
#[derive(Debug, Args)]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Verify an access token with a set of keys.
    Verify(Verify),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The token is verified as the server does it, without a server, a data directory or a network. The exit code is 0 and the claims \
are printed as JSON; or it is 1 and the code of the refusal is printed alone on a line, or with --json as {\"code\", \"detail\"}. Keys of the set that \
cannot be used are named on standard error. Wrong usage, such as a file that cannot be read, exits with 2.

Examples:
  astrolabe token verify --jwks keys.json --issuer https://id.example.com --audience astrolabe eyJhbGciOi…
  curl -s https://id.example.com/keys | astrolabe token verify --jwks /dev/stdin --issuer … --audience … \"$TOKEN\"
  pbpaste | astrolabe token verify --jwks keys.json --issuer … --audience … -"
)]
struct Verify {
    /// File with the issuer's public keys (a JWK set, RFC 7517).
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// What `iss` has to be, character by character.
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    /// What `aud` has to contain; several times for one of several.
    #[arg(long = "audience", value_name = "AUDIENCE", required = true)]
    audiences: Vec<String>,
    /// The time to verify at, in seconds since 1970; otherwise now.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Seconds by which the clocks may differ.
    #[arg(long, value_name = "SECONDS", default_value_t = LEEWAY.as_secs())]
    leeway: u64,
    /// The token; `-` reads it from standard input.
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: String,
}

/// Verifies a token and prints its claims or the code of the refusal.
///
/// # Errors
/// `invalid_request` when the file or standard input cannot be read; a refused token is a result, not an error.
pub fn run(context: &Context, args: &Token) -> Result<Done> {
    let What::Verify(args) = &args.what;
    let (keys, no_set) = match KeySet::parse(&read_file(args)?) {
        Ok(keys) => (keys, None),
        // What an issuer publishes is input like the token: a set that is none verifies nothing.
        Err(error) => (KeySet::default(), Some(error)),
    };
    let token = if args.token == "-" { read_token()? } else { args.token.clone() };
    let mut expect = Expectations::access(args.issuer.as_str(), args.audiences.clone());
    expect.leeway = Duration::from_secs(args.leeway);
    let now = match args.now {
        Some(seconds) => Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
        None => Clock::System.now(),
    };
    match (Verifier { keys: &keys, expect: &expect }).verify(&token, now) {
        Ok(claims) => print(&claims),
        Err(error) => {
            let code = error.code().name;
            for why in keys.left_out().iter().map(String::as_str).chain(no_set.as_ref().map(Error::message)) {
                context.output.note(format!("note: {}: {why}", args.jwks.display()));
            }
            context.output.line(code);
            context.output.document(&serde_json::json!({ "code": code, "detail": error.message() }))?;
            Ok(Done::Code(1))
        }
    }
}

fn print(claims: &Claims) -> Result<Done> {
    output::write_out(&serde_json::to_string_pretty(claims.raw()).map_err(Error::internal)?);
    Ok(Done::All)
}

fn read_file(args: &Verify) -> Result<Vec<u8>> {
    let unreadable = |e: std::io::Error| Error::field("--jwks", format!("{} cannot be read: {}", args.jwks.display(), e.kind()));
    let mut bytes = Vec::new();
    // One byte more than may be there, so that a longer file is refused and not cut.
    std::fs::File::open(&args.jwks).and_then(|file| file.take(MAX_SET as u64 + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    Ok(bytes)
}

/// The token on standard input, without the line break that `echo` puts behind it. What is no text becomes something that is no token.
fn read_token() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_TOKEN as u64 + 3).read_to_end(&mut bytes).map_err(|e| Error::field("TOKEN", e.kind().to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
