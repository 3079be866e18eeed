//! What policies said of operations, kept for the minute it is true in.
//!
//! Policies see no more of the time than the date, the hour, the minute and the day of the week, and nothing of an operation but who calls
//! it and from where. So the same question has the same answer until the minute, the time zone or the policies change, and asking the
//! evaluator once is enough. Calls of tools are not kept: each has arguments of its own.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use astrolabe_kernel::{
    Role, Timestamp,
    policy::{Question, Verdict},
};
use jiff::tz::TimeZone;

/// Answers of a minute at most; those beyond are worked out each time.
const MAX_ANSWERS: usize = 10_000;
/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// All that a policy about an operation can tell apart.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Asked {
    action: String,
    id: String,
    role: Role,
    capabilities: Vec<String>,
    address: Option<IpAddr>,
}

impl Asked {
    /// The question, unless it is about a tool.
    pub fn of(question: &Question<'_>) -> Option<Self> {
        let (who, context) = (question.principal, question.context);
        if question.resource.tool.is_some() || context.agent.is_some() || !context.arguments.is_empty() {
            return None;
        }
        Some(Self {
            action: question.action.to_owned(),
            id: who.id.clone(),
            role: who.role,
            capabilities: who.capabilities.clone(),
            address: context.address,
        })
    }
}

/// The answers of one minute in one time zone.
#[derive(Default)]
pub(super) struct Decided(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    zone: Option<TimeZone>,
    answers: HashMap<Asked, Verdict>,
}

impl Minute {
    fn is(&self, now: Timestamp, zone: &TimeZone) -> bool {
        self.number == number(now) && self.zone.as_ref() == Some(zone)
    }
}

/// Minutes since 1970. Zones whose offset has seconds went out of use before there were policies.
fn number(now: Timestamp) -> i64 {
    now.micros().div_euclid(MINUTE)
}

impl Decided {
    /// The answer, when it was given in this minute and this zone.
    pub fn get(&self, asked: &Asked, now: Timestamp, zone: &TimeZone) -> Option<Verdict> {
        let minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.is(now, zone) { minute.answers.get(asked).cloned() } else { None }
    }

    /// Keeps an answer that was worked out for `now`.
    pub fn put(&self, asked: Asked, now: Timestamp, zone: &TimeZone, verdict: Verdict) {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !minute.is(now, zone) {
            *minute = Minute { number: number(now), zone: Some(zone.clone()), answers: HashMap::new() };
        }
        if minute.answers.len() < MAX_ANSWERS {
            minute.answers.insert(asked, verdict);
        }
    }
}
