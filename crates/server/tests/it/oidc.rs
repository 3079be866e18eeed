//! Signing in at a real OpenID Connect provider, when `TEST_OIDC_ISSUER` names the one that `scripts/oidc-provider.sh` started.

use std::{collections::BTreeMap, time::Duration};

use astrolabe_kernel::{
    Clock,
    egress::{Method as Verb, Trust},
    testing,
};
use axum::http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Reply, TestApp};

const PUBLIC: &str = "https://desk.example.com";

/// An app whose provider is the real one, at the time that it is; nothing when there is none.
async fn app(settings: &[(&str, &str)]) -> Option<TestApp> {
    let (_, url) = std::env::vars().find(|(name, value)| name == "TEST_OIDC_ISSUER" && !value.is_empty())?;
    let issuer = format!("{url}/desk");
    let mut all = vec![
        ("oidc.issuer", issuer.as_str()),
        ("oidc.audience", "desk"),
        ("oidc.client_id", "desk"),
        ("oidc.client_secret", "another-secret-of-tests"),
        ("server.public_url", PUBLIC),
    ];
    all.extend_from_slice(settings);
    let app = TestApp::with(&all).await;
    app.app.kernel.clock.advance(Clock::System.now().since(testing::START));
    Some(app)
}

/// A browser: what it was told to remember, by our server and by the provider.
#[derive(Default)]
struct Browser {
    ours: Jar,
    theirs: Jar,
}

/// Values of cookies by path and name.
type Jar = BTreeMap<(String, String), String>;

const PENDING: &str = "astrolabe_oidc";

fn remember(jar: &mut Jar, set: &str) {
    let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
    let path = set.split(';').find_map(|part| part.trim().to_ascii_lowercase().starts_with("path=").then(|| part.trim()[5..].to_owned()));
    let key = (path.unwrap_or_else(|| "/".to_owned()), name.to_owned());
    let ended = set.contains("Max-Age=0") || set.contains("expires=Thu, 01 Jan 1970");
    if ended {
        jar.remove(&key)
    } else {
        jar.insert(key, value.to_owned())
    };
}

/// The cookies that go to a path.
fn header(jar: &Jar, path: &str) -> String {
    let sent = jar.iter().filter(|((place, _), _)| path.starts_with(place.as_str()));
    sent.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

fn path_of(url: &str) -> String {
    url.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |rest| format!("/{rest}"))
}

impl Browser {
    async fn get(&mut self, app: &TestApp, path: &str) -> Reply {
        let reply = app.anonymous(Method::GET, path).header("cookie", &header(&self.ours, path)).send().await;
        for set in reply.headers("set-cookie") {
            remember(&mut self.ours, &set);
        }
        reply
    }

    /// Begins a sign-in and returns where the provider is.
    async fn begin(&mut self, app: &TestApp, query: &str) -> String {
        let reply = self.get(app, &format!("/signin/oidc{query}")).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply.header("location").to_owned()
    }

    /// Goes through the provider's pages as somebody, and returns the path that it sends back to.
    async fn at_provider(&mut self, start: &str, who: &str) -> String {
        let mut url = start.to_owned();
        let origin = start.split('/').take(3).collect::<Vec<_>>().join("/");
        for prompt in ["login", "consent"] {
            let page = self.follow(&url, &origin).await;
            let Err(form) = page else { return page.unwrap() };
            url = self.ask(&origin, "POST", &form, &format!("prompt={prompt}&login={who}&password=any")).await;
        }
        self.follow(&url, &origin).await.unwrap()
    }

    /// Follows redirects to a form of the provider's (`Err`) or back to us (`Ok`).
    async fn follow(&mut self, url: &str, origin: &str) -> Result<String, String> {
        let mut url = url.to_owned();
        loop {
            if let Some(path) = url.strip_prefix(PUBLIC) {
                return Ok(path.to_owned());
            }
            if url.contains("/interaction/") {
                return Err(url);
            }
            url = self.ask(origin, "GET", &url, "").await;
        }
    }

    /// One request to the provider, over a plain socket because nothing may follow the redirect that it answers. Returns where it leads.
    async fn ask(&mut self, origin: &str, method: &str, url: &str, form: &str) -> String {
        let (host, path) = (origin.trim_start_matches("http://"), path_of(url));
        let cookies = header(&self.theirs, &path);
        let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
        let head = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\ncookie: {cookies}\r\ncontent-length: {}\r\n", form.len());
        socket.write_all(format!("{head}content-type: application/x-www-form-urlencoded\r\n\r\n{form}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let head = answer.split("\r\n\r\n").next().unwrap();
        let values = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        for set in values("set-cookie") {
            remember(&mut self.theirs, &set);
        }
        let location = values("location").pop().unwrap_or_else(|| panic!("the provider leads nowhere: {answer}"));
        if location.starts_with('/') { format!("{origin}{location}") } else { location }
    }

    async fn sign_in(&mut self, app: &TestApp, who: &str) -> Reply {
        let start = self.begin(app, "").await;
        let back = self.at_provider(&start, who).await;
        self.get(app, &back).await
    }
}

#[tokio::test]
async fn oidc_somebody_whom_the_provider_vouches_for_is_signed_in_with_the_roles_that_it_says() {
    let Some(app) = app(&[]).await else { return };
    assert_eq!(app.anonymous(Method::GET, "/api/sign-in").send().await.json()["oidc"]["name"], "127.0.0.1");
    let mut browser = Browser::default();
    let start = browser.begin(&app, "?return_to=/sources").await;
    for part in [
        "response_type=code",
        "code_challenge_method=S256",
        "scope=openid%20profile%20email",
        "redirect_uri=https%3A%2F%2Fdesk.example.com%2Fsignin",
    ] {
        assert!(start.contains(part), "{part} is not in {start}");
    }
    let back = browser.at_provider(&start, "anna-editor-sre").await;
    let reply = browser.get(&app, &back).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/sources"));
    let session = reply.headers("set-cookie").into_iter().find(|c| c.starts_with("astrolabe_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("Secure") && session.contains("SameSite=Strict"), "{session}");
    let me = browser.get(&app, "/api/v1/me").await.json();
    assert_eq!((me["principal"]["name"].as_str(), me["email"].as_str()), (Some("anna"), Some("anna-editor-sre@example.com")));
    assert_eq!(me["principal"]["roles"], serde_json::json!(["editor", "sre"]));

    // The same person in another browser is the same account, with what the provider says by then.
    let mut elsewhere = Browser::default();
    elsewhere.sign_in(&app, "anna-editor-sre").await;
    assert_eq!(elsewhere.get(&app, "/api/v1/me").await.json()["principal"]["id"], me["principal"]["id"]);
    // A day later the provider is asked again.
    app.app.kernel.clock.advance(Duration::from_secs(13 * 3600));
    assert_eq!(browser.get(&app, "/api/v1/me").await.status, 401);
}

#[tokio::test]
async fn oidc_an_answer_is_taken_once_in_the_browser_that_asked_and_in_time() {
    let Some(app) = app(&[]).await else { return };
    let failed = |reply: &Reply, why: &str| {
        assert_eq!((reply.status, reply.header("location")), (303, format!("/?sign_in={why}").as_str()));
        assert!(!reply.headers("set-cookie").iter().any(|c| c.starts_with("astrolabe_session=")), "{why}");
    };
    let mut browser = Browser::default();
    let start = browser.begin(&app, "").await;
    let back = browser.at_provider(&start, "eve-editor").await;
    let before = browser.ours.clone();

    // Somebody else's browser, with a sign-in of its own under way or none.
    failed(&Browser::default().get(&app, &back).await, "expired");
    let mut victim = Browser::default();
    victim.begin(&app, "").await;
    failed(&victim.get(&app, &back).await, "expired");
    // A cookie that was made up or changed.
    let (key, kept) = before.iter().find(|((_, name), _)| name == PENDING).unwrap();
    for broken in ["", "AAAA", &format!("{kept}x"), &kept[1..]] {
        let mut browser = Browser { ours: [(key.clone(), broken.to_owned())].into(), ..Browser::default() };
        failed(&browser.get(&app, &back).await, "expired");
    }
    // Another provider's answer.
    let mixed = back.replace("iss=http%3A%2F%2F127.0.0.1", "iss=https%3A%2F%2Fevil.example.com");
    assert_ne!(mixed, back);
    failed(&Browser { ours: before.clone(), ..Browser::default() }.get(&app, &mixed).await, "refused");
    let nameless = back.split("&iss=").next().unwrap();
    failed(&Browser { ours: before.clone(), ..Browser::default() }.get(&app, nameless).await, "refused");

    assert_eq!(browser.get(&app, &back).await.header("location"), "/");
    assert!(!browser.ours.contains_key(key), "what the sign-in remembered is used up");
    // The same answer once more, with the cookie kept: the provider knows that the code was used.
    failed(&Browser { ours: before.clone(), ..Browser::default() }.get(&app, &back).await, "expired");

    let mut slow = Browser::default();
    let start = slow.begin(&app, "").await;
    let back = slow.at_provider(&start, "slow-viewer").await;
    app.app.kernel.clock.advance(Duration::from_secs(601));
    failed(&slow.get(&app, &back).await, "expired");
}

#[tokio::test]
async fn oidc_who_says_no_has_no_role_or_is_suspended_is_told_so_and_stays_outside() {
    let Some(app) = app(&[]).await else { return };
    let mut browser = Browser::default();
    browser.begin(&app, "").await;
    let state = app.anonymous(Method::GET, "/signin/oidc/callback?error=access_denied&state=x").send().await;
    assert_eq!(state.header("location"), "/?sign_in=expired", "an error that nobody asked for is no news");
    // A person without any role, and none given by the settings.
    assert_eq!(Browser::default().sign_in(&app, "nobody").await.header("location"), "/?sign_in=refused");

    let mut bob = Browser::default();
    assert_eq!(bob.sign_in(&app, "bob-viewer").await.header("location"), "/");
    let id = bob.get(&app, "/api/v1/me").await.json()["principal"]["id"].as_str().unwrap().replace("user:", "");
    let user = app.get(&format!("/api/v1/users/{id}")).send().await;
    let change = app.call(Method::PATCH, &format!("/api/v1/users/{id}")).header("if-match", user.header("etag"));
    assert_eq!(change.json(serde_json::json!({"state": "suspended"})).send().await.status, 200);
    assert_eq!(bob.get(&app, "/api/v1/me").await.status, 401);
    assert_eq!(Browser::default().sign_in(&app, "bob-viewer").await.header("location"), "/?sign_in=refused");
}

#[tokio::test]
async fn oidc_a_bearer_token_of_the_provider_opens_what_its_audience_and_its_roles_allow() {
    let audience = "https://docs.example.com";
    let settings = [("oidc.audience", audience), ("oidc.default_role", "viewer")];
    let Some(app) = app(&settings).await else { return };
    let issuer = app.app.config.oidc.issuer.clone();
    let token = async |resource: &str| {
        let form = [("grant_type", "client_credentials"), ("resource", resource), ("scope", "read")];
        let request = app.app.kernel.egress.request("test", Trust::Operator, Verb::POST, &format!("{issuer}/token")).unwrap();
        let answer =
            request.header("authorization", "Basic ZGVzay1yb2JvdDphLXRoaXJkLXNlY3JldC1vZi10ZXN0cw==").form(&form).send().await.unwrap();
        let answer: serde_json::Value = answer.json(100_000).await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let with = async |method: Method, path: &str, token: &str| app.anonymous(method, path).token(token).send().await;
    let ours = token(audience).await;
    let me = with(Method::GET, "/api/v1/me", &ours).await;
    assert_eq!(me.json()["principal"]["roles"], serde_json::json!(["viewer"]));
    assert_eq!(with(Method::GET, "/api/v1/sources", &ours).await.status, 200);
    assert_eq!(with(Method::GET, "/api/v1/users", &ours).await.code(), "forbidden");
    let others = token("https://elsewhere.example.com").await;
    let refused = with(Method::GET, "/api/v1/me", &others).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "invalid_audience"));
    app.app.kernel.clock.advance(Duration::from_secs(700));
    let late = with(Method::GET, "/api/v1/me", &ours).await;
    assert_eq!((late.status, late.code().as_str()), (401, "token_expired"));
}

#[tokio::test]
async fn oidc_a_sign_in_without_a_provider_is_not_found_and_one_that_is_down_is_said_to_be() {
    let none = TestApp::new().await;
    for path in ["/signin/oidc", "/signin/oidc/callback?code=a&state=b"] {
        assert_eq!(none.anonymous(Method::GET, path).send().await.status, 404, "{path}");
    }
    assert!(none.anonymous(Method::GET, "/api/sign-in").send().await.json()["oidc"].is_null());
    // Nobody listens on the port of discard.
    let down =
        TestApp::with(&[("oidc.issuer", "http://127.0.0.1:9"), ("oidc.audience", "a"), ("oidc.client_id", "a"), ("oidc.name", "Work")])
            .await;
    assert_eq!(down.anonymous(Method::GET, "/api/sign-in").send().await.json()["oidc"]["name"], "Work");
    let reply = down.anonymous(Method::GET, "/signin/oidc").send().await;
    assert_eq!((reply.status, reply.header("location")), (303, "/?sign_in=unavailable"));
    for foreign in ["//evil.example", "https://evil.example", "/%5Cevil.example"] {
        let reply = down.anonymous(Method::GET, &format!("/signin/oidc?return_to={foreign}")).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].clone()), (400, "return_to".into()), "{foreign}");
    }
}
