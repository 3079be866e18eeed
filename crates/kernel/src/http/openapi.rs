//! The refusals of an endpoint, for its description: `responses((status = 200, body = Thing), CommonProblems, NotFoundProblem)`.
//!
//! Each type below stands for one or more statuses with a [`Problem`](super::Problem) body, so that what the description says and
//! what the middleware does are written once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, extensions::ExtensionsBuilder},
};

use crate::principal::Right;

/// Statuses with what they say.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// The extension of the 403 answer that names the right which an operation asks for.
pub const RIGHT: &str = "x-right";

/// The 403 of an operation that asks for a right. It names the right, so that the table of operations is made from the description.
pub(crate) fn refused_without(right: Right) -> Responses {
    let (name, role) = (right.as_str(), right.least_role().as_str());
    let text = format!("The caller lacks the right `{name}` (from the role {role} on), or its origin or the host name is not allowed.");
    let mut response = problem(&text);
    if let RefOr::T(response) = &mut response {
        response.extensions = Some(ExtensionsBuilder::new().add(RIGHT, name).build());
    }
    Responses::from([("403".to_owned(), response)])
}

/// An answer that is a problem document.
#[must_use]
pub fn problem(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build().into()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal = $text:literal),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(($status.to_owned(), problem($text))),*])
            }
        }
    )* };
}

problems! {
    /// What any endpoint behind sign-in may answer: 400, 401, 429, 500, 503, 504, 507. Its right says 403.
    CommonProblems {
        "400" = "A parameter, header or field is wrong; `errors` names it.",
        "401" = "No token, or not the right one.",
        "429" = "Too many requests; repeat after the time in `Retry-After`.",
        "500" = "A defect of ours; the log has the details under `trace_id`.",
        "503" = "Not now: warming up, overloaded or stopping.",
        "504" = "The request took too long.",
        "507" = "No space is left; what was stored before stays.",
    }
    /// What any open endpoint may answer: 400, 403, 500, 503, 504.
    OpenProblems {
        "400" = "A parameter, header or field is wrong; `errors` names it.",
        "403" = "The host name is not allowed.",
        "500" = "A defect of ours; the log has the details under `trace_id`.",
        "503" = "Not now: warming up, overloaded or stopping.",
        "504" = "The request took too long.",
    }
    /// Endpoints that name an object: 404.
    NotFoundProblem { "404" = "There is no such object, or it belongs to somebody else." }
    /// Endpoints that change something: 409.
    ConflictProblem { "409" = "It collides with the present state, or the idempotency key was used for something else." }
    /// Endpoints that take `If-Match`: 412.
    PreconditionProblem { "412" = "Somebody changed it since it was read; `If-Match` names another version." }
    /// Endpoints that take a body: 413 and 415.
    BodyProblems {
        "413" = "The body is larger than the limit that the detail names.",
        "415" = "The kind of content is not accepted.",
    }
    /// Endpoints that ask another server: 502.
    UpstreamProblem { "502" = "A server we depend on failed." }
}

/// One event of a stream as `text/event-stream` carries it. Comments between events show that the stream is alive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// Sequence number in the stream, from 1; send the last one as `Last-Event-ID` to go on behind it.
    #[schema(pattern = "^[1-9][0-9]*$")]
    pub id: String,
    /// What happened, such as `answer.delta`.
    pub event: String,
    /// JSON; its fields depend on the event.
    pub data: String,
}

/// One line of a stream as `application/x-ndjson` carries it. Empty lines show that the stream is alive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamLine {
    /// Sequence number in the stream, from 1; send the last one as `Last-Event-ID` to go on behind it.
    #[schema(minimum = 1)]
    pub seq: i64,
    /// What happened, such as `answer.delta`.
    pub event: String,
    /// The event's fields.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}
