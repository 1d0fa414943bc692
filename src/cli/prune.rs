//! `prune`: deletes what is older than its retention, or says what is kept how long.

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{progress::Progress, run::stop_on_signal, wiring};
use crate::{
    config::{Database, Environment},
    error::Error,
    retention,
    store::retention::{Kept, read},
};

/// How long one question to the database may take.
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Delete what is older than its retention; the leading instance does the same every ten minutes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Delete nothing; say how long each kind of row is kept, and what was deleted so far.
    #[arg(long)]
    list: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    let mut reader = environment.reader();
    let config = Database::read(&mut reader);
    let db = wiring::database(&reader.finish(config)?)?;
    if arguments.list {
        let kept = read(&db, TIME_LIMIT).await?;
        print_kept(&kept, arguments.json);
        return Ok(());
    }
    let cancel = CancellationToken::new();
    stop_on_signal(&cancel)?;
    let progress = Progress::new();
    let mut total = 0;
    let round = retention::round(&db, &cancel, |kind, rows| {
        total += rows;
        progress.say(format_args!("{kind}: {total} rows deleted in all"));
    })
    .await?;
    drop(progress);
    let failed: Vec<String> =
        round.failed.iter().map(|(kind, error)| format!("{kind}: {error}")).collect();
    if arguments.json {
        let rows: serde_json::Map<_, _> =
            round.rows.into_iter().map(|(kind, rows)| (kind, rows.into())).collect();
        println!("{}", json!({ "deleted": rows, "failed": failed }));
    } else {
        for (kind, rows) in &round.rows {
            println!("{kind:<14} {rows:>12} rows deleted");
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "not everything that is too old was deleted; run it again when this is mended: {}",
        failed.join("; ")
    )))
}

fn print_kept(kept: &[Kept], as_json: bool) {
    if as_json {
        let list: Vec<_> = kept
            .iter()
            .map(|kept| {
                json!({
                    "kind": kept.kind,
                    "keep_seconds": kept.keep.micros() / 1_000_000,
                    "pruned_before": kept.pruned_before.map(|at| at.to_string()),
                    "pruned_rows": kept.pruned_rows,
                })
            })
            .collect();
        println!("{}", json!(list));
        return;
    }
    for kept in kept {
        let days = kept.keep.micros() / 86_400_000_000;
        let before = kept
            .pruned_before
            .map_or_else(|| "nothing deleted yet".to_owned(), |at| format!("deleted before {at}"));
        println!("{:<14} kept {days:>5} days, {before}, {} rows", kept.kind, kept.pruned_rows);
    }
}
