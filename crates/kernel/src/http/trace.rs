//! The ids that tie a request, its log lines, its audit entries and its answer together.

use axum::http::HeaderMap;

use crate::Random;

/// Trace and request of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// W3C trace id: 32 hexadecimal digits.
    pub trace_id: String,
    /// The request's id, from `X-Request-Id` or made here; empty for background work.
    pub request_id: String,
}

impl Trace {
    /// A trace of background work, with an id of its own.
    pub fn background(random: &Random) -> Self {
        Self { trace_id: hex_id(random), request_id: String::new() }
    }

    /// The trace of a request: `traceparent` (W3C Trace Context, version 00) and `X-Request-Id` are taken over when they are well-formed.
    pub fn of_request(headers: &HeaderMap, random: &Random) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let trace_id = text("traceparent").and_then(parent_trace_id).unwrap_or_else(|| hex_id(random));
        let request_id = text("x-request-id")
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)))
            .map_or_else(|| hex_id(random), str::to_owned);
        Self { trace_id, request_id }
    }
}

fn parent_trace_id(value: &str) -> Option<String> {
    let mut parts = value.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |s: &str, n: usize| {
        s.len() == n && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) && s.bytes().any(|b| b != b'0')
    };
    (version.len() == 2 && version != "ff" && hex(trace, 32) && hex(span, 16)).then(|| trace.to_owned())
}

fn hex_id(random: &Random) -> String {
    let mut bytes = [0u8; 16];
    random.fill(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_traceparent_is_taken_over_and_another_is_not() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parent_trace_id(good).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        for bad in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7-b7-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parent_trace_id(bad), None, "{bad}");
        }
    }
}
