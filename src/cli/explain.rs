//! `explain`: why a rule fired, or did not.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::{backtest::moment, progress::Progress, wiring};
use crate::{
    backtest::{self, explain},
    clock::Clock,
    config::{Database, Environment},
    error::Error,
    model::GroupKey,
};

const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Say why a rule fires, or does not: its value, thresholds, silences, channels and leader.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The rule's name or id.
    rule: String,
    /// The rule's project, where several have a rule of this name.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// The group, as JSON: {"source":"worker"}.
    #[arg(long, value_name = "JSON")]
    group: Option<String>,
    /// At this time, day, or so long ago, as in 10m; the present without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print all facts as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints one paragraph, or the facts.
///
/// # Errors
/// When the rule cannot be found, or the database fails.
pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    let now = Clock::system().now();
    let at = arguments.at.as_deref().map(|text| moment(text, now)).transpose();
    let at = at.map_err(|problem| Error::failed(format!("--at: {problem}")))?;
    let group: Option<GroupKey> =
        arguments.group.as_deref().map(str::parse).transpose().map_err(|error| {
            Error::failed(format!("--group: {error}; write it as in {{\"source\":\"worker\"}}"))
        })?;
    let mut reader = environment.reader();
    let config = Database::read(&mut reader);
    let db = wiring::database(&reader.finish(config)?)?;
    let found = backtest::find(&db, &arguments.rule, arguments.project, TIME_LIMIT).await?;
    let progress = Progress::of("looking at the rule's window");
    let facts = explain::gather(&db, &found, group, at, TIME_LIMIT).await?;
    drop(progress);
    let text = explain::paragraph(&facts);
    if arguments.json {
        let answer = serde_json::json!({ "text": text, "facts": facts });
        println!("{}", serde_json::to_string_pretty(&answer).map_err(Error::failed)?);
    } else {
        println!("{text}");
    }
    Ok(())
}
