//! What this domain promises, from upload to answer, in one process on a database of its own: SQLite, or the PostgreSQL at
//! `TEST_POSTGRES_URI`. Jobs are run one by one, so every state between two of them can be looked at.

mod answer_cache;
mod answers;
mod documents;
mod duplicates;
mod embedding;
mod index;
mod model;
mod races;
mod rights;
mod sources;
pub(crate) mod support;

pub(crate) use support::Setup;
