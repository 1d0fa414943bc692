//! Traces for an OpenTelemetry collector: what the daemon's spans say, by OTLP over HTTP.
//!
//! An incident's decisions and deliveries make up one trace whichever instance does them, because the
//! trace's id is the incident's. Their common parent is that incident itself, which is never sent.

use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    Context,
    trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use secrecy::ExposeSecret as _;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use uuid::Uuid;

use crate::config::Traces;

/// How long one delivery to the collector may take.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is not sent yet.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Sends what is left when it is dropped; not to be dropped within the runtime, which it would block.
#[derive(Debug)]
pub(super) struct Sending(SdkTracerProvider);

impl Drop for Sending {
    fn drop(&mut self) {
        // A collector that is away loses the last spans, and nothing else.
        let _ = self.0.shutdown_with_timeout(FLUSH_WITHIN);
    }
}

/// The layer that turns spans into traces, and what sends them from a thread of its own.
///
/// # Errors
/// Where the client cannot be made.
pub(super) fn layer<S>(
    config: &Traces,
) -> Result<(impl Layer<S> + Send + Sync + use<S>, Sending), String>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(config.url.as_str())
        .with_timeout(SEND_WITHIN)
        .with_headers(headers(config)?)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder().with_service_name(config.service.clone()).build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("meshhook-errors");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter_fn(wanted));
    Ok((layer, Sending(provider)))
}

/// Our own spans; log lines stay in the log.
fn wanted(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && *metadata.level() <= Level::DEBUG
        && metadata.target().starts_with("meshhook_errors")
}

/// `name=value,name=value`, with values as in URLs, as the specification has it.
fn headers(config: &Traces) -> Result<HashMap<String, String>, String> {
    let text = config.headers.as_ref().map_or("", |headers| headers.expose_secret());
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or("OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value")?;
            // A plus sign is itself there, unlike in forms.
            let pair = format!("v={}", value.trim().replace('+', "%2B"));
            let value = url::form_urlencoded::parse(pair.as_bytes()).next();
            let value = value.map(|(_, value)| value.into_owned()).unwrap_or_default();
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}

/// Makes a span part of an incident's trace.
pub(super) fn follow(span: &Span, incident: Uuid) {
    let parent = Context::new().with_remote_span_context(context(incident));
    // Without a collector there is nothing to follow.
    let _ = span.set_parent(parent);
}

/// Links a span to an incident's trace besides the one that it is part of.
pub(super) fn link(span: &Span, incident: Uuid) {
    span.add_link(context(incident));
}

fn context(incident: Uuid) -> SpanContext {
    let (_, low) = incident.as_u64_pair();
    SpanContext::new(
        TraceId::from_bytes(incident.into_bytes()),
        SpanId::from_bytes(low.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_specification_has_them() {
        let read = |text: &str| {
            headers(&Traces {
                url: "http://localhost:4318/v1/traces".parse().unwrap(),
                service: "errors".to_owned(),
                headers: Some(text.into()),
            })
        };
        let two = read("authorization=Bearer%20a+b%3D, x-tenant=1,").unwrap();
        assert_eq!(two["authorization"], "Bearer a+b=");
        assert_eq!((two.len(), &*two["x-tenant"]), (2, "1"));
        assert!(read("authorization").unwrap_err().contains("OTEL_EXPORTER_OTLP_HEADERS"));
        assert!(read("").unwrap().is_empty());
    }
}
