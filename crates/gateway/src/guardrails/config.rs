//! The section `guardrails` of the configuration.

use astrolabe_kernel::{Error, Result, error::code, principal::TenantId};
use serde::{Deserialize, Serialize};

use super::PersonalKind;

/// Rules at most.
const MAX_RULES: usize = 200;

/// Patterns or hosts of a rule at most.
const MAX_ENTRIES: usize = 1000;

/// Which rules there are. The default has none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardrailsConfig {
    /// The rules; all that are for a call are applied.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, in errors, the log and the metric: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
    pub name: String,
    /// What it looks for.
    pub check: Check,
    /// What becomes of what it finds.
    pub mode: Mode,
    /// Where it looks; both when absent. Links are looked for in answers alone.
    #[serde(default = "both")]
    pub on: Vec<Side>,
    /// The aliases it is for; empty for all.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The tenants it is for, by id; empty for all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Of `pattern`: regular expressions, each for at most 256 bytes of text; `^` and `$` have no meaning here.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// Of `personal`: which kinds; empty for all.
    #[serde(default)]
    pub kinds: Vec<PersonalKind>,
    /// Of `length`: the limit.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Of `links`: the hosts that are let through; `*.example.org` for all below `example.org`.
    #[serde(default)]
    pub hosts: Vec<String>,
}

fn both() -> Vec<Side> {
    vec![Side::Input, Side::Output]
}

/// What a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Whole words that a regular expression describes, in any case. The engine takes linear time whatever the pattern.
    Pattern,
    /// Personal data and secrets.
    Personal,
    /// More tokens than that, as we count them.
    Length,
    /// Links and pictures of hosts that are not listed: a browser that shows such a picture tells its host what the address says.
    Links,
}

/// What becomes of what a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is counted and left.
    Log,
    /// It is replaced. Personal data of a request comes back in the answer.
    Mask,
    /// The call is refused, or the answer ends.
    Block,
}

impl Mode {
    /// The word in the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Mask => "mask",
            Self::Block => "block",
        }
    }
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// At what goes to the model.
    Input,
    /// At what it answers.
    Output,
}

impl Side {
    /// The word in the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl Rule {
    /// Whether the rule looks at that side of a call under that alias for that tenant.
    pub(super) fn is_for(&self, side: Side, alias: &str, tenant: TenantId) -> bool {
        let named = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
        self.on.contains(&side)
            && (side == Side::Output || self.check != Check::Links)
            && named(&self.aliases, alias)
            && (self.tenants.is_empty() || named(&self.tenants, &tenant.to_string()))
    }
}

impl GuardrailsConfig {
    /// Says what cannot work; patterns are looked at when they are compiled.
    ///
    /// # Errors
    /// `invalid_config` naming the rule.
    pub(super) fn validate(&self) -> Result<()> {
        if self.rules.len() > MAX_RULES {
            return Err(Error::new(code::INVALID_CONFIG, format!("guardrails.rules: at most {MAX_RULES} rules")));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            let bad = |what: &str| Err(Error::new(code::INVALID_CONFIG, format!("guardrails.rules: {:?}: {what}", rule.name)));
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if !(1..=64).contains(&rule.name.len()) || !rule.name.chars().all(plain) {
                return bad("name must have 1 to 64 letters a-z, digits, _ and -");
            }
            if self.rules[..i].iter().any(|other| other.name == rule.name) {
                return bad("there are two rules of that name");
            }
            if rule.on.is_empty() {
                return bad("on must be input, output or both");
            }
            if let Some(tenant) = rule.tenants.iter().find(|t| t.parse::<TenantId>().is_err()) {
                return bad(&format!("tenants: {tenant:?} is no id of a tenant"));
            }
            let given = [!rule.patterns.is_empty(), !rule.kinds.is_empty(), rule.max_tokens.is_some(), !rule.hosts.is_empty()];
            let allowed = [Check::Pattern, Check::Personal, Check::Length, Check::Links].map(|check| check == rule.check);
            if given.iter().zip(allowed).any(|(given, allowed)| *given && !allowed) {
                return bad("patterns is for the check pattern, kinds for personal, max_tokens for length and hosts for links");
            }
            match rule.check {
                Check::Pattern if !(1..=MAX_ENTRIES).contains(&rule.patterns.len()) => return bad("patterns must have 1 to 1000 entries"),
                Check::Length if !rule.max_tokens.is_some_and(|n| (1..=100_000_000).contains(&n)) => {
                    return bad("max_tokens must be 1 to 100000000");
                }
                Check::Length if rule.mode == Mode::Mask => return bad("a length cannot be masked: use block or log"),
                Check::Links if rule.hosts.len() > MAX_ENTRIES => return bad("hosts has more than 1000 entries"),
                Check::Links if rule.hosts.iter().any(|h| h.contains(['/', ':', ' ', '@'])) => {
                    return bad("hosts are names without scheme, port and path");
                }
                Check::Links if !rule.on.contains(&Side::Output) => return bad("links are looked for in answers: on must have output"),
                _ => {}
            }
        }
        Ok(())
    }
}
