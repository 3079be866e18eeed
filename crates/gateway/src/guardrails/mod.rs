//! Guardrails: rules that look at what goes to a model and at what it answers.
//!
//! ```text
//! let mut guard = guardrails.call("default", tenant);
//! guard.request(&mut request)?;              // input_refused, input_too_long, personal_data_refused; personal data is masked in place
//! let mut stream = guard.stream();           // or guard.output(&mut reply.text)? for a whole reply
//! out.push_str(&stream.push(&piece)?);       // output_refused; may hold a few words back
//! out.push_str(&stream.finish()?);
//! guard.arguments(&mut call.arguments);      // puts back what was masked, inside JSON
//! ```
//!
//! [`scan`] finds, [`personal`] and [`links`] know what to look for, [`stream`] cuts a stream so that any split of a text gives what the whole
//! gives, [`schema`] holds a reply to a JSON Schema. A counter per rule tells what was found; what it was is never logged.

mod config;
mod links;
mod personal;
mod personal_numbers;
mod scan;
pub mod schema;
pub mod stream;
#[cfg(test)]
mod tests;
mod vault;

use std::sync::Arc;

use astrolabe_kernel::{Error, Result, error::code, principal::TenantId};

pub use config::{Check, GuardrailsConfig, Mode, Rule, Side};
pub use personal::PersonalKind;
pub use stream::StreamGuard;

use self::{
    scan::{Found, Rules},
    vault::Vault,
};
use crate::{
    chat::{ChatRequest, Part},
    tokens,
};

/// Every rule, ready to be applied; cheap to clone.
#[derive(Clone, Default)]
pub struct Guardrails(Arc<Vec<Scoped>>);

/// Rules with what they are for.
struct Scoped {
    rule: Rule,
    compiled: Arc<scan::Compiled>,
}

/// The rules of one call, and what was masked in it.
#[derive(Clone)]
pub struct Guard {
    input: Arc<Rules>,
    output: Arc<Rules>,
    vault: Vault,
}

impl Guardrails {
    /// Reads the rules.
    ///
    /// # Errors
    /// `invalid_config` naming the rule and what cannot work.
    pub fn new(config: &GuardrailsConfig) -> Result<Self> {
        config.validate()?;
        let compile = |rule: &Rule| Ok(Scoped { rule: rule.clone(), compiled: Arc::new(scan::Compiled::new(rule)?) });
        Ok(Self(Arc::new(config.rules.iter().map(compile).collect::<Result<_>>()?)))
    }

    /// The rules for a call under an alias for a tenant.
    pub fn call(&self, alias: &str, tenant: TenantId) -> Guard {
        let of = |side: Side| {
            let mine = self.0.iter().filter(|s| s.rule.is_for(side, alias, tenant)).map(|s| s.compiled.clone());
            Arc::new(Rules::new(side, mine.collect()))
        };
        Guard { input: of(Side::Input), output: of(Side::Output), vault: Vault::default() }
    }
}

impl Guard {
    /// Whether no rule applies, so that nothing has to be looked at.
    pub fn is_idle(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// Applies the rules to everything that a request has the model read, and masks in place.
    ///
    /// # Errors
    /// `input_refused`, `input_too_long` and `personal_data_refused`, with the rule's name.
    pub fn request(&mut self, request: &mut ChatRequest) -> Result<()> {
        if self.input.is_empty() {
            return Ok(());
        }
        self.length(tokens::count_request(request))?;
        for part in request.messages.iter_mut().flat_map(|m| m.content.iter_mut()) {
            match part {
                Part::Text(text) => self.mask(text)?,
                Part::ToolResult(result) => self.mask(&mut result.content)?,
                Part::ToolCall(call) => self.mask(&mut call.arguments)?,
                Part::Image(_) => {}
            }
        }
        Ok(())
    }

    /// Applies the rules to a text that a model is to read, such as one to embed, and masks in place.
    ///
    /// # Errors
    /// As [`Guard::request`].
    pub fn input(&mut self, text: &mut String) -> Result<()> {
        if self.input.is_empty() {
            return Ok(());
        }
        self.length(tokens::count(text))?;
        self.mask(text)
    }

    fn length(&self, count: u64) -> Result<()> {
        for (limit, compiled) in self.input.lengths() {
            if count > limit {
                compiled.count(Side::Input);
                if compiled.mode == Mode::Block {
                    let what = format!("the rule {} lets {limit} tokens through, and these are about {count}", compiled.name);
                    return Err(Error::new(code::INPUT_TOO_LONG, what));
                }
            }
        }
        Ok(())
    }

    fn mask(&mut self, text: &mut String) -> Result<()> {
        let vault = &mut self.vault;
        let masked = scan::whole(&self.input, text, |kind, value| vault.placeholder(kind, value))?;
        if let Some(masked) = masked {
            *text = masked;
        }
        Ok(())
    }

    /// Applies the rules to a whole reply, masks in place, and puts back what was masked in the request.
    ///
    /// # Errors
    /// `output_refused` with the rule's name.
    pub fn output(&self, text: &mut String) -> Result<()> {
        if !self.output.is_empty() {
            too_long(&self.output, tokens::count(text))?;
            if let Some(masked) = scan::whole(&self.output, text, |kind, _| kind.unnumbered())? {
                *text = masked;
            }
        }
        if let Some(restored) = self.vault.restore(text) {
            *text = restored;
        }
        Ok(())
    }

    /// The rules for a reply that comes in pieces. Begin it when the request has been through [`Guard::request`].
    pub fn stream(&self) -> StreamGuard {
        StreamGuard::new(self.output.clone(), self.vault.clone())
    }

    /// Puts back what was masked in the request into the arguments of a tool's call, which are JSON. Rules about answers do not apply: a tool's
    /// arguments are checked where the tool is called.
    pub fn arguments(&self, json: &mut String) {
        if let Some(restored) = self.vault.restore_json(json) {
            *json = restored;
        }
    }
}

/// Refuses an answer that is longer than a rule allows.
fn too_long(rules: &Rules, count: u64) -> Result<()> {
    for (limit, compiled) in rules.lengths() {
        if count > limit {
            compiled.count(Side::Output);
            if compiled.mode == Mode::Block {
                return Err(Error::new(
                    code::OUTPUT_REFUSED,
                    format!("the answer has more than the {limit} tokens of the rule {}", compiled.name),
                ));
            }
        }
    }
    Ok(())
}

/// The error for what a rule blocks. It names the rule and the kind of what was found, never the text.
fn refusal(side: Side, found: &Found) -> Error {
    let rule = &found.rule.name;
    match (side, found.kind) {
        (Side::Input, Some(kind)) => Error::new(code::PERSONAL_DATA_REFUSED, format!("the rule {rule} found {} in the text", kind.words())),
        (Side::Input, None) => Error::new(code::INPUT_REFUSED, format!("the rule {rule} does not let this text go to a model")),
        (Side::Output, Some(kind)) => Error::new(code::OUTPUT_REFUSED, format!("the rule {rule} found {} in the answer", kind.words())),
        (Side::Output, None) => Error::new(code::OUTPUT_REFUSED, format!("the rule {rule} does not let this answer through")),
    }
}
