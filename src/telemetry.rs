//! Logging, traces, and the recorder of metrics.

mod lines;
#[cfg(feature = "otel")]
mod traces;

use std::{
    io::IsTerminal as _,
    sync::{Arc, OnceLock},
};

use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tracing::{Span, Subscriber};
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use uuid::Uuid;

use self::lines::Lines;
use crate::config::{LogFormat, Telemetry, Traces};

/// Upper bounds of the latency histograms, in seconds: fine around the budget of 200 to 600 ms.
const LATENCY_BOUNDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What was started; to be dropped when everything else has ended, and outside of the runtime.
#[derive(Debug, Default)]
pub struct Telling {
    #[cfg(feature = "otel")]
    _traces: Option<traces::Sending>,
}

/// Starts logging to standard error, and sending traces where somebody collects them; a second call in
/// the same process does nothing.
pub fn start(config: &Telemetry) -> Telling {
    // Colours are for people's eyes; where there are any, NO_COLOR still turns them off.
    let colours = std::io::stderr().is_terminal();
    let lines = lines(config.format, colours, std::io::stderr);
    let filter: Targets = config.filter.parse().unwrap_or_default();
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    let Some(traces) = &config.traces else {
        let _ = registry.try_init();
        return Telling::default();
    };
    tell_traces(registry, traces)
}

/// Starts sending traces as well.
#[cfg(feature = "otel")]
fn tell_traces<S>(registry: S, config: &Traces) -> Telling
where
    S: SubscriberExt + Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    match traces::layer(config) {
        Ok((layer, sending)) => {
            let _ = registry.with(layer).try_init();
            Telling { _traces: Some(sending) }
        }
        Err(error) => {
            let _ = registry.try_init();
            tracing::error!(error, "no traces are sent; see OTEL_EXPORTER_OTLP_ENDPOINT");
            Telling::default()
        }
    }
}

/// Says that it cannot send any.
#[cfg(not(feature = "otel"))]
fn tell_traces<S: Subscriber + Send + Sync>(registry: S, config: &Traces) -> Telling {
    let _ = registry.try_init();
    let url = config.url.as_str();
    tracing::warn!(url, "no traces are sent: this binary was built without the feature otel");
    Telling::default()
}

/// Makes a span part of the trace of an incident, which has the incident's id; nothing where no traces
/// are sent.
pub fn follow(span: &Span, incident: Uuid) {
    #[cfg(feature = "otel")]
    traces::follow(span, incident);
    #[cfg(not(feature = "otel"))]
    let _ = (span, incident);
}

/// Links a span to the trace of an incident besides the one that it is part of.
pub fn link(span: &Span, incident: Uuid) {
    #[cfg(feature = "otel")]
    traces::link(span, incident);
    #[cfg(not(feature = "otel"))]
    let _ = (span, incident);
}

/// What writes log lines; nothing that stands in a value can forge one.
fn lines<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let mut layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if !colours {
        layer.set_ansi(false);
    }
    match format {
        LogFormat::Text => layer.fmt_fields(Lines).with_target(false).boxed(),
        // What a line belongs to, such as a request with its id, stands under `span`.
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

/// What is measured: by the process as a whole, and by one daemon of it.
///
/// There is one recorder per process, which counts what several daemons of a test do together; what
/// a daemon says of its own state goes to a recorder of its own.
#[derive(Clone)]
pub struct Metrics {
    process: PrometheusHandle,
    own: Arc<PrometheusRecorder>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { process: recorder(), own: Arc::new(builder().build_recorder()) }
    }
}

impl Metrics {
    /// Lets what `measure` measures count as this daemon's own.
    pub fn record(&self, measure: impl FnOnce()) {
        metrics::with_local_recorder(&*self.own, measure);
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.render() + &self.own.handle().render()
    }

    /// Takes over what was measured since the last time; without it, memory would grow.
    pub fn upkeep(&self) {
        self.process.run_upkeep();
        self.own.handle().run_upkeep();
    }
}

/// The process's recorder, installed at the first call.
fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = builder().build_recorder();
            let handle = recorder.handle();
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

fn builder() -> PrometheusBuilder {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    // Only an empty list of bounds is refused, and this one is not.
    PrometheusBuilder::new()
        .set_buckets_for_metric(suffix, LATENCY_BOUNDS)
        .unwrap_or_else(|_| PrometheusBuilder::new())
}

#[cfg(test)]
mod tests;
