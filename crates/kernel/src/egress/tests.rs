//! The door, tried with real sockets: servers on loopback, DNS answers from a table.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect},
    routing::get,
};

use super::*;
use crate::{Kind, Lifecycle};

/// A server on loopback that counts what reaches it.
struct Server {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
    _life: Lifecycle,
}

impl Server {
    /// `/` answers `hello`; `/to/{target}` redirects to the target, written in hex so that it survives as a path.
    async fn start() -> Self {
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/fail", get(|| async { (StatusCode::IM_A_TEAPOT, "no").into_response() }))
            .route(
                "/to/{target}",
                get(|Path(target): Path<String>| async move { Redirect::temporary(&String::from_utf8(hex(&target)).unwrap()) }),
            )
            .layer(axum::middleware::from_fn(move |request: axum::extract::Request, next: axum::middleware::Next| {
                counted.fetch_add(1, Ordering::SeqCst);
                next.run(request)
            }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let life = Lifecycle::new();
        life.spawn("test-server", async move { axum::serve(listener, app).await.unwrap() });
        Self { address, hits, _life: life }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The URL of this server, under the name `name`, that redirects to `target`.
    fn redirecting(&self, name: &str, target: &str) -> String {
        let target: String = target.bytes().map(|b| format!("{b:02x}")).collect();
        format!("http://{name}:{}/to/{target}", self.address.port())
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A door whose DNS is this table, and the number of questions it was asked.
fn door(config: EgressConfig, names: &[(&str, &[&str])]) -> (Egress, Arc<AtomicUsize>) {
    let names: HashMap<String, Vec<std::net::IpAddr>> =
        names.iter().map(|(n, ips)| ((*n).to_owned(), ips.iter().map(|ip| ip.parse().unwrap()).collect())).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |name| {
        counter.fetch_add(1, Ordering::SeqCst);
        let found = names.get(&name).cloned().ok_or_else(|| std::io::Error::other("no such name"));
        Box::pin(async move { found })
    });
    (Egress::with_lookup(config, lookup).unwrap(), asked)
}

async fn fetch(egress: &Egress, trust: Trust, url: &str) -> Result<String> {
    egress.request("test", trust, Method::GET, url)?.send().await?.success()?.text(1000).await
}

/// The code of the error that fetching gives.
async fn refused(egress: &Egress, trust: Trust, url: &str) -> &'static str {
    fetch(egress, trust, url).await.unwrap_err().code().name
}

#[tokio::test]
async fn an_operator_address_may_be_inside_and_a_user_address_may_not() {
    let server = Server::start().await;
    let (egress, _) = door(EgressConfig::default(), &[]);
    assert_eq!(fetch(&egress, Trust::Operator, &server.url()).await.unwrap(), "hello");
    assert_eq!(refused(&egress, Trust::User, &server.url()).await, "egress_refused");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_user_address_is_refused_in_every_spelling_of_an_inside_host() {
    let (egress, _) = door(EgressConfig::default(), &[("rebind.example", &["127.0.0.1"]), ("v6.example", &["::ffff:10.0.0.1", "fd00::1"])]);
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:a00:1::]/",
        "http://0/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://192.168.0.1/",
        "http://224.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://rebind.example/",
        "http://v6.example/",
        "http://\u{ff11}27.0.0.1/",
    ] {
        assert_eq!(refused(&egress, Trust::User, url).await, "egress_refused", "{url}");
    }
    assert_eq!(egress.counts().connections, 0);
}

#[tokio::test]
async fn a_user_address_needs_an_ordinary_scheme_and_port_and_no_credentials() {
    let (egress, _) = door(EgressConfig::default(), &[]);
    for url in [
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://example.org/",
        "http://example.org:22/",
        "http://me:secret@example.org/",
        "http://example.org:6379/",
    ] {
        let error = egress.check_url(Trust::User, url).unwrap_err();
        assert_eq!(error.code().name, "egress_refused", "{url}");
        assert!(!error.message().contains("secret"));
    }
    for url in ["http://example.org/", "https://example.org/", "http://example.org:8080/", "https://example.org:8443/"] {
        egress.check_url(Trust::User, url).unwrap();
    }
}

#[tokio::test]
async fn metadata_addresses_are_refused_to_everybody_and_whatever_is_allowed() {
    let config = EgressConfig { allow_hosts: vec!["169.254.169.254".to_owned(), "meta.example".to_owned()], ..EgressConfig::default() };
    let (egress, _) = door(config, &[("meta.example", &["169.254.169.254"])]);
    for trust in [Trust::Operator, Trust::User] {
        for url in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/", "http://meta.example/"] {
            assert_eq!(refused(&egress, trust, url).await, "egress_refused", "{url}");
        }
    }
}

#[tokio::test]
async fn an_administrator_can_open_one_inside_host_to_user_addresses() {
    let server = Server::start().await;
    let config = EgressConfig { allow_hosts: vec!["Wiki.Example.".to_owned()], ..EgressConfig::default() };
    let (egress, _) = door(config, &[("wiki.example", &["127.0.0.1"])]);
    let url = format!("http://wiki.example:{}/", server.address.port());
    assert_eq!(fetch(&egress, Trust::User, &url).await.unwrap(), "hello");
    assert_eq!(refused(&egress, Trust::User, &server.url()).await, "egress_refused");
}

#[tokio::test]
async fn every_hop_of_a_user_redirect_is_judged_again() {
    let server = Server::start().await;
    let config = EgressConfig { allow_hosts: vec!["wiki.example".to_owned()], ..EgressConfig::default() };
    let (egress, _) = door(config, &[("wiki.example", &["127.0.0.1"]), ("rebind.example", &["127.0.0.1"])]);
    for target in ["http://10.0.0.1/", "http://169.254.169.254/", "http://rebind.example/", "http://localhost/", &server.url()] {
        assert_eq!(refused(&egress, Trust::User, &server.redirecting("wiki.example", target)).await, "egress_refused", "{target}");
    }
    let allowed = server.redirecting("wiki.example", &format!("http://wiki.example:{}/", server.address.port()));
    assert_eq!(fetch(&egress, Trust::User, &allowed).await.unwrap(), "hello");
}

#[tokio::test]
async fn an_operator_address_is_not_led_to_another_server() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (egress, _) = door(EgressConfig::default(), &[]);
    assert_eq!(refused(&egress, Trust::Operator, &server.redirecting("127.0.0.1", &other.url())).await, "egress_refused");
    assert_eq!(other.hits(), 0);
    assert_eq!(fetch(&egress, Trust::Operator, &server.redirecting("127.0.0.1", "/")).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_redirect_loop_ends_after_five_hops() {
    let server = Server::start().await;
    let (egress, _) = door(EgressConfig::default(), &[]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    server._life.spawn("loop", async move {
        let app = Router::new().route(
            "/",
            get(move || async move {
                counted.fetch_add(1, Ordering::SeqCst);
                Redirect::temporary("/")
            }),
        );
        axum::serve(listener, app).await.unwrap();
    });
    assert_eq!(refused(&egress, Trust::Operator, &url).await, "egress_refused");
    assert_eq!(hits.load(Ordering::SeqCst), 1 + MAX_REDIRECTS);
}

#[tokio::test]
async fn offline_mode_makes_no_outside_connection_and_asks_no_dns_question() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = Server::start().await;
    // A provider whose name leads to our own listener: had anything been let through, the listener would have seen it.
    let config = EgressConfig { offline: true, ..EgressConfig::default() };
    let (egress, asked) = door(config, &[("api.provider.example", &["127.0.0.1"])]);
    let port = server.address.port();
    for trust in [Trust::Operator, Trust::User] {
        for url in
            [&format!("http://api.provider.example:{port}/v1"), "https://1.1.1.1/", "http://[2606:4700::1111]/", "http://100.64.0.1/"]
        {
            assert_eq!(refused(&egress, trust, url).await, "egress_refused", "{url}");
        }
    }
    assert_eq!((server.hits(), asked.load(Ordering::SeqCst)), (0, 0));
    assert_eq!(egress.counts(), Counts { connections: 0, refused: 8 });
    let text = recorder.handle().render();
    assert!(!text.contains("egress_connections_total"), "{text}");
    assert!(text.contains("egress_refused_total{reason=\"offline\"}"), "{text}");
}

#[tokio::test]
async fn offline_mode_still_opens_this_machine_and_listed_hosts_of_the_local_network() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = Server::start().await;
    let config = EgressConfig { offline: true, local_hosts: vec!["vllm".to_owned(), "liar".to_owned()], ..EgressConfig::default() };
    let (egress, _) = door(config, &[("vllm", &["1.1.1.1", "127.0.0.1"]), ("liar", &["1.1.1.1"])]);
    let port = server.address.port();
    for url in [server.url(), format!("http://localhost:{port}/"), format!("http://vllm:{port}/")] {
        assert_eq!(fetch(&egress, Trust::Operator, &url).await.unwrap(), "hello", "{url}");
    }
    // A listed name does not make a public address local.
    assert_eq!(refused(&egress, Trust::Operator, &format!("http://liar:{port}/")).await, "egress_refused");
    assert_eq!(egress.counts(), Counts { connections: 3, refused: 1 });
    assert!(recorder.handle().render().contains("egress_connections_total{purpose=\"test\"} 3"));
}

#[tokio::test]
async fn offline_mode_refuses_a_redirect_that_leads_outside() {
    let server = Server::start().await;
    let config = EgressConfig { offline: true, allow_hosts: vec!["127.0.0.1".to_owned()], ..EgressConfig::default() };
    let (egress, asked) = door(config, &[("api.provider.example", &["127.0.0.1"])]);
    let url = server.redirecting("127.0.0.1", &format!("http://api.provider.example:{}/", server.address.port()));
    assert_eq!(refused(&egress, Trust::User, &url).await, "egress_refused");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn errors_name_the_server_and_no_secret() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let server = Server::start().await;
    let (egress, _) = door(EgressConfig::default(), &[]);
    let mut errors = Vec::new();
    for url in [
        format!("http://user:hunter2@{gone}/hook/hunter2?key=hunter2"),
        format!("http://user:hunter2@{}/fail?key=hunter2", server.address),
        "http://user:hunter2@unknown.example/hunter2?key=hunter2".to_owned(),
        "http://user:hunter2@bad host/?key=hunter2".to_owned(),
        format!("https://user:hunter2@{}/?key=hunter2", server.address),
    ] {
        errors.push(fetch(&egress, Trust::Operator, &url).await.unwrap_err());
    }
    for error in &errors {
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let kinds: Vec<_> = errors.iter().map(crate::Error::kind).collect();
    assert_eq!(kinds, [Kind::Upstream, Kind::Upstream, Kind::Upstream, Kind::Invalid, Kind::Upstream]);
    assert_eq!(errors[0].message(), format!("test at http://{gone} cannot be reached"));
    assert_eq!(errors[1].message(), format!("test at http://{} answered 418", server.address));
    assert_eq!(errors[2].message(), "test at http://unknown.example cannot be found: its name is unknown");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (egress, _) = door(EgressConfig::default(), &[]);
    let request = egress.request("test", Trust::Operator, Method::GET, &format!("http://{}/", silent.local_addr().unwrap())).unwrap();
    let error = request.timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert_eq!(error.code().name, "upstream_timeout");
}

#[tokio::test]
async fn a_body_longer_than_the_limit_is_refused() {
    let server = Server::start().await;
    let (egress, _) = door(EgressConfig::default(), &[]);
    let response = egress.request("test", Trust::Operator, Method::GET, &server.url()).unwrap().send().await.unwrap();
    assert_eq!(response.bytes(4).await.unwrap_err().code().name, "upstream_failed");
}

#[tokio::test]
async fn a_configured_proxy_serves_outside_addresses_of_the_operator_alone() {
    let (proxy, inside) = (Server::start().await, Server::start().await);
    let config = EgressConfig { proxy: proxy.url(), ..EgressConfig::default() };
    let (egress, asked) = door(config, &[]);
    assert_eq!(fetch(&egress, Trust::Operator, &inside.url()).await.unwrap(), "hello");
    assert_eq!(proxy.hits(), 0);
    // The proxy answers in place of the host; it cannot route the absolute form and says so, but it was asked.
    let _ = fetch(&egress, Trust::Operator, "http://api.provider.example/").await;
    assert_eq!((proxy.hits(), asked.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(refused(&egress, Trust::User, "http://api.provider.example/").await, "upstream_failed");
    assert_eq!(proxy.hits(), 1);
}

#[test]
fn settings_that_cannot_work_are_named() {
    for config in [
        EgressConfig { proxy: "proxy:3128".to_owned(), ..EgressConfig::default() },
        EgressConfig { proxy: "socks5://proxy:1080".to_owned(), ..EgressConfig::default() },
        EgressConfig { ca_file: "/no/such/file.pem".into(), ..EgressConfig::default() },
    ] {
        let error = Egress::new(config).unwrap_err();
        assert_eq!(error.code().name, "invalid_config");
        assert!(error.message().starts_with("egress."), "{error}");
    }
}

#[test]
fn the_proxy_password_is_not_in_the_debug_text() {
    let config = EgressConfig { proxy: "http://me:hunter2@proxy:3128".to_owned(), ..EgressConfig::default() };
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn ports_may_come_as_text_from_the_environment() {
    let config: EgressConfig = serde_json::from_value(serde_json::json!({"user_ports": ["443", 8443]})).unwrap();
    assert_eq!(config.user_ports, [443, 8443]);
    assert!(serde_json::from_value::<EgressConfig>(serde_json::json!({"user_ports": ["https"]})).is_err());
}
