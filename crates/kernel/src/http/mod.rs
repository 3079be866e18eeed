//! HTTP plumbing that every endpoint shares: extractors that refuse with field names, errors as problem documents, event streams,
//! and the middleware around all of it.

mod client;
pub mod etag;
mod extract;
mod head;
mod middleware;
mod openapi;
mod pace;
mod problem;
mod routes;
mod sse;
mod strict;
mod trace;

pub use client::{ClientAddress, Peer, TrustedProxies, client_address};
pub use extract::{Caller, Json, JsonBytes, May, Path, Query, idempotency_key, parse as parse_json, parse_value};
pub use head::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL, limit_head};
pub use middleware::{Observer, Origins, guard, observe};
pub use openapi::{
    BodyProblems, CommonProblems, ConflictProblem, NotFoundProblem, OpenProblems, PreconditionProblem, RIGHT, StreamEvent, StreamLine,
    UpstreamProblem, problem,
};
pub(crate) use openapi::{Responses, refused_without};
pub use pace::{Pace, pace};
#[doc(hidden)]
pub use pastey::paste;
pub(crate) use problem::as_sent;
pub use problem::{ErrorShape, Problem, ShownOnce, method_not_allowed, not_found, refusal};
pub use routes::{Describe, Operations, Routes};
pub use sse::{StreamQuery, event_stream, job_stream};
pub use trace::Trace;
