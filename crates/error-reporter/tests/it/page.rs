//! The example of `docs/reporting.md` is this function, word for word, so that it compiles.

use std::time::Duration;

use tracing_subscriber::prelude::*;
use url::Url;
use uuid::Uuid;

#[expect(dead_code, reason = "it would set up a whole process")]
#[rustfmt::skip]
async fn example(url: Url, token: &str, error: std::io::Error, id: Uuid, run: &str) -> Result<(), error_reporter::OptionsError> {
    use error_reporter::{Context, ErrorLayer, Options, Reporter, Source};

    let mut options = Options::new(url, token);
    options.defaults.source = Source::Worker;
    options.spool_dir = Some("/var/lib/worker/errors".into());
    let reporter = Reporter::start(options)?;   // inside a Tokio runtime
    reporter.install_panic_hook();              // panics of all threads
    tracing_subscriber::registry().with(ErrorLayer::new(reporter.clone())).init(); // error! events

    reporter.capture(&error, Context::new().workflow(id).attempt(3, 5).with("run_id", run));
    reporter.close(Duration::from_secs(5)).await;
    Ok(())
}

#[test]
fn the_example_of_the_page_compiles() {
    let page = include_str!("../../../../docs/reporting.md");
    let blocks: Vec<&str> = page.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), 1, "another example needs another function");
    let block = blocks[0].split("```").next().unwrap();
    let own: Vec<&str> = include_str!("page.rs").lines().map(str::trim).collect();
    let lines: Vec<&str> = block.lines().filter(|line| !line.is_empty()).collect();
    let first = own.iter().position(|line| *line == lines[0]).expect("its first line");
    let ours: Vec<&str> =
        own[first..].iter().filter(|line| !line.is_empty()).take(lines.len()).copied().collect();
    assert_eq!(ours, lines);
}
