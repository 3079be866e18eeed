//! The domain opened on a temporary folder, and short ways to use it.

use std::{path::PathBuf, time::Duration};

use astrolabe_backends::blob::{Blob, BlobsConfig};
use astrolabe_gateway::{
    Gateway, GatewayConfig, Models,
    guardrails::Guardrails,
    scripted::{Script, ScriptedServer},
};
use astrolabe_kernel::{
    Id, Kernel, Lifecycle, Principal, Result,
    events::Event,
    http::{Caller, Json, Trace},
    jobs::{JobState, Registry, Runner, RunnerConfig},
    testing::TestKernel,
};
use axum::extract::State;
use rustix::fs::{Mode, OFlags};

use crate::{
    Knowledge, KnowledgeConfig, MIGRATIONS, Paths,
    answers::{Answer, AskRequest},
    documents::{Document, Upload, store},
    ingest::{Piece, extractor::Extractor},
    search::Found,
    sources::{self, NewSource, Source},
};

/// How one opening of the domain differs from the plain one.
pub struct With {
    /// Where models are; the plain one has none.
    pub models: Option<PathBuf>,
    /// Rules of a scripted chat model.
    pub script: Option<String>,
    pub config: KnowledgeConfig,
    /// Where blobs are.
    pub blobs: BlobsConfig,
}

impl Default for With {
    fn default() -> Self {
        Self {
            models: None,
            script: None,
            config: KnowledgeConfig { embed_threads: 1, ..KnowledgeConfig::default() },
            blobs: BlobsConfig::default(),
        }
    }
}

pub struct Setup {
    pub test: TestKernel,
    pub kernel: Kernel,
    pub knowledge: Knowledge,
    pub runner: Runner,
    pub caller: Caller,
    pub model: Option<ScriptedServer>,
}

impl Setup {
    /// Opened on an empty folder, without any model.
    pub async fn new() -> Self {
        Self::with(With::default()).await
    }

    pub async fn with(with: With) -> Self {
        Self::open(TestKernel::new(&[MIGRATIONS]).await, with).await
    }

    async fn open(test: TestKernel, with: With) -> Self {
        let setup = Self::closed(test, with).await;
        setup.knowledge.start().await.unwrap();
        setup
    }

    /// Everything but the loading of model and index.
    pub async fn closed(test: TestKernel, with: With) -> Self {
        let kernel = Kernel { lifecycle: Lifecycle::new(), ..test.kernel.clone() };
        let model = match &with.script {
            Some(rules) => {
                let script = Script::from_toml(rules).unwrap();
                Some(ScriptedServer::start(script, ([127, 0, 0, 1], 0).into(), &kernel.lifecycle).await.unwrap())
            }
            None => None,
        };
        let mut config = GatewayConfig::default();
        if let Some(server) = &model {
            (config.base_url, config.name) = (server.base_url(), "scripted".to_owned());
        }
        let gateway = Gateway::from_config(config, kernel.egress.clone(), kernel.clock.clone(), kernel.random.clone()).unwrap();
        let folder = test.folder.path();
        let paths = Paths {
            blobs: folder.join("blobs"),
            store: with.blobs,
            index: folder.join("index"),
            models: with.models.unwrap_or_else(|| folder.join("models")),
        };
        let knowledge =
            Knowledge::open(kernel.clone(), with.config, paths, Extractor::InProcess, Models::new(gateway, None, Guardrails::default()))
                .unwrap();
        let mut registry = Registry::default();
        knowledge.register(&mut registry);
        let runner = Runner::new(kernel.clone(), registry, RunnerConfig::default(), "test".to_owned());
        let caller =
            Caller { principal: Principal::local_admin(), trace: Trace::background(&kernel.random), idempotency_key: None, address: None };
        Self { test, kernel, knowledge, runner, caller, model }
    }

    /// Stops every task of this opening and gives back what stays.
    pub async fn stop(self) -> TestKernel {
        self.kernel.lifecycle.stop(Duration::from_secs(30)).await;
        self.test
    }

    /// A new process on the same data.
    pub async fn restart(self) -> Self {
        self.restart_with(With::default()).await
    }

    /// A new process on data that was changed while none ran.
    pub async fn reopen_with(test: TestKernel, with: With) -> Self {
        Self::open(test, with).await
    }

    pub async fn restart_with(self, with: With) -> Self {
        Self::open(self.stop().await, with).await
    }

    /// Runs every job that is due.
    pub async fn drain(&self) {
        while self.runner.run_one().await.unwrap() {}
    }

    pub async fn source(&self, name: &str) -> Source {
        self.source_of(&self.caller, name).await
    }

    pub async fn source_of(&self, caller: &Caller, name: &str) -> Source {
        let new = NewSource { name: name.to_owned(), ..NewSource::default() };
        sources::routes::create_source(State(self.knowledge.clone()), caller.clone().may().unwrap(), Json(new)).await.unwrap().1.0
    }

    pub async fn upload(&self, source: &Source, name: &str, bytes: impl AsRef<[u8]>) -> Document {
        self.try_upload(source, name, bytes).await.unwrap()
    }

    pub async fn try_upload(&self, source: &Source, name: &str, bytes: impl AsRef<[u8]>) -> Result<Document> {
        // Ids are ordered by time, and the clock stands still by itself.
        self.kernel.clock.advance(Duration::from_millis(1));
        let blob = self.store(bytes).await?;
        let added = self.knowledge.add_documents(&self.caller, source.id, &[Upload { name, blob, tags: &[] }]).await?;
        Ok(added.into_iter().next().unwrap())
    }

    /// Puts a pipe where a document's bytes are, so that its job waits in the middle until [`AwaitedBytes::release`].
    pub fn hold_bytes(&self, document: &Document) -> HeldBytes {
        let hash = &document.content_hash;
        let path = self.test.folder.path().join("blobs").join(&hash[..2]).join(hash);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        HeldBytes { path, bytes }
    }

    /// Puts a document's bytes back.
    pub async fn restore(&self, document: &Document, bytes: impl AsRef<[u8]>) {
        self.knowledge.blobs.delete(&document.content_hash).await.unwrap();
        self.store(bytes).await.unwrap();
    }

    async fn store(&self, bytes: impl AsRef<[u8]>) -> Result<Blob> {
        let mut writer = self.knowledge.blobs.writer(self.knowledge.config.max_document_bytes)?;
        writer.write(bytes.as_ref()).await?;
        writer.finish().await
    }

    /// Uploads a document and ingests all that waits.
    pub async fn ingest(&self, source: &Source, name: &str, bytes: impl AsRef<[u8]>) -> Document {
        let document = self.upload(source, name, bytes).await;
        self.drain().await;
        self.document(document.id).await
    }

    pub async fn document(&self, id: Id<Document>) -> Document {
        self.find_document(id).await.expect("the document is there")
    }

    pub async fn find_document(&self, id: Id<Document>) -> Option<Document> {
        store::get(&mut self.kernel.db.read(self.caller.principal.tenant).await.unwrap(), self.caller.principal.tenant, id).await.unwrap()
    }

    /// The chunks that SQL has of a document.
    pub async fn pieces(&self, id: Id<Document>) -> Vec<Piece> {
        store::pieces(&mut self.kernel.db.read(self.caller.principal.tenant).await.unwrap(), self.caller.principal.tenant, id)
            .await
            .unwrap()
    }

    /// The chunks that the index has of a document.
    pub async fn indexed(&self, id: Id<Document>) -> u32 {
        let id = id.to_string();
        self.knowledge.index().unwrap().documents().await.unwrap().iter().filter(|d| d.document_id == id).map(|d| d.chunks).sum()
    }

    pub async fn search(&self, question: &str) -> Vec<Found> {
        self.knowledge.find(&self.caller.principal, question, None, 10).await.unwrap().found
    }

    /// Names of the documents that a search finds, best first.
    pub async fn names(&self, question: &str) -> Vec<String> {
        self.search(question).await.into_iter().map(|f| f.document).collect()
    }

    pub async fn ask(&self, question: &str) -> Answer {
        let request = AskRequest { question: question.to_owned(), ..AskRequest::default() };
        self.knowledge.start_ask(&self.caller, request).await.unwrap().result().await.unwrap()
    }

    pub async fn events(&self, stream: &str) -> Vec<Event> {
        self.kernel
            .db
            .read(self.caller.principal.tenant)
            .await
            .unwrap()
            .events_after(self.caller.principal.tenant, stream, 0, 1000)
            .await
            .unwrap()
    }

    /// The kinds of a source's events, in order.
    pub async fn source_events(&self, source: &Source) -> Vec<String> {
        self.events(&sources::stream(source.id)).await.into_iter().map(|e| e.kind).collect()
    }

    /// Jobs that wait or run.
    pub async fn jobs_left(&self) -> i64 {
        self.kernel.db.read_all().await.unwrap().job_counts().await.unwrap().iter().filter(|c| c.state != "failed").map(|c| c.count).sum()
    }
}

/// Bytes of a document that its job is to wait for.
pub struct HeldBytes {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Bytes of a document that its job waits for.
pub struct AwaitedBytes {
    pipe: std::fs::File,
    bytes: Vec<u8>,
}

impl HeldBytes {
    /// Waits until the job has asked for the bytes: only then can the pipe be opened for writing without waiting (fifo(7)).
    pub async fn awaited(self) -> AwaitedBytes {
        loop {
            match rustix::fs::open(&self.path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
                Ok(pipe) => return AwaitedBytes { pipe: pipe.into(), bytes: self.bytes },
                Err(rustix::io::Errno::NXIO) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl AwaitedBytes {
    /// Hands the bytes to the job. One that was stopped meanwhile does not read them, which is all the same.
    pub fn release(mut self) {
        std::io::Write::write_all(&mut self.pipe, &self.bytes).unwrap();
    }
}

/// The state and, where there is one, the code of the error.
pub fn outcome(document: &Document) -> (JobState, Option<&str>) {
    (document.state, document.error.as_ref().map(|e| e.code.as_str()))
}
