//! HTTP plumbing that every endpoint shares: extractors that refuse with field names, errors as problem documents, event streams,
//! and the middleware around all of it.

mod extract;
mod middleware;
mod openapi;
mod problem;
mod sse;
mod strict;
mod trace;

pub(crate) use extract::idempotency_key;
pub use extract::{Caller, ClientAddress, Json, Path, Query, parse as parse_json, parse_value};
pub use middleware::{Observer, guard, observe};
pub use openapi::{
    BodyProblems, CommonProblems, ConflictProblem, NotFoundProblem, OpenProblems, PreconditionProblem, StreamEvent, StreamLine,
    UpstreamProblem,
};
pub use problem::{Problem, method_not_allowed, not_found};
pub use sse::{StreamQuery, event_stream};
pub use trace::Trace;
