//! Policies: conditions on who, what, when and from where, beside the roles.
//!
//! A policy is one statement of Cedar (`permit` or `forbid`), checked against our schema when it is saved. Policies only narrow what roles
//! allow: a `forbid` that matches refuses; and once a tenant has a `permit` that may apply to an action, one of those has to match. What
//! cannot be read or applied refuses. Every process reads a change within two seconds ([`Fresh`]), its own at once.
//!
//! Policies are never asked about writing policies: whoever shut everybody out can take it back.

mod decided;
mod language;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use astrolabe_kernel::{
    Error, Id, Result, Role, Timestamp,
    policy::{Action, Question, Verdict},
    principal::TenantId,
};
use decided::{Asked, Decided};
use jiff::tz::TimeZone;
use language::{Language, Named, Rules};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Platform, fresh::Fresh};

/// Policies of a tenant at most.
const MAX_POLICIES: i64 = 500;

/// A condition beside the roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Its id, `pol_…`.
    pub id: Id<Policy>,
    /// Its name, which whoever is refused reads.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The statement.
    pub text: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// Grows with every change; the `ETag`.
    pub version: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl astrolabe_kernel::id::Named for Policy {
    const PREFIX: &'static str = "pol";
}

/// A policy to be made, or what takes the place of one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// Its name, of which a tenant has one; whoever is refused reads it.
    #[schema(min_length = 1, max_length = 100, example = "restarts in working hours")]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub description: String,
    /// One statement, `permit` or `forbid`, of at most 4,000 characters.
    #[schema(
        min_length = 1,
        max_length = 4000,
        example = "forbid (principal, action == Action::\"tool:restart_service\", resource) unless { context.local.weekday <= 5 };"
    )]
    pub text: String,
    /// Whether it is in force.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl NewPolicy {
    /// Checks what does not need the schema.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    fn validate(&self) -> Result<()> {
        if self.name.trim().is_empty() || self.name.chars().count() > 100 || self.name.chars().any(char::is_control) {
            return Err(Error::field("name", "must be 1 to 100 characters, not only white space, without control characters"));
        }
        if self.description.chars().count() > 1000 {
            return Err(Error::field("description", "must be at most 1000 characters"));
        }
        Ok(())
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFault {
    /// The line, from 1.
    #[schema(minimum = 1)]
    pub line: usize,
    /// The character in the line, from 1.
    #[schema(minimum = 1)]
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl PolicyFault {
    fn at(text: &str, offset: usize, message: &str) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { line, column, message: message.to_owned() }
    }

    fn at_start(message: &str) -> Self {
        Self { line: 1, column: 1, message: message.to_owned() }
    }
}

/// Why the policies let something pass or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionReason {
    /// No policy speaks of the action: roles alone decide.
    NoPolicy,
    /// A `permit` matches and no `forbid` does.
    Permitted,
    /// There are only `forbid`s for the action, and none matches.
    NotForbidden,
    /// A `forbid` matches.
    Forbidden,
    /// There are `permit`s for the action, and none matches.
    NotPermitted,
    /// A policy could not be read or applied, so the answer is no.
    Failed,
}

impl DecisionReason {
    /// Whether it may be done, as far as policies go.
    pub fn allows(self) -> bool {
        matches!(self, Self::NoPolicy | Self::Permitted | Self::NotForbidden)
    }
}

/// Somebody who might act.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedPrincipal {
    /// Its id.
    #[schema(min_length = 1, max_length = 200, example = "user:alice")]
    pub id: String,
    /// Its role.
    pub role: Role,
    /// Its capability roles, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub capabilities: Vec<String>,
}

/// What might be acted on.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedResource {
    /// A tool; that of the action when absent.
    #[schema(max_length = 200, example = "restart_service")]
    pub tool: Option<String>,
}

/// The circumstances.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedContext {
    /// When; now when absent.
    #[schema(example = "2026-03-02T09:30:00Z")]
    pub at: Option<Timestamp>,
    /// The client's network address.
    #[schema(max_length = 45, example = "10.1.2.3")]
    pub address: Option<String>,
    /// The agent that calls the tool.
    #[schema(max_length = 200, example = "ops")]
    pub agent: Option<String>,
    /// The texts among the tool's arguments, at most 20.
    #[serde(default)]
    pub arguments: std::collections::BTreeMap<String, String>,
}

/// A question to the policies that nothing comes of.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulationRequest {
    /// Who.
    pub principal: SimulatedPrincipal,
    /// The name of a right such as `run_agents`, or `tool:` and the name of a tool.
    #[schema(min_length = 1, max_length = 200, example = "tool:restart_service")]
    pub action: String,
    /// On what.
    #[serde(default)]
    pub resource: SimulatedResource,
    /// Under which circumstances.
    #[serde(default)]
    pub context: SimulatedContext,
    /// A statement to be tried beside the policies in force; in the place of the policy that the path names.
    #[schema(max_length = 4000)]
    pub text: Option<String>,
}

/// A policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecidingPolicy {
    /// Its id; null for a text that is not saved.
    pub id: Option<Id<Policy>>,
    /// Its name.
    pub name: String,
}

/// What the policies would say. Roles are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Simulation {
    /// Whether it would be allowed; null when the text has errors.
    pub allowed: Option<bool>,
    /// Why; null when the text has errors.
    #[schema(inline)]
    pub reason: Option<DecisionReason>,
    /// The policies that decided.
    pub decided_by: Vec<DecidingPolicy>,
    /// What is wrong with the text, or went wrong when policies were applied.
    pub errors: Vec<PolicyFault>,
    /// The moment that was asked about.
    pub at: Timestamp,
    /// The time zone of `context.local`.
    pub time_zone: String,
}

/// The policies of every tenant that asked lately.
pub(crate) struct Engine {
    actions: Vec<Action>,
    language: OnceLock<Language>,
    loaded: Fresh<TenantId, Loaded>,
}

/// The policies of a tenant as they were at a version.
struct Loaded {
    version: i64,
    rules: Rules,
    /// What was decided this minute; gone with the first change of a policy.
    decided: Decided,
}

impl Engine {
    /// An engine for the actions there are.
    pub fn new(actions: Vec<Action>) -> Self {
        Self { actions, language: OnceLock::new(), loaded: Fresh::default() }
    }

    /// Made at the first use: a tenant without policies has no need of it, and it takes some memory.
    fn language(&self) -> Result<&Language> {
        if let Some(language) = self.language.get() {
            return Ok(language);
        }
        let made = Language::new(&self.actions)?;
        Ok(self.language.get_or_init(|| made))
    }

    /// The names of the actions that policies may speak of.
    fn names(&self) -> Vec<&str> {
        self.actions.iter().map(|a| a.name.as_str()).collect()
    }
}

impl Platform {
    /// Puts a question of [`astrolabe_kernel::policy`] to the tenant's policies.
    ///
    /// # Errors
    /// When the policies or the settings cannot be read.
    pub(crate) async fn decide(&self, question: Question<'_>) -> Result<Verdict> {
        let tenant = question.principal.tenant;
        let loaded = self.policies(tenant).await?;
        if loaded.rules.is_empty() {
            return Ok(Verdict::Allowed);
        }
        let (now, settings) = (self.kernel().now(), self.settings(tenant).await?);
        let asked = Asked::of(&question);
        if let Some(verdict) = asked.as_ref().and_then(|asked| loaded.decided.get(asked, now, &settings.zone)) {
            return Ok(verdict);
        }
        let verdict = self.decide_anew(&loaded.rules, &question, now, &settings.zone)?;
        if let Some(asked) = asked {
            loaded.decided.put(asked, now, &settings.zone, verdict.clone());
        }
        Ok(verdict)
    }

    fn decide_anew(&self, rules: &Rules, question: &Question<'_>, now: Timestamp, zone: &TimeZone) -> Result<Verdict> {
        let ruling = self.0.policies.language()?.decide(rules, question, now, zone)?;
        // Hundreds may match; who is refused needs one to ask about.
        let names = ruling.by.iter().take(3).map(|n| format!("{:?}", n.name)).collect::<Vec<_>>().join(", ");
        Ok(match ruling.reason {
            reason if reason.allows() => Verdict::Allowed,
            DecisionReason::Forbidden => Verdict::Refused(format!("forbidden by the policy {names}")),
            DecisionReason::Failed => {
                tracing::error!(faults = ?ruling.faults, action = question.action, "policies could not be applied; the action was refused");
                Verdict::Refused("a policy of the tenant cannot be applied, and until it is mended the answer is no".to_owned())
            }
            _ => Verdict::Refused("no policy of the tenant permits it here and now".to_owned()),
        })
    }

    /// The tenant's policies, at most two seconds old.
    async fn policies(&self, tenant: TenantId) -> Result<Arc<Loaded>> {
        let (kernel, engine) = (self.kernel(), &self.0.policies);
        let now = kernel.now();
        if let Some(fresh) = engine.loaded.get(&tenant, now) {
            return Ok(fresh);
        }
        let before = engine.loaded.last(&tenant);
        let mut tx = kernel.db.read(tenant).await?;
        // The version first: what is written in between is read again the next time, never missed.
        let version = store::version(&mut tx, tenant).await?;
        let loaded = match before {
            Some(before) if before.version == version => before,
            before => {
                let stored = if version == 0 { Vec::new() } else { store::enabled(&mut tx, tenant).await? };
                let rules = engine.rules(stored, before.as_ref().map_or(&[], |b| b.rules.all()))?;
                Arc::new(Loaded { version, rules, decided: Decided::default() })
            }
        };
        engine.loaded.put(tenant, now, loaded.clone());
        Ok(loaded)
    }

    /// What policies would say: those in force, with `text` beside them or in the place of `policy`.
    ///
    /// # Errors
    /// `invalid_request` naming the wrong field; what keeps the policies from being read.
    async fn simulate(&self, tenant: TenantId, policy: Option<Policy>, request: SimulationRequest) -> Result<Simulation> {
        let engine = &self.0.policies;
        let language = engine.language()?;
        let at = request.context.at.unwrap_or_else(|| self.kernel().now());
        let settings = self.settings(tenant).await?;
        let mut simulation = Simulation {
            allowed: None,
            reason: None,
            decided_by: Vec::new(),
            errors: Vec::new(),
            at,
            time_zone: settings.settings.time_zone.clone(),
        };
        let (principal, resource, context) = request.parts(tenant, language.knows(&request.action), &engine.names())?;
        let loaded = self.policies(tenant).await?;
        let mut rules: Vec<Named> = loaded.rules.all().iter().filter(|n| n.id != policy.as_ref().map(|p| p.id)).cloned().collect();
        let tried = match (&request.text, &policy) {
            (Some(text), Some(policy)) => Some((Some(policy.id), policy.name.as_str(), text.as_str())),
            (Some(text), None) => Some((None, "the text of the request", text.as_str())),
            (None, Some(policy)) => Some((Some(policy.id), policy.name.as_str(), policy.text.as_str())),
            (None, None) => None,
        };
        if let Some((id, name, text)) = tried {
            match language.read(&id.map_or_else(|| "text".to_owned(), |id| id.to_string()), text) {
                Ok(rule) => rules.push(Named { id, version: 0, name: name.to_owned(), rule: Arc::new(rule) }),
                Err(faults) => {
                    simulation.errors = faults;
                    return Ok(simulation);
                }
            }
        }
        let question = Question { principal: &principal, action: &request.action, resource: &resource, context: &context };
        let ruling = language.decide(&language.rules(rules, Vec::new()), &question, at, &settings.zone)?;
        simulation.allowed = Some(ruling.reason.allows());
        simulation.reason = Some(ruling.reason);
        simulation.decided_by = ruling.by.into_iter().map(|n| DecidingPolicy { id: n.id, name: n.name }).collect();
        simulation.errors = ruling.faults;
        Ok(simulation)
    }
}

impl Engine {
    /// Reads what is stored; what was read before and has not changed is not read again.
    fn rules(&self, stored: Vec<Policy>, before: &[Named]) -> Result<Rules> {
        if stored.is_empty() {
            return Ok(Rules::default());
        }
        let language = self.language()?;
        let (mut rules, mut unreadable) = (Vec::new(), Vec::new());
        for policy in stored {
            let known = before.iter().find(|n| n.id == Some(policy.id) && n.version == policy.version);
            let rule = match known {
                Some(known) => known.rule.clone(),
                None => match language.read(&policy.id.to_string(), &policy.text) {
                    Ok(rule) => Arc::new(rule),
                    Err(faults) => {
                        tracing::error!(policy = %policy.id, ?faults, "a stored policy cannot be read; its tenant is refused everything it may speak of");
                        unreadable.push(policy.name);
                        continue;
                    }
                },
            };
            rules.push(Named { id: Some(policy.id), version: policy.version, name: policy.name, rule });
        }
        Ok(language.rules(rules, unreadable))
    }
}

impl SimulationRequest {
    /// The parts of the question, checked.
    fn parts(
        &self,
        tenant: TenantId,
        known: bool,
        actions: &[&str],
    ) -> Result<(astrolabe_kernel::Principal, astrolabe_kernel::policy::Resource, astrolabe_kernel::policy::Context)> {
        use astrolabe_kernel::{Principal, policy};
        if !known {
            return Err(Error::field("action", format!("is not an action that policies speak of; there are {}", actions.join(", "))));
        }
        let short = |field: &str, text: Option<&str>| match text {
            Some(text) if !(1..=200).contains(&text.chars().count()) => Err(Error::field(field, "must be 1 to 200 characters")),
            _ => Ok(()),
        };
        let SimulatedPrincipal { id, role, capabilities } = &self.principal;
        short("principal.id", Some(id))?;
        if capabilities.len() > 100 {
            return Err(Error::field("principal.capabilities", "must be at most 100"));
        }
        for (i, capability) in capabilities.iter().enumerate() {
            short(&format!("principal.capabilities[{i}]"), Some(capability))?;
        }
        if self.text.as_ref().is_some_and(|text| text.chars().count() > language::MAX_TEXT) {
            return Err(Error::field("text", format!("must be at most {} characters", language::MAX_TEXT)));
        }
        let tool = &self.resource.tool;
        short("resource.tool", tool.as_deref())?;
        let SimulatedContext { address, agent, arguments, .. } = &self.context;
        short("context.agent", agent.as_deref())?;
        if arguments.len() > 20 {
            return Err(Error::field("context.arguments", "must be at most 20"));
        }
        let address = match address {
            Some(text) => Some(text.parse().map_err(|_| Error::field("context.address", "must be an IPv4 or IPv6 address"))?),
            None => None,
        };
        let principal =
            Principal { id: id.clone(), role: *role, capabilities: capabilities.clone(), ..Principal::service("simulated", tenant) };
        let tool = tool.clone().or_else(|| self.action.strip_prefix("tool:").map(str::to_owned));
        let resource = policy::Resource { tool };
        let arguments = arguments.iter().map(|(k, v)| (k.clone(), v.trim().to_owned())).collect();
        Ok((principal, resource, policy::Context { address, agent: agent.clone(), arguments }))
    }
}
