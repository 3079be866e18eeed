use std::time::Duration;

use astrolabe_kernel::{
    Error, Kernel, Principal, Role,
    error::code,
    http::{Caller, Json, Trace},
    policy::{Context, Policies, Resource},
    principal::Right,
    testing::{START, TestKernel},
};
use axum::{extract::State, http::StatusCode};

use super::*;
use crate::{Catalogue, MIGRATIONS, testing::platform_on};

fn actions() -> Vec<Action> {
    vec![
        Action::operation(Right::RunAgents),
        Action::operation(Right::OpenTickets),
        Action::tool("restart_service", &["service", "reason"]),
        Action::tool("create_ticket", &["title"]),
    ]
}

fn somebody(id: &str, role: Role, capabilities: &[&str]) -> Principal {
    let capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
    Principal { id: id.to_owned(), role, capabilities, ..Principal::local_admin() }
}

/// What policies of these texts say to somebody who restarts `billing`, with the first thing that went wrong.
fn ruled(texts: &[&str], action: &str, who: &Principal, at: Timestamp, context: Context) -> (DecisionReason, Vec<usize>) {
    let language = Language::new(&actions()).unwrap();
    let named = |(i, text): (usize, &&str)| Named {
        id: None,
        version: 1,
        name: i.to_string(),
        rule: Arc::new(language.read(&i.to_string(), text).unwrap_or_else(|e| panic!("{text}: {e:?}"))),
    };
    let rules = language.rules(texts.iter().enumerate().map(named).collect(), Vec::new());
    let resource = Resource { tool: action.strip_prefix("tool:").map(str::to_owned) };
    let question = Question { principal: who, action, resource: &resource, context: &context };
    let zone = jiff::tz::TimeZone::get("Europe/Warsaw").unwrap();
    let ruling = language.decide(&rules, &question, at, &zone).unwrap();
    (ruling.reason, ruling.by.iter().map(|n| n.name.parse().unwrap()).collect())
}

fn says(texts: &[&str], action: &str) -> (DecisionReason, Vec<usize>) {
    ruled(texts, action, &somebody("user:eva", Role::Editor, &["sre"]), START, Context::default())
}

const NO_RESTARTS: &str = r#"forbid (principal, action == Action::"tool:restart_service", resource);"#;
const SRE_RESTARTS: &str =
    r#"permit (principal, action == Action::"tool:restart_service", resource) when { principal.capabilities.contains("sre") };"#;
const DBA_RESTARTS: &str =
    r#"permit (principal, action == Action::"tool:restart_service", resource) when { principal.capabilities.contains("dba") };"#;

#[test]
fn a_forbid_that_matches_wins_over_every_permit() {
    let tool = "tool:restart_service";
    assert_eq!(says(&[SRE_RESTARTS], tool), (DecisionReason::Permitted, vec![0]));
    assert_eq!(says(&[SRE_RESTARTS, NO_RESTARTS], tool), (DecisionReason::Forbidden, vec![1]));
    assert_eq!(says(&[NO_RESTARTS], "tool:create_ticket"), (DecisionReason::NoPolicy, vec![]));
}

#[test]
fn once_there_are_permits_for_an_action_one_has_to_match() {
    let tool = "tool:restart_service";
    assert_eq!(says(&[DBA_RESTARTS], tool), (DecisionReason::NotPermitted, vec![]));
    assert_eq!(says(&[DBA_RESTARTS, SRE_RESTARTS], tool), (DecisionReason::Permitted, vec![1]));
    assert_eq!(says(&[DBA_RESTARTS], "run_agents"), (DecisionReason::NoPolicy, vec![]), "other actions are as before");
    let never = r#"forbid (principal == Principal::"user:bob", action, resource);"#;
    assert_eq!(says(&[never], "run_agents"), (DecisionReason::NotForbidden, vec![]));
}

#[test]
fn a_policy_speaks_of_one_action_of_a_group_or_of_all() {
    for (head, tool, operation) in [
        (r#"action == Action::"tool:create_ticket""#, true, false),
        (r#"action in Action::"tools""#, true, false),
        (r#"action in [Action::"tool:create_ticket", Action::"operations"]"#, true, true),
        ("action", true, true),
    ] {
        let text = format!("forbid (principal, {head}, resource);");
        let forbidden = |action: &str| says(&[&text], action).0 == DecisionReason::Forbidden;
        assert_eq!((forbidden("tool:create_ticket"), forbidden("open_tickets")), (tool, operation), "{head}");
    }
}

#[test]
fn who_what_when_where_and_how_can_all_be_conditions() {
    let context = || Context {
        address: Some("10.4.1.2".parse().unwrap()),
        agent: Some("ops".to_owned()),
        arguments: [("service".to_owned(), "billing".to_owned()), ("unknown".to_owned(), "x".to_owned())].into(),
    };
    let who = somebody("user:eva", Role::Editor, &["sre"]);
    // 2026-01-01 is a Thursday; Warsaw is an hour ahead.
    let at = START.plus(Duration::from_secs(7 * 3600 + 1800));
    for (condition, holds) in [
        (r#"principal.id == "user:eva" && principal.role == "editor""#, true),
        (r#"principal.tenant == resource.tenant"#, true),
        (r#"["tenant_admin", "admin"].contains(principal.role)"#, false),
        ("context.utc.hour == 7 && context.local.hour == 8 && context.local.minute == 30", true),
        (r#"context.local.weekday == 4 && context.local.date == "2026-01-01""#, true),
        (r#"context has address && context.address.isInRange(ip("10.4.0.0/16"))"#, true),
        (r#"context has address && context.address.isInRange(ip("2001:db8::/32"))"#, false),
        (r#"resource has tool && resource.tool == "restart_service""#, true),
        (r#"context has agent && context.agent == "ops""#, true),
        (r#"context.arguments has service && context.arguments.service like "bill*""#, true),
        ("context.arguments has reason", false),
    ] {
        let text = format!(r#"forbid (principal, action == Action::"tool:restart_service", resource) when {{ {condition} }};"#);
        let (reason, _) = ruled(&[&text], "tool:restart_service", &who, at, context());
        assert_eq!(reason == DecisionReason::Forbidden, holds, "{condition}: {reason:?}");
    }
}

#[test]
fn every_way_of_writing_an_address_is_the_address() {
    let text = r#"forbid (principal, action, resource) unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };"#;
    let who = somebody("user:eva", Role::Editor, &[]);
    for (address, inside) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("::10.1.2.3", false), ("::1", false), ("fe80::1", false)] {
        let context = Context { address: Some(address.parse().unwrap()), ..Context::default() };
        let (reason, _) = ruled(&[text], "run_agents", &who, START, context);
        assert_eq!(reason, if inside { DecisionReason::NotForbidden } else { DecisionReason::Forbidden }, "{address}");
    }
}

#[test]
fn a_policy_that_fails_when_it_is_applied_is_a_refusal() {
    let overflow = r#"forbid (principal, action, resource) when { context.utc.minute + 9223372036854775807 > 0 };"#;
    let late = START.plus(Duration::from_secs(60));
    let who = somebody("user:eva", Role::Admin, &[]);
    let (reason, _) = ruled(&[overflow, SRE_RESTARTS], "run_agents", &who, late, Context::default());
    assert_eq!(reason, DecisionReason::Failed);
    assert!(!reason.allows());
}

fn faults(text: &str) -> Vec<(usize, usize, String)> {
    let language = Language::new(&actions()).unwrap();
    let faults = language.read("text", text).err().unwrap_or_default();
    faults.into_iter().map(|f| (f.line, f.column, f.message)).collect()
}

#[test]
fn a_broken_text_is_told_where_and_why() {
    let mut wrong = Vec::new();
    for (text, line, column, word) in [
        ("forbid (principal, action, resource)\nwhen { context.utc.hour > };", 2, 27, "unexpected token"),
        ("forbid (principal, action, resource)\nwhen { principal.rol == \"x\" };", 2, 8, "`rol`"),
        ("forbid (principal, action == Action::\"tool:restart_servic\", resource);", 1, 30, "restart_service"),
        ("forbid (principal, action, resource)\n\nwhen { context.address.isLoopback() };", 3, 8, "context has address"),
        ("forbid (principal, action, resource) when { context.utc.hour == \"8\" };", 1, 45, "type"),
        ("forbid (principal, action, resource) when { context has address && context.address.isInRange(ip(\"10.0/8\")) };", 1, 94, "IP"),
        ("forbid (principal, action == Action::\"run_agents\", resource) when { context.arguments has title };", 1, 69, "arguments"),
        ("forbid (principal, action, resource) when { resource has source && resource.source == \"src_1\" };", 1, 1, "never apply"),
        ("forbid (principal == ?principal, action, resource);", 1, 22, "template"),
        ("permit (principal, action, resource);\nforbid (principal, action, resource);", 2, 1, "unexpected token"),
        ("", 1, 1, "1 to 4000"),
        ("permit", 1, 7, "end of input"),
    ] {
        let found = faults(text);
        if !found.iter().any(|(l, c, m)| (*l, *c) == (line, column) && m.contains(word)) {
            wrong.push(format!("{text}\nwants line {line}, column {column}, {word:?}; has {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_mistake_is_told_once_and_not_for_every_action() {
    assert_eq!(faults("forbid (principal, action, resource) when { context.address.isLoopback() };").len(), 1);
}

#[test]
fn a_text_that_is_too_long_or_too_deep_is_refused_and_takes_no_process_with_it() {
    let all = |condition: String| format!("permit (principal, action, resource) when {{ {condition} }};");
    let hostile = [
        all(format!("{}true{}", "(".repeat(1500), ")".repeat(1500))),
        all(format!("{}true{}", "[".repeat(1500), "]".repeat(1500))),
        all(format!("{}true", "!".repeat(3000))),
        all(format!("{}1 > 0", "-".repeat(3000))),
        all(vec!["true"; 600].join("&&")),
        all(vec!["1"; 1500].join("+")),
        all(format!("principal{}", ".id".repeat(1200))),
        all(format!("{}true{}", "if true then ".repeat(150), " else true".repeat(150))),
        "@a ".repeat(1300) + NO_RESTARTS,
        "x".repeat(MAX_TEXT_AND_MORE),
        "permit (principal, action, resource) ".to_owned() + &"when{true}".repeat(390) + ";",
    ];
    for text in hostile {
        // Stacks of workers are this large, and a debug build needs the most of them.
        let short: String = text.chars().take(60).collect();
        let read = with_a_workers_stack(move || faults(&text));
        assert!(!read.is_empty(), "{short} is accepted");
    }
}

fn with_a_workers_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap()
}

#[test]
fn the_deepest_texts_that_are_accepted_are_applied_without_harm() {
    let all = |condition: String| format!("forbid (principal, action, resource) when {{ {condition} }};");
    for text in [
        all(vec!["context.utc.hour < 1"; 39].join(" && ")),
        all(format!("{} > 0", vec!["1"; 190].join("+"))),
        all(vec!["true"; 99].join("||")),
        all(format!("{}true{}", "(".repeat(18), ")".repeat(18))),
        all(format!("{}true{}", "if true then ".repeat(19), " else false".repeat(19))),
    ] {
        let short: String = text.chars().take(80).collect();
        let reason = with_a_workers_stack(move || says(&[&text], "run_agents").0);
        assert_eq!(reason, DecisionReason::Forbidden, "{short}");
    }
}
const MAX_TEXT_AND_MORE: usize = 100_000;

struct Setup {
    _test: TestKernel,
    kernel: Kernel,
    platform: Platform,
    admin: Caller,
}

/// Another process on the same database.
fn another(kernel: &Kernel) -> (Kernel, Platform) {
    let kernel = Kernel { policies: Policies::default(), flags: astrolabe_kernel::flags::Flags::default(), ..kernel.clone() };
    let catalogue = Catalogue { actions: actions(), flags: Vec::new() };
    let platform = platform_on(&kernel, catalogue);
    (kernel, platform)
}

impl Setup {
    async fn new() -> Self {
        let test = TestKernel::new(&[MIGRATIONS]).await;
        let (kernel, platform) = another(&test.kernel);
        let trace = Trace::background(&kernel.random);
        let admin = Caller { principal: Principal::local_admin(), trace, idempotency_key: None, address: None };
        Self { _test: test, kernel, platform, admin }
    }

    async fn save(&self, name: &str, text: &str) -> Result<StatusCode> {
        let new = NewPolicy { name: name.to_owned(), description: String::new(), text: text.to_owned(), enabled: true };
        let made = routes::create_policy(State(self.platform.clone()), self.admin.clone().may().unwrap(), Json(new)).await;
        made.map(|response| response.status())
    }
}

async fn asked(kernel: &Kernel, who: &Principal, action: &str) -> Result<(), Error> {
    kernel.policies.allow(who, action, &Resource::default(), &Context::default()).await
}

#[tokio::test]
async fn a_change_is_in_force_here_at_once_and_in_other_processes_within_five_seconds() {
    let setup = Setup::new().await;
    let (elsewhere, _platform) = another(&setup.kernel);
    let who = somebody("user:eva", Role::Viewer, &[]);
    for kernel in [&setup.kernel, &elsewhere] {
        asked(kernel, &who, "run_agents").await.unwrap();
    }
    setup.save("nobody", "forbid (principal, action == Action::\"run_agents\", resource);").await.unwrap();
    let error = asked(&setup.kernel, &who, "run_agents").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (code::POLICY_REFUSED, "run_agents: forbidden by the policy \"nobody\""));
    setup.kernel.clock.advance(Duration::from_secs(5));
    assert_eq!(asked(&elsewhere, &who, "run_agents").await.unwrap_err().code(), code::POLICY_REFUSED);
}

#[tokio::test]
async fn what_was_decided_holds_for_who_asked_from_where_and_in_that_minute() {
    let setup = Setup::new().await;
    let inside = "context has address && context.address.isInRange(ip(\"10.0.0.0/8\"))";
    let text = format!(
        r#"permit (principal, action == Action::"run_agents", resource) when {{ principal.role == "editor" && principal.capabilities.contains("sre")
             && {inside} && context.utc.minute == 0 }};"#
    );
    setup.save("first minute", &text).await.unwrap();
    let ask = async |id: &str, role: Role, capabilities: &[&str], address: &str, action: &str| {
        let context = Context { address: Some(address.parse().unwrap()), ..Context::default() };
        setup.kernel.policies.allow(&somebody(id, role, capabilities), action, &Resource::default(), &context).await.is_ok()
    };
    let eva = async || ask("user:eva", Role::Editor, &["sre"], "10.1.1.1", "run_agents").await;
    assert!(eva().await);
    assert!(!ask("user:eva", Role::Viewer, &["sre"], "10.1.1.1", "run_agents").await);
    assert!(!ask("user:eva", Role::Editor, &[], "10.1.1.1", "run_agents").await);
    assert!(!ask("user:eva", Role::Editor, &["sre"], "192.0.2.1", "run_agents").await);
    assert!(ask("user:eva", Role::Viewer, &[], "192.0.2.1", "open_tickets").await, "no policy speaks of it");
    setup.save("not bob", r#"forbid (principal, action, resource) when { principal.id == "user:bob" };"#).await.unwrap();
    assert!(!ask("user:bob", Role::Editor, &["sre"], "10.1.1.1", "run_agents").await);
    setup.kernel.clock.advance(Duration::from_millis(59_999));
    assert!(eva().await, "the minute is not over");
    setup.kernel.clock.advance(Duration::from_millis(1));
    assert!(!eva().await);
}

#[tokio::test]
async fn what_was_decided_falls_with_a_policy_and_with_the_time_zone() {
    let setup = Setup::new().await;
    let who = somebody("user:eva", Role::Editor, &[]);
    setup.save("midnight", r#"forbid (principal, action, resource) when { context.local.hour == 0 };"#).await.unwrap();
    assert!(asked(&setup.kernel, &who, "run_agents").await.is_err());
    let change = Json(crate::settings::SettingsChange { time_zone: Some("Europe/Warsaw".to_owned()), ..Default::default() });
    let (state, caller) = (State(setup.platform.clone()), setup.admin.clone().may().unwrap());
    crate::settings::routes::change_settings(state, caller, axum::http::HeaderMap::new(), change).await.unwrap();
    asked(&setup.kernel, &who, "run_agents").await.unwrap();
    setup.save("never", "forbid (principal, action, resource);").await.unwrap();
    assert!(asked(&setup.kernel, &who, "run_agents").await.is_err());
}

#[tokio::test]
async fn policies_of_one_tenant_say_nothing_to_another() {
    let setup = Setup::new().await;
    setup.save("nobody", "forbid (principal, action, resource);").await.unwrap();
    let here = somebody("user:eva", Role::Viewer, &[]);
    let there = Principal { tenant: setup.kernel.id(), ..here.clone() };
    assert!(asked(&setup.kernel, &here, "run_agents").await.is_err());
    assert!(asked(&setup.kernel, &there, "run_agents").await.is_ok());
}

#[tokio::test]
async fn policies_that_cannot_be_read_refuse() {
    let setup = Setup::new().await;
    let who = somebody("user:eva", Role::Admin, &[]);
    setup.save("somebody", SRE_RESTARTS).await.unwrap();
    asked(&setup.kernel, &who, "run_agents").await.unwrap();
    let mut tx = setup.kernel.db.write_all().await.unwrap();
    tx.execute("UPDATE policies SET text = 'permit (principal, action == Action::\"gone\", resource);', version = 2", &[]).await.unwrap();
    tx.execute("UPDATE policy_versions SET version = version + 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    setup.kernel.clock.advance(Duration::from_secs(5));
    let error = asked(&setup.kernel, &who, "run_agents").await.unwrap_err();
    assert_eq!(error.code(), code::POLICY_REFUSED, "nobody knows what it forbids");
    let mut tx = setup.kernel.db.write_schema().await.unwrap();
    tx.execute("DROP TABLE policy_versions", &[]).await.unwrap();
    tx.commit().await.unwrap();
    setup.kernel.clock.advance(Duration::from_secs(5));
    assert_eq!(asked(&setup.kernel, &who, "run_agents").await.unwrap_err().code(), code::INTERNAL);
    drop(setup.platform);
    assert_eq!(asked(&setup.kernel, &who, "run_agents").await.unwrap_err().code(), code::SHUTTING_DOWN);
}

#[tokio::test]
async fn an_action_that_policies_cannot_name_is_refused_rather_than_let_through() {
    let setup = Setup::new().await;
    setup.save("somebody", SRE_RESTARTS).await.unwrap();
    let who = somebody("user:eva", Role::Admin, &[]);
    assert_eq!(asked(&setup.kernel, &who, "fly").await.unwrap_err().code(), code::INTERNAL);
}

#[tokio::test]
async fn a_tenant_has_at_most_five_hundred_policies() {
    let setup = Setup::new().await;
    let (now, tenant) = (setup.kernel.now(), setup.admin.principal.tenant);
    let mut tx = setup.kernel.db.write_all().await.unwrap();
    for i in 0..MAX_POLICIES {
        let policy = Policy {
            id: setup.kernel.id(),
            name: i.to_string(),
            description: String::new(),
            text: NO_RESTARTS.to_owned(),
            enabled: false,
            version: 1,
            created_by: String::new(),
            created_at: now,
            updated_at: now,
        };
        store::insert(&mut tx, tenant, &policy).await.unwrap();
    }
    tx.commit().await.unwrap();
    let error = setup.save("one more", NO_RESTARTS).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (code::CONFLICT, "a tenant has at most 500 policies: delete one first"));
}
