//! With and without the embedding model. The real model is used: without it these tests say so and end, unless
//! `ASTROLABE_REQUIRE_MODEL=1`.

use std::{env::var_os, path::PathBuf};

use astrolabe_kernel::jobs::JobState;

use super::{Setup, support::With};
use crate::{KnowledgeConfig, search::Retrieval};

const ENGINE: &str = "# Cars\n\nThe automobile's engine must be inspected by a mechanic once a year.";
const BREAD: &str = "# Kitchen\n\nKnead the dough, let it rise and bake the loaf until it is brown.";

/// The folder of models, or `None` with a word about it.
fn models() -> Option<PathBuf> {
    let folder = var_os("ASTROLABE_MODELS_DIR").map(PathBuf::from).or_else(|| {
        let data = var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(var_os("HOME")?).join(".local/share")))?;
        Some(data.join("astrolabe/models"))
    });
    let there = folder.filter(|f| f.join("all-MiniLM-L6-v2/model.safetensors").is_file());
    if there.is_none() {
        assert!(
            var_os("ASTROLABE_REQUIRE_MODEL").is_none_or(|v| v != "1"),
            "ASTROLABE_REQUIRE_MODEL=1, and there is no model: run `make models`"
        );
        eprintln!("SKIPPED: there is no embedding model (run `make models`, or set ASTROLABE_MODELS_DIR)");
    }
    there
}

fn with(models: &std::path::Path) -> With {
    With { models: Some(models.to_owned()), ..With::default() }
}

#[tokio::test]
async fn without_a_model_everything_works_by_words_and_says_so() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "cars.md", ENGINE).await;
    assert_eq!((document.state, document.embedded), (JobState::Ready, false));
    let results = s.knowledge.find(&s.caller.principal, "engine", None, 5).await.unwrap();
    assert_eq!((results.retrieval, results.found.len()), (Retrieval::Lexical, 1));
    assert_eq!((results.found[0].ranks.dense, results.found[0].ranks.lexical), (None, Some(1)));
    let answer = s.ask("How often must the engine be inspected?").await;
    assert_eq!(answer.retrieval, Retrieval::Lexical);
    assert!(answer.notices.contains(&"no_embedder".to_owned()), "{answer:?}");
    let embedder = s.knowledge.dependencies().await.into_iter().find(|d| d.name == "embedder").unwrap();
    assert_eq!((embedder.status, embedder.required), ("not_configured", false));
    assert!(embedder.detail.contains("make models"), "{}", embedder.detail);
}

#[tokio::test]
async fn a_model_that_is_broken_is_told_and_leaves_search_by_words() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("all-MiniLM-L6-v2");
    std::fs::create_dir_all(&model).unwrap();
    for file in ["model.safetensors", "config.json", "tokenizer.json", "vocab.txt", "manifest.json"] {
        std::fs::write(model.join(file), "{").unwrap();
    }
    let s = Setup::with(with(folder.path())).await;
    let source = s.source("handbook").await;
    s.ingest(&source, "cars.md", ENGINE).await;
    assert_eq!(s.names("engine").await, ["cars.md"]);
    let embedder = s.knowledge.dependencies().await.into_iter().find(|d| d.name == "embedder").unwrap();
    assert_eq!(embedder.status, "not_configured");
    assert!(embedder.detail.contains("words alone"), "{}", embedder.detail);
}

#[tokio::test]
async fn with_the_model_a_passage_is_found_by_its_meaning() {
    let Some(models) = models() else { return };
    let s = Setup::with(with(&models)).await;
    let source = s.source("handbook").await;
    s.upload(&source, "bread.md", BREAD).await;
    s.upload(&source, "cars.md", ENGINE).await;
    s.drain().await;
    let results = s.knowledge.find(&s.caller.principal, "vehicle motor checkup", None, 5).await.unwrap();
    assert_eq!(results.retrieval, Retrieval::Hybrid);
    assert_eq!(results.found[0].document, "cars.md");
    assert_eq!((results.found[0].ranks.dense, results.found[0].ranks.lexical), (Some(1), None));
    assert!(s.ask("How often must the engine be inspected?").await.notices.is_empty());
}

#[tokio::test]
async fn documents_that_were_ingested_without_the_model_are_embedded_once_it_is_there() {
    let Some(models) = models() else { return };
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let before = s.ingest(&source, "cars.md", ENGINE).await;
    assert!(!before.embedded);
    let s = s.restart_with(with(&models)).await;
    assert_eq!(s.names("engine").await, ["cars.md"], "found by words while it waits");
    s.drain().await;
    let after = s.document(before.id).await;
    assert_eq!((after.state, after.embedded, after.version), (JobState::Ready, true, 1));
    assert_eq!(s.names("vehicle motor checkup").await, ["cars.md"]);
    // Without it again, and with it again: nothing is embedded twice, because SQL kept the vectors.
    let s = s.restart().await;
    assert_eq!(s.names("engine").await, ["cars.md"]);
    let s = s.restart_with(with(&models)).await;
    assert_eq!(s.jobs_left().await, 0);
    assert_eq!(s.names("vehicle motor checkup").await, ["cars.md"]);
}

#[tokio::test]
async fn a_document_whose_bytes_are_gone_is_embedded_from_its_text() {
    let Some(models) = models() else { return };
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "cars.md", ENGINE).await;
    s.knowledge.blobs.delete(&document.content_hash).await.unwrap();
    let s = s.restart_with(with(&models)).await;
    s.drain().await;
    let after = s.document(document.id).await;
    assert_eq!((after.state, after.embedded, after.chunk_count), (JobState::Ready, true, document.chunk_count));
}

#[tokio::test]
async fn a_switched_off_model_is_not_used() {
    let Some(models) = models() else { return };
    let config = KnowledgeConfig { embeddings: false, ..KnowledgeConfig::default() };
    let s = Setup::with(With { config, ..with(&models) }).await;
    let embedder = s.knowledge.dependencies().await.into_iter().find(|d| d.name == "embedder").unwrap();
    assert!(embedder.detail.contains("knowledge.embeddings"), "{}", embedder.detail);
}
