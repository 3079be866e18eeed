//! Which class of limits an operation is in, by what it means: the table behind the section `limits`.

use astrolabe_kernel::limits::Class;
use axum::http::Method;

/// Paths that make the machine think, whatever the method.
const ASK: &[&str] =
    &["/api/v1/ask", "/api/v1/search", "/v1/agents/run", "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/mcp"];

/// Beginnings of the paths where callers prove who they are.
const SIGN_IN: &[&str] = &["/signin", "/api/v1/auth/", "/auth/"];

/// The class of a route by its method and its path's template.
#[must_use]
pub fn class(method: &Method, path: &str) -> Class {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let proves = SIGN_IN.iter().any(|beginning| path.starts_with(beginning));
    if proves || !reads && matches!(path, "/api/v1/sessions" | "/api/v1/sessions/refresh") {
        return Class::SignIn;
    }
    // A question to a chat, and a question set that is run through, are questions.
    let asks = ASK.contains(&path) || !reads && (path.ends_with("/messages") || path.ends_with("/runs"));
    match () {
        () if asks => Class::Ask,
        () if reads => Class::Read,
        () if path.ends_with("/documents") || path.ends_with("/uploads") => Class::Upload,
        () => Class::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_in_the_class_of_what_it_means() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/sources", Class::Read),
            (Method::GET, "/api/v1/asks/{id}/events", Class::Read),
            (Method::GET, "", Class::Read),
            (Method::POST, "/api/v1/sources", Class::Write),
            (Method::DELETE, "/api/v1/documents/{id}", Class::Write),
            (Method::POST, "/api/v1/ask", Class::Ask),
            (Method::GET, "/api/v1/search", Class::Ask),
            (Method::POST, "/v1/agents/run", Class::Ask),
            (Method::POST, "/api/v1/question-sets/{id}/runs", Class::Ask),
            (Method::GET, "/api/v1/question-sets/{id}/runs", Class::Read),
            (Method::POST, "/api/v1/sources/{id}/documents", Class::Upload),
            (Method::GET, "/api/v1/sources/{id}/documents", Class::Read),
            (Method::GET, "/signin", Class::SignIn),
            (Method::POST, "/api/v1/sessions", Class::SignIn),
            (Method::POST, "/api/v1/sessions/refresh", Class::SignIn),
            (Method::GET, "/api/v1/sessions", Class::Read),
        ] {
            assert_eq!(class(&method, path), expected, "{method} {path}");
        }
    }
}
