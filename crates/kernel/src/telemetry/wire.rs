//! OTLP's trace request as protobuf bytes (opentelemetry-proto 1.x, `opentelemetry/proto/trace/v1/trace.proto`), written by hand:
//! eight small messages of a frozen format against a minute of compiling a generated library (`docs/adr/0010-otlp.md`). The numbers
//! below are the field numbers of those files; a test compares the bytes with those of the official library.

use super::{
    fields::{Fields, Value},
    otlp::Finished,
};

const SPAN_KIND_INTERNAL: u64 = 1;
const SPAN_KIND_SERVER: u64 = 2;
const SPAN_KIND_CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;

/// An `ExportTraceServiceRequest` with these spans, from the process that `resource` describes.
pub(super) fn request(resource: &[(&str, &str)], scope: (&str, &str), spans: &[Finished]) -> Vec<u8> {
    let mut out = Message::default();
    out.message(1, |resource_spans| {
        resource_spans.message(1, |message| {
            for (key, value) in resource {
                message.message(1, |attribute| attribute.key_value(key, &Value::Text((*value).to_owned())));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |message| {
                message.text(1, scope.0);
                message.text(2, scope.1);
            });
            for finished in spans {
                scope_spans.message(2, |message| span(finished, message));
            }
        });
    });
    out.0
}

fn span(span: &Finished, out: &mut Message) {
    out.bytes(1, &span.trace_id);
    out.bytes(2, &span.span_id);
    if let Some(parent) = &span.parent_id {
        out.bytes(4, parent);
    }
    out.text(5, &name(span));
    out.number(6, kind(&span.fields));
    out.fixed64(7, nanos(span.started));
    out.fixed64(8, nanos(span.ended));
    // The trace id and the span ids are in their own places; `otel.…` fields steer this function.
    for (key, value) in span.fields.iter().filter(|(k, _)| !matches!(*k, "trace_id" | "parent_span_id") && !k.starts_with("otel.")) {
        out.message(9, |attribute| attribute.key_value(key, value));
    }
    if let Some(message) = &span.failed {
        out.message(15, |status| {
            status.text(2, message);
            status.number(3, STATUS_ERROR);
        });
    }
}

/// The span's name: `otel.name` when set, `GET /path` for a request, else the name in the code.
fn name(span: &Finished) -> String {
    let fields = &span.fields;
    match (fields.text("otel.name"), fields.text("method"), fields.text("path")) {
        (Some(name), ..) => name.to_owned(),
        (None, Some(method), Some(path)) => format!("{method} {path}"),
        _ => span.name.to_owned(),
    }
}

/// `otel.kind` (`server`, `client`) when set; the span that has the request's id is the server's.
fn kind(fields: &Fields) -> u64 {
    match fields.text("otel.kind") {
        Some("server") => SPAN_KIND_SERVER,
        Some("client") => SPAN_KIND_CLIENT,
        None if fields.get("request_id").is_some() => SPAN_KIND_SERVER,
        _ => SPAN_KIND_INTERNAL,
    }
}

fn nanos(at: crate::Timestamp) -> u64 {
    u64::try_from(at.micros()).unwrap_or(0).saturating_mul(1000)
}

/// A protobuf message as it grows (protobuf.dev/programming-guides/encoding).
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn key_value(&mut self, key: &str, value: &Value) {
        self.text(1, key);
        self.message(2, |any| match value {
            Value::Text(text) => any.text(1, text),
            Value::Bool(yes) => any.number(2, u64::from(*yes)),
            // A negative int64 is its two's complement in ten bytes.
            Value::Int(number) => any.number(3, number.cast_unsigned()),
            Value::Float(number) => any.fixed64(4, number.to_bits()),
        });
    }
}
