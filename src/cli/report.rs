//! `report`: inserts error events through PostgREST, as a worker would.

use std::{io::BufRead, time::Duration};

use clap::Args;
use serde_json::{Map, Value};
use tokio::time;
use uuid::Uuid;

use super::{progress::Progress, wiring};
use crate::{
    clock::Clock,
    config::{Credentials, Environment, Reporter, Supabase},
    error::Error,
    model::{Severity, Source},
    rest::{RestClient, RestError},
};

/// Events per request; PostgREST takes more, but a refused request must name a findable line.
const BATCH: usize = 500;

/// Lines that may be refused before the rest is given up.
const REFUSALS_MAX: usize = 100;

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
    let metadata: Map<String, Value> =
        serde_json::from_str(&arguments.metadata).map_err(|error| {
            Error::failed(format!(
                "--metadata is not a JSON object: {error}; write it as in {{\"node\": \"step-1\"}}"
            ))
        })?;
    let mut given = Map::new();
    given.insert("source".to_owned(), arguments.source.as_str().into());
    given.insert("error_type".to_owned(), arguments.error_type.clone().into());
    given.insert("severity".to_owned(), arguments.severity.as_str().into());
    given.insert("workflow_id".to_owned(), arguments.workflow.map(|id| id.to_string()).into());
    given.insert("project_id".to_owned(), arguments.project.map(|id| id.to_string()).into());
    given.insert("message".to_owned(), arguments.message.clone().into());
    given.insert("metadata".to_owned(), metadata.into());
    complete(given, clock).map_err(Error::failed)
}

/// Sends a stream of NDJSON in batches; a line that is not usable is named and costs only itself.
async fn report_lines(
    client: &RestClient,
    input: impl BufRead,
    clock: &Clock,
) -> Result<usize, Error> {
    let progress = Progress::new();
    let mut tally = Tally::default();
    let mut batch = Batch::default();
    for (number, line) in input.lines().enumerate() {
        let number = number + 1;
        let line = line.map_err(|error| {
            Error::failed(format!("line {number}: {error}; {} were reported", tally.sent))
        })?;
        if line.trim().is_empty() {
            continue;
        }
        match row(&line, clock) {
            Ok(row) => {
                batch.numbers.push(number);
                batch.rows.push(row);
            }
            Err(problem) => tally.refuse(number, &problem)?,
        }
        if batch.rows.len() == BATCH {
            tally.send(client, &std::mem::take(&mut batch)).await?;
            progress.say(format_args!("line {number}, {} reported", tally.sent));
        }
    }
    tally.send(client, &batch).await?;
    drop(progress);
    match tally.refused {
        0 => Ok(tally.sent),
        refused => Err(Error::failed(format!(
            "{refused} lines were refused, {} were reported; mend those, and send them alone",
            tally.sent
        ))),
    }
}

fn row(line: &str, clock: &Clock) -> Result<Value, String> {
    match serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))? {
        Value::Object(given) => complete(given, clock),
        _ => Err("is not a JSON object".to_owned()),
    }
}

/// Rows that go out together, and the lines that they stood in.
#[derive(Debug, Default)]
struct Batch {
    numbers: Vec<usize>,
    rows: Vec<Value>,
}

/// What became of the lines so far.
#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    refused: usize,
}

impl Tally {
    /// Sends a batch; where the server refuses it, its halves show which lines are to blame.
    async fn send(&mut self, client: &RestClient, batch: &Batch) -> Result<(), Error> {
        let mut parts = vec![(&*batch.numbers, &*batch.rows)];
        while let Some((numbers, rows)) = parts.pop() {
            match send(client, rows).await {
                Ok(()) => self.sent += rows.len(),
                Err(error) if !is_about_rows(&error) => return Err(error.into()),
                Err(error) => match numbers {
                    [] => {}
                    [number] => self.refuse(*number, &error.to_string())?,
                    _ => {
                        let middle = rows.len() / 2;
                        let (numbers, rows) = (numbers.split_at(middle), rows.split_at(middle));
                        // The last one in is the first one out, so lines are named in order.
                        parts.extend([(numbers.1, rows.1), (numbers.0, rows.0)]);
                    }
                },
            }
        }
        Ok(())
    }

    /// Names a line, and gives up where it seems that no line is usable.
    fn refuse(&mut self, number: usize, problem: &str) -> Result<(), Error> {
        eprintln!("line {number}: {problem}");
        self.refused += 1;
        if self.refused < REFUSALS_MAX {
            return Ok(());
        }
        Err(Error::failed(format!(
            "gave up at line {number}, after {} refused lines; {} were reported; look at the first ones, and \
             send the rest when they are mended",
            self.refused, self.sent
        )))
    }
}

/// Whether the server refused rows, and neither us nor the moment.
fn is_about_rows(error: &RestError) -> bool {
    matches!(error, RestError::Refused(refusal) if refusal.status != 401) && !error.is_transient()
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

/// Inserts rows, and tries again for a while where that may help.
async fn send(client: &RestClient, rows: &[Value]) -> Result<(), RestError> {
    let mut retries = RETRIES.iter();
    loop {
        match client.insert_json(rows).await {
            Err(error) if error.is_transient() => match retries.next() {
                Some(delay) => time::sleep(*delay).await,
                None => return Err(error),
            },
            result => return result,
        }
    }
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
