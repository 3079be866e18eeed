//! The one layer under all spans and events: gives every span its ids, writes events as log lines with the fields of all spans
//! around them, and hands finished spans to the exporter when there is one.

use tracing::{
    Event, Level, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    EnvFilter, Registry,
    layer::{Context, Filter, Layer},
    registry::{LookupSpan, SpanRef},
};

use super::{
    fields::{Fields, Value},
    logs::{Line, Style},
    otlp::{Exporter, Finished},
    sink::Sink,
};
use crate::{Clock, Random, Timestamp};

/// What a span carries.
struct SpanData {
    fields: Fields,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent_id: Option<[u8; 8]>,
    started: Timestamp,
    /// The message of the last error inside it.
    failed: Option<String>,
}

/// The layer.
pub(super) struct Telemetry {
    pub clock: Clock,
    pub random: Random,
    pub sink: Sink,
    pub style: Style,
    pub exporter: Option<Exporter>,
}

impl Telemetry {
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        // All zeros means "none" in W3C Trace Context.
        bytes[N - 1] |= 1;
        bytes
    }
}

impl<S> Layer<S> for Telemetry
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let fields = Fields::of(|visitor| attrs.record(visitor));
        let outer = span.parent().and_then(|parent| parent.extensions().get::<SpanData>().map(|data| (data.trace_id, data.span_id)));
        // A span that names its trace begins it here (the request's, a job's); any other belongs to the trace around it.
        let named = fields.text("trace_id").and_then(decode);
        let trace_id = named.or(outer.map(|(trace, _)| trace)).unwrap_or_else(|| self.random());
        let parent_id = match fields.text("parent_span_id").and_then(decode) {
            Some(remote) => Some(remote),
            None => outer.filter(|(trace, _)| *trace == trace_id).map(|(_, span)| span),
        };
        let data = SpanData { fields, trace_id, span_id: self.random(), parent_id, started: self.clock.now(), failed: None };
        span.extensions_mut().replace(data);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(data) = span.extensions_mut().get_mut::<SpanData>() {
            values.record(&mut data.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let own = Fields::of(|visitor| event.record(visitor));
        let level = *event.metadata().level();
        let mut around = Vec::new();
        let mut name = "";
        let mut ids = None;
        if let Some(scope) = ctx.event_scope(event) {
            for span in scope {
                let extensions = span.extensions();
                let Some(data) = extensions.get::<SpanData>() else { continue };
                if ids.is_none() {
                    name = span.metadata().name();
                    ids = Some((data.trace_id, data.span_id));
                }
                around.push(data.fields.clone());
            }
        }
        if level == Level::ERROR
            && let Some(span) = ctx.event_span(event)
            && let Some(data) = span.extensions_mut().get_mut::<SpanData>()
        {
            data.failed = own.text("message").map(str::to_owned);
        }
        let ids = ids.map(|(trace, span)| Fields::ids(&trace, &span));
        let fields: Vec<&Fields> = std::iter::once(&own).chain(&around).chain(&ids).collect();
        let line = Line { at: self.clock.now(), level, target: event.metadata().target(), span: name, fields: &fields };
        self.sink.push(line.render(self.style));
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(exporter) = &self.exporter else { return };
        let Some(span) = ctx.span(&id) else { return };
        if !is_ours(span.metadata()) {
            return;
        }
        let Some(data) = span.extensions_mut().remove::<SpanData>() else { return };
        exporter.push(Finished {
            name: span.metadata().name(),
            trace_id: data.trace_id,
            span_id: data.span_id,
            parent_id: data.parent_id,
            started: data.started,
            ended: self.clock.now(),
            fields: data.fields,
            failed: data.failed,
        });
    }
}

/// Reads an id in lowercase hexadecimal digits that is not all zeros.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (bytes != [0; N]).then_some(bytes)
}

/// The W3C `traceparent` of where the program stands now, to be sent to servers of the operator so that their spans join the trace.
/// Nothing outside of a span, or when logging was not set up.
pub fn traceparent() -> Option<String> {
    let ids = |(id, dispatch): (&Id, &tracing::Dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let found = span.scope().find_map(|s: SpanRef<'_, Registry>| s.extensions().get::<SpanData>().map(|d| (d.trace_id, d.span_id)));
        found.map(|(trace, span)| format!("00-{}-{}-01", hex::encode(trace), hex::encode(span)))
    };
    tracing::Span::current().with_subscriber(ids).flatten()
}

/// The caller's span in a `traceparent` header, for the field `parent_span_id` of the request's span. Nothing when the header is not
/// well-formed (W3C Trace Context, version 00).
pub fn parent_span_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let lower = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let good = version.len() == 2 && version != "ff" && lower(version) && lower(trace) && lower(span);
    (good && decode::<16>(trace).is_some() && decode::<8>(span).is_some()).then_some(span)
}

/// Spans that are always kept, whatever the level of the log: a line without its `trace_id` could not be found again.
fn is_ours(meta: &Metadata<'_>) -> bool {
    meta.is_span() && *meta.level() <= Level::INFO && meta.target().starts_with("astrolabe")
}

/// Lets our spans through and asks the configured filter about the rest.
pub(super) struct Wanted(pub EnvFilter);

impl<S> Filter<S> for Wanted
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, meta: &Metadata<'_>, cx: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.0, meta, cx) || is_ours(meta)
    }

    fn callsite_enabled(&self, meta: &'static Metadata<'static>) -> Interest {
        let configured = Filter::<S>::callsite_enabled(&self.0, meta);
        if is_ours(meta) { Interest::always() } else { configured }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.0).map(|level| level.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.0, attrs, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Filter::<S>::on_record(&self.0, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_enter(&self.0, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_exit(&self.0, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Filter::<S>::on_close(&self.0, id, ctx);
    }
}

/// Reads the filter of `log.level`: a level, or `target=level` parts separated by commas. `warning` and `critical` are understood.
pub(super) fn parse_filter(text: &str) -> crate::Result<EnvFilter> {
    let bad = |what: &str| {
        let message =
            format!("log.level: {what}; write error, warn, info, debug or trace, or filters such as info,astrolabe_knowledge=debug");
        crate::Error::new(crate::error::code::INVALID_CONFIG, message)
    };
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (target, level) = part.rsplit_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let level = match level.trim().to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "critical" | "fatal" => "error",
            known @ ("off" | "error" | "warn" | "info" | "debug" | "trace") => known,
            // The library would take a misspelt level for a target, and fall silent.
            _ => return Err(bad(&format!("{level} is not a level"))),
        }
        .to_owned();
        parts.push(target.map_or(level.clone(), |target| format!("{target}={level}")));
    }
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(parts.join(",")).map_err(|e| bad(&e.to_string()))
}

impl Fields {
    /// The ids of a span as fields.
    fn ids(trace_id: &[u8; 16], span_id: &[u8; 8]) -> Self {
        Self::from_pairs(vec![("trace_id", Value::Text(hex::encode(trace_id))), ("span_id", Value::Text(hex::encode(span_id)))])
    }
}
