//! What integration tests stand on: the whole application in this process, with a clock that tests move, a database of its own on
//! either engine (`TEST_POSTGRES_URI`), documents read in process, and jobs that run when the test says so.
//!
//! ```ignore
//! let app = TestApp::new().await;
//! let reply = app.post("/api/v1/ask").json(json!({"question": "…"})).send().await;
//! assert_eq!(reply.status, 200);
//! ```

mod again;
mod binary;
mod call;
mod raw;
mod receiver;
mod stream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use astrolabe_kernel::{
    Clock, Lifecycle, Principal, Random,
    http::{Observer, observe},
    testing,
};
use astrolabe_knowledge::ingest::extractor::Extractor;
use astrolabe_server::{
    app::{App, Parts},
    config::Config,
    data_dir::DataDir,
    listener::{self, Limits},
    router::{self, Description},
    system::System,
};
use axum::{Extension, Router, http::Method, middleware::from_fn_with_state};
pub use binary::{Binary, Ended, Server};
pub use call::{Call, Reply};
pub use raw::{Event, Raw};
pub use receiver::Receiver;
use sha2::{Digest, Sha256};

/// The application in this process.
pub struct TestApp {
    /// Every domain, opened.
    pub app: App,
    /// All paths with all layers.
    pub router: Router,
    /// The description of the API.
    pub description: Description,
    /// The folder that holds the data directory and goes away with the test.
    _folder: tempfile::TempDir,
}

impl TestApp {
    /// An app with the default settings, without a model, on an empty database; the index is open.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// As [`TestApp::new`] with some settings, as `("server.max_body_bytes", "1000")`.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::open(None, settings).await
    }

    /// As [`TestApp::with`], with a file of settings under them, for what only a file can say.
    pub async fn with_file(file: &std::path::Path, settings: &[(&str, &str)]) -> Self {
        Self::open(Some(file), settings).await
    }

    async fn open(file: Option<&std::path::Path>, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = testing::database_url(folder.path()).await;
        let models = folder.path().join("models");
        // The server for tests does without.
        let unsafe_too = ("database.allow_unsafe_durability", "true");
        let mut flags = vec![("database.url", url.as_str()), unsafe_too, ("models.dir", models.to_str().unwrap())];
        flags.extend_from_slice(settings);
        let flags: Vec<_> = flags.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned(), "test".to_owned())).collect();
        let parts = Parts {
            config: Arc::new(Config::load(file, Vec::new(), &flags).unwrap()),
            data_dir: DataDir::create(&folder.path().join("data")).unwrap(),
            clock: Clock::manual(testing::START),
            random: Random::system(),
            lifecycle: Lifecycle::new(),
            extractor: Extractor::InProcess,
        };
        let metrics = astrolabe_kernel::telemetry::recorder();
        let system = System::new(parts.lifecycle.clone(), false, || metrics.render());
        let app = App::open(&parts, system).await.unwrap();
        app.knowledge.start().await.unwrap();
        let (router, description) = router::full(&app);
        Self { app, router, description, _folder: folder }
    }

    /// Starts a call that is signed in with the token.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.router.clone(), method, path).token(self.app.token.expose())
    }

    /// Starts a call of somebody else, whom sign-in is passed over for.
    pub fn acting(&self, principal: &Principal, method: Method, path: &str) -> Call {
        let observer = Observer { clock: self.app.kernel.clock.clone(), random: Random::system(), time_limit: Duration::from_secs(60) };
        let (router, _) =
            router::signed_in(&self.app).layer(Extension(principal.clone())).layer(from_fn_with_state(observer, observe)).into_parts();
        Call::new(router, method, path)
    }

    /// A signed-in GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// A signed-in POST.
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// A call without any proof of who it is.
    pub fn anonymous(&self, method: Method, path: &str) -> Call {
        Call::new(self.router.clone(), method, path)
    }

    /// Runs jobs until none is due.
    pub async fn drain(&self) {
        let runner = self.app.runner();
        while runner.run_one().await.unwrap() {}
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.app.kernel.clock.advance(by);
    }

    /// Listens on a free port of this machine, for what only a real socket shows.
    pub async fn listen(&self) -> SocketAddr {
        self.listen_with(self.app.config.server.connection_limits()).await
    }

    /// As [`TestApp::listen`], with limits.
    pub async fn listen_with(&self, limits: Limits) -> SocketAddr {
        let (listener, address) = listener::bind("127.0.0.1:0").await.unwrap();
        let router = self.router.clone();
        let lifecycle = self.app.kernel.lifecycle.clone();
        lifecycle.spawn("listener", listener::accept(listener, lifecycle.clone(), limits, move || router.clone()));
        address
    }

    /// The actions of the audit log, newest first.
    pub async fn actions(&self) -> Vec<String> {
        let reply = self.get("/api/v1/audit?limit=200").send().await;
        reply.json()["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
    }

    /// Makes a source and adds a document to it, ingested. Returns the ids of both.
    pub async fn ingested(&self, source: &str, name: &str, text: &str) -> (String, String) {
        let made = self.post("/api/v1/sources").json(serde_json::json!({ "name": source })).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let source = made.json()["id"].as_str().unwrap().to_owned();
        let document = self.upload(&source, name, text.as_bytes()).await;
        self.drain().await;
        (source, document)
    }

    /// Uploads a file to a source. Returns the document's id.
    pub async fn upload(&self, source: &str, name: &str, bytes: &[u8]) -> String {
        let (content_type, body) = astrolabe_server::client::multipart(&[(name.to_owned(), bytes.to_vec().into())]);
        let reply = self.post(&format!("/api/v1/sources/{source}/documents")).body(&content_type, body).send().await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Begins an upload of one part.
    pub async fn begin_upload(&self, source: &str, name: &str, bytes: &[u8]) -> Reply {
        self.begin_upload_as(self.app.token.expose(), source, name, bytes).await
    }

    /// As [`TestApp::begin_upload`], as somebody else.
    pub async fn begin_upload_as(&self, token: &str, source: &str, name: &str, bytes: &[u8]) -> Reply {
        let new = serde_json::json!({"name": name, "size": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))});
        self.anonymous(Method::POST, &format!("/api/v1/sources/{source}/uploads")).token(token).json(new).send().await
    }
}

/// Compares a file in `docs/generated` with what it should hold; with `UPDATE=1` in the environment, writes it instead.
pub fn generated(name: &str, text: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated").join(name);
    if std::env::vars_os().any(|(n, v)| n == "UPDATE" && v == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == text, "docs/generated/{name} is out of date: run the tests once with UPDATE=1");
}
