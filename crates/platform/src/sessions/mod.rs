//! Who a request comes from: the data directory's token, or the session of a browser that opened a one-time link.
//!
//! Tokens, codes and cookies are 32 random bytes. Only their SHA-256 is stored or compared, which for values of that entropy is as
//! good as a slow hash and takes a microsecond.

pub mod personal;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{
    Db, Error, Id, Kernel, Principal, Random, Result, Timestamp,
    audit::{Outcome, Record},
    config::{Secret, write_private},
    error::code,
    http::Trace,
    id::Named,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::Digest as _;
use subtle::ConstantTimeEq;

use self::store::Sessions;
use crate::{Platform, api_keys};

/// The name of the page's cookie.
pub const COOKIE: &str = "astrolabe_session";
/// How long a one-time link may wait to be opened.
pub const CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a session lasts at most.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a session lasts without a request.
pub const SESSION_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// One-time links that may wait to be opened; a further one ends the oldest.
pub const MAX_CODES: i64 = 20;
/// Sessions at the same time; a further one ends the one that was not used for longest.
pub const MAX_SESSIONS: i64 = 200;
/// How precisely the last use of a session is kept: writing it with every request would make every read a write.
const TOUCH: Duration = Duration::from_secs(60);
/// Refused attempts are written to the audit log at most this often, with how many there were.
const REFUSALS: Duration = Duration::from_secs(10);

/// Marks the ids of sessions: `ses_…`.
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
    let code = kernel.random.token(32);
    let now = kernel.now();
    let mut tx = kernel.db.write(principal.tenant).await?;
    tx.prune_sessions(now, now.minus(SESSION_IDLE)).await?;
    // Room for the one that comes; two that come at once may be one too many for a moment.
    tx.keep_newest(principal.tenant, MAX_CODES - 1, MAX_SESSIONS).await?;
    tx.insert_code(principal.tenant, &hex::encode(digest(&code)), now, now.plus(CODE_LIFE)).await?;
    let trace = Trace::background(&kernel.random);
    let record = Record {
        principal,
        trace: &trace,
        action: "sessions.link",
        subject: principal.id.clone(),
        outcome: Outcome::Ok,
        payload: serde_json::json!({}),
    };
    tx.audit(kernel, record).await?;
    tx.commit().await?;
    Ok(Secret::new(code))
}

/// Middleware: lets a request pass with a [`Principal`] in its extensions, or refuses it with `missing_token` or `invalid_token`.
pub async fn authenticate(State(platform): State<Platform>, mut request: Request, next: Next) -> Response {
    match platform.who(request.headers()).await {
        Ok((principal, session)) => {
            // The request's span has room for both, so every line of the log says for whom it was written.
            let span = tracing::Span::current();
            span.record("tenant_id", tracing::field::display(principal.tenant)).record("principal", principal.id.as_str());
            request.extensions_mut().insert(principal);
            if let Some(session) = session {
                request.extensions_mut().insert(Current(session));
            }
            next.run(request).await
        }
        Err(error) => {
            if error.code() == code::INVALID_TOKEN {
                let trace = request.extensions().get::<Trace>().cloned().unwrap_or_else(|| Trace::background(&platform.kernel().random));
                platform.note_refusal(&trace, "authorization").await;
            } else {
                metrics::counter!("auth_refused_total", "reason" => error.code().name).increment(1);
            }
            error.into_response()
        }
    }
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

    #[tracing::instrument(name = "authenticate", skip_all)]
    async fn who(&self, headers: &HeaderMap) -> Result<(Principal, Option<Id<Session>>)> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let invalid = || Error::new(code::INVALID_TOKEN, "the token is not the one in the data directory's `token` file");
            let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(invalid)?;
            let hash = digest(token.trim());
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(invalid());
            }
            if bool::from(hash.ct_eq(&self.0.token_hash)) {
                return Ok((Principal::local_admin(), None));
            }
            let key = api_keys::find(self.kernel(), &hex::encode(hash)).await?.ok_or_else(invalid)?;
            let owner = Some(Principal::local_admin()).filter(|p| p.id == key.owner && p.tenant == key.tenant).ok_or_else(invalid)?;
            return Ok((key.narrow(owner), None));
        }
        let Some(cookie) = cookie(headers) else {
            return Err(Error::new(code::MISSING_TOKEN, "sign in with a bearer token or a one-time link"));
        };
        match live_session(&self.0.kernel.db, self.0.kernel.now(), &hex::encode(digest(cookie))).await? {
            Some(session) => Ok((Principal::local_admin(), Some(session))),
            None => Err(Error::new(code::INVALID_TOKEN, "the session has ended; open a new one-time link")),
        }
    }

    /// Counts a refused attempt, and writes an audit entry unless there was one a moment ago: who guesses must not fill the disk.
    async fn note_refusal(&self, trace: &Trace, by: &'static str) {
        metrics::counter!("auth_refused_total", "reason" => "invalid_token").increment(1);
        let kernel = self.kernel();
        let Some(attempts) = self.0.refusals.due(kernel.now()) else { return };
        let anonymous = Principal::service("anonymous", Principal::local_admin().tenant);
        let record = Record {
            principal: &anonymous,
            trace,
            action: "sessions.refused",
            subject: by.to_owned(),
            outcome: Outcome::Refused,
            payload: serde_json::json!({ "attempts": attempts }),
        };
        if let Err(error) = astrolabe_kernel::audit::record(kernel, record).await {
            tracing::error!(error = ?error, "a refused sign-in could not be recorded");
        }
    }
}

/// The session of a cookie, when it is live; its last use is noted.
async fn live_session(db: &Db, now: Timestamp, hash: &str) -> Result<Option<Id<Session>>> {
    let Some(session) = db.read_all().await?.session(hash).await? else { return Ok(None) };
    if session.expires_at <= now || now.since(session.last_used_at) > SESSION_IDLE {
        return Ok(None);
    }
    if now.since(session.last_used_at) > TOUCH {
        let mut tx = db.write_all().await?;
        tx.touch_session(session.id, now).await?;
        tx.commit().await?;
    }
    Ok(Some(session.id))
}

/// The value of our cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// When a refusal was last recorded, and how many there were since.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<(Option<Timestamp>, u64)>);

impl Refusals {
    /// Counts one; returns how many to record when it is time.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        if state.0.is_some_and(|last| now.since(last) < REFUSALS) {
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}
