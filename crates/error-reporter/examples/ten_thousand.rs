//! Captures ten thousand errors over some seconds, and says in one line of JSON how that went.
//! `SUPABASE_URL`, `ERROR_REPORTER_TOKEN` and `ERROR_REPORTER_SPOOL` say where to.

use std::{error::Error, time::Duration};

use error_reporter::{Context, Options, Reporter, Source};
use tokio::time::sleep;

const EVENTS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
#[error("rust event {0}")]
struct Failure(usize);

#[expect(clippy::disallowed_methods, reason = "an example reads its settings where it starts")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name}: must be set"))
}

/// The largest resident size of this process so far, in MiB, where the system tells it.
fn largest_resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let token = variable("ERROR_REPORTER_TOKEN")?;
    let mut options = Options::new(variable("SUPABASE_URL")?.parse()?, token.as_str());
    options.spool_dir = variable("ERROR_REPORTER_SPOOL").ok().map(Into::into);
    options.defaults.source = Source::Worker;
    options.max_backoff = Duration::from_secs(1);
    let reporter = Reporter::start(options)?;
    for number in 0..EVENTS {
        let context = Context::new().with("i", number).with("filler", "x".repeat(500));
        reporter.capture(&Failure(number), context);
        if number % 20 == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    let flushed = reporter.close(Duration::from_secs(60)).await;
    let stats = reporter.stats();
    let result = serde_json::json!({
        "all": flushed.delivered,
        "captured": stats.captured,
        "delivered": stats.delivered,
        "refused": stats.refused,
        "dropped": stats.dropped,
        "lost": stats.lost,
        "pending": stats.pending,
        "max_rss_mib": largest_resident_mib(),
    });
    println!("{result}");
    Ok(())
}
