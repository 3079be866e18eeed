//! People: signing in with e-mail and password, roles in tenants, and how all of it ends at every door.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Binary, Reply, TestApp};

const PASSWORD: &str = "seven lamps near Gdynia";

/// Adds somebody to the default tenant with a password that need not be changed. Returns the id.
async fn add(app: &TestApp, email: &str, role: &str) -> String {
    let new = json!({"email": email, "role": role, "password": PASSWORD, "must_change": false});
    let reply = app.post("/api/v1/users").json(new).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn sign_in(app: &TestApp, body: Value) -> Reply {
    app.anonymous(Method::POST, "/api/v1/sessions").json(body).send().await
}

/// Access and refresh token of somebody.
async fn tokens(app: &TestApp, email: &str) -> (String, String) {
    let reply = sign_in(app, json!({"email": email, "password": PASSWORD, "tokens": true})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn me(app: &TestApp, token: &str) -> Reply {
    app.anonymous(Method::GET, "/api/v1/me").token(token).send().await
}

async fn refused(app: &TestApp, token: &str) -> bool {
    let reply = me(app, token).await;
    reply.status == 401 && reply.code() == "invalid_token" && reply.header("www-authenticate").starts_with("Bearer error=\"invalid_token\"")
}

async fn patch(app: &TestApp, path: &str, body: Value) -> Reply {
    app.call(Method::PATCH, path).json(body).send().await
}

#[tokio::test]
async fn a_password_signs_a_browser_in_by_cookie_and_a_program_by_tokens() {
    let app = TestApp::new().await;
    let id = add(&app, "Anna@Example.com", "editor").await;
    let browser = sign_in(&app, json!({"email": "anna@example.COM", "password": PASSWORD})).await;
    assert_eq!((browser.status, browser.header("cache-control")), (201, "no-store"));
    assert!(browser.json().get("access_token").is_none() && browser.header("set-cookie").contains("HttpOnly"));
    let cookie = browser.header("set-cookie").split(';').next().unwrap().to_owned();
    let mine = app.anonymous(Method::GET, "/api/v1/me").header("cookie", &cookie).send().await.json();
    assert_eq!((mine["principal"]["id"].as_str().unwrap(), mine["email"].as_str().unwrap()), (&*format!("user:{id}"), "anna@example.com"));
    assert_eq!((mine["principal"]["roles"].clone(), mine["tenant"]["slug"].clone()), (json!(["editor"]), json!("default")));

    let (access, _) = tokens(&app, "anna@example.com").await;
    assert_eq!(access.split('.').count(), 3);
    assert_eq!(me(&app, &access).await.json()["principal"]["id"], format!("user:{id}"));
    app.advance(Duration::from_secs(600 + 61));
    assert_eq!(me(&app, &access).await.code(), "token_expired");
    assert_eq!(app.anonymous(Method::GET, "/api/v1/me").header("cookie", &cookie).send().await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_sign_in_is_not_told_and_guessing_has_to_wait() {
    let app = TestApp::new().await;
    add(&app, "anna@example.com", "viewer").await;
    let suspended = add(&app, "jan@example.com", "viewer").await;
    assert_eq!(patch(&app, &format!("/api/v1/users/{suspended}"), json!({"account_state": "suspended"})).await.status, 200);
    let mut told = Vec::new();
    for (email, password, tenant) in [
        ("anna@example.com", "wrong", Value::Null),
        ("nobody@example.com", PASSWORD, Value::Null),
        ("jan@example.com", PASSWORD, Value::Null),
        ("anna@example.com", PASSWORD, json!("nowhere")),
    ] {
        let reply = sign_in(&app, json!({"email": email, "password": password, "tenant": tenant})).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer"));
        let mut problem = reply.json();
        for id in ["trace_id", "request_id"] {
            problem[id] = Value::Null;
        }
        told.push(problem);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
    assert_eq!(told[0]["code"], "invalid_credentials");
    let mut last = None;
    for _ in 0..10 {
        let reply = sign_in(&app, json!({"email": "nobody2@example.com", "password": "wrong"})).await;
        let ended = reply.status == 429;
        last = Some(reply);
        if ended {
            break;
        }
    }
    let last = last.unwrap();
    assert_eq!((last.status, last.code().as_str()), (429, "rate_limited"), "also for an account that is not there");
    assert!(!last.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_the_second_use_ends_the_session() {
    let app = TestApp::new().await;
    add(&app, "anna@example.com", "viewer").await;
    let (access, first) = tokens(&app, "anna@example.com").await;
    let refresh =
        async |token: &str| app.anonymous(Method::POST, "/api/v1/sessions/refresh").json(json!({"refresh_token": token})).send().await;
    let next = refresh(&first).await;
    assert_eq!(next.status, 200, "{}", next.text());
    let (second, renewed) =
        (next.json()["refresh_token"].as_str().unwrap().to_owned(), next.json()["access_token"].as_str().unwrap().to_owned());
    assert_ne!(first, second);
    assert_eq!((me(&app, &access).await.status, me(&app, &renewed).await.status), (200, 200));
    assert_eq!(refresh(&first).await.code(), "invalid_token", "it was used before");
    assert!(refused(&app, &access).await && refused(&app, &renewed).await, "somebody has what he should not have");
    assert_eq!(refresh(&second).await.code(), "invalid_token");
    assert_eq!(refresh("made-up").await.code(), "invalid_token");
    assert!(app.actions().await.contains(&"sessions.reuse".to_owned()));
}

#[tokio::test]
async fn a_suspension_a_new_role_and_a_sign_out_reach_tokens_cookies_keys_and_refresh_tokens() {
    let app = TestApp::new().await;
    let id = add(&app, "anna@example.com", "editor").await;
    let path = format!("/api/v1/users/{id}");
    let (access, refresh) = tokens(&app, "anna@example.com").await;
    let key = app.anonymous(Method::POST, "/api/v1/api-keys").token(&access).json(json!({"name": "k"})).send().await;
    let key = key.json()["secret"].as_str().unwrap().to_owned();
    let sources = async |token: &str| {
        app.anonymous(Method::POST, "/api/v1/sources").token(token).json(json!({"name": token[..9].replace('.', "-")})).send().await.status
    };
    assert_eq!((sources(&access).await, sources(&key).await), (201, 201));
    assert_eq!(patch(&app, &path, json!({"role": "viewer"})).await.status, 200);
    assert_eq!((sources(&access).await, sources(&key).await), (403, 403), "at once in this process");

    assert_eq!(patch(&app, &path, json!({"state": "suspended"})).await.status, 200);
    assert!(refused(&app, &access).await && refused(&app, &key).await);
    let again = app.anonymous(Method::POST, "/api/v1/sessions/refresh").json(json!({"refresh_token": refresh})).send().await;
    assert_eq!((again.status, again.code().as_str()), (401, "invalid_token"));
    assert_eq!(sign_in(&app, json!({"email": "anna@example.com", "password": PASSWORD})).await.status, 401);

    assert_eq!(patch(&app, &path, json!({"state": "active"})).await.status, 200);
    assert_eq!((me(&app, &access).await.status, me(&app, &key).await.status), (200, 200));
    let out = app.post(&format!("{path}/sign-out")).send().await;
    assert_eq!((out.status, out.json()["sessions"].clone()), (200, json!(1)));
    assert!(refused(&app, &access).await);
    assert_eq!(me(&app, &key).await.status, 200, "a key is no session");
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    assert!(refused(&app, &key).await);
}

#[tokio::test]
async fn an_open_stream_ends_when_its_credential_does() {
    let app = TestApp::new().await;
    let id = add(&app, "anna@example.com", "editor").await;
    let (access, _) = tokens(&app, "anna@example.com").await;
    let source = app.post("/api/v1/sources").json(json!({"name": "handbook"})).send().await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sources/{source}/events?after=latest");
    let open = app.anonymous(Method::GET, &path).token(&access).header("accept", "text/event-stream").open().await;
    assert_eq!(patch(&app, &format!("/api/v1/users/{id}"), json!({"state": "suspended"})).await.status, 200);
    // Ends by itself long before the stream's silence would end it, or the test hangs.
    let reply = open.read().await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn nobody_gives_or_touches_what_is_above_him_and_the_last_administrator_stays() {
    let app = TestApp::new().await;
    let admin = add(&app, "root@example.com", "admin").await;
    let lead = add(&app, "lead@example.com", "tenant_admin").await;
    let (token, _) = tokens(&app, "lead@example.com").await;
    let call = |method: Method, path: &str| app.anonymous(method, path).token(&token);
    let users = "/api/v1/users";
    assert_eq!(call(Method::POST, users).json(json!({"email": "x@example.com", "role": "admin"})).send().await.code(), "forbidden");
    for (method, path, body) in [
        (Method::PATCH, format!("{users}/{admin}"), json!({"state": "suspended"})),
        (Method::PATCH, format!("{users}/{lead}"), json!({"role": "admin"})),
        (Method::DELETE, format!("{users}/{admin}"), json!({})),
        (Method::POST, format!("{users}/{admin}/sign-out"), json!({})),
        (Method::POST, format!("{users}/{admin}/link"), json!({})),
        (Method::POST, format!("{users}/{lead}/password"), json!({"password": PASSWORD})),
        (Method::PATCH, format!("{users}/{lead}"), json!({"account_state": "active"})),
        (Method::GET, "/api/v1/tenants".to_owned(), json!({})),
    ] {
        let reply = call(method.clone(), &path).json(body.clone()).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "forbidden"), "{method} {path} {body}");
    }
    for (method, body) in [
        (Method::PATCH, json!({"role": "viewer"})),
        (Method::PATCH, json!({"state": "suspended"})),
        (Method::PATCH, json!({"account_state": "suspended"})),
        (Method::DELETE, json!({})),
    ] {
        let reply = app.call(method, &format!("{users}/{admin}")).json(body.clone()).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (409, "invalid_state"), "{body}: {}", reply.text());
    }
    add(&app, "second@example.com", "admin").await;
    assert_eq!(patch(&app, &format!("{users}/{admin}"), json!({"role": "viewer"})).await.status, 200);
}

#[tokio::test]
async fn a_tenant_that_adds_an_e_mail_learns_and_changes_nothing_of_an_account_elsewhere() {
    let app = TestApp::new().await;
    let elsewhere = add(&app, "anna@example.com", "admin").await;
    add(&app, "second@example.com", "admin").await;
    assert_eq!(app.post("/api/v1/tenants").json(json!({"slug": "acme"})).send().await.status, 201);
    let boss = json!({"email": "boss@example.com", "role": "tenant_admin", "password": PASSWORD, "must_change": false});
    assert_eq!(app.post("/api/v1/users?tenant=acme").json(boss).send().await.status, 201);
    let (token, _) = tokens(&app, "boss@example.com").await;
    let post = |path: &str, body: Value| app.anonymous(Method::POST, path).token(&token).json(body);
    let known = post("/api/v1/users", json!({"email": "anna@example.com", "name": "A"})).send().await;
    let fresh = post("/api/v1/users", json!({"email": "new@example.com", "name": "N"})).send().await;
    assert_eq!((known.status, fresh.status), (201, 201));
    let keys = |reply: &Reply| reply.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&known), keys(&fresh), "the answers are of one form");
    assert!(known.json().get("account").is_none());
    // The link signs nobody in: it would open the account everywhere.
    let open = async |reply: &Reply| app.anonymous(Method::GET, reply.json()["sign_in_path"].as_str().unwrap()).send().await;
    let (opened, new) = (open(&known).await, open(&fresh).await);
    assert_eq!((opened.status, opened.header("set-cookie"), new.status), (303, "", 303));
    assert!(!new.header("set-cookie").is_empty());
    let read = app.get(&format!("/api/v1/users/{elsewhere}")).send().await.json();
    assert_eq!((read["role"].clone(), read["name"].clone()), (json!("admin"), json!("anna")), "unchanged at home");
    assert_eq!(post("/api/v1/users", json!({"email": "anna@example.com"})).send().await.code(), "conflict");
    for path in ["/api/v1/users?tenant=default", "/api/v1/users?tenant=nowhere"] {
        let reply = app.anonymous(Method::GET, path).token(&token).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_session_switches_to_another_tenant_of_its_owner_and_to_no_other() {
    let app = TestApp::new().await;
    add(&app, "anna@example.com", "editor").await;
    for slug in ["acme", "closed"] {
        assert_eq!(app.post("/api/v1/tenants").json(json!({"slug": slug})).send().await.status, 201);
    }
    let joined = app.post("/api/v1/users?tenant=acme").json(json!({"email": "anna@example.com", "role": "viewer"})).send().await;
    assert_eq!(joined.status, 201);
    let (token, _) = tokens(&app, "anna@example.com").await;
    let slugs = |me: &Value| me["tenants"].as_array().unwrap().iter().map(|t| t["slug"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(slugs(&me(&app, &token).await.json()), ["acme", "default"]);
    app.post("/api/v1/sources").json(json!({"name": "of-default"})).send().await;
    let switch = async |slug: &str| {
        app.anonymous(Method::POST, "/api/v1/sessions/current/tenant").token(&token).json(json!({"tenant": slug})).send().await
    };
    assert_eq!(switch("closed").await.status, 404);
    assert_eq!(switch("nowhere").await.status, 404);
    let there = switch("acme").await;
    assert_eq!((there.status, there.json()["principal"]["roles"].clone()), (200, json!(["viewer"])));
    let now = me(&app, &token).await.json();
    assert_eq!((now["tenant"]["slug"].clone(), now["principal"]["roles"].clone()), (json!("acme"), json!(["viewer"])));
    let sources = app.anonymous(Method::GET, "/api/v1/sources").token(&token).send().await.json();
    assert_eq!(sources["items"], json!([]));

    let acme = app.get("/api/v1/tenants").send().await.json();
    let acme = acme["items"].as_array().unwrap().iter().find(|t| t["slug"] == "acme").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(patch(&app, &format!("/api/v1/tenants/{acme}"), json!({"state": "suspended"})).await.status, 200);
    assert!(refused(&app, &token).await, "a suspended tenant has no doors");
    let default = app.get("/api/v1/me").send().await.json()["tenant"]["id"].as_str().unwrap().to_owned();
    let reply = patch(&app, &format!("/api/v1/tenants/{default}"), json!({"state": "suspended"})).await;
    assert_eq!((reply.status, reply.code().as_str()), (409, "invalid_state"));
}

#[tokio::test]
async fn a_password_that_was_set_by_somebody_else_is_changed_before_anything_else() {
    let app = TestApp::new().await;
    let new = json!({"email": "anna@example.com", "role": "editor", "password": PASSWORD});
    assert_eq!(app.post("/api/v1/users").json(new).send().await.status, 201);
    let signed_in = sign_in(&app, json!({"email": "anna@example.com", "password": PASSWORD, "tokens": true})).await.json();
    assert_eq!(signed_in["must_change"], true);
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    let (other, _) = tokens(&app, "anna@example.com").await;
    let sources = app.anonymous(Method::GET, "/api/v1/sources").token(&token).send().await;
    assert_eq!(sources.status, 403);
    assert!(sources.text().contains("/api/v1/me/password"), "{}", sources.text());
    let change = async |body: Value| app.anonymous(Method::POST, "/api/v1/me/password").token(&token).json(body).send().await;
    let field = |reply: Reply| reply.json()["errors"][0]["field"].as_str().unwrap_or("").to_owned();
    assert_eq!(field(change(json!({"password": "another long password"})).await), "current_password");
    assert_eq!(field(change(json!({"password": "another long password", "current_password": "wrong"})).await), "current_password");
    assert_eq!(field(change(json!({"password": "short", "current_password": PASSWORD})).await), "password");
    assert_eq!(field(change(json!({"password": PASSWORD, "current_password": PASSWORD})).await), "password");
    assert_eq!(change(json!({"password": "another long password", "current_password": PASSWORD})).await.status, 204);
    assert_eq!(app.anonymous(Method::GET, "/api/v1/sources").token(&token).send().await.status, 200);
    assert!(refused(&app, &other).await, "other sessions have ended");
    assert_eq!(sign_in(&app, json!({"email": "anna@example.com", "password": PASSWORD})).await.status, 401);
}

#[tokio::test]
async fn an_invitation_signs_in_once_and_lets_its_owner_choose_a_password() {
    let app = TestApp::new().await;
    let added = app.post("/api/v1/users").json(json!({"email": "anna@example.com"})).send().await.json();
    let path = added["sign_in_path"].as_str().unwrap();
    let opened = app.anonymous(Method::GET, path).send().await;
    let cookie = opened.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(app.anonymous(Method::GET, path).send().await.status, 401);
    let change = async |body: Value| {
        let call = app.anonymous(Method::POST, "/api/v1/me/password").header("cookie", &cookie).header("origin", "http://127.0.0.1:8080");
        call.json(body).send().await
    };
    app.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(change(json!({"password": PASSWORD})).await.status, 400, "a link is as good as a password for a while");
    let link = app.post(&format!("/api/v1/users/{}/link", added["id"].as_str().unwrap())).send().await.json();
    let opened = app.anonymous(Method::GET, link["sign_in_path"].as_str().unwrap()).send().await;
    let cookie = opened.header("set-cookie").split(';').next().unwrap().to_owned();
    let call = app.anonymous(Method::POST, "/api/v1/me/password").header("cookie", &cookie).header("origin", "http://127.0.0.1:8080");
    assert_eq!(call.json(json!({"password": PASSWORD})).send().await.status, 204);
    assert_eq!(sign_in(&app, json!({"email": "anna@example.com", "password": PASSWORD})).await.status, 201);
}

#[tokio::test]
async fn of_two_who_edit_at_once_the_second_is_told() {
    let app = TestApp::new().await;
    let id = add(&app, "anna@example.com", "viewer").await;
    let path = format!("/api/v1/users/{id}");
    let tag = app.get(&path).send().await.header("etag").to_owned();
    let change = async |role: &str| app.call(Method::PATCH, &path).header("if-match", &tag).json(json!({"role": role})).send().await;
    let first = change("editor").await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), tag);
    assert_eq!(change("viewer").await.code(), "precondition_failed");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let app = TestApp::new().await;
    for email in ["anna@example.com", "jan@example.com"] {
        add(&app, email, "viewer").await;
    }
    let ((anna, _), (jan, _)) = (tokens(&app, "anna@example.com").await, tokens(&app, "jan@example.com").await);
    let list = app.anonymous(Method::GET, "/api/v1/sessions").token(&anna).send().await.json();
    assert_eq!((list["items"].as_array().unwrap().len(), list["items"][0]["current"].clone()), (1, json!(true)));
    let path = format!("/api/v1/sessions/{}", list["items"][0]["id"].as_str().unwrap());
    assert_eq!(app.anonymous(Method::DELETE, &path).token(&jan).send().await.status, 404);
    assert_eq!(app.anonymous(Method::DELETE, &path).token(&anna).send().await.status, 204);
    assert!(refused(&app, &anna).await);
    let roles = app.anonymous(Method::GET, "/api/v1/roles").token(&jan).send().await.json();
    assert_eq!(roles["roles"][3]["name"], "admin");
    assert_eq!(roles["capabilities"], json!([{"name": "auditor", "rights": ["own_account", "read_audit"]}]));
}

#[tokio::test]
async fn no_password_and_no_token_is_in_the_audit_log_or_the_database() {
    let app = TestApp::new().await;
    let id = add(&app, "anna@example.com", "viewer").await;
    let (access, refresh) = tokens(&app, "anna@example.com").await;
    app.post(&format!("/api/v1/users/{id}/password")).json(json!({"password": "another long password"})).send().await;
    let log = app.get("/api/v1/audit?limit=200").send().await.text();
    let mut tx = app.app.kernel.db.read_all().await.unwrap();
    let mut stored: Vec<String> = tx.all("SELECT hash FROM refresh_tokens", &[]).await.unwrap();
    stored.extend(tx.all::<String>("SELECT password_hash FROM users", &[]).await.unwrap());
    let everything = format!("{log}{stored:?}");
    for secret in [PASSWORD, "another long password", &access, &refresh] {
        assert!(!everything.contains(secret));
    }
    assert!(everything.contains("users.password") && everything.contains("$argon2id$"));
}

#[test]
fn the_shell_manages_tenants_and_people_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    assert_eq!(binary.run(&["migrate"]).code, 0);
    let added = binary.run(&["user", "add", "anna@example.com", "--role", "admin", "--json"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.json()["sign_in_link"].as_str().unwrap().contains("/signin?code="));
    let server = binary.serve();
    assert_eq!(binary.run(&["tenant", "add", "acme", "--name", "Acme Ltd"]).code, 0);
    assert_eq!(binary.run(&["user", "add", "jan@example.com", "--tenant", "acme", "--capability", "sre"]).code, 0);
    assert_eq!(binary.run(&["user", "set-role", "jan@example.com", "editor", "--tenant", "acme"]).code, 0);
    let listed = binary.run(&["user", "list", "--tenant", "acme", "--json"]).json();
    assert_eq!((listed["items"][0]["role"].clone(), listed["items"][0]["capabilities"].clone()), (json!("editor"), json!(["sre"])));
    let password = binary.run_with(&["user", "password", "jan@example.com", "--tenant", "acme"], "seven lamps near Gdynia\n");
    assert_eq!(password.code, 0, "{password:?}");
    for action in ["suspend", "resume", "sign-out", "remove"] {
        let ended = binary.run(&["user", action, "jan@example.com", "--tenant", "acme"]);
        assert_eq!(ended.code, 0, "{action}: {ended:?}");
    }
    assert_eq!(binary.run(&["user", "suspend", "jan@example.com", "--tenant", "acme"]).code, 5);
    for action in [&["rename", "acme", "Acme"][..], &["suspend", "acme"], &["resume", "acme"]] {
        assert_eq!(binary.run(&[&["tenant"], action].concat()).code, 0, "{action:?}");
    }
    assert!(binary.run(&["tenant", "list"]).out.contains("acme"));
    assert_eq!(binary.run(&["user", "remove", "anna@example.com"]).code, 6, "the last administrator stays");
    assert!(binary.run(&["login-link", "--user", "anna@example.com"]).out.contains("/signin?code="));
    server.stop();
}

#[test]
fn a_server_in_production_names_the_variable_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Binary::new(folder.path()).env("APP_ENV", "production").run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("SECRET_KEY") && ended.err.contains("OIDC_ISSUER"), "{}", ended.err);
    assert!(!folder.path().join("data").join("token").try_exists().unwrap(), "nothing was made");
}
