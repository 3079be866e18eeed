//! Usage and budgets over HTTP.

use astrolabe_gateway::{
    chat::Usage,
    usage::{Outcome, Purpose, Wanted, Who},
};
use astrolabe_kernel::{Principal, Role, principal::default_tenant};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

/// A call of a model with a price: a hundred tokens in, ten out.
async fn call(app: &TestApp, person: &str, model: &str) -> astrolabe_kernel::Result<()> {
    let who = Who::of(&Principal::new(person, person, default_tenant(), Role::Viewer, Vec::new(), "token"));
    let tokens = Usage { input: 100, output: 10, ..Usage::default() };
    let call = app.app.ledger.begin(who, Wanted { purpose: Purpose::Api, alias: "default", provider: "openai", model, tokens }).await?;
    call.attempt("openai", model)?.finish(Outcome::Ok, Some(tokens));
    drop(call);
    app.app.ledger.flush().await
}

fn keys(report: &Value) -> Vec<(&str, i64, i64)> {
    let items = report["items"].as_array().unwrap().iter();
    items.map(|i| (i["key"].as_str().unwrap(), i["requests"].as_i64().unwrap(), i["cost_micro_usd"].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn a_list_of_prices_of_the_operators_own_goes_before_the_one_that_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    let of_ours =
        "[[price]]\nmodel = \"gpt-4o-mini\"\nfrom = \"2025-12-01\"\nsource = \"our contract\"\ninput = 20_000\noutput = 100_000\n";
    std::fs::write(&file, of_ours).unwrap();
    let app = TestApp::with(&[("usage.prices", file.to_str().unwrap())]).await;
    for model in ["gpt-4o-mini", "gpt-4o"] {
        call(&app, "user:ann", model).await.unwrap();
    }
    let by = app.get("/api/v1/usage?by=model").send().await.json();
    let costs: Vec<_> = by["items"].as_array().unwrap().iter().map(|i| (i["key"].clone(), i["cost_micro_usd"].clone())).collect();
    // 100 tokens in and 10 out: 3 micro-USD after the contract, 350 after the list price.
    assert_eq!(costs, [(json!("gpt-4o"), json!(350)), (json!("gpt-4o-mini"), json!(3))]);
}

#[tokio::test]
async fn usage_is_summed_up_by_day_model_and_person() {
    let app = TestApp::new().await;
    for (person, model) in [("user:ann", "gpt-4o"), ("user:ann", "gpt-4o-mini"), ("user:bob", "=cmd"), ("user:ann", "gpt-4o")] {
        call(&app, person, model).await.unwrap();
    }
    app.app.kernel.clock.advance(std::time::Duration::from_secs(24 * 3600));
    call(&app, "user:bob", "gpt-4o-mini").await.unwrap();
    // 100 tokens at $2.50 and 10 at $10 are 350 micro-USD; the small model costs 21.
    let by = async |query: &str| app.get(&format!("/api/v1/usage{query}")).send().await.json();
    let days = by("").await;
    assert_eq!(keys(&days), [("2026-01-01", 4, 721), ("2026-01-02", 1, 21)]);
    assert_eq!((days["from"].as_str(), days["until"].as_str()), (Some("2025-12-04"), Some("2026-01-02")));
    assert_eq!((days["total"]["requests"].as_i64(), days["total"]["unpriced"].as_i64()), (Some(5), Some(1)));
    assert_eq!(keys(&by("?by=model").await), [("gpt-4o", 2, 700), ("gpt-4o-mini", 2, 42), ("=cmd", 1, 0)]);
    assert_eq!(keys(&by("?by=person&from=2026-01-02").await), [("user:bob", 1, 21)]);
    assert!(keys(&by("?by=key&until=2025-12-31").await).is_empty());

    let csv = app.get("/api/v1/usage/export?by=model").send().await;
    assert_eq!(csv.header("content-type").split(';').next(), Some("text/csv"));
    assert!(csv.header("content-disposition").contains("usage-by-model-2025-12-04-2026-01-02.csv"));
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "gpt-4o,2,0,0,0,200,20,0,0,700");
    assert!(lines[3].starts_with("'=cmd,1"), "a spreadsheet does not run it: {}", lines[3]);

    for (query, field) in [
        ("?from=yesterday", "from"),
        ("?from=2026-02-01&until=2026-01-01", "from"),
        ("?from=2020-01-01", "from"),
        ("?until=0001-01-01", "until"),
        ("?by=colour", "by"),
    ] {
        let reply = app.get(&format!("/api/v1/usage{query}")).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{query}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_budget_refuses_the_call_that_would_break_it_and_lets_go_when_it_is_raised() {
    let app = TestApp::new().await;
    let budget = json!({"scope": "user", "subject": "*", "period": "day", "unit": "micro_usd", "amount": 700});
    let made = app.post("/api/v1/budgets").json(budget.clone()).send().await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""));
    let path = format!("/api/v1/budgets/{}", made.json()["id"].as_str().unwrap());
    call(&app, "user:ann", "gpt-4o").await.unwrap();
    call(&app, "user:ann", "gpt-4o").await.unwrap();
    let refused = call(&app, "user:ann", "gpt-4o").await.unwrap_err();
    assert_eq!(refused.code().name, "budget_exceeded");
    call(&app, "user:bob", "gpt-4o").await.unwrap();
    assert_eq!(app.get(&path).send().await.json()["used"], 700);
    assert_eq!(app.get("/api/v1/budgets").send().await.json()["items"][0]["used"], 700);

    let twice = app.post("/api/v1/budgets").json(budget.clone()).send().await;
    assert_eq!((twice.status, twice.json()["errors"][0]["field"].as_str()), (409, Some("subject")));
    let mut more = budget;
    more["amount"] = json!(1100);
    let put = |tag: &'static str| app.call(Method::PUT, &path).header("if-match", tag).json(more.clone()).send();
    assert_eq!(put("\"7\"").await.code(), "precondition_failed");
    let changed = put("\"1\"").await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""));
    call(&app, "user:ann", "gpt-4o").await.unwrap();
    assert!(call(&app, "user:ann", "gpt-4o").await.is_err());
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    call(&app, "user:ann", "gpt-4o").await.unwrap();
}

#[tokio::test]
async fn a_budget_that_cannot_be_is_refused_by_the_fields_name() {
    let app = TestApp::new().await;
    let base = json!({"scope": "user", "subject": "user:ann", "period": "day", "unit": "tokens", "amount": 1});
    for (field, value) in [
        ("subject", json!("")),
        ("subject", json!("a\nb")),
        ("subject", json!("a".repeat(201))),
        ("amount", json!(-1)),
        ("amount", json!(1_000_000_000_000_001_i64)),
        ("amount", json!("5")),
        ("warn_at", json!(0)),
        ("warn_at", json!(101)),
        ("scope", json!("planet")),
        ("period", json!("year")),
        ("unit", json!("eur")),
        ("action", json!("shout")),
    ] {
        let mut bad = base.clone();
        bad[field] = value.clone();
        let reply = app.post("/api/v1/budgets").json(bad).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{field} {value}: {}", reply.text());
    }
    let tenant = json!({"scope": "tenant", "subject": "x", "period": "day", "unit": "tokens", "amount": 1});
    assert_eq!(app.post("/api/v1/budgets").json(tenant).send().await.status, 400);
}
