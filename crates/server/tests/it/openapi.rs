//! The description of the API is complete and is what the router does.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::Value;

use crate::support::TestApp;

/// The paths that a router knows, from what it prints of itself: `RouteId(3): "/api/v1/me"`.
fn paths_of(router: &axum::Router) -> BTreeSet<String> {
    // The last two are how axum keeps the fallback, which serves the page.
    let fallback = |p: &String| p == "/" || p.starts_with("/{*");
    let text = format!("{router:?}");
    let paths = text.split("RouteId(").filter_map(|part| part.split_once("): \"")?.1.split('"').next().map(str::to_owned));
    paths.filter(|p| p.starts_with('/') && !fallback(p)).collect()
}

fn described(api: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = api["paths"].as_object().unwrap().iter();
    paths.map(|(path, item)| (path.clone(), item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect())).collect()
}

#[tokio::test]
async fn every_route_of_the_router_is_in_the_description_with_its_methods() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let described = described(&api);
    let routed = paths_of(&app.router);
    assert!(routed.len() > 20, "the router prints its paths: {routed:?}");
    assert_eq!(routed, described.keys().cloned().collect::<BTreeSet<_>>());
    for (path, methods) in described {
        let call = app.call(Method::TRACE, &path.replace("{id}", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")).send().await;
        assert_eq!(call.status, 405, "{path}");
        let allowed: BTreeSet<String> = call.header("allow").split(',').map(|m| m.trim().to_owned()).filter(|m| m != "HEAD").collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[tokio::test]
async fn every_operation_has_a_summary_a_tag_that_is_explained_and_its_refusals() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    let tags: BTreeSet<&str> = api["tags"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(!operation["summary"].as_str().unwrap_or("").is_empty(), "{name} has no summary");
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{name} has an unknown tag");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name} has the name of another");
            let statuses: BTreeSet<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            let open = operation["security"].is_array();
            assert!(statuses.contains("500") && (open || statuses.contains("401")), "{name}: {statuses:?}");
            assert!(!path.contains('{') || statuses.contains("404"), "{name} can name what is not there");
            if operation.get("requestBody").is_some() {
                assert!(statuses.contains("413") && statuses.contains("415"), "{name} takes a body");
            }
        }
    }
}

/// Every operation with the right that it asks for; `None` for open ones.
pub fn operations(api: &Value) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let right = operation["responses"]["403"][astrolabe_kernel::http::RIGHT].as_str().map(str::to_owned);
            found.push((method.to_uppercase(), path.clone(), right));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_behind_sign_in_names_the_right_it_asks_for() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    for (method, path, right) in operations(&api) {
        let open = api["paths"][&path][method.to_lowercase()]["security"].is_array();
        assert_eq!(right.is_none(), open, "{method} {path}");
    }
}

#[tokio::test]
async fn every_parameter_and_every_body_has_an_example() {
    fn has(value: &Value) -> bool {
        value.get("example").or(value.get("examples")).is_some_and(|e| !e.is_null())
    }
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let schema = |value: &Value| match value["$ref"].as_str() {
        Some(target) => api.pointer(target.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    };
    let mut without = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if !has(parameter) && !has(&schema(&parameter["schema"])) {
                    without.push(format!("{method} {path}: {}", parameter["name"]));
                }
            }
            for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(|c| c.values()) {
                let body = schema(&content["schema"]);
                let fields = body["properties"].as_object();
                if !has(content) && !has(&body) && !fields.is_some_and(|f| f.values().any(|v| has(&schema(v)))) {
                    without.push(format!("{method} {path}: body"));
                }
            }
        }
    }
    assert_eq!(without, Vec::<String>::new(), "a reader of /docs, and Schemathesis' phase of examples, start from these");
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| match (k.as_str(), v) {
                ("$ref", Value::String(target)) => {
                    out.insert(target.clone());
                }
                _ => references(v, out),
            }),
            Value::Array(items) => items.iter().for_each(|v| references(v, out)),
            _ => {}
        }
    }
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let mut all = BTreeSet::new();
    references(&api, &mut all);
    for target in all {
        assert!(api.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
}

#[tokio::test]
async fn the_docs_show_every_operation_without_scripts_or_foreign_addresses() {
    let app = TestApp::new().await;
    let page = app.anonymous(Method::GET, "/docs").send().await.text();
    let api = app.anonymous(Method::GET, "/api/openapi.json").send().await.json();
    assert_eq!(api, serde_json::to_value(app.description.make()).unwrap());
    for path in described(&api).keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path} is not on the page");
    }
    assert!(!page.contains("<script") && !page.contains("style=\""), "nothing that the content security policy forbids");
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "works without a network");
    assert_eq!(app.anonymous(Method::GET, "/docs/style.css").send().await.header("content-type"), "text/css; charset=utf-8");
}

/// Keeps `docs/generated/openapi.json` what the binary prints. Run with `UPDATE=1` to write it.
#[tokio::test]
async fn the_committed_description_is_up_to_date() {
    let app = TestApp::new().await;
    let text = format!("{}\n", serde_json::to_string_pretty(&app.description.make()).unwrap());
    crate::support::generated("openapi.json", &text);
}

/// Keeps `docs/generated/config.md` what the defaults say.
#[test]
fn the_committed_settings_page_is_up_to_date() {
    crate::support::generated("config.md", &astrolabe_kernel::config::markdown(astrolabe_server::config::SCHEMA));
}

/// Keeps `docs/generated/errors.md` what the table of codes says.
#[test]
fn the_committed_page_of_error_codes_is_up_to_date() {
    crate::support::generated("errors.md", &astrolabe_kernel::error::codes_markdown());
}

/// Keeps `docs/generated/metrics.md` what the table of metrics says.
#[test]
fn the_committed_page_of_metrics_is_up_to_date() {
    crate::support::generated("metrics.md", &astrolabe_kernel::telemetry::metrics_markdown());
}

/// Keeps `docs/generated/access.md` what the handlers ask for.
#[tokio::test]
async fn the_committed_table_of_access_is_up_to_date() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    crate::support::generated("access.md", &astrolabe_kernel::principal::access_markdown(&operations(&api)));
}
