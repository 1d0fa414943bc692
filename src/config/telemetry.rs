//! What is told of the work itself: log lines, and traces where somebody collects them.

use secrecy::SecretString;
use url::Url;

use super::{Reader, urls, variables as var};

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logging and tracing.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// What a line looks like.
    pub format: LogFormat,
    /// What is logged.
    pub filter: String,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug)]
pub struct Traces {
    /// Where it takes traces by OTLP over HTTP.
    pub url: Url,
    /// What it shall call this service.
    pub service: String,
    /// Headers that it wants, as `name=value,name=value`, with values as in URLs.
    pub headers: Option<SecretString>,
}

impl Telemetry {
    /// Reads `LOG_FORMAT` and `LOG_FILTER`, and what `OTEL_` variables say of traces.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let traces = Traces::read(reader);
        let format = match reader.text(&var::LOG_FORMAT)?.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => {
                reader.problem(&var::LOG_FORMAT, format!("must be text or json, not {other:?}"));
                None
            }
        };
        let filter = reader.text(&var::LOG_FILTER)?;
        if filter.parse::<tracing_subscriber::filter::Targets>().is_err() {
            reader.problem(&var::LOG_FILTER, "must be levels as in info,meshhook_errors=debug");
        }
        Some(Self { format: format?, filter, traces })
    }
}

impl Traces {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut url = urls::address(reader, &var::OTEL_EXPORTER_OTLP_ENDPOINT, ("http", "https"))?;
        // As the specification has it: the variable names the collector, and traces have their own path.
        url.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "traces"]);
        let service = reader.text(&var::OTEL_SERVICE_NAME)?;
        let headers = reader.text(&var::OTEL_EXPORTER_OTLP_HEADERS).map(SecretString::from);
        Some(Self { url, service, headers })
    }
}
