//! `astrolabe user`.

use std::io::{BufRead, IsTerminal, Read};

use astrolabe_kernel::{Error, Result, egress::Method, error::code};
use astrolabe_platform::accounts::{Member, passwords};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need, encode},
    output,
};

/// Add people, give them roles, and end their access.
#[derive(Debug, Args)]
#[command(
    after_help = "People sign in with the one-time link that `add` prints, and choose a password, or with the password that is given here. A password is
read from standard input or asked for, and never taken from an argument, which other users of the machine could see.

Examples:
  astrolabe user add anna@example.com --role admin
  astrolabe user add jan@example.com --tenant acme --capability sre
  astrolabe user password anna@example.com < password.txt
  astrolabe user suspend jan@example.com --tenant acme"
)]
pub struct User {
    #[command(subcommand)]
    action: Action,
}

/// Where, for every command about people.
#[derive(Debug, Args)]
struct Place {
    /// Short name of the tenant; the one of the token when not given.
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Whom a command is about.
#[derive(Debug, Args)]
struct Whom {
    /// The e-mail.
    email: String,
    #[command(flatten)]
    place: Place,
}

/// A role of the lattice.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// No role: capability roles alone, such as `auditor`.
    None,
    /// Asks and reads.
    Viewer,
    /// Also adds and changes knowledge, tickets and runs.
    Editor,
    /// Also manages the tenant.
    #[value(name = "tenant_admin")]
    TenantAdmin,
    /// Also manages the installation.
    Admin,
}

impl RoleName {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::TenantAdmin => "tenant_admin",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the people of a tenant.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Add somebody and print a one-time sign-in link.
    Add {
        #[command(flatten)]
        whom: Whom,
        /// The name for people; what is before the `@` when not given.
        #[arg(long)]
        name: Option<String>,
        /// The role.
        #[arg(long, value_enum, default_value = "viewer")]
        role: RoleName,
        /// A capability role, such as `sre` or `auditor`.
        #[arg(long = "capability", value_name = "NAME")]
        capabilities: Vec<String>,
        /// Also set a first password, read from standard input or asked for; it is changed at the first sign-in.
        #[arg(long)]
        password: bool,
    },
    /// Give somebody another role.
    SetRole {
        #[command(flatten)]
        whom: Whom,
        /// The role.
        #[arg(value_enum)]
        role: RoleName,
        /// All capability roles; they stay as they are when none is given.
        #[arg(long = "capability", value_name = "NAME")]
        capabilities: Vec<String>,
    },
    /// Refuse somebody in a tenant.
    Suspend {
        #[command(flatten)]
        whom: Whom,
        /// In every tenant.
        #[arg(long)]
        everywhere: bool,
    },
    /// Let somebody in again.
    Resume {
        #[command(flatten)]
        whom: Whom,
        /// In every tenant that he is not suspended in.
        #[arg(long)]
        everywhere: bool,
    },
    /// Set a password, read from standard input or asked for. Ends all sessions.
    Password {
        #[command(flatten)]
        whom: Whom,
        /// The password stays; otherwise it is changed at the next sign-in.
        #[arg(long)]
        keep: bool,
    },
    /// End all sessions of somebody.
    SignOut {
        #[command(flatten)]
        whom: Whom,
    },
    /// Remove somebody from a tenant.
    Remove {
        #[command(flatten)]
        whom: Whom,
    },
}

impl Action {
    fn place(&self) -> &Place {
        match self {
            Self::List { place } => place,
            Self::Add { whom, .. }
            | Self::SetRole { whom, .. }
            | Self::Suspend { whom, .. }
            | Self::Resume { whom, .. }
            | Self::Password { whom, .. }
            | Self::SignOut { whom }
            | Self::Remove { whom } => &whom.place,
        }
    }
}

/// Does what the API does.
///
/// # Errors
/// As the API; what reaching the server or opening the data directory says.
pub async fn run(context: &Context, user: &User) -> Result<Done> {
    // Asked for before the data directory is held.
    let password = match &user.action {
        Action::Add { password: true, .. } | Action::Password { .. } => Some(read_password()?),
        _ => None,
    };
    let client = Client::connect(context, &user.action.place().remote, Need::Data).await?;
    let done = act(context, &client, &user.action, password).await;
    client.close().await;
    done.map(|()| Done::All)
}

async fn act(context: &Context, client: &Client, action: &Action, password: Option<String>) -> Result<()> {
    let output = context.output;
    let tenant = action.place().tenant.as_deref();
    match action {
        Action::List { .. } => {
            let people: Vec<Member> = client.all(&format!("/api/v1/users?{}", query(tenant, "&"))).await?;
            if people.is_empty() {
                output.line("no people yet: astrolabe user add EMAIL adds one");
            }
            people.iter().for_each(|member| output.line(line(member)));
            output.document(&json!({ "items": people }))
        }
        Action::Add { whom, name, role, capabilities, .. } => {
            let mut new = json!({ "email": whom.email, "role": role.as_str(), "capabilities": capabilities });
            for (field, value) in [("name", name.clone()), ("password", password)] {
                if let Some(value) = value {
                    new[field] = json!(value);
                }
            }
            let mut added = client.call(Method::POST, &format!("/api/v1/users?{}", query(tenant, "")), Some(&new)).await?;
            let base = match client.server() {
                Some(server) => server.to_owned(),
                None => super::login_link::address(&context.config(Vec::new())?, &context.data_dir()?),
            };
            let link = format!("{base}{}", added["sign_in_path"].as_str().unwrap_or_default());
            added["sign_in_link"] = json!(link);
            output.line(format!("added {}; the link signs in once, within 15 minutes:\n{link}", whom.email));
            output.document(&added)
        }
        Action::SetRole { whom, role, capabilities } => {
            let mut change = json!({ "role": role.as_str() });
            if !capabilities.is_empty() {
                change["capabilities"] = json!(capabilities);
            }
            patch(context, client, whom, change).await
        }
        Action::Suspend { whom, everywhere } => patch(context, client, whom, state("suspended", *everywhere)).await,
        Action::Resume { whom, everywhere } => patch(context, client, whom, state("active", *everywhere)).await,
        Action::Password { whom, keep } => {
            let body = json!({ "password": password.unwrap_or_default(), "must_change": !keep });
            let member = find(client, whom).await?;
            client.call(Method::POST, &path(&member, "/password", tenant), Some(&body)).await?;
            output.line(format!("set the password of {}; all sessions have ended", whom.email));
            output.document(&json!({ "id": member.id }))
        }
        Action::SignOut { whom } => {
            let member = find(client, whom).await?;
            let out = client.call(Method::POST, &path(&member, "/sign-out", tenant), None).await?;
            output.line(format!("ended {} sessions of {}", out["sessions"], whom.email));
            output.document(&out)
        }
        Action::Remove { whom } => {
            let member = find(client, whom).await?;
            client.call(Method::DELETE, &path(&member, "", tenant), None).await?;
            output.line(format!("removed {}", whom.email));
            output.document(&json!({ "id": member.id }))
        }
    }
}

fn state(state: &str, everywhere: bool) -> Value {
    if everywhere { json!({ "account_state": state }) } else { json!({ "state": state }) }
}

async fn patch(context: &Context, client: &Client, whom: &Whom, change: Value) -> Result<()> {
    let member = find(client, whom).await?;
    let now = client.call(Method::PATCH, &path(&member, "", whom.place.tenant.as_deref()), Some(&change)).await?;
    let member: Member = serde_json::from_value(now.clone()).map_err(Error::internal)?;
    context.output.line(line(&member));
    context.output.document(&now)
}

/// The member with an e-mail.
async fn find(client: &Client, whom: &Whom) -> Result<Member> {
    let path = format!("/api/v1/users?{}email={}&", query(whom.place.tenant.as_deref(), "&"), encode(whom.email.trim()));
    let found: Vec<Member> = client.all(&path).await?;
    found.into_iter().next().ok_or_else(|| Error::not_found("user in this tenant"))
}

fn query(tenant: Option<&str>, end: &str) -> String {
    tenant.map(|t| format!("tenant={}{end}", encode(t))).unwrap_or_default()
}

fn path(member: &Member, action: &str, tenant: Option<&str>) -> String {
    format!("/api/v1/users/{}{action}?{}", member.id, query(tenant, ""))
}

/// Somebody on one line: id, e-mail, role, capabilities, state, name.
fn line(member: &Member) -> String {
    let email = member.email.as_deref().unwrap_or("-");
    let roles: Vec<&str> = std::iter::once(member.role.as_str()).chain(member.capabilities.iter().map(String::as_str)).collect();
    let elsewhere = member.account.as_ref().map_or("", |a| if a.state == member.state { "" } else { " (account " });
    let account = member.account.as_ref().filter(|_| !elsewhere.is_empty()).map_or(String::new(), |a| format!("{})", a.state.as_str()));
    format!("{}  {email}  {}  {}{elsewhere}{account}  {}", member.id, roles.join(","), member.state.as_str(), member.name)
}

/// Reads a password: asked for twice at a terminal, else the first line of standard input.
fn read_password() -> Result<String> {
    let bad = |what: &str| Error::new(code::INVALID_REQUEST, what);
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        // Longer than any password may be, in bytes.
        stdin.lock().take(4 * (*passwords::LENGTH.end() as u64 + 1)).read_line(&mut line)?;
        let line = line.trim_end_matches(['\r', '\n']);
        return if line.is_empty() { Err(bad("give the password on standard input")) } else { Ok(line.to_owned()) };
    }
    let hidden = Hidden::new();
    let ask = |what: &str| -> Result<String> {
        output::write_err(what);
        let mut line = String::new();
        stdin.lock().read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    };
    let (first, again) = (ask("password:")?, ask("the same again:")?);
    drop(hidden);
    if first == again { Ok(first) } else { Err(bad("the two passwords are not the same")) }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(#[cfg(unix)] Option<rustix::termios::Termios>);

impl Hidden {
    #[cfg(unix)]
    fn new() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut now) = before.clone() {
            now.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &now);
        }
        Self(before)
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self()
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Flush, before);
        }
    }
}
