//! The one integration binary: the whole application in process, and the real binary where only a process will do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops here, in helpers as well")]

mod access_matrix;
mod accounts;
mod agents;
mod api_keys;
mod ask;
mod audit_console;
mod audit_matrix;
mod auth;
mod backup;
mod bad_input;
mod cli;
mod data_dirs;
mod doors;
mod errors;
mod eval;
mod fence;
mod kill;
mod kill_models;
mod knowledge;
mod limits;
mod models;
mod models_alone;
mod oidc;
mod openapi;
mod policies;
mod privacy;
mod quality;
mod read_audit;
mod repeats;
mod replays;
mod schemas;
mod search;
mod searching;
mod settings;
mod source_models;
mod spending;
mod support;
mod system;
mod tokens;
mod uploads;
mod usage;
