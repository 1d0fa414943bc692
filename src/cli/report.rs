//! `report`: inserts error events through PostgREST, as a worker would.

use std::{io::BufRead, time::Duration};

use clap::Args;
use serde_json::{Map, Value};
use tokio::time;
use uuid::Uuid;

use super::wiring;
use crate::{
    clock::Clock,
    config::{Credentials, Environment, Reporter, Supabase},
    error::Error,
    model::{Severity, Source},
    rest::{RestClient, RestError},
};

/// Events per request; PostgREST takes more, but a refused request must name a findable line.
const BATCH: usize = 500;

/// Waits before the attempts after a temporary failure.
const RETRIES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// Report one error event, or with --stdin one per line of NDJSON.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One line that says what happened.
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    message: Option<String>,
    /// Read objects with the columns of error_metrics from standard input, one per line.
    #[arg(long)]
    stdin: bool,
    /// The kind of component that failed.
    #[arg(long, default_value = "system")]
    source: Source,
    /// Class and detail, as in execution.timeout; the class is system, execution or input.
    #[arg(long = "type", value_name = "TYPE", default_value = "system")]
    error_type: String,
    /// How bad it is.
    #[arg(long, default_value = "medium")]
    severity: Severity,
    /// The workflow version it happened in.
    #[arg(long, value_name = "UUID")]
    workflow: Option<Uuid>,
    /// The project, where there is no workflow.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// Whatever else helps, as a JSON object; the database masks it.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    metadata: String,
}

/// The columns that a reporter may set; every row of a request must have the same ones.
const COLUMNS: [&str; 9] = [
    "error_id",
    "timestamp",
    "source",
    "error_type",
    "severity",
    "workflow_id",
    "project_id",
    "message",
    "metadata",
];

pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    let mut reader = environment.reader();
    let supabase = Supabase::read(&mut reader);
    let reporter = Reporter::read(&mut reader);
    let needs_credentials = reporter.as_ref().is_some_and(|reporter| reporter.token.is_none());
    let credentials = if needs_credentials { Credentials::read(&mut reader) } else { None };
    let (supabase, reporter) = reader.finish(supabase.zip(reporter))?;
    let clock = Clock::system();
    let client = wiring::reporter_client(
        &supabase,
        &reporter,
        credentials.as_ref(),
        arguments.project,
        clock.clone(),
    )?;
    if arguments.stdin {
        let sent = report_lines(&client, std::io::stdin().lock(), &clock).await?;
        eprintln!("{sent} error events reported");
    } else {
        send(&client, &[single(&arguments, &clock)?]).await?;
    }
    Ok(())
}

fn single(arguments: &Arguments, clock: &Clock) -> Result<Value, Error> {
    let metadata: Value = serde_json::from_str(&arguments.metadata)
        .map_err(|error| Error::failed(format!("--metadata is not JSON: {error}")))?;
    let mut given = Map::new();
    given.insert("source".to_owned(), arguments.source.as_str().into());
    given.insert("error_type".to_owned(), arguments.error_type.clone().into());
    given.insert("severity".to_owned(), arguments.severity.as_str().into());
    given.insert("workflow_id".to_owned(), arguments.workflow.map(|id| id.to_string()).into());
    given.insert("project_id".to_owned(), arguments.project.map(|id| id.to_string()).into());
    given.insert("message".to_owned(), arguments.message.clone().into());
    given.insert("metadata".to_owned(), metadata);
    complete(given, clock).map_err(Error::failed)
}

/// Sends a stream of NDJSON in batches; a line that is not usable stops it and is named.
async fn report_lines(
    client: &RestClient,
    input: impl BufRead,
    clock: &Clock,
) -> Result<usize, Error> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut sent = 0;
    for (number, line) in input.lines().enumerate() {
        let number = number + 1;
        let at = |text: String| Error::failed(format!("line {number}: {text}"));
        let line = line.map_err(|error| at(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&line).map_err(|error| at(error.to_string()))?;
        let Value::Object(given) = value else { return Err(at("is not a JSON object".to_owned())) };
        batch.push(complete(given, clock).map_err(at)?);
        if batch.len() == BATCH {
            send(client, &batch).await.map_err(|error| at(format!("or before: {error}")))?;
            sent += batch.len();
            batch.clear();
        }
    }
    send(client, &batch).await?;
    Ok(sent + batch.len())
}

/// Fills in what every row must have, and refuses members that are no columns.
fn complete(mut given: Map<String, Value>, clock: &Clock) -> Result<Value, String> {
    if let Some(unknown) = given.keys().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(format!("{unknown:?} is not a column; expected {}", COLUMNS.join(", ")));
    }
    let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
    if absent(given.get("error_id")) {
        // The id is made here, so that a repeated attempt cannot add a second row.
        given.insert("error_id".to_owned(), Uuid::now_v7().to_string().into());
    }
    if absent(given.get("timestamp")) {
        given.insert("timestamp".to_owned(), clock.now().to_string().into());
    }
    for (name, default) in
        [("source", "system"), ("error_type", "system"), ("severity", "medium"), ("message", "")]
    {
        if absent(given.get(name)) {
            given.insert(name.to_owned(), default.into());
        }
    }
    if absent(given.get("metadata")) {
        given.insert("metadata".to_owned(), Value::Object(Map::new()));
    }
    for name in COLUMNS {
        given.entry(name).or_insert(Value::Null);
    }
    Ok(Value::Object(given))
}

async fn send(client: &RestClient, rows: &[Value]) -> Result<(), Error> {
    let mut retries = RETRIES.iter();
    loop {
        match client.insert_json(rows).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => match retries.next() {
                Some(delay) => time::sleep(*delay).await,
                None => return Err(Error::unavailable("PostgREST", error)),
            },
            Err(error) => return Err(refused(error)),
        }
    }
}

fn refused(error: RestError) -> Error {
    Error::failed(format!("the error event was refused: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[track_caller]
    fn check(line: &str, expected: Result<&[(&str, Value)], &str>) {
        let clock = Clock::manual(Timestamp::from_secs(0));
        let given = serde_json::from_str(line).unwrap();
        match (complete(given, &clock), expected) {
            (Ok(value), Ok(members)) => {
                assert_eq!(value.as_object().unwrap().len(), COLUMNS.len());
                for (name, member) in members {
                    assert_eq!(&value[*name], member, "{name} of {line}");
                }
            }
            (Err(text), Err(start)) => assert!(text.starts_with(start), "{text}"),
            (got, _) => panic!("{line} gave {got:?}"),
        }
    }

    #[test]
    fn a_line_is_completed_or_refused() {
        check(
            r#"{"source":"worker","error_id":"6f9619ff-8b86-4011-b42d-00cf4fc964ff"}"#,
            Ok(&[
                ("source", "worker".into()),
                ("severity", "medium".into()),
                ("timestamp", "1970-01-01T00:00:00.000000Z".into()),
                ("project_id", Value::Null),
                ("error_id", "6f9619ff-8b86-4011-b42d-00cf4fc964ff".into()),
            ]),
        );
        check(r#"{"metadata":null,"message":"x"}"#, Ok(&[("message", "x".into())]));
        check(r#"{"seq":1}"#, Err("\"seq\" is not a column"));
    }
}
