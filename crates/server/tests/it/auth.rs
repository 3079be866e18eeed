//! Signing in: the token, the one-time link, the session, and what is refused.

use std::time::Duration;

use astrolabe_kernel::{Principal, principal::Right};
use astrolabe_platform::sessions::{self, CODE_LIFE, SESSION_IDLE, SESSION_LIFE};
use axum::http::Method;
use serde_json::json;

use crate::support::{Reply, TestApp};

async fn open_link(app: &TestApp, code: &str) -> Reply {
    app.anonymous(Method::GET, &format!("/signin?code={code}")).send().await
}

/// The cookie of a browser that opened a fresh link.
async fn signed_in(app: &TestApp) -> String {
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let reply = open_link(app, code.expose()).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn status_with(app: &TestApp, cookie: &str) -> u16 {
    app.anonymous(Method::GET, "/api/v1/me").header("cookie", cookie).send().await.status
}

#[tokio::test]
async fn the_token_signs_in_and_anything_else_does_not() {
    let app = TestApp::new().await;
    let me = app.get("/api/v1/me").send().await.json();
    let rights: Vec<&str> = Right::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(me["principal"], json!({"id": "user:local-admin", "name": "Local administrator", "roles": ["admin"], "rights": rights}));

    let none = app.anonymous(Method::GET, "/api/v1/me").send().await;
    assert_eq!((none.status, none.code().as_str(), none.header("www-authenticate")), (401, "missing_token", "Bearer"));
    for bad in ["Bearer astro_wrong", "Bearer", "Basic YTpi", "Bearer  "] {
        let reply = app.anonymous(Method::GET, "/api/v1/me").header("authorization", bad).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_token"), "{bad}");
    }
}

#[tokio::test]
async fn every_operation_that_is_not_open_wants_to_know_who_asks() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let mut open = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path_with_ids = path.replace("{id}", "x_01JD3V9M7Q4R8T2W6X0Y5Z1ABC");
            let method: Method = method.to_uppercase().parse().unwrap();
            if operation["security"].is_array() {
                open.push(format!("{method} {path}"));
                continue;
            }
            let reply = app.anonymous(method.clone(), &path_with_ids).send().await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "missing_token"), "{method} {path}");
        }
    }
    open.sort();
    // Public paths are few, and adding one is a decision.
    let expected = [
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-protected-resource",
        "GET /api/openapi.json",
        "GET /api/sign-in",
        "GET /api/version",
        "GET /docs",
        "GET /docs/style.css",
        "GET /health",
        "GET /healthz",
        "GET /metrics",
        "GET /ready",
        "GET /readyz",
        "GET /signin",
        "GET /signin/oidc",
        "GET /signin/oidc/callback",
        "GET /startup",
        "POST /api/v1/sessions",
        "POST /api/v1/sessions/refresh",
        "PUT /uploads/{id}/parts/{number}",
    ];
    assert_eq!(open, expected);
    assert_eq!(app.anonymous(Method::GET, "/api/v1/no/such/path").send().await.status, 401);
    assert_eq!(app.get("/api/v1/no/such/path").send().await.status, 404);
}

#[tokio::test]
async fn a_link_works_once_and_leaves_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let app = TestApp::new().await;
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let first = open_link(&app, code.expose()).await;
    let cookie = first.header("set-cookie");
    for part in ["astrolabe_session=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "the server is reached over http here");
    assert_eq!(status_with(&app, cookie.split(';').next().unwrap()).await, 200);

    let second = open_link(&app, code.expose()).await;
    assert_eq!(second.status, 401);
    assert!(second.text().contains("astrolabe login-link") && !second.text().contains("<script"), "{}", second.text());
}

#[tokio::test]
async fn a_link_is_too_old_after_its_time() {
    let app = TestApp::new().await;
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    app.advance(CODE_LIFE + Duration::from_secs(1));
    assert_eq!(open_link(&app, code.expose()).await.status, 401);
}

#[tokio::test]
async fn a_code_of_another_shape_is_refused_as_such() {
    let app = TestApp::new().await;
    for bad in ["", "a%20b", &"x".repeat(101)] {
        let reply = open_link(&app, bad).await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str().unwrap()), (400, "code"));
    }
}

#[tokio::test]
async fn a_session_ends_by_sign_out_by_idling_and_by_age() {
    let app = TestApp::new().await;
    let cookie = signed_in(&app).await;
    let out = app
        .anonymous(Method::DELETE, "/api/v1/sessions/current")
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(status_with(&app, &cookie).await, 401);

    let idle = signed_in(&app).await;
    app.advance(SESSION_IDLE + Duration::from_secs(1));
    assert_eq!(status_with(&app, &idle).await, 401);

    let used = signed_in(&app).await;
    let mut age = Duration::ZERO;
    while age < SESSION_LIFE - SESSION_IDLE {
        age += SESSION_IDLE / 2;
        app.advance(SESSION_IDLE / 2);
        assert_eq!(status_with(&app, &used).await, 200, "a session in use lives on");
    }
    app.advance(SESSION_IDLE);
    assert_eq!(status_with(&app, &used).await, 401, "but not for ever");
}

#[tokio::test]
async fn signing_in_and_out_and_refusals_are_in_the_audit_log_at_a_bounded_rate() {
    let app = TestApp::new().await;
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    // Entries are listed by the millisecond of their making.
    app.advance(Duration::from_millis(1));
    let cookie = open_link(&app, code.expose()).await.header("set-cookie").split(';').next().unwrap().to_owned();
    app.advance(Duration::from_millis(1));
    app.anonymous(Method::DELETE, "/api/v1/sessions/current")
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await;
    app.advance(Duration::from_millis(1));
    for _ in 0..50 {
        app.anonymous(Method::GET, "/api/v1/me").token("astro_guess").send().await;
    }
    assert_eq!(app.actions().await, ["sessions.refused", "sessions.end", "sessions.start", "sessions.link"]);
    app.advance(Duration::from_secs(11));
    app.anonymous(Method::GET, "/api/v1/me").token("astro_guess").send().await;
    let newest = app.get("/api/v1/audit?action=sessions.refused&limit=1").send().await.json();
    assert_eq!(newest["items"][0]["payload"]["attempts"], 50, "those that were not written are counted in the next");
    assert_eq!(newest["items"][0]["outcome"], "refused");
}

#[tokio::test]
async fn a_page_of_another_origin_or_under_a_rebound_name_gets_nothing() {
    let app = TestApp::with(&[("server.allowed_hosts", "docs.example.com")]).await;
    let cookie = signed_in(&app).await;
    let rebound = app.anonymous(Method::GET, "/api/v1/me").host("evil.example:8080").header("cookie", &cookie).send().await;
    assert_eq!((rebound.status, rebound.code().as_str()), (403, "invalid_host"));
    let allowed = app.anonymous(Method::GET, "/api/v1/me").host("docs.example.com").header("cookie", &cookie).send().await;
    assert_eq!(allowed.status, 200);
    let foreign = app
        .anonymous(Method::POST, "/api/v1/sources")
        .header("cookie", &cookie)
        .header("origin", "http://evil.example")
        .json(json!({"name": "x"}))
        .send()
        .await;
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "invalid_origin"));
    let probe = app.anonymous(Method::GET, "/healthz").host("10-0-0-1.pod.cluster.local").send().await;
    assert_eq!(probe.status, 200);
}

#[tokio::test]
async fn behind_https_the_cookie_is_secure_and_browsers_are_told_to_stay_there() {
    let app = TestApp::with(&[("server.public_url", "https://docs.example.com")]).await;
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let reply = app.anonymous(Method::GET, &format!("/signin?code={}", code.expose())).host("docs.example.com").send().await;
    assert!(reply.header("set-cookie").contains("; Secure"));
    assert!(reply.header("strict-transport-security").contains("max-age"));
}

#[tokio::test]
async fn only_hashes_of_codes_and_cookies_are_stored() {
    let app = TestApp::new().await;
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let cookie = signed_in(&app).await;
    let cookie = cookie.split_once('=').unwrap().1;
    let mut tx = app.app.kernel.db.read_all().await.unwrap();
    let mut stored: Vec<String> = tx.all("SELECT hash FROM sign_in_codes", &[]).await.unwrap();
    stored.extend(tx.all::<String>("SELECT hash FROM sessions", &[]).await.unwrap());
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|s| s.len() == 64 && !s.contains(code.expose()) && !s.contains(cookie)));
}
