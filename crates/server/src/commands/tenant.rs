//! `astrolabe tenant`.

use astrolabe_kernel::{Error, Result, egress::Method};
use astrolabe_platform::tenants::Tenant;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
};

/// List, make and change tenants.
#[derive(Debug, Args)]
#[command(after_help = "A tenant that is suspended keeps its data; its people, keys and streams are refused within five seconds.

Examples:
  astrolabe tenant add acme --name \"Acme Ltd\"
  astrolabe user add anna@example.com --tenant acme --role tenant_admin
  astrolabe tenant suspend acme")]
pub struct TenantCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List tenants.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Make a tenant.
    Add {
        /// Its short name: lower-case letters, digits and hyphens. It never changes.
        slug: String,
        /// Its name for people; the short name when not given.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give a tenant another name for people.
    Rename {
        /// Its short name.
        slug: String,
        /// Its new name for people.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Refuse everybody in a tenant.
    Suspend {
        /// Its short name.
        slug: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let people into a suspended tenant again.
    Resume {
        /// Its short name.
        slug: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Does what the API does.
///
/// # Errors
/// As the API; what reaching the server or opening the data directory says.
pub async fn run(context: &Context, command: &TenantCommand) -> Result<Done> {
    let (Action::List { remote }
    | Action::Add { remote, .. }
    | Action::Rename { remote, .. }
    | Action::Suspend { remote, .. }
    | Action::Resume { remote, .. }) = &command.action;
    let client = Client::connect(context, remote, Need::Data).await?;
    let done = act(context, &client, &command.action).await;
    client.close().await;
    done.map(|()| Done::All)
}

async fn act(context: &Context, client: &Client, action: &Action) -> Result<()> {
    let output = context.output;
    match action {
        Action::List { .. } => {
            let tenants: Vec<Tenant> = client.all("/api/v1/tenants?").await?;
            for tenant in &tenants {
                output.line(format!("{}  {}  {}  {}", tenant.id, tenant.slug, tenant.state.as_str(), tenant.name));
            }
            output.document(&json!({ "items": tenants }))
        }
        Action::Add { slug, name, .. } => {
            let made = client.call(Method::POST, "/api/v1/tenants", Some(&json!({ "slug": slug, "name": name }))).await?;
            output.line(format!("made the tenant {slug}; add somebody: astrolabe user add EMAIL --tenant {slug} --role tenant_admin"));
            output.document(&made)
        }
        Action::Rename { slug, name, .. } => change(context, client, slug, json!({ "name": name })).await,
        Action::Suspend { slug, .. } => change(context, client, slug, json!({ "state": "suspended" })).await,
        Action::Resume { slug, .. } => change(context, client, slug, json!({ "state": "active" })).await,
    }
}

async fn change(context: &Context, client: &Client, slug: &str, change: Value) -> Result<()> {
    let tenants: Vec<Tenant> = client.all("/api/v1/tenants?").await?;
    let tenant = tenants.iter().find(|t| t.slug == slug).ok_or_else(|| Error::not_found("tenant"))?;
    let now = client.call(Method::PATCH, &format!("/api/v1/tenants/{}", tenant.id), Some(&change)).await?;
    let text = |name: &str| now[name].as_str().unwrap_or_default().to_owned();
    context.output.line(format!("{slug}: {}, {}", text("name"), text("state")));
    context.output.document(&now)
}
