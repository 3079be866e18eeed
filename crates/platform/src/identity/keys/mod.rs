//! The built-in issuer: keys that sign our own access tokens (Ed25519, RFC 8037; tokens as RFC 9068 has them).
//!
//! A key is published as `next` before it signs as `active`, so that whoever keeps our key set knows it in time; `retired` keys stay published until
//! the last token that they signed has expired. Private halves are encrypted with the installation's secret and erased on retirement.
//!
//! With several processes on one database the table decides: whoever changes the row of the active key rotates, and every process looks into the
//! table again when what it knows is older than [`NOTICE`].

pub mod routes;
mod secret;
mod store;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use astrolabe_kernel::{
    Error, Kernel, Principal, Result, Timestamp, Tx,
    audit::{Outcome, Record},
    config::Secret,
    db::Dialect,
    error::code,
    http::Trace,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::Digest;
use tokio::sync::Mutex;

use self::{
    secret::Sealer,
    store::{SigningKeys, Stored},
};
use super::{
    config::IdentityConfig,
    tokens::{self, Claims, Expectations, KeySet, LEEWAY, Verifier},
};

/// How long an access token of ours lives.
pub const ACCESS_LIFE: Duration = Duration::from_secs(600);
/// After this time a process looks again which keys there are; a rotation elsewhere is noticed within it.
pub const NOTICE: Duration = Duration::from_secs(4);
/// How long a retired key stays published: the life of a token that another process signed a moment later, and the leeway of whoever verifies it.
const PUBLISHED: Duration = Duration::from_secs(ACCESS_LIFE.as_secs() + LEEWAY.as_secs() + 60);
/// A key id that is not known is looked up in the table at most this often.
const AGAIN: Duration = Duration::from_secs(1);
/// The issuer's name when no public address is configured.
const NAME: &str = "astrolabe";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What to say when the stored keys do not open.
const WRONG_SECRET: &str = "set the SECRET_KEY that they were made with, the same for every process, or run `astrolabe keys rotate --revoke`, which makes \
                            new keys and ends every session";

/// Our keys; clones are the same.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    config: IdentityConfig,
    secret_file: PathBuf,
    expect: Expectations,
    held: RwLock<Option<Arc<Held>>>,
    loading: Mutex<()>,
}

/// The keys as they were in the table.
struct Held {
    loaded_at: Timestamp,
    rows: Vec<Stored>,
    kid: String,
    /// None in a process that has no secret, beside others that have one: it verifies, and signs nothing.
    signer: Option<SigningKey>,
    set: KeySet,
    /// The set as it is published.
    jwks: String,
}

/// A key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id, the thumbprint of RFC 7638.
    pub kid: String,
    /// `active`, `next` or `retired`.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it has signed.
    pub active_at: Option<Timestamp>,
    /// When another took over.
    pub retired_at: Option<Timestamp>,
    /// When it is no longer published.
    pub expires_at: Option<Timestamp>,
}

/// What a token is to say beside issuer, audience, times and its own id.
#[derive(Debug, Clone, Default)]
pub struct Grant<'a> {
    /// `sub`: whom it speaks of; 1 to 255 characters.
    pub subject: &'a str,
    /// `sid`: the session that it ends with.
    pub session: Option<&'a str>,
    /// Further claims, such as `roles`. They cannot replace the ones above.
    pub claims: Map<String, Value>,
}

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token, for its bearer alone.
    pub token: Secret,
    /// `jti`.
    pub id: String,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// Whether a rotation took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The next key signs now.
    Done,
    /// Another process did it at the same moment.
    ByAnother,
}

impl Keys {
    /// The keys of an installation, which are read when they are first needed. `public_url` names the issuer when it is set; `secret_file` holds
    /// the secret when no setting does.
    pub fn new(kernel: Kernel, config: IdentityConfig, public_url: &str, secret_file: PathBuf) -> Self {
        let issuer = match public_url.trim_end_matches('/') {
            "" => NAME,
            url => url,
        };
        let mut expect = Expectations::access(issuer, vec![issuer.to_owned()]);
        // We know how we sign: nothing else is ours.
        expect.types = vec!["at+jwt".to_owned()];
        expect.max_life = Some(ACCESS_LIFE);
        Self(Arc::new(Inner { kernel, config, secret_file, expect, held: RwLock::default(), loading: Mutex::default() }))
    }

    /// Encrypts what a browser is to bring back unread and unchanged; `about` is bound to it.
    ///
    /// # Errors
    /// `invalid_config` in a process that has no secret.
    pub(crate) async fn seal(&self, about: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        // Where no setting has the secret, it is made with the first keys.
        self.current().await?;
        self.cookies()?.seal(about, bytes, &self.0.kernel.random)
    }

    /// What was sealed; nothing when it was not, or by another installation.
    pub(crate) fn unseal(&self, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cookies().ok()?.open(about, sealed)
    }

    fn cookies(&self) -> Result<Sealer> {
        Sealer::for_cookies(&self.0.config, &self.0.secret_file, &self.0.kernel.random)
    }

    /// `iss` of our tokens, and their `aud`: the public address, else `astrolabe`.
    pub fn issuer(&self) -> &str {
        &self.0.expect.issuer
    }

    /// Reads the keys, or makes the first ones. Call it at the start, so that a wrong secret is told before anybody asks.
    ///
    /// # Errors
    /// `invalid_config` when the secret is a placeholder or not the one that the keys were made with: nothing is changed then.
    pub async fn open(&self) -> Result<()> {
        self.load(Timestamp::from_micros(i64::MAX)).await.map(drop)
    }

    /// Issues an access token (RFC 9068) for [`ACCESS_LIFE`].
    ///
    /// # Errors
    /// `internal` for a subject that no token may have; those of [`Keys::open`].
    pub async fn issue(&self, grant: Grant<'_>) -> Result<Issued> {
        if !(1..=255).contains(&grant.subject.chars().count()) || grant.subject.contains(char::is_control) {
            return Err(Error::internal("a token was to be issued to a subject that is empty, too long, or has control characters"));
        }
        let held = self.current().await?;
        let issued_at = self.0.kernel.now().micros().div_euclid(1_000_000);
        let expires_at = issued_at + i64::try_from(ACCESS_LIFE.as_secs()).unwrap_or_default();
        let id = self.0.kernel.random.token(16);
        let mut claims = grant.claims;
        for reserved in ["nbf", "sid", "cnf", "events", "nonce", "at_hash", "c_hash", "s_hash", "typ", "token_use"] {
            claims.remove(reserved);
        }
        let ours = json!({
            "iss": self.issuer(), "aud": self.issuer(), "sub": grant.subject, "client_id": NAME, "iat": issued_at, "exp": expires_at, "jti": id,
        });
        if let Value::Object(ours) = ours {
            claims.extend(ours);
        }
        if let Some(session) = grant.session {
            claims.insert("sid".to_owned(), session.into());
        }
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": held.kid});
        let signed = format!("{}.{}", encode(header.to_string()), encode(Value::Object(claims).to_string()));
        let signature = held.signer.as_ref().ok_or_else(elsewhere)?.sign(signed.as_bytes());
        let token = Secret::new(format!("{signed}.{}", encode(signature.to_bytes())));
        Ok(Issued { token, id, expires_at: Timestamp::from_micros(expires_at.saturating_mul(1_000_000)) })
    }

    /// Verifies a token of ours.
    ///
    /// # Errors
    /// Those of [`Verifier::verify`] and of [`Keys::open`].
    pub async fn verify(&self, token: &str) -> Result<Claims> {
        let kid = tokens::look(token)?.kid;
        let mut held = self.current().await?;
        let now = self.0.kernel.now();
        if kid.is_some_and(|kid| !held.set.has(&kid)) && now.since(held.loaded_at) >= AGAIN {
            held = self.load(now).await?;
        }
        Verifier { keys: &held.set, expect: &self.0.expect }.verify(token, now)
    }

    /// The public halves as a JWK set (RFC 7517), in JSON.
    ///
    /// # Errors
    /// Those of [`Keys::open`].
    pub async fn jwks(&self) -> Result<String> {
        Ok(self.current().await?.jwks.clone())
    }

    /// The keys that are published, the one that signs first. Needs no secret.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self) -> Result<Vec<KeyInfo>> {
        let rows = self.0.kernel.db.read_all().await?.signing_keys(self.0.kernel.now()).await?;
        let info = |k: Stored| KeyInfo {
            kid: k.kid,
            state: k.state,
            created_at: k.created_at,
            active_at: k.active_at,
            retired_at: k.retired_at,
            expires_at: k.expires_at,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Lets the next key sign, and makes a new next one. Tokens of the old key stay good until they expire.
    ///
    /// # Errors
    /// Those of [`Keys::open`].
    pub async fn rotate(&self, principal: &Principal, trace: &Trace) -> Result<Rotation> {
        let kid = self.load(self.0.kernel.now()).await?.kid.clone();
        self.rotate_from(&kid, principal, trace).await
    }

    /// Replaces every key at once: all tokens of ours end now. This also is the way out when the secret is lost, for it opens no stored key.
    ///
    /// # Errors
    /// `invalid_config` when the secret itself cannot be used.
    pub async fn revoke(&self, principal: &Principal, trace: &Trace) -> Result<()> {
        let sealer = self.sealer(true)?;
        let now = self.0.kernel.now();
        let mut tx = self.0.kernel.db.write_all().await?;
        let revoked = tx.revoke_signing_keys(now).await?;
        self.make(&mut tx, &sealer, "active", now).await?;
        self.make(&mut tx, &sealer, "next", now).await?;
        self.record(&mut tx, "keys.revoke", principal, trace, json!({ "revoked": revoked })).await?;
        tx.commit().await?;
        self.load(now).await.map(drop)
    }

    /// Rotates when the active key has signed for as long as the setting allows, and removes keys that expired. Call it now and then.
    ///
    /// # Errors
    /// Those of [`Keys::open`].
    pub async fn keep(&self) -> Result<Option<Rotation>> {
        let now = self.0.kernel.now();
        let mut tx = self.0.kernel.db.write_all().await?;
        tx.prune_signing_keys(now).await?;
        tx.commit().await?;
        let held = self.load(now).await?;
        if held.signer.is_none() {
            return Ok(None);
        }
        let since = held.rows.iter().find(|k| k.kid == held.kid).and_then(|k| k.active_at).unwrap_or(now);
        if self.0.config.key_days == 0 || now.since(since) < DAY * self.0.config.key_days {
            return Ok(None);
        }
        let service = Principal::service("keys", astrolabe_kernel::principal::default_tenant());
        let trace = Trace::background(&self.0.kernel.random);
        self.rotate_from(&held.kid, &service, &trace).await.map(Some)
    }

    async fn rotate_from(&self, kid: &str, principal: &Principal, trace: &Trace) -> Result<Rotation> {
        let sealer = self.sealer(false)?;
        let now = self.0.kernel.now();
        let mut tx = self.0.kernel.db.write_all().await?;
        if !tx.retire_signing_key(kid, now, now.plus(PUBLISHED)).await? {
            drop(tx);
            self.load(now).await?;
            return Ok(Rotation::ByAnother);
        }
        if !tx.promote_signing_key(now).await? {
            self.make(&mut tx, &sealer, "active", now).await?;
        }
        self.make(&mut tx, &sealer, "next", now).await?;
        self.record(&mut tx, "keys.rotate", principal, trace, json!({ "retired": kid })).await?;
        tx.commit().await?;
        metrics::counter!("signing_key_rotations_total").increment(1);
        tracing::info!(retired = kid, "another key signs tokens now");
        self.load(now).await?;
        Ok(Rotation::Done)
    }

    async fn record(&self, tx: &mut Tx, action: &str, principal: &Principal, trace: &Trace, payload: Value) -> Result<()> {
        let record = Record { principal, trace, action, subject: "signing keys".to_owned(), outcome: Outcome::Ok, payload };
        tx.audit(&self.0.kernel, record).await
    }

    fn sealer(&self, may_make: bool) -> Result<Sealer> {
        Sealer::choose(&self.0.config, &self.0.secret_file, may_make, &self.0.kernel.random)
    }

    /// The key that signs. Every key that is not retired has to open, and to belong to its public half.
    fn signer(&self, rows: &[Stored]) -> Result<SigningKey> {
        let sealer = self.sealer(false)?;
        let wrong = || {
            Error::new(
                code::INVALID_CONFIG,
                format!("SECRET_KEY: is not the one that the stored signing keys were encrypted with; {WRONG_SECRET}"),
            )
        };
        let mut signer = None;
        for row in rows.iter().filter(|k| k.state != "retired") {
            let seed = row.private_key.as_deref().and_then(|sealed| sealer.open(&row.kid, sealed)).ok_or_else(wrong)?;
            let key = SigningKey::from_bytes(seed.as_slice().try_into().map_err(|_| wrong())?);
            if encode(key.verifying_key().as_bytes()) != row.public_key {
                return Err(wrong());
            }
            if row.state == "active" {
                signer = Some(key);
            }
        }
        signer.ok_or_else(|| Error::internal("no signing key is active"))
    }

    /// Whether others have to sign, because this process has no secret; known once [`Keys::open`] has been called.
    pub fn only_verifies(&self) -> bool {
        self.held().is_some_and(|held| held.signer.is_none())
    }

    fn held(&self) -> Option<Arc<Held>> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys as they were at most [`NOTICE`] ago.
    async fn current(&self) -> Result<Arc<Held>> {
        let now = self.0.kernel.now();
        match self.held() {
            Some(held) if now.since(held.loaded_at) < NOTICE => Ok(held),
            _ => self.load(now.minus(NOTICE).plus(Duration::from_micros(1))).await,
        }
    }

    /// Reads the table unless somebody did since `since`; makes the first keys when it is empty.
    async fn load(&self, since: Timestamp) -> Result<Arc<Held>> {
        let _turn = self.0.loading.lock().await;
        if let Some(held) = self.held().filter(|held| held.loaded_at > since) {
            return Ok(held);
        }
        let now = self.0.kernel.now();
        let mut rows = self.0.kernel.db.read_all().await?.signing_keys(now).await?;
        if !["active", "next"].iter().all(|state| rows.iter().any(|k| k.state == *state)) {
            rows = self.complete(rows.is_empty()).await?;
        }
        let held = match self.held().filter(|held| held.rows == rows) {
            // Decrypted once is enough.
            Some(held) => Held {
                loaded_at: now,
                rows,
                kid: held.kid.clone(),
                signer: held.signer.clone(),
                set: held.set.clone(),
                jwks: held.jwks.clone(),
            },
            None => self.opened(rows, now)?,
        };
        let held = Arc::new(held);
        *self.0.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        Ok(held)
    }

    /// Makes the keys that are missing. Of several processes that do it at once, each key is one's.
    async fn complete(&self, first: bool) -> Result<Vec<Stored>> {
        let sealer = self.sealer(first)?;
        let now = self.0.kernel.now();
        let mut tx = self.0.kernel.db.write_all().await?;
        let made = self.make(&mut tx, &sealer, "active", now).await? | self.make(&mut tx, &sealer, "next", now).await?;
        tx.commit().await?;
        if made {
            tracing::info!("made keys that sign tokens");
        }
        self.0.kernel.db.read_all().await?.signing_keys(now).await
    }

    /// Makes a key for a state, unless there is one.
    async fn make(&self, tx: &mut Tx, sealer: &Sealer, state: &str, now: Timestamp) -> Result<bool> {
        let mut seed = [0u8; 32];
        self.0.kernel.random.fill(&mut seed);
        let public_key = encode(SigningKey::from_bytes(&seed).verifying_key().as_bytes());
        let kid = thumbprint(&public_key);
        let private_key = Some(sealer.seal(&kid, &seed, &self.0.kernel.random)?);
        let active_at = (state == "active").then_some(now);
        let state = state.to_owned();
        let key = Stored { kid, state, public_key, private_key, created_at: now, active_at, retired_at: None, expires_at: None };
        tx.insert_signing_key(&key).await
    }

    fn opened(&self, rows: Vec<Stored>, now: Timestamp) -> Result<Held> {
        let keys: Vec<Value> = rows.iter().map(jwk).collect();
        let jwks = json!({ "keys": keys }).to_string();
        let set = KeySet::parse(jwks.as_bytes())?;
        let active = rows.iter().find(|k| k.state == "active").map(|k| k.kid.clone());
        let kid = active.ok_or_else(|| Error::internal("no signing key is active"))?;
        // A setting that is wrong is somebody's mistake, and so is a secret that is gone. On PostgreSQL it may be the data directory of one of
        // several processes, and another one made the keys.
        let set_by_hand = !self.0.config.secret_key.is_empty() || !self.0.config.jwt_secret_key.is_empty();
        let one_of_several = !set_by_hand && self.0.kernel.db.dialect() == Dialect::Postgres;
        let signer = match self.signer(&rows) {
            Ok(signer) => Some(signer),
            Err(_) if one_of_several => None,
            Err(error) => return Err(error),
        };
        Ok(Held { loaded_at: now, rows, kid, signer, set, jwks })
    }
}

/// What to say when a process without a secret is to sign.
fn elsewhere() -> Error {
    Error::new(code::NOT_CONFIGURED, format!("SECRET_KEY: is not set, and another process made the signing keys; {WRONG_SECRET}"))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public half as a JWK (RFC 8037, section 2).
fn jwk(key: &Stored) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": key.public_key, "kid": key.kid, "use": "sig", "alg": "EdDSA"})
}

/// The thumbprint of a key (RFC 7638, section 3; RFC 8037, appendix A.3).
fn thumbprint(x: &str) -> String {
    encode(sha2::Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}
