//! A place of its own to measure in: the whole application on a temporary folder, and on PostgreSQL a temporary database. Documents go the way of
//! every other document.

use std::{collections::HashMap, time::Duration};

use astrolabe_kernel::{Error, Id, Principal, Random, Result, db::Scratch, egress::Method, error::code};
use astrolabe_knowledge::{
    documents::Document,
    eval::{beir::CorpusDocument, rank::SearchMode},
};
use axum::body::Bytes;
use serde_json::{Value, json};

use super::{super::progress::Progress, Engine};
use crate::{
    app::Parts,
    cli::Context,
    client::{self, Client},
    data_dir::DataDir,
    output::write_err,
};

/// Files and bytes of one upload.
const BATCH: (usize, usize) = (100, 8 << 20);
/// How often the documents are looked at while waiting.
const LOOK: Duration = Duration::from_millis(50);

/// An application that measures and is then taken away.
pub(super) struct Place {
    client: Client,
    database: Option<Scratch>,
    _folder: tempfile::TempDir,
}

/// A corpus that can be searched.
pub(super) struct Ingested {
    /// Documents that can be found.
    pub documents: usize,
    /// Their chunks.
    pub chunks: i64,
    /// From the first upload until the last document was ready.
    pub seconds: f64,
    /// The place in the corpus of a document's id; several where documents are equal, because one of them is found for all.
    places: HashMap<String, Vec<usize>>,
}

impl Place {
    /// Opens one.
    ///
    /// # Errors
    /// `invalid_config` when PostgreSQL is wanted and not configured; what opening says.
    pub async fn open(context: &Context, engine: Engine) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("astrolabe-eval-").tempdir()?;
        let database = match engine {
            Engine::Embedded => None,
            Engine::Postgres => {
                let url = context.config(Vec::new())?.database.url;
                if !url.starts_with("postgres") {
                    return Err(Error::new(
                        code::INVALID_CONFIG,
                        "--engine postgres: set DATABASE_URL to a PostgreSQL server (postgres://…)",
                    ));
                }
                Some(Scratch::create(&url, "eval", &Random::system()).await?)
            }
        };
        match Self::client(context, folder.path(), database.as_ref()).await {
            Ok(client) => Ok(Self { client, database, _folder: folder }),
            Err(error) => {
                remove(database).await;
                Err(error)
            }
        }
    }

    async fn client(context: &Context, folder: &std::path::Path, database: Option<&Scratch>) -> Result<Client> {
        let flag = |key: &str, value: &str| (key.to_owned(), value.to_owned(), "eval".to_owned());
        // Answers are measured as the sources give them; a chat model would measure the model.
        let engine = if database.is_some() { Engine::Postgres } else { Engine::Embedded };
        let flags = vec![
            flag("database.url", database.map_or("", Scratch::url)),
            // It goes away at the end.
            flag("database.allow_unsafe_durability", "true"),
            // The one that is measured, and no other in its place.
            flag("knowledge.index_engine", engine.as_str()),
            flag("model.base_url", ""),
            flag("model.name", ""),
        ];
        let dir = DataDir::create(&folder.join("data"))?;
        let lock = dir.lock()?;
        Client::alone(Parts::real(context.config(flags)?, dir)?, lock).await
    }

    /// The application.
    ///
    /// # Errors
    /// `internal`, never: the application is here.
    pub fn app(&self) -> Result<&crate::app::App> {
        self.client.app().ok_or_else(|| Error::internal("the application is elsewhere"))
    }

    /// Adds the documents and waits until each can be found or has failed.
    ///
    /// # Errors
    /// When none can be found; what the API says.
    pub async fn ingest(&self, context: &Context, corpus: &[CorpusDocument]) -> Result<Ingested> {
        let source: Value = self.client.call(Method::POST, "/api/v1/sources", Some(&json!({"name": "collection"}))).await?;
        let source = source["id"].as_str().ok_or_else(|| Error::internal("a source without an id"))?.to_owned();
        let progress = Progress::new(context.output, "documents", corpus.len());
        let started = std::time::Instant::now();
        let mut sent = 0;
        let mut shown = 0;
        while sent < corpus.len() {
            let mut files = Vec::new();
            let mut bytes = 0;
            while let Some(document) = corpus.get(sent + files.len()).filter(|_| files.len() < BATCH.0 && bytes < BATCH.1) {
                let page = page(document);
                bytes += page.len();
                files.push((name(sent + files.len()), Bytes::from(page)));
            }
            sent += files.len();
            self.client.send(Method::POST, &format!("/api/v1/sources/{source}/documents"), Some(client::multipart(&files))).await?;
            shown = self.show(&source, &progress, shown).await?;
        }
        while shown < corpus.len() {
            tokio::time::sleep(LOOK).await;
            shown = self.show(&source, &progress, shown).await?;
        }
        progress.finish();
        let seconds = started.elapsed().as_secs_f64();
        let (places, chunks, failed) = self.list(&source).await?;
        if let Some((count, first, why)) = failed {
            let id = corpus.get(first).map_or("", |d| d.id.as_str());
            // Also with --json: the figures are of fewer documents than the file has.
            write_err(&format!("note: {count} documents could not be ingested, among them {id:?}: {why}"));
        }
        let documents = places.values().map(Vec::len).sum();
        if documents == 0 {
            return Err(Error::new(code::INVALID_REQUEST, "--corpus: no document of it could be ingested"));
        }
        Ok(Ingested { documents, chunks, seconds, places })
    }

    /// How many documents have come to their end.
    async fn show(&self, source: &str, progress: &Progress, shown: usize) -> Result<usize> {
        let now: Value = self.client.get(&format!("/api/v1/sources/{source}")).await?;
        let over: u64 = ["ready", "failed", "canceled"].iter().filter_map(|s| now["documents_by_state"][s].as_u64()).sum();
        let over = usize::try_from(over).unwrap_or(usize::MAX);
        progress.step(over.saturating_sub(shown));
        Ok(over)
    }

    /// Where the documents are in the corpus, by the id under which they are found; their chunks; and how many failed, one of them, and why.
    async fn list(&self, source: &str) -> Result<(HashMap<String, Vec<usize>>, i64, Option<(usize, usize, String)>)> {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut chunks, mut failed) = (0, None::<(usize, usize, String)>);
        let mut cursor = String::new();
        loop {
            let page: Value = self.client.get(&format!("/api/v1/sources/{source}/documents?limit=200{cursor}")).await?;
            for document in page["items"].as_array().into_iter().flatten() {
                let text = |key: &str| document[key].as_str().unwrap_or("");
                let Some(place) = place_of(text("name")) else { continue };
                if text("state") == "ready" {
                    let found_as = document["duplicate_of"].as_str().unwrap_or(text("id"));
                    places.entry(found_as.to_owned()).or_default().push(place);
                    chunks += document["chunk_count"].as_i64().unwrap_or(0);
                } else {
                    let why = document["error"]["message"].as_str().unwrap_or("it was canceled").to_owned();
                    failed = Some((failed.map_or(0, |f| f.0) + 1, place, why));
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", client::encode(next)),
                None => return Ok((places, chunks, failed)),
            }
        }
    }

    /// The places in the corpus of the documents that a search finds, best first, and the milliseconds it took.
    ///
    /// # Errors
    /// As [`astrolabe_knowledge::Knowledge::rank_documents`].
    pub async fn search(&self, ingested: &Ingested, question: &str, mode: SearchMode, limit: usize) -> Result<(Vec<usize>, f64)> {
        let knowledge = &self.app()?.knowledge;
        let started = std::time::Instant::now();
        let found = knowledge.rank_documents(&Principal::local_admin(), question, mode, limit).await?;
        let took = started.elapsed().as_secs_f64() * 1000.0;
        Ok((found.into_iter().flat_map(|id| ingested.places_of(id)).copied().collect(), took))
    }

    /// Takes it away.
    pub async fn close(self) {
        self.client.close().await;
        remove(self.database).await;
    }
}

impl Ingested {
    /// Where a document is in the corpus.
    pub fn places_of(&self, id: Id<Document>) -> &[usize] {
        self.places.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }
}

async fn remove(database: Option<Scratch>) {
    if let Some(database) = database
        && let Err(error) = database.remove().await
    {
        write_err(&format!("note: {}", error.message()));
    }
}

/// A document as a page with its title: the kind of file in which no character of the text means anything but itself.
fn page(document: &CorpusDocument) -> String {
    let mut page =
        format!("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head><body>\n", escaped(&document.title));
    for paragraph in document.text.split("\n\n").filter(|p| !p.trim().is_empty()) {
        page.push_str("<p>");
        page.push_str(&escaped(paragraph));
        page.push_str("</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\0', "")
}

/// The name of the document at a place in the corpus. Ids of collections may hold what names of documents may not.
fn name(place: usize) -> String {
    format!("d{place:08}.html")
}

fn place_of(name: &str) -> Option<usize> {
    name.strip_prefix('d')?.strip_suffix(".html")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_page_in_which_its_text_is_only_text() {
        let document =
            CorpusDocument { id: "1".to_owned(), title: "a < b & \"c\"".to_owned(), text: "<script>x</script>\n\n1. *two*\0".to_owned() };
        let page = page(&document);
        assert!(page.contains("<title>a &lt; b &amp; \"c\"</title>"), "{page}");
        assert!(page.contains("<p>&lt;script&gt;x&lt;/script&gt;</p>\n<p>1. *two*</p>"), "{page}");
    }

    #[test]
    fn a_place_reads_back_from_its_name() {
        assert_eq!(place_of(&name(0)), Some(0));
        assert_eq!(place_of(&name(123_456_789)), Some(123_456_789));
        assert_eq!(place_of("other.html"), None);
    }
}
