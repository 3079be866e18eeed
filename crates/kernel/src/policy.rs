//! Conditions beside roles: whether a caller whose roles would do may act here, now and on this.
//!
//! Every door asks [`Policies::allow`] after it has checked the roles: the one place where tools are called, and the operations of the
//! API. What decides is filled in when the process starts; until then, and where nobody wrote a policy, roles alone decide. A policy can
//! only take away: the answer never makes up for a role that is missing. What cannot be decided is refused.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use futures_util::future::BoxFuture;

use crate::{Error, Principal, Result, error::code, http::Caller, principal::Right};

/// The operations that policies may speak of. One's own account and the writing of policies are not among them: a policy that shuts everybody
/// out must not shut out who can take it back.
pub fn operations() -> impl Iterator<Item = Right> {
    Right::ALL.iter().copied().filter(|right| !matches!(right, Right::OwnAccount | Right::ManagePolicies))
}

/// Something that policies may speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The name of a right such as `run_agents`, or `tool:` and the name of a tool.
    pub name: String,
    /// The arguments of a tool that hold text; empty for operations.
    pub arguments: Vec<&'static str>,
}

impl Action {
    /// An operation by its right.
    pub fn operation(right: Right) -> Self {
        Self { name: right.as_str().to_owned(), arguments: Vec::new() }
    }

    /// A tool, with those of its arguments that hold text.
    pub fn tool(name: &str, arguments: &[&'static str]) -> Self {
        Self { name: format!("tool:{name}"), arguments: arguments.to_vec() }
    }

    /// Whether it is a tool.
    pub fn is_tool(&self) -> bool {
        self.name.starts_with("tool:")
    }
}

/// What is acted on, as far as the door knows it. It is always of the caller's tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// The name of a tool.
    pub tool: Option<String>,
}

/// The circumstances, as far as the door knows them. The time is the kernel's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The network address of the client; absent for work without a connection.
    pub address: Option<IpAddr>,
    /// The agent that calls a tool.
    pub agent: Option<String>,
    /// The texts among a tool's arguments, without white space around them.
    pub arguments: BTreeMap<String, String>,
}

impl Context {
    /// The circumstances of a request.
    pub fn of(caller: &Caller) -> Self {
        Self { address: caller.address, ..Self::default() }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who wants to act.
    pub principal: &'a Principal,
    /// The name of an [`Action`].
    pub action: &'a str,
    /// What is acted on.
    pub resource: &'a Resource,
    /// The circumstances.
    pub context: &'a Context,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Allowed,
    /// It may not be; why, in words for the caller.
    Refused(String),
}

type Decide = dyn for<'a> Fn(Question<'a>) -> BoxFuture<'a, Result<Verdict>> + Send + Sync;

/// The handle by which every door asks; clones are the same.
#[derive(Clone, Default)]
pub struct Policies(Arc<OnceLock<Box<Decide>>>);

impl Policies {
    /// Says who decides from now on. Only the first call counts.
    pub fn fill(&self, decide: impl for<'a> Fn(Question<'a>) -> BoxFuture<'a, Result<Verdict>> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(decide));
    }

    /// Lets an operation of the API pass that no policy speaks against.
    ///
    /// # Errors
    /// As [`Policies::allow`].
    pub async fn allow_operation(&self, caller: &Caller, right: Right) -> Result<()> {
        if !operations().any(|operation| operation == right) {
            return Ok(());
        }
        self.allow(&caller.principal, right.as_str(), &Resource::default(), &Context::of(caller)).await
    }

    /// Lets pass what no policy speaks against.
    ///
    /// # Errors
    /// `policy_refused`; what keeps the policies from being read, which is a refusal as well.
    pub async fn allow(&self, principal: &Principal, action: &str, resource: &Resource, context: &Context) -> Result<()> {
        let Some(decide) = self.0.get() else { return Ok(()) };
        let verdict = decide(Question { principal, action, resource, context }).await;
        let outcome = match &verdict {
            Ok(Verdict::Allowed) => "allowed",
            Ok(Verdict::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("policy_decisions_total", "outcome" => outcome).increment(1);
        match verdict? {
            Verdict::Allowed => Ok(()),
            Verdict::Refused(why) => {
                Err(Error::new(code::POLICY_REFUSED, format!("{}: {why}", action.strip_prefix("tool:").unwrap_or(action))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(policies: &Policies) -> Result<()> {
        policies.allow(&Principal::local_admin(), "run_agents", &Resource::default(), &Context::default()).await
    }

    #[tokio::test]
    async fn without_policies_roles_alone_decide() {
        assert!(asked(&Policies::default()).await.is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_decided_is_refused() {
        let policies = Policies::default();
        policies.clone().fill(|_| Box::pin(async { Err(Error::new(code::DATABASE_UNAVAILABLE, "the database does not answer")) }));
        assert_eq!(asked(&policies).await.unwrap_err().code(), code::DATABASE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_refusal_says_what_was_refused_and_why() {
        let policies = Policies::default();
        policies.fill(|q| {
            let why = format!("not {}", q.principal.id);
            Box::pin(async { Ok(Verdict::Refused(why)) })
        });
        let error = asked(&policies).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code::POLICY_REFUSED, "run_agents: not user:local-admin"));
    }
}
