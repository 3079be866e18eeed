//! `astrolabe key`.

use astrolabe_kernel::{Result, egress::Method, page::Page};
use astrolabe_platform::api_keys::ApiKey;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need, encode},
};

/// Make, list and revoke API keys.
#[derive(Debug, Args)]
#[command(after_help = "A key acts as the person who made it, never beyond that person's present roles. Its secret is printed once.

Examples:
  astrolabe key add \"nightly ingest\" --scope read_knowledge --scope write_knowledge --days 90
  astrolabe key list --all
  astrolabe key revoke key_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
pub struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and print its secret, once.
    Add {
        /// What it is for.
        name: String,
        /// A right that it is for, as docs/generated/access.md names them; all of the owner's when not given.
        #[arg(long = "scope", value_name = "RIGHT")]
        scopes: Vec<String>,
        /// Days until it ends; never when not given.
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List keys.
    List {
        /// Everybody's in the tenant, instead of one's own.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Revoke a key.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Does what the API does.
///
/// # Errors
/// As the API; what reaching the server or opening the data directory says.
pub async fn run(context: &Context, key: &Key) -> Result<Done> {
    let (Action::Add { remote, .. } | Action::List { remote, .. } | Action::Revoke { remote, .. }) = &key.action;
    let client = Client::connect(context, remote, Need::Data).await?;
    let done = act(context, &client, &key.action).await;
    client.close().await;
    done.map(|()| Done::All)
}

async fn act(context: &Context, client: &Client, action: &Action) -> Result<()> {
    let output = context.output;
    match action {
        Action::Add { name, scopes, days, .. } => {
            let scopes = if scopes.is_empty() { Value::Null } else { json!(scopes) };
            let new = json!({"name": name, "scopes": scopes, "expires_in_days": days});
            let made = client.call(Method::POST, "/api/v1/api-keys", Some(&new)).await?;
            output.line(made["secret"].as_str().unwrap_or_default());
            output.document(&made)
        }
        Action::List { all, .. } => {
            let mut keys: Vec<ApiKey> = Vec::new();
            let mut cursor = String::new();
            loop {
                let page: Page<ApiKey> = client.get(&format!("/api/v1/api-keys?all={all}&limit=200{cursor}")).await?;
                keys.extend(page.items);
                match page.next_cursor {
                    Some(next) => cursor = format!("&cursor={}", encode(&next)),
                    None => break,
                }
            }
            if keys.is_empty() {
                output.line("no keys yet: astrolabe key add NAME makes one");
            }
            for key in &keys {
                output.line(line(key));
            }
            output.document(&json!({ "items": keys }))
        }
        Action::Revoke { id, .. } => {
            let revoked = client.call(Method::DELETE, &format!("/api/v1/api-keys/{}", encode(id)), None).await?;
            output.line(format!("revoked {id}; it is refused everywhere within five seconds"));
            output.document(&revoked)
        }
    }
}

/// A key on one line: id, whose, what for, its end, its last use.
fn line(key: &ApiKey) -> String {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "no end".to_owned(),
    };
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    let scopes =
        key.scopes.as_ref().map_or_else(|| "all rights".to_owned(), |s| s.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(","));
    format!("{}  …{}  {}  {}  {scopes}  {state}  {used}", key.id, key.hint, key.owner, key.name)
}
