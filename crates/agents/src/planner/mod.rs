//! Turning what a person wrote into a plan: a list of tool calls, or none, which means that the documents are asked.
//!
//! The keyword planner knows English, Polish and Russian. It prefers an answer over a side effect: a ticket is opened, or a service
//! restarted, only for a sentence that asks for exactly that, never for a question about it, a story of it or a denial. With a chat
//! model the model plans ([`model`]), but a step with a side effect is kept only when the keyword planner sees the request as well.

mod keywords;
pub mod model;
#[cfg(test)]
mod tests;

pub use keywords::plan;
