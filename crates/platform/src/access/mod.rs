//! Who a request comes from: one function tells credentials apart, one middleware stands before every door.
//!
//! A request brings a [`Credential`]. What it proves ([`Proof`]) never changes; what that is worth, a [`Principal`] in a tenant, is asked of the database
//! and believed for [`verdicts::AGE`]. So a sign-out, a new role or a suspension reaches requests within that time on every process, and at once on
//! the one where it was done. Streams that are open ask again every [`streams::EVERY`].
//!
//! Whatever is wrong with somebody, who is asked for it hears the same `invalid_token`: a suspended account, a removed membership, a session that ended.

mod external;
mod streams;
#[cfg(test)]
mod tests;
mod verdicts;

use std::{collections::BTreeMap, sync::Arc};

use astrolabe_kernel::{
    Error, Id, Kind, Principal, Result, Timestamp,
    audit::{Outcome, Record},
    error::code,
    http::Trace,
    principal::{Right, Rights},
};
use axum::{
    extract::{Request, State as Shared},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, Response as OpenApiResponse, ResponseBuilder},
};

pub(crate) use self::external::External;
use self::verdicts::Verdict;
pub(crate) use self::verdicts::Verdicts;
use crate::{
    Platform,
    accounts::{self, State, UserId, principal_id},
    api_keys::{self, ApiKey},
    sessions::{Current, Digest, SESSION_IDLE, Session, TOUCH, cookie, digest, store::Sessions},
    tenants,
};

/// What a request came with, told apart by its form alone.
enum Credential<'a> {
    /// The token in the data directory.
    Local,
    /// The value of the page's cookie.
    Cookie(&'a str),
    /// A JSON Web Token, of the built-in issuer or of one outside.
    Jwt(&'a str),
    /// An API key.
    Key(&'a str),
}

/// What a credential proves, whatever happens afterwards.
#[derive(Clone)]
pub(crate) enum Proof {
    /// That somebody has the cookie with this hash.
    Cookie(String),
    /// That somebody has the API key with this hash.
    Key(String),
    /// That our own issuer vouched for this session, until then.
    Session(Id<Session>, Timestamp),
    /// That an issuer outside vouched for somebody.
    External(Arc<External>),
}

/// Whom a proof stands for now.
pub(crate) struct Standing {
    pub principal: Principal,
    pub session: Option<Id<Session>>,
    pub user: Option<UserId>,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl Standing {
    /// Whether nothing is allowed until the password was changed.
    pub fn must_change(&self) -> bool {
        self.session.is_some() && self.principal.scope != Rights::ALL
    }
}

/// Endpoints where people prove who they are: 401 and 429.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignInProblem;

impl IntoResponses for SignInProblem {
    fn responses() -> BTreeMap<String, RefOr<OpenApiResponse>> {
        let problem = |text: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            RefOr::T(ResponseBuilder::new().description(text).content("application/problem+json", content).build())
        };
        BTreeMap::from([
            ("401".to_owned(), problem("What was sent to sign in with is wrong, or does not hold any more.")),
            ("429".to_owned(), problem("Too many attempts; repeat after the time in `Retry-After`.")),
        ])
    }
}

/// The one refusal of credentials that do not hold, whatever the reason.
pub(crate) fn invalid() -> Error {
    Error::new(code::INVALID_TOKEN, "the token or session is not valid; sign in again")
}

/// Middleware: lets a request pass with a [`Principal`] in its extensions, or refuses it.
pub async fn authenticate(Shared(platform): Shared<Platform>, mut request: Request, next: Next) -> Response {
    let trace = request.extensions().get::<Trace>().cloned();
    let (principal, watched) = match platform.who(request.headers()).await {
        Ok(who) => who,
        Err(error) => {
            platform.refused(&error, trace, "authorization").await;
            return error.into_response();
        }
    };
    // The request's span has room for both, so every line of the log says for whom it was written.
    let span = tracing::Span::current();
    span.record("tenant_id", tracing::field::display(principal.tenant)).record("principal", principal.id.as_str());
    request.extensions_mut().insert(principal);
    let Some((key, verdict)) = watched else { return next.run(request).await };
    if let Some(session) = verdict.standing.session {
        request.extensions_mut().insert(Current(session));
    }
    let response = next.run(request).await;
    streams::watch(&platform, key, verdict, response)
}

/// The key of a verdict and the verdict; nothing for the local token, which nobody can revoke while the process runs.
type Watched = Option<(Digest, Arc<Verdict>)>;

impl Platform {
    #[tracing::instrument(name = "authenticate", skip_all)]
    async fn who(&self, headers: &HeaderMap) -> Result<(Principal, Watched)> {
        let (credential, key) = self.credential(headers)?;
        if matches!(credential, Credential::Local) {
            return Ok((Principal::local_admin(), None));
        }
        let now = self.kernel().now();
        let verdict = match self.0.verdicts.get(&key, now) {
            Some(verdict) => verdict,
            None => self.judge(key, self.prove(&credential).await?).await?,
        };
        Ok((verdict.standing.principal.clone(), Some((key, verdict))))
    }

    /// Tells credentials apart. The digest is that of the whole credential with its kind, so that no two share a verdict.
    fn credential<'a>(&self, headers: &'a HeaderMap) -> Result<(Credential<'a>, Digest)> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else {
            let missing =
                || Error::new(code::MISSING_TOKEN, "sign in with a bearer token, with e-mail and password, or with a one-time link");
            let cookie = cookie(headers).ok_or_else(missing)?;
            return Ok((Credential::Cookie(cookie), digest(&format!("cookie {cookie}"))));
        };
        let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(invalid)?;
        let token = token.trim();
        if given.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(invalid());
        }
        if bool::from(digest(token).ct_eq(&self.0.token_hash)) {
            return Ok((Credential::Local, self.0.token_hash));
        }
        // Two dots make a JWT (RFC 7515, section 7.1); a key has none.
        if token.starts_with("astro_") {
            return Ok((Credential::Key(token), digest(&format!("key {token}"))));
        }
        match token.bytes().filter(|b| *b == b'.').count() {
            2 => Ok((Credential::Jwt(token), digest(&format!("jwt {token}")))),
            _ => Err(invalid()),
        }
    }

    /// What a credential proves.
    async fn prove(&self, credential: &Credential<'_>) -> Result<Proof> {
        match credential {
            Credential::Local => Err(invalid()),
            Credential::Cookie(value) => Ok(Proof::Cookie(hex::encode(digest(value)))),
            Credential::Key(key) => Ok(Proof::Key(hex::encode(digest(key)))),
            Credential::Jwt(token) => self.prove_jwt(token).await,
        }
    }

    /// Asks whom a proof stands for, and remembers it for a moment.
    async fn judge(&self, key: Digest, proof: Proof) -> Result<Arc<Verdict>> {
        let asked_at = self.kernel().now();
        let changes = self.0.verdicts.changes();
        let standing = self.standing(&proof, asked_at).await?;
        if standing.until <= asked_at {
            return Err(invalid());
        }
        let verdict = Arc::new(Verdict { proof, standing, asked_at });
        self.0.verdicts.put(key, &verdict, changes);
        Ok(verdict)
    }

    /// Whom a proof stands for now, by the database.
    async fn standing(&self, proof: &Proof, now: Timestamp) -> Result<Standing> {
        match proof {
            Proof::Cookie(hash) => self.session_standing(hash, "", now).await,
            Proof::Key(hash) => self.key_standing(hash).await,
            Proof::Session(id, until) => {
                let mut standing = self.session_standing("", &id.to_string(), now).await?;
                standing.until = standing.until.min(*until);
                Ok(standing)
            }
            Proof::External(external) => external::standing(self.kernel(), external, now).await,
        }
    }

    /// Whom a live session stands for; its last use is noted.
    pub(crate) async fn session_standing(&self, hash: &str, id: &str, now: Timestamp) -> Result<Standing> {
        let db = &self.kernel().db;
        let session = db.read_all().await?.session(hash, id).await?.ok_or_else(invalid)?;
        if session.expires_at <= now || now.since(session.last_used_at) > SESSION_IDLE {
            return Err(invalid());
        }
        let credential = format!("session:{}", session.id);
        let principal = match (session.user, &session.member) {
            (None, _) => Principal { credential, ..Principal::local_admin() },
            (Some(user), Some(member)) if member.may_act => {
                let mut principal = Principal::new(
                    principal_id(user),
                    member.name.as_str(),
                    session.tenant,
                    member.role,
                    member.capabilities.clone(),
                    credential,
                );
                if member.must_change {
                    principal.scope = [Right::OwnAccount].into_iter().collect();
                }
                principal
            }
            (Some(_), _) => return Err(invalid()),
        };
        if now.since(session.last_used_at) > TOUCH {
            let mut tx = db.write_all().await?;
            tx.touch_session(session.id, session.user, now).await?;
            tx.commit().await?;
        }
        Ok(Standing { principal, session: Some(session.id), user: session.user, until: session.expires_at })
    }

    /// Whom an API key stands for: its owner as he is now in the key's tenant, narrowed to what the key is for.
    async fn key_standing(&self, hash: &str) -> Result<Standing> {
        let key = api_keys::find(self.kernel(), hash).await?.ok_or_else(invalid)?;
        let local = Principal::local_admin();
        let (owner, user) = if key.owner == local.id && key.tenant == local.tenant {
            (local, None)
        } else {
            let user = key.owner.strip_prefix("user:").and_then(|u| u.parse::<UserId>().ok()).ok_or_else(invalid)?;
            let mut tx = self.kernel().db.read_all().await?;
            let active = |state: State| state == State::Active;
            let account = accounts::store::account(&mut tx, user).await?.filter(|a| active(a.state) && !a.must_change);
            let tenant = tenants::store::get(&mut tx, key.tenant).await?.filter(|t| active(t.state));
            let member = accounts::store::member(&mut tx, key.tenant, user).await?.filter(|m| active(m.state));
            let (Some(_), Some(tenant), Some(member)) = (account, tenant, member) else { return Err(invalid()) };
            let owner = Principal::new(key.owner.as_str(), member.name, tenant.id, member.role, member.capabilities, "");
            (owner, Some(user))
        };
        Ok(Standing { principal: key.narrow(owner), session: None, user, until: key.until() })
    }

    /// Forgets what was believed of an API key, after it was revoked.
    pub(crate) fn forget_key(&self, key: Id<ApiKey>) {
        let credential = format!("key:{key}");
        self.0.verdicts.forget(|v| v.standing.principal.credential == credential);
    }

    /// Forgets what was believed of a user, after a change of the account or of a membership.
    pub(crate) fn forget_user(&self, user: UserId) {
        self.0.verdicts.forget(|v| v.standing.user == Some(user));
    }

    /// Forgets what was believed of a session, after it was ended or moved.
    pub(crate) fn forget_session(&self, session: Id<Session>) {
        self.0.verdicts.forget(|v| v.standing.session == Some(session));
    }

    /// Forgets everything that was believed, after a change of a tenant.
    pub(crate) fn forget_all(&self) {
        self.0.verdicts.forget(|_| true);
    }

    /// Counts a refused attempt, and writes an audit entry unless there was one a moment ago: who guesses must not fill the disk.
    pub(crate) async fn refused(&self, error: &Error, trace: Option<Trace>, by: &'static str) {
        metrics::counter!("auth_refused_total", "reason" => error.code().name).increment(1);
        // Clients without a token, or with one that has run out, are everyday; the rest may be somebody who tries.
        let everyday = error.code() == code::MISSING_TOKEN || error.code() == code::TOKEN_EXPIRED;
        if everyday || error.kind() != Kind::Unauthenticated {
            return;
        }
        let kernel = self.kernel();
        let Some(attempts) = self.0.refusals.due(kernel.now()) else { return };
        let trace = trace.unwrap_or_else(|| Trace::background(&kernel.random));
        let anonymous = Principal::service("anonymous", Principal::local_admin().tenant);
        let record = Record {
            principal: &anonymous,
            trace: &trace,
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
