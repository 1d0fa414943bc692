//! Logging, and the recorder of metrics.

use std::{
    io::IsTerminal as _,
    sync::{Arc, OnceLock},
};

use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, Telemetry};

/// Upper bounds of the latency histograms, in seconds: fine around the budget of 200 to 600 ms.
const LATENCY_BOUNDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Starts logging to standard error; a second call in the same process does nothing.
pub fn log(config: &Telemetry) {
    let filter: Targets = config.filter.parse().unwrap_or_default();
    // Colours are for people's eyes; where there are any, NO_COLOR still turns them off.
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match config.format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
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
