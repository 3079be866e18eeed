//! People of an issuer outside: an account is made when one is first seen, and the roles of the token are in force.

use std::sync::Arc;

use astrolabe_kernel::{
    Kernel, Principal, Result, Role, Timestamp, Tx,
    audit::{Outcome, Record},
    db::is_unique_violation,
    http::Trace,
    principal::{AUDITOR, default_tenant},
};
use serde_json::{Value, json};

use super::{Proof, Standing, invalid};
use crate::{
    Platform,
    accounts::{self, Account, Member, State, fold_email, principal_id},
    identity::{
        Origin,
        config::OidcConfig,
        tokens::{self, Claims},
    },
    sessions::TOUCH,
    tenants::{self, MAX_NAME, Tenant},
};

/// What an issuer outside says of somebody.
pub(crate) struct External {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) email: Option<String>,
    /// The slug of the tenant; the default tenant when nothing is said.
    pub(super) tenant: Option<String>,
    pub(super) role: Role,
    pub(super) capabilities: Vec<String>,
    pub(super) until: Timestamp,
}

impl External {
    /// Reads the claims of tokens of one person that were verified; of names the first that has one. Nothing when they give no role and the settings
    /// give none either.
    pub(crate) fn of(tokens: &[&Claims], config: &OidcConfig) -> Option<Self> {
        let first = tokens.first()?;
        let mut names: Vec<String> = tokens.iter().flat_map(|claims| tokens::roles(claims, &config.roles_claim)).collect();
        names.sort_unstable();
        names.dedup();
        let given = names.iter().filter_map(|n| Role::of_name(n)).max();
        let capabilities: Vec<String> = names.into_iter().filter(|n| Role::of_name(n).is_none() && n != "none").collect();
        let role = match given {
            Some(role) => role,
            // Who is to read the audit log and nothing else must not become a viewer by default.
            None if capabilities.iter().any(|c| c == AUDITOR) => Role::None,
            None => config.default_role().or((!capabilities.is_empty()).then_some(Role::None))?,
        };
        let text = |claim: &str| tokens.iter().find_map(|claims| claims.text(claim));
        let name = ["name", "preferred_username", "email"].iter().find_map(|c| text(c)).unwrap_or(&first.subject);
        let verified = tokens.iter().all(|claims| claims.at("email_verified") != Some(&Value::Bool(false)));
        let tenant = if config.tenant_claim.is_empty() { None } else { text(&config.tenant_claim).map(str::to_owned) };
        Some(Self {
            issuer: config.issuer.clone(),
            subject: first.subject.clone(),
            name: name.chars().take(MAX_NAME).collect(),
            email: text("email").filter(|_| verified).and_then(|e| fold_email(e).ok()),
            tenant,
            role,
            capabilities,
            until: first.expires_at,
        })
    }

    /// Says how long the word is taken for good, whatever the tokens say.
    pub(crate) fn lasts_until(&mut self, until: Timestamp) {
        self.until = until;
    }
}

impl Platform {
    /// Whom an issuer's word stands for; account and membership are made when they are missing.
    ///
    /// # Errors
    /// `invalid_token` when the person may not act.
    pub(crate) async fn welcome(&self, external: External, now: Timestamp) -> Result<Standing> {
        standing(self.kernel(), &external, now).await
    }

    /// What a JSON Web Token proves.
    pub(super) async fn prove_jwt(&self, token: &str) -> Result<Proof> {
        let (claims, origin) = self.0.identity.verify(token).await?;
        match (origin, self.0.identity.issuer()) {
            (Origin::BuiltIn, _) => {
                let session = claims.session.as_deref().and_then(|s| s.parse().ok()).ok_or_else(invalid)?;
                Ok(Proof::Session(session, claims.expires_at))
            }
            (Origin::Outside, Some(issuer)) => {
                External::of(&[&claims], issuer.config()).map(|e| Proof::External(Arc::new(e))).ok_or_else(invalid)
            }
            (Origin::Outside, None) => Err(invalid()),
        }
    }
}

/// Whom an issuer's word stands for now. Account and membership are made when they are missing, and the roles are kept as they were last seen.
pub(super) async fn standing(kernel: &Kernel, external: &External, now: Timestamp) -> Result<Standing> {
    let mut tx = kernel.db.read_all().await?;
    let tenant = tenant_of(&mut tx, external).await?;
    let account = accounts::store::account_by_subject(&mut tx, &external.issuer, &external.subject).await?;
    let member = match &account {
        Some(account) => accounts::store::member(&mut tx, tenant.id, account.id).await?,
        None => None,
    };
    drop(tx);
    let (account, member) = match (account, member) {
        (Some(account), Some(member)) => {
            let changed = member.role != external.role || member.capabilities != external.capabilities;
            if may_act(&account, &member) && (changed || account.last_seen_at.is_none_or(|at| now.since(at) > TOUCH)) {
                note(kernel, &tenant, &account, &member, external, now).await?;
            }
            (account, member)
        }
        _ => match welcome(kernel, &tenant, external, now).await {
            // Two first requests at once: the other one made the account.
            Err(error) if is_unique_violation(&error) => welcome(kernel, &tenant, external, now).await?,
            made => made?,
        },
    };
    if !may_act(&account, &member) {
        return Err(invalid());
    }
    let credential = format!("oidc:{}", account.id);
    let (role, capabilities) = (external.role, external.capabilities.clone());
    let principal = Principal::new(principal_id(account.id), member.name, tenant.id, role, capabilities, credential);
    Ok(Standing { principal, session: None, user: Some(account.id), until: external.until })
}

fn may_act(account: &Account, member: &Member) -> bool {
    account.state == State::Active && member.state == State::Active
}

async fn tenant_of(tx: &mut Tx, external: &External) -> Result<Tenant> {
    let tenant = match &external.tenant {
        Some(slug) => tenants::store::by_slug(tx, slug).await?,
        None => tenants::store::get(tx, default_tenant()).await?,
    };
    tenant.filter(|t| t.state == State::Active).ok_or_else(invalid)
}

/// Keeps what the token says.
async fn note(kernel: &Kernel, tenant: &Tenant, account: &Account, member: &Member, external: &External, now: Timestamp) -> Result<()> {
    let mut tx = kernel.db.write(tenant.id).await?;
    accounts::store::seen(&mut tx, account.id, now).await?;
    if member.role != external.role || member.capabilities != external.capabilities {
        let (role, capabilities) = (external.role, external.capabilities.clone());
        let changed = Member { role, capabilities, version: member.version + 1, updated_at: now, ..member.clone() };
        accounts::store::update_member(&mut tx, tenant.id, &changed).await?;
    }
    tx.commit().await
}

/// Makes what is missing of account and membership, and records it.
async fn welcome(kernel: &Kernel, tenant: &Tenant, external: &External, now: Timestamp) -> Result<(Account, Member)> {
    let mut tx = kernel.db.write_all().await?;
    let account = match accounts::store::account_by_subject(&mut tx, &external.issuer, &external.subject).await? {
        Some(account) => account,
        None => {
            // An e-mail that another account has is not taken over: whoever controls a provider would own every account.
            let email = match &external.email {
                Some(email) if accounts::store::account_by_email(&mut tx, email).await?.is_none() => Some(email.clone()),
                _ => None,
            };
            let account = Account {
                id: kernel.id(),
                home: tenant.id,
                email,
                name: external.name.clone(),
                state: State::Active,
                password_hash: None,
                must_change: false,
                issuer: Some(external.issuer.clone()),
                subject: Some(external.subject.clone()),
                created_at: now,
                last_seen_at: Some(now),
            };
            accounts::store::insert_account(&mut tx, &account).await?;
            account
        }
    };
    let member = match accounts::store::member(&mut tx, tenant.id, account.id).await? {
        Some(member) => member,
        None if account.state != State::Active => return Err(invalid()),
        None => {
            let member = Member {
                id: account.id,
                email: account.email.clone(),
                name: external.name.clone(),
                role: external.role,
                capabilities: external.capabilities.clone(),
                state: State::Active,
                created_at: now,
                updated_at: now,
                account: None,
                version: 1,
            };
            accounts::store::insert_member(&mut tx, tenant.id, &member).await?;
            let principal = Principal::new(principal_id(account.id), "", tenant.id, member.role, Vec::new(), "oidc");
            let trace = Trace::background(&kernel.random);
            let payload = json!({ "name": member.name, "role": member.role, "issuer": external.issuer });
            let record = Record {
                principal: &principal,
                trace: &trace,
                action: "users.first_seen",
                subject: account.id.to_string(),
                outcome: Outcome::Ok,
                payload,
            };
            tx.audit(kernel, record).await?;
            member
        }
    };
    tx.commit().await?;
    Ok((account, member))
}
