//! Sources of documents, how they are ingested, found and answered from.
//!
//! Reading order: a [`sources`] entry is a collection with its own settings; [`documents`] are names in a source; [`ingest`] turns
//! their bytes into text, chunks and vectors; [`search`] finds chunks by words and by meaning; [`answers`] puts them together with
//! citations; [`eval`], [`question_sets`] and [`feedback`] tell how good they are. SQL holds everything; the index is rebuilt from it.
//!
//! [`Knowledge`] is the state that the routes and jobs share.

pub mod answers;
pub mod check;
pub mod documents;
pub mod eval;
pub mod feedback;
pub mod index;
pub mod ingest;
mod personal;
pub mod question_sets;
mod runtime;
pub mod search;
pub mod sources;
#[cfg(test)]
mod tests;
pub mod uploads;

pub use astrolabe_backends::analysis::{Lang, detect_language};
use astrolabe_kernel::db::{Migration, Migrations};
use astrolabe_kernel::{http::Routes, routes};
pub use index::IndexEngine;
pub use runtime::{Dependency, Knowledge, KnowledgeConfig, Paths};

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "knowledge",
    steps: &[
        Migration { version: 1, name: "sources", sql: include_str!("../migrations/0001_sources.sql") },
        Migration { version: 2, name: "documents", sql: include_str!("../migrations/0002_documents.sql") },
        Migration { version: 3, name: "asks", sql: include_str!("../migrations/0003_asks.sql") },
        Migration { version: 4, name: "chunk_hashes", sql: include_str!("../migrations/0004_chunk_hashes.sql") },
        Migration { version: 5, name: "source_ranking", sql: include_str!("../migrations/0005_source_ranking.sql") },
        Migration { version: 6, name: "source_readers", sql: include_str!("../migrations/0006_source_readers.sql") },
        Migration { version: 8, name: "question_sets", sql: include_str!("../migrations/0008_question_sets.sql") },
        Migration { version: 9, name: "ask_processes", sql: include_str!("../migrations/0009_ask_processes.sql") },
        Migration { version: 51, name: "uploads", sql: include_str!("../migrations/0051_uploads.sql") },
        Migration { version: 52, name: "upload_handles", sql: include_str!("../migrations/0052_upload_handles.sql") },
        Migration { version: 53, name: "source_origins", sql: include_str!("../migrations/0053_source_origins.sql") },
    ],
};

/// Every endpoint of this domain.
pub fn routes(knowledge: Knowledge) -> Routes {
    Routes::new()
        .routes(routes!(sources::routes::list_sources, sources::routes::create_source))
        .routes(routes!(sources::routes::get_source, sources::routes::update_source, sources::routes::delete_source))
        .routes(routes!(sources::routes::stream_source_events))
        .routes(routes!(documents::routes::list_documents))
        .merge(documents::routes::upload_route(&knowledge))
        .merge(uploads::routes::routes())
        .routes(routes!(documents::routes::get_document, documents::routes::delete_document))
        .routes(routes!(documents::routes::get_document_content))
        .routes(routes!(documents::routes::retry_document))
        .routes(routes!(search::routes::search, search::routes::search_by_address))
        .routes(routes!(index::routes::rebuild_index))
        .routes(routes!(answers::routes::ask))
        .routes(routes!(answers::routes::list_asks))
        .routes(routes!(answers::routes::get_ask))
        .routes(routes!(answers::routes::stream_ask_events))
        .routes(routes!(feedback::routes::give_feedback, feedback::routes::get_own_feedback, feedback::routes::withdraw_feedback))
        .routes(routes!(feedback::routes::list_feedback))
        .routes(routes!(feedback::routes::make_question))
        .routes(routes!(question_sets::routes::list_question_sets, question_sets::routes::create_question_set))
        .routes(routes!(
            question_sets::routes::get_question_set,
            question_sets::routes::replace_question_set,
            question_sets::routes::delete_question_set
        ))
        .routes(routes!(
            question_sets::routes::export_questions,
            question_sets::routes::import_questions,
            question_sets::routes::add_question
        ))
        .routes(routes!(question_sets::routes::start_question_set_run, question_sets::routes::list_question_set_runs))
        .routes(routes!(question_sets::routes::get_question_set_run))
        .routes(routes!(question_sets::routes::get_question_set_plot))
        .with_state(knowledge)
}
