//! Sessions: how people sign in, with a one-time link or with e-mail and password, and how that ends.
//!
//! The page has a cookie; programs that ask for tokens get an access token of the built-in issuer and a refresh token, which is good for one use: the
//! refresh tokens of a session are a family, and one that comes a second time ends it, for then somebody else has it too (RFC 9700, section 4.14.2).
//!
//! Tokens, codes and cookies are 32 random bytes. Only their SHA-256 is stored or compared, which for values of that entropy is as
//! good as a slow hash and takes a microsecond.

pub mod oidc;
pub mod own;
pub mod personal;
pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{
    Error, Id, Kernel, Principal, Random, Result, Timestamp, Tx,
    audit::{Outcome, Record},
    config::{Secret, write_private},
    error::code,
    http::Trace,
    id::Named,
    principal::TenantId,
};
use axum::http::{HeaderMap, header};
use sha2::Digest as _;

use self::store::{NewCode, Sessions};
use crate::{
    Platform,
    accounts::{self, State, UserId, fold_email},
    tenants,
};

/// The name of the page's cookie.
pub const COOKIE: &str = "astrolabe_session";
/// How long a one-time link may wait to be opened.
pub const CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a session lasts at most.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a session lasts without a request.
pub const SESSION_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// One-time links of one person that may wait to be opened; a further one ends the oldest.
pub const MAX_CODES: i64 = 20;
/// Sessions of one person at the same time; a further one ends the one that was not used for longest.
pub const MAX_SESSIONS: i64 = 200;
/// How precisely the last use of a session is kept: writing it with every request would make every read a write.
pub(crate) const TOUCH: Duration = Duration::from_secs(60);
/// Refused attempts are written to the audit log at most this often, with how many there were.
const REFUSALS: Duration = Duration::from_secs(10);

/// Marks the ids of sessions: `ses_…`.
#[derive(Debug, utoipa::ToSchema)]
pub struct Session;
impl Named for Session {
    const PREFIX: &'static str = "ses";
}

/// SHA-256 of a secret.
pub(crate) type Digest = [u8; 32];

/// Hashes a secret.
pub(crate) fn digest(secret: &str) -> Digest {
    sha2::Sha256::digest(secret.as_bytes()).into()
}

/// The session that a request came with, in the extensions of the request; absent when it came with the token.
#[derive(Debug, Clone, Copy)]
pub struct Current(pub Id<Session>);

/// The token of a data directory, made when there is none yet: `astro_` and 32 random bytes in URL-safe base 64, in a file that only
/// its owner reads.
///
/// # Errors
/// `data_dir_unusable` when the file cannot be read or holds something else; storage errors when it cannot be written.
pub fn token(file: &Path, random: &Random) -> Result<Secret> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let text = text.trim();
            if text.starts_with("astro_") && text.len() >= 32 && text.bytes().all(|b| b.is_ascii_graphic()) {
                Ok(Secret::new(text))
            } else {
                Err(Error::new(
                    code::DATA_DIR_UNUSABLE,
                    format!("{} holds no token: remove the file, and the next start makes a new one", file.display()),
                ))
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token = format!("astro_{}", random.token(32));
            write_private(file, format!("{token}\n").as_bytes())?;
            Ok(Secret::new(token))
        }
        Err(error) => {
            Err(Error::new(code::DATA_DIR_UNUSABLE, format!("{} cannot be read: {}", file.display(), error.kind())).with_internal(error))
        }
    }
}

/// Makes a one-time sign-in code for the local administrator and records it. The link is `<address>/signin?code=<code>`.
///
/// # Errors
/// When the database cannot be written.
pub async fn new_code(kernel: &Kernel, principal: &Principal) -> Result<Secret> {
    let mut tx = kernel.db.write(principal.tenant).await?;
    let code = insert_code(&mut tx, kernel, principal.tenant, None, false).await?;
    let trace = Trace::background(&kernel.random);
    tx.audit(kernel, link_record(principal, &trace, principal.id.clone())).await?;
    tx.commit().await?;
    Ok(Secret::new(code))
}

/// Makes a one-time sign-in code for the account that has an e-mail, for who can read the data directory: the way in for somebody who forgot the
/// password, where no e-mail is sent. The session is of the account's home tenant, else of one that it is a member of.
///
/// # Errors
/// `not_found` when there is no such account, or nothing that it may act in.
pub async fn new_code_of(kernel: &Kernel, email: &str) -> Result<Secret> {
    let email = fold_email(email)?;
    let mut tx = kernel.db.write_all().await?;
    let account = accounts::store::account_by_email(&mut tx, &email).await?.filter(|a| a.state == State::Active && a.issuer.is_none());
    let account = account.ok_or_else(|| Error::not_found("active local account"))?;
    let tenants = tenants::store::of_user(&mut tx, &account.id.to_string(), 1000).await?;
    let home = tenants.iter().find(|t| t.id == account.home).or(tenants.first());
    let tenant = home.map(|t| t.id).ok_or_else(|| Error::not_found("tenant that the account may act in"))?;
    let code = insert_code(&mut tx, kernel, tenant, Some(account.id), false).await?;
    let (principal, trace) = (Principal { tenant, ..Principal::local_admin() }, Trace::background(&kernel.random));
    tx.audit(kernel, link_record(&principal, &trace, accounts::principal_id(account.id))).await?;
    tx.commit().await?;
    Ok(Secret::new(code))
}

fn link_record<'a>(principal: &'a Principal, trace: &'a Trace, subject: String) -> Record<'a> {
    Record { principal, trace, action: "sessions.link", subject, outcome: Outcome::Ok, payload: serde_json::json!({}) }
}

/// Makes a one-time code. With `joins` it signs nobody in: its owner has an account already, and signs in with what belongs to that.
pub(crate) async fn insert_code(tx: &mut Tx, kernel: &Kernel, tenant: TenantId, user: Option<UserId>, joins: bool) -> Result<String> {
    let code = kernel.random.token(32);
    let now = kernel.now();
    tx.prune_codes(tenant, now).await?;
    // Room for the one that comes; two that come at once may be one too many for a moment.
    tx.keep_newest_codes(tenant, user, MAX_CODES - 1).await?;
    let hash = hex::encode(digest(&code));
    tx.insert_code(NewCode { hash: &hash, tenant, user, joins, now, expires_at: now.plus(CODE_LIFE) }).await?;
    Ok(code)
}

impl Platform {
    /// Removes codes and sessions that nobody can use any more, so that a server whose links nobody opens does not gather them. Returns
    /// how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune_sessions(&self) -> Result<u64> {
        let kernel = self.kernel();
        let now = kernel.now();
        let mut tx = kernel.db.write_all().await?;
        let removed = tx.prune_sessions(now, now.minus(SESSION_IDLE)).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// The value of our cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    named_cookie(headers, COOKIE)
}

/// The value of a cookie.
fn named_cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// When a refusal was last recorded, and how many there were since.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<(Option<Timestamp>, u64)>);

impl Refusals {
    /// Counts one; returns how many to record when it is time.
    pub(crate) fn due(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        if state.0.is_some_and(|last| now.since(last) < REFUSALS) {
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}
