//! The rules of the embedder: on a tiny model made here, and on the real one when it is there.

mod kernels;
mod loading;
mod parity;
mod pooling;
mod teams;
mod tiny;
mod tokens;
