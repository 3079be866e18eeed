//! The astrolabe binary: command line, wiring, router and web page. Almost no logic.
//!
//! Reading order: [`cli`] parses and dispatches to [`commands`]; [`app`] opens every domain on a [`data_dir`]; [`router`] puts their
//! paths behind the layers; [`listener`] speaks to sockets. [`client`] is how commands use the same API as everybody else.

pub mod api;
pub mod app;
pub mod backup;
pub mod classes;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod data_dir;
pub mod docs;
pub mod headers;
pub mod listener;
pub mod output;
pub mod production;
pub mod router;
pub mod system;
pub mod web;
