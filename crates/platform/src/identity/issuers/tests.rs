use std::{
    net::SocketAddr,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use astrolabe_kernel::testing::TestKernel;
use axum::{Router, extract::State as Shared, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::identity::{
    testing::{ISSUER, STRANGER},
    tokens::Algorithm,
};

/// What the issuer of a test answers, and how often it was asked.
#[derive(Clone)]
struct Provider(Arc<Answers>);

struct Answers {
    address: SocketAddr,
    keys: StdMutex<Value>,
    discovery: StdMutex<Value>,
    cache_control: StdMutex<&'static str>,
    down: StdMutex<bool>,
    asked: AtomicUsize,
    /// Keys are answered when somebody says so, while this is set.
    hold: StdMutex<Option<Arc<Notify>>>,
    asked_for_keys: Notify,
}

impl Provider {
    async fn start(test: &TestKernel) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = Self(Arc::new(Answers {
            address,
            keys: StdMutex::new(json!({"keys": [ISSUER.jwk(Algorithm::EdDSA)]})),
            discovery: StdMutex::new(json!({"issuer": format!("http://{address}"), "jwks_uri": format!("http://{address}/keys")})),
            cache_control: StdMutex::new("max-age=600"),
            down: StdMutex::new(false),
            asked: AtomicUsize::new(0),
            hold: StdMutex::default(),
            asked_for_keys: Notify::new(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(|Shared(this): Shared<Self>| async move { this.discovery().await }))
            .route("/keys", get(|Shared(this): Shared<Self>| async move { this.keys().await }))
            .with_state(this.clone());
        test.kernel.lifecycle.spawn("provider", async move { axum::serve(listener, router).await });
        this
    }

    async fn discovery(self) -> axum::response::Response {
        let document = self.0.discovery.lock().unwrap().to_string();
        if *self.0.down.lock().unwrap() {
            return std::future::ready(StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
        }
        document.into_response()
    }

    async fn keys(self) -> axum::response::Response {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.asked_for_keys.notify_one();
        let hold = self.0.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        if *self.0.down.lock().unwrap() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let headers = [("cache-control", *self.0.cache_control.lock().unwrap())];
        (headers, self.0.keys.lock().unwrap().to_string()).into_response()
    }

    fn publish(&self, keys: &[Value]) {
        *self.0.keys.lock().unwrap() = json!({ "keys": keys });
    }

    fn go_down(&self, down: bool) {
        *self.0.down.lock().unwrap() = down;
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.url(),
            audience: vec!["astrolabe".to_owned()],
            client_id: "page".to_owned(),
            scopes: vec!["openid".to_owned()],
            ..OidcConfig::default()
        }
    }

    /// A good token of the key with this id, at the time of the kernel.
    fn token(&self, kernel: &Kernel, kid: &str) -> String {
        self.token_of(kernel, kid, json!({}))
    }

    fn token_of(&self, kernel: &Kernel, kid: &str, more: Value) -> String {
        let now = kernel.now().micros() / 1_000_000;
        let mut claims = json!({"iss": self.url(), "aud": "astrolabe", "sub": "user-1", "iat": now, "exp": now + 600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let keys = if kid == "next" { &STRANGER } else { &ISSUER };
        keys.token(Algorithm::EdDSA, json!({"alg": "EdDSA", "kid": kid}).to_string(), claims.to_string())
    }
}

/// The key that the issuer takes up after its first.
fn next_key() -> Value {
    let mut jwk = STRANGER.jwk(Algorithm::EdDSA);
    jwk["kid"] = "next".into();
    jwk
}

async fn setup() -> (TestKernel, Provider, Issuer) {
    let test = TestKernel::new(&[]).await;
    let provider = Provider::start(&test).await;
    let issuer = Issuer::new(test.kernel.clone(), provider.config()).unwrap().unwrap();
    (test, provider, issuer)
}

#[tokio::test]
async fn the_keys_are_found_by_discovery_fetched_once_and_kept_while_they_are_fresh() {
    let (test, provider, issuer) = setup().await;
    assert_eq!(issuer.status(), IssuerStatus { keys: None, failure: None });
    for _ in 0..5 {
        let claims = issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
        assert_eq!(claims.subject, "user-1");
    }
    assert_eq!(provider.asked(), 1);
    test.kernel.clock.advance(Duration::from_secs(599));
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    assert_eq!(provider.asked(), 1);
    test.kernel.clock.advance(Duration::from_secs(1));
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    assert_eq!(provider.asked(), 2);
    assert_eq!(issuer.status(), IssuerStatus { keys: Some(1), failure: None });
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_and_one_that_is_gone_no_longer_opens() {
    let (test, provider, issuer) = setup().await;
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    provider.publish(&[next_key()]);
    test.kernel.clock.advance(BETWEEN);
    issuer.verify(&provider.token(&test.kernel, "next")).await.unwrap();
    assert_eq!(provider.asked(), 2);
    let error = issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap_err();
    assert_eq!(error.code(), code::INVALID_TOKEN);
}

#[tokio::test]
async fn invented_keys_cause_one_fetch_in_thirty_seconds_at_most() {
    let (test, provider, issuer) = setup().await;
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    for second in 0..60 {
        for n in 0..3 {
            let kid = format!("invented-{second}-{n}");
            assert_eq!(issuer.verify(&provider.token(&test.kernel, &kid)).await.unwrap_err().code(), code::INVALID_TOKEN);
        }
        test.kernel.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(provider.asked(), 2, "the first, and one after thirty seconds");
    // What has the wrong form never gets so far.
    test.kernel.clock.advance(BETWEEN);
    assert!(issuer.verify("not.a.token").await.is_err());
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_hundred_who_ask_at_once_share_one_fetch() {
    let (test, provider, issuer) = setup().await;
    let hold = Arc::new(Notify::new());
    *provider.0.hold.lock().unwrap() = Some(hold.clone());
    let token = provider.token(&test.kernel, "EdDSA");
    let all = futures_util::future::join_all((0..100).map(|_| issuer.verify(&token)));
    let release = async {
        provider.0.asked_for_keys.notified().await;
        hold.notify_one();
    };
    let (results, ()) = tokio::join!(all, release);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(provider.asked(), 1);

    provider.publish(&[ISSUER.jwk(Algorithm::EdDSA), next_key()]);
    test.kernel.clock.advance(BETWEEN);
    let token = provider.token(&test.kernel, "next");
    let all = futures_util::future::join_all((0..100).map(|_| issuer.verify(&token)));
    let (results, ()) = tokio::join!(all, async {
        provider.0.asked_for_keys.notified().await;
        hold.notify_one();
    });
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_one_who_began_it_hangs_up() {
    let (test, provider, issuer) = setup().await;
    let hold = Arc::new(Notify::new());
    *provider.0.hold.lock().unwrap() = Some(hold.clone());
    let token = provider.token(&test.kernel, "EdDSA");
    tokio::select! {
        _ = issuer.verify(&token) => panic!("nobody answered yet"),
        () = provider.0.asked_for_keys.notified() => {}
    }
    hold.notify_one();
    issuer.verify(&token).await.unwrap();
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn keys_are_used_for_a_day_when_the_issuer_is_down_and_no_longer() {
    let (test, provider, issuer) = setup().await;
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    provider.go_down(true);
    for _ in 0..23 {
        test.kernel.clock.advance(Duration::from_secs(3600));
        issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    }
    assert!(issuer.status().failure.unwrap().contains("answered 500"));
    test.kernel.clock.advance(Duration::from_secs(3600));
    let error = issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap_err();
    assert_eq!(error.code(), code::UPSTREAM_FAILED, "an issuer that is down is no fault of the token");
    assert!(error.retry_after().is_some_and(|after| after <= BETWEEN));
    provider.go_down(false);
    assert!(issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.is_err(), "it is too early to ask again");
    test.kernel.clock.advance(BETWEEN);
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    assert_eq!(issuer.status(), IssuerStatus { keys: Some(1), failure: None });
}

#[tokio::test]
async fn a_document_or_a_key_set_that_is_wrong_is_not_taken() {
    let (test, provider, issuer) = setup().await;
    let url = provider.url();
    let documents = [
        json!({"issuer": "http://127.0.0.1:1", "jwks_uri": format!("{url}/keys")}),
        json!({"issuer": format!("{url}/"), "jwks_uri": format!("{url}/keys")}),
        json!({"issuer": url, "jwks_uri": "http://attacker.example/keys"}),
        json!({"issuer": url, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": url}),
        json!({"issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": "http://attacker.example/token"}),
        json!([]),
    ];
    for document in documents {
        *provider.0.discovery.lock().unwrap() = document.clone();
        test.kernel.clock.advance(BETWEEN);
        let error = issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap_err();
        assert_eq!(error.code(), code::UPSTREAM_FAILED, "{document}");
    }
    assert_eq!(provider.asked(), 0);
    *provider.0.discovery.lock().unwrap() = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
    for keys in [json!({}), json!({"keys": "x"}), json!({"keys": ["x".repeat(MAX_SET)]})] {
        *provider.0.keys.lock().unwrap() = keys;
        test.kernel.clock.advance(BETWEEN);
        assert_eq!(issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap_err().code(), code::UPSTREAM_FAILED);
    }
}

#[tokio::test]
async fn an_issuer_without_discovery_is_known_by_the_address_of_its_keys() {
    let (test, provider, _) = setup().await;
    *provider.0.discovery.lock().unwrap() = json!([]);
    let config = OidcConfig { jwks_url: format!("{}/keys", provider.url()), ..provider.config() };
    let issuer = Issuer::new(test.kernel.clone(), config).unwrap().unwrap();
    issuer.verify(&provider.token(&test.kernel, "EdDSA")).await.unwrap();
    assert_eq!(issuer.discovery().await.unwrap_err().code(), code::UPSTREAM_FAILED, "but nobody can sign in with it");
}

#[tokio::test]
async fn an_id_token_is_taken_with_the_nonce_of_its_sign_in_alone() {
    let (test, provider, issuer) = setup().await;
    let id = |nonce: &str| provider.token_of(&test.kernel, "EdDSA", json!({"aud": "page", "nonce": nonce}));
    assert_eq!(issuer.verify_id(&id("n-1"), "n-1").await.unwrap().subject, "user-1");
    assert_eq!(issuer.verify_id(&id("n-1"), "n-2").await.unwrap_err().code(), code::INVALID_TOKEN);
    assert!(issuer.verify_id(&provider.token_of(&test.kernel, "EdDSA", json!({"aud": "page"})), "").await.is_err());
    assert!(issuer.verify(&id("n-1")).await.is_err(), "and it opens nothing");
    assert_eq!(issuer.discovery().await.unwrap().jwks_uri, format!("{}/keys", provider.url()));
}

#[tokio::test]
async fn without_an_issuer_there_is_none_and_half_a_one_is_refused() {
    let test = TestKernel::new(&[]).await;
    assert!(Issuer::new(test.kernel.clone(), OidcConfig::default()).unwrap().is_none());
    let plain = OidcConfig { issuer: "http://id.example.com".to_owned(), audience: vec!["a".to_owned()], ..OidcConfig::default() };
    let Err(error) = Issuer::new(test.kernel.clone(), plain) else { panic!("plain http is accepted") };
    assert_eq!(error.code(), code::INVALID_CONFIG);
}

#[test]
fn keys_are_kept_as_long_as_the_issuer_says_within_a_minute_and_a_day() {
    for (said, kept) in [
        ("", 3600),
        ("public", 3600),
        ("max-age=600", 600),
        ("public, MAX-AGE=\"600\", must-revalidate", 600),
        ("max-age=0", 60),
        ("max-age=1", 60),
        ("max-age=31536000", 24 * 3600),
        ("max-age=99999999999999999999", 60),
        ("max-age=-1", 60),
        ("no-store", 60),
        ("max-age=600, no-cache", 60),
        ("s-maxage=5", 3600),
    ] {
        assert_eq!(lifetime(said), Duration::from_secs(kept), "{said}");
    }
}
