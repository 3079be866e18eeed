//! One file per command: what can be said, and what is done.

pub mod ask;
pub mod audit;
pub mod backup;
pub mod bench_embed;
pub mod check;
pub mod completions;
pub mod config;
pub mod eval;
pub mod extract;
pub mod ingest;
pub mod key;
pub mod keys;
pub mod login_link;
pub mod maintenance;
pub mod migrate;
pub mod openapi;
mod progress;
pub mod reindex;
pub mod restore;
pub mod scripted;
pub mod search;
pub mod seed;
pub mod serve;
pub mod tenant;
pub mod token;
pub mod user;
pub mod version;
