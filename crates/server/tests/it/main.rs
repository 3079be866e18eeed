//! The one integration binary: the whole application in process, and the real binary where only a process will do.

mod agents;
mod ask;
mod auth;
mod backup;
mod cli;
mod data_dirs;
mod errors;
mod kill;
mod limits;
mod openapi;
mod support;
mod system;
