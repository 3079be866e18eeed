//! The language: Cedar's grammar, validator and evaluator, with a schema of ours (docs/adr/0016-policies.md).
//!
//! A text is checked against the schema before it is saved, so that a wrong name or type is told to who writes it and not to who is
//! refused by it later. What still fails when a policy is applied counts as a refusal.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use astrolabe_kernel::{
    Error, Id, Result, Timestamp,
    policy::{Action, Question},
};
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy as Statement,
    PolicyId, PolicySet, Request, RestrictedExpression as Value, Schema, ValidationMode, ValidationWarning, Validator,
};
use jiff::tz::TimeZone;
use miette::Diagnostic;

use super::{DecisionReason, Policy, PolicyFault};

/// Characters of a text at most.
pub(super) const MAX_TEXT: usize = 4000;
/// How deep brackets may be nested: the parser and the evaluator call themselves for each level, on a stack that has an end.
const MAX_DEPTH: usize = 20;
/// Signs of operators at most, for the same reason: a chain of operators is as deep a tree as it is long.
const MAX_OPERATORS: usize = 200;

/// The names of the two groups of actions.
const GROUPS: [&str; 2] = ["tools", "operations"];

/// The language with the actions that there are.
pub(crate) struct Language {
    validator: Validator,
    authorizer: Authorizer,
    principal: EntityTypeName,
    resource: EntityTypeName,
    actions: HashMap<String, Known>,
}

/// An action that policies may name.
struct Known {
    action: Action,
    uid: EntityUid,
    group: EntityUid,
    /// The action as the evaluator needs it to know its group.
    entity: Entity,
}

/// A policy, ready to be applied.
pub(crate) struct Rule {
    statement: Statement,
}

/// The policies of a tenant that are in force.
#[derive(Default)]
pub(crate) struct Rules {
    rules: Vec<Named>,
    /// Their places by what the evaluator calls them.
    places: HashMap<PolicyId, usize>,
    /// Names of policies that this version cannot read; with one, everything is refused, for nobody knows what it forbids.
    unreadable: Vec<String>,
    /// What of them may apply to an action, made when it is first asked for.
    by_action: HashMap<String, OnceLock<Applicable>>,
}

/// A rule and the policy it was made of; without an id for a text that is only tried out.
#[derive(Clone)]
pub(crate) struct Named {
    pub id: Option<Id<Policy>>,
    pub version: i64,
    pub name: String,
    pub rule: Arc<Rule>,
}

struct Applicable {
    set: PolicySet,
    has_permits: bool,
}

/// What the policies say to a question.
pub(crate) struct Ruling {
    pub reason: DecisionReason,
    /// Those that decided.
    pub by: Vec<Named>,
    /// What failed while they were applied.
    pub faults: Vec<PolicyFault>,
}

fn name(text: &str) -> Result<EntityTypeName> {
    text.parse().map_err(Error::internal)
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// The schema that policies are checked against, in Cedar's own words.
fn schema_of(actions: &[Action]) -> String {
    use std::fmt::Write;
    let mut out = String::from(
        "type Time = { date: String, hour: Long, minute: Long, weekday: Long };
         entity Principal = { id: String, role: String, capabilities: Set<String>, tenant: String };
         entity Resource = { tenant: String, tool?: String };\n",
    );
    for group in GROUPS {
        let _ = writeln!(out, "action {group:?};");
    }
    for action in actions {
        let texts: Vec<String> = action.arguments.iter().map(|a| format!("{a:?}?: String")).collect();
        let arguments = if action.is_tool() { format!(", agent?: String, arguments: {{ {} }}", texts.join(", ")) } else { String::new() };
        let _ = writeln!(
            out,
            "action {:?} in [{:?}] appliesTo {{ principal: Principal, resource: Resource,
                 context: {{ local: Time, utc: Time, address?: ipaddr{arguments} }} }};",
            action.name,
            group_of(action)
        );
    }
    out
}

fn group_of(action: &Action) -> &'static str {
    if action.is_tool() { GROUPS[0] } else { GROUPS[1] }
}

impl Language {
    /// The language for these actions.
    ///
    /// # Errors
    /// `internal` when an action has a name that cannot be written.
    pub fn new(actions: &[Action]) -> Result<Self> {
        let (schema, _) = Schema::from_cedarschema_str(&schema_of(actions)).map_err(Error::internal)?;
        let entities = schema.action_entities().map_err(Error::internal)?;
        let kind = name("Action")?;
        let known = |action: &Action| {
            let uid = uid(&kind, &action.name);
            let entity = entities.get(&uid).cloned().ok_or_else(|| Error::internal("an action is not in the schema"))?;
            Ok((action.name.clone(), Known { action: action.clone(), uid, group: self::uid(&kind, group_of(action)), entity }))
        };
        let actions = actions.iter().map(known).collect::<Result<_>>()?;
        Ok(Self {
            validator: Validator::new(schema),
            authorizer: Authorizer::new(),
            principal: name("Principal")?,
            resource: name("Resource")?,
            actions,
        })
    }

    /// Whether policies may speak of an action.
    pub fn knows(&self, action: &str) -> bool {
        self.actions.contains_key(action)
    }

    /// Reads one statement and checks it against the schema. `id` names it in what the evaluator reports.
    ///
    /// # Errors
    /// What is wrong, with its place in the text, at most ten.
    pub fn read(&self, id: &str, text: &str) -> Result<Rule, Vec<PolicyFault>> {
        fits(text).map_err(|fault| vec![fault])?;
        let statement = Statement::parse(Some(PolicyId::new(id)), text).map_err(|errors| faults(text, errors.iter()))?;
        let set = PolicySet::from_policies([statement.clone()]).map_err(|e| vec![PolicyFault::at_start(&e.to_string())])?;
        let result = self.validator.validate(&set, ValidationMode::Strict);
        if !result.validation_passed() {
            return Err(faults(text, result.validation_errors()));
        }
        // Such as one that asks for an attribute that nothing has: whoever wrote it thinks that it protects something.
        if result.validation_warnings().any(|w| matches!(w, ValidationWarning::ImpossiblePolicy(_))) {
            return Err(vec![PolicyFault::at_start(
                "can never apply: its conditions are false whoever does what, look for an attribute that there is not",
            )]);
        }
        Ok(Rule { statement })
    }

    /// Puts policies together. Those that cannot be read are noted.
    pub fn rules(&self, rules: Vec<Named>, unreadable: Vec<String>) -> Rules {
        let by_action = self.actions.keys().map(|name| (name.clone(), OnceLock::new())).collect();
        let places = rules.iter().enumerate().map(|(place, n)| (n.rule.statement.id().clone(), place)).collect();
        Rules { rules, places, unreadable, by_action }
    }

    /// Asks the policies.
    ///
    /// # Errors
    /// `internal` when the action is not one that policies may speak of, or the question cannot be put.
    pub fn decide(&self, rules: &Rules, question: &Question<'_>, now: Timestamp, zone: &TimeZone) -> Result<Ruling> {
        if rules.is_empty() {
            return Ok(Ruling { reason: DecisionReason::NoPolicy, by: Vec::new(), faults: Vec::new() });
        }
        if !rules.unreadable.is_empty() {
            let cannot = |n: &String| PolicyFault::at_start(&format!("the policy {n:?} cannot be read by this version: save it again"));
            return Ok(Ruling { reason: DecisionReason::Failed, by: Vec::new(), faults: rules.unreadable.iter().map(cannot).collect() });
        }
        let known = self.actions.get(question.action).zip(rules.by_action.get(question.action));
        let Some((known, applicable)) = known else {
            return Err(Error::internal(format_args!("{:?} is not an action that policies may speak of", question.action)));
        };
        let applicable = applicable.get_or_init(|| rules.for_action(known));
        if applicable.set.is_empty() {
            return Ok(Ruling { reason: DecisionReason::NoPolicy, by: Vec::new(), faults: Vec::new() });
        }
        let (request, entities) = self.put(known, question, now, zone)?;
        let answer = self.authorizer.is_authorized(&request, &applicable.set, &entities);
        let by: Vec<Named> = answer.diagnostics().reason().filter_map(|id| rules.named(id)).collect();
        let faults: Vec<PolicyFault> = answer.diagnostics().errors().map(|e| PolicyFault::at_start(&e.to_string())).collect();
        let reason = match answer.decision() {
            _ if !faults.is_empty() => DecisionReason::Failed,
            Decision::Allow => DecisionReason::Permitted,
            Decision::Deny if !by.is_empty() => DecisionReason::Forbidden,
            Decision::Deny if applicable.has_permits => DecisionReason::NotPermitted,
            Decision::Deny => DecisionReason::NotForbidden,
        };
        Ok(Ruling { reason, by, faults })
    }

    /// The question in Cedar's terms.
    fn put(&self, known: &Known, question: &Question<'_>, now: Timestamp, zone: &TimeZone) -> Result<(Request, Entities)> {
        let text = |t: &str| Value::new_string(t.to_owned());
        let who = question.principal;
        let tenant = who.tenant.to_string();
        let principal = uid(&self.principal, &who.id);
        let attributes = HashMap::from([
            ("id".to_owned(), text(&who.id)),
            ("role".to_owned(), text(who.role.as_str())),
            ("capabilities".to_owned(), Value::new_set(who.capabilities.iter().map(|c| text(c)))),
            ("tenant".to_owned(), text(&tenant)),
        ]);
        let caller = Entity::new(principal.clone(), attributes, HashSet::new()).map_err(Error::internal)?;
        let tool = question.resource.tool.as_deref();
        let resource = uid(&self.resource, tool.unwrap_or(&tenant));
        let attributes: HashMap<String, Value> = [("tenant", Some(tenant.as_str())), ("tool", tool)]
            .into_iter()
            .filter_map(|(name, v)| Some((name.to_owned(), text(v?))))
            .collect();
        let thing = Entity::new(resource.clone(), attributes, HashSet::new()).map_err(Error::internal)?;
        let mut pairs = vec![("utc".to_owned(), face(now, &TimeZone::UTC)?), ("local".to_owned(), face(now, zone)?)];
        if let Some(address) = question.context.address {
            pairs.push(("address".to_owned(), Value::new_ip(written(address))));
        }
        if known.action.is_tool() {
            if let Some(agent) = &question.context.agent {
                pairs.push(("agent".to_owned(), text(agent)));
            }
            let given = known.action.arguments.iter().filter_map(|a| Some(((*a).to_owned(), text(question.context.arguments.get(*a)?))));
            pairs.push(("arguments".to_owned(), Value::new_record(given).map_err(Error::internal)?));
        }
        let context = Context::from_pairs(pairs).map_err(Error::internal)?;
        // Without the schema: what the schema says of requests is what the lines above do.
        let request = Request::new(principal, known.uid.clone(), resource, context, None).map_err(Error::internal)?;
        let entities = Entities::from_entities([caller, thing, known.entity.clone()], None).map_err(Error::internal)?;
        Ok((request, entities))
    }
}

impl Rule {
    /// Whether the head of the statement lets it apply to an action.
    fn may_apply(&self, known: &Known) -> bool {
        let names = |uid: &EntityUid| *uid == known.uid || *uid == known.group;
        match self.statement.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid == known.uid,
            ActionConstraint::In(uids) => uids.iter().any(names),
        }
    }
}

impl Rules {
    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.unreadable.is_empty()
    }

    /// The rules, in the order they were put together.
    pub fn all(&self) -> &[Named] {
        &self.rules
    }

    /// Those whose head lets them apply: a decision looks at no others.
    fn for_action(&self, known: &Known) -> Applicable {
        let statements: Vec<Statement> = self.rules.iter().filter(|n| n.rule.may_apply(known)).map(|n| n.rule.statement.clone()).collect();
        let has_permits = statements.iter().any(|s| s.effect() == Effect::Permit);
        // Ids differ, for they are those of rows, so nothing can be there twice.
        Applicable { set: PolicySet::from_policies(statements).unwrap_or_default(), has_permits }
    }

    fn named(&self, id: &PolicyId) -> Option<Named> {
        self.rules.get(*self.places.get(id)?).cloned()
    }
}

/// A moment as a clock and a calendar on the wall show it.
fn face(now: Timestamp, zone: &TimeZone) -> Result<Value> {
    let at = jiff::Timestamp::from_microsecond(now.micros()).map_err(Error::internal)?.to_zoned(zone.clone());
    Value::new_record([
        ("date".to_owned(), Value::new_string(at.date().to_string())),
        ("hour".to_owned(), Value::new_long(i64::from(at.hour()))),
        ("minute".to_owned(), Value::new_long(i64::from(at.minute()))),
        ("weekday".to_owned(), Value::new_long(i64::from(at.weekday().to_monday_one_offset()))),
    ])
    .map_err(Error::internal)
}

/// An address as Cedar reads it: it knows no IPv6 address with an IPv4 one inside, as `::ffff:10.0.0.1`.
fn written(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|s| format!("{s:x}")).join(":"),
    }
}

/// Refuses what is too long or too deep before it is parsed.
fn fits(text: &str) -> Result<(), PolicyFault> {
    if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
        return Err(PolicyFault::at_start(&format!("must be 1 to {MAX_TEXT} characters")));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for (offset, sign) in text.char_indices() {
        match sign {
            // A bracket counts as an operator as well: clauses are chained like operators.
            '(' | '[' | '{' => (depth, operators) = (depth + 1, operators + 1),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '&' | '|' | '+' | '-' | '*' | '!' | '<' | '>' | '=' | '.' => operators += 1,
            _ => {}
        }
        // Each takes as much of the stack as several operators.
        if text[offset..].starts_with("if") {
            operators += 10;
        }
        if depth > MAX_DEPTH {
            return Err(PolicyFault::at(text, offset, &format!("brackets may be nested {MAX_DEPTH} deep")));
        }
        if operators > MAX_OPERATORS {
            return Err(PolicyFault::at(
                text,
                offset,
                &format!("a policy may have {MAX_OPERATORS} signs of operators and brackets: make two of it"),
            ));
        }
    }
    Ok(())
}

/// What Cedar reports, with its place; the same mistake for several actions once.
fn faults<'a, E: Diagnostic + 'a>(text: &str, errors: impl Iterator<Item = &'a E>) -> Vec<PolicyFault> {
    let mut out: Vec<PolicyFault> = Vec::new();
    for error in errors {
        let label = error.labels().and_then(|mut labels| labels.next());
        let mut message = error.to_string();
        if let Some((_, rest)) = message.strip_prefix("for policy `").and_then(|m| m.split_once("`, ")) {
            message = rest.to_owned();
        }
        if let Some((before, _)) = message.split_once(" for Action::") {
            message = before.to_owned();
        }
        for more in [label.as_ref().and_then(|l| l.label()).map(str::to_owned), error.help().map(|h| h.to_string())].into_iter().flatten() {
            message = format!("{message}; {more}");
        }
        let fault = PolicyFault::at(text, label.map_or(0, |l| l.offset()), &message);
        if !out.iter().any(|f| (f.line, f.column) == (fault.line, fault.column)) {
            out.push(fault);
        }
    }
    out.sort_by_key(|f| (f.line, f.column));
    out.truncate(10);
    out
}
