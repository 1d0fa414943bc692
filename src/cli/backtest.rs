//! `backtest`: what a rule would have done over stored history.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use uuid::Uuid;

use super::{progress::Progress, reconcile::time, wiring};
use crate::{
    backtest::{self, ChannelRef, IncidentLine, Report, Request},
    clock::Clock,
    config::{Database, Environment},
    error::Error,
    model::{Rule, Span, Timestamp},
    rules_file::{self, parse_span, render_span},
    store::{Db, rule_rows},
};

/// How long one query of a back-test may take.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Incidents shown; `--json` has more.
const SHOWN: usize = 30;
/// The bars of a text chart, from nothing to the highest value.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Evaluate a rule over stored history: which incidents it would have had, and how many messages.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The rule's name or id.
    #[arg(required_unless_present = "rule_file")]
    rule: Option<String>,
    /// Take the rule from a file of rules; RULE then says which one, where there are several.
    #[arg(long, value_name = "FILE")]
    rule_file: Option<PathBuf>,
    /// The rule's project; a rule of a file belongs to no project without it.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// From when on: a time, a day, or how long ago, as in 7d.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    from: String,
    /// Until when; the present without it.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    to: String,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Also suggest thresholds from this history.
    #[arg(long)]
    suggest: bool,
}

/// Runs the back-test and prints what came of it.
///
/// # Errors
/// When the rule cannot be found or used, or the database fails.
pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    let now = Clock::system().now();
    let from = moment(&arguments.from, now).map_err(|text| fail("--from", &text))?;
    let to = moment(&arguments.to, now).map_err(|text| fail("--to", &text))?;
    let mut reader = environment.reader();
    let config = Database::read(&mut reader);
    let db = wiring::database(&reader.finish(config)?)?;
    let (rule, channels) = wanted(&arguments, &db).await?;
    let restraints = backtest::restraints(&db, &rule, (from, to), TIME_LIMIT).await?;
    let suggest = arguments.suggest;
    let request = Request { rule, channels, restraints, from, to, suggest };
    let progress = Progress::of(format_args!("evaluating from {from} to {to}"));
    let report = backtest::run(&db, &request, TIME_LIMIT).await?;
    drop(progress);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Error::failed)?);
    } else {
        print!("{}", text(&request.rule, &report));
    }
    Ok(())
}

/// A time, a day, or a length of time ago.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match parse_span(text) {
        Ok(ago) => Ok(now - ago),
        Err(_) => time(text)
            .map_err(|_| "must be a time, a day, or how long ago, as in 7d or 12h".to_owned()),
    }
}

async fn wanted(arguments: &Arguments, db: &Db) -> Result<(Rule, Vec<ChannelRef>), Error> {
    let Some(path) = &arguments.rule_file else {
        let name = arguments.rule.as_deref().unwrap_or_default();
        let found = backtest::find(db, name, arguments.project, TIME_LIMIT).await?;
        return Ok((found.rule, found.channels.into_iter().map(ChannelRef::from).collect()));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(&path.display().to_string(), &format!("cannot be read: {error}")))?;
    let mut rules = rules_file::parse(&text).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("{}: {problem}", path.display()));
        Error::failed(lines.collect::<Vec<_>>().join("\n"))
    })?;
    if let Some(name) = &arguments.rule {
        rules.retain(|rule| rule.rule.name == *name);
    }
    let [file_rule] = rules.as_slice() else {
        let message = format!("holds {} rules that fit; name one of them", rules.len());
        return Err(fail(&path.display().to_string(), &message));
    };
    let rule = Rule { project_id: arguments.project, ..file_rule.rule.clone() };
    let known = rule_rows::channels_for(db, rule.project_id, TIME_LIMIT).await?;
    let channels = file_rule.channels.iter().map(|binding| {
        let channel = known.iter().find(|channel| channel.name == binding.name);
        ChannelRef {
            channel_id: channel.map(|channel| channel.channel_id),
            name: binding.name.clone(),
            kind: channel.map_or_else(|| "unknown".to_owned(), |channel| channel.kind.clone()),
            min_level: binding.min_level,
            enabled: channel.is_none_or(|channel| channel.enabled),
        }
    });
    Ok((rule, channels.collect()))
}

/// The report for a terminal.
fn text(rule: &Rule, report: &Report) -> String {
    let seconds = rule.window.micros() / 1_000_000;
    let mut text =
        format!("{}: {} over {}\n", rule.name, rule.metric.as_str(), render_span(seconds));
    text += &format!(
        "{} to {}: {} errors read in {} ms",
        short(report.from),
        short(report.complete_through),
        report.events_read,
        report.took_ms
    );
    if report.events_too_late > 0 {
        text += &format!("; {} were received too late to count", report.events_too_late);
    }
    text += &format!("\n\n  {}\n", chart(report));
    let highest = report.series.iter().filter_map(|point| point.value).fold(0.0, f64::max);
    text += &format!("  highest value {}", number(highest));
    let thresholds = &report.thresholds;
    for (name, value) in [("warning", thresholds.warning), ("critical", thresholds.critical)] {
        if let Some(value) = value {
            text += &format!(", {name} from {}", number(value));
        }
    }
    text += &format!("\n\n{} incidents", report.incidents_total);
    if report.dropped > 0 {
        text += &format!("; {} times the pending period was not reached", report.dropped);
    }
    text.push('\n');
    for incident in report.incidents.iter().take(SHOWN) {
        text += &line(incident);
    }
    if report.incidents_total > SHOWN {
        text += &format!("  … and {} more\n", report.incidents_total - SHOWN);
    }
    text += "\nmessages\n";
    if report.messages.is_empty() {
        text += "  none: the rule has no channel\n";
    }
    for count in &report.messages {
        let posts = match count.posts {
            posts if posts == count.count => String::new(),
            posts => format!(" in {posts} messages"),
        };
        text += &format!(
            "  {} ({}): {}{posts}, of which {} firing, {} escalated, {} reminders, {} flapping, {} resolved; \
             {} held back\n",
            count.name,
            count.kind,
            count.count,
            count.firing,
            count.escalated,
            count.reminders,
            count.flapping,
            count.resolved,
            count.held_back
        );
    }
    if let Some(suggestion) = &report.suggestion {
        text += &format!("\n{}\n", suggestion.text);
    }
    text
}

fn line(incident: &IncidentLine) -> String {
    let resolved = incident.resolved_at.map_or_else(|| "still open".to_owned(), short);
    let length = incident.resolved_at.map_or_else(String::new, |end| {
        let span: Span = end.since(incident.started_at);
        format!(" ({})", render_span(span.micros() / 1_000_000))
    });
    let state = if incident.fired_at.is_some() { incident.level.as_str() } else { "pending" };
    let group =
        if incident.group.is_empty() { String::new() } else { format!("  {}", incident.group) };
    format!(
        "  {} to {resolved}{length}  {state}  peak {}{group}\n",
        short(incident.started_at),
        number(incident.peak)
    )
}

/// One character for each group of points; a space where the value is unknown.
fn chart(report: &Report) -> String {
    let highest = report.series.iter().filter_map(|point| point.value).fold(0.0, f64::max);
    let bar = |value: f64| {
        let last = BARS.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of eight, and a float cast saturates"
        )]
        let place = if highest > 0.0 { (value / highest * last as f64).ceil() as usize } else { 0 };
        BARS.get(place.min(last)).copied().unwrap_or(' ')
    };
    let points = report.series.chunks(report.series.len().div_ceil(72).max(1));
    points
        .map(|points| points.iter().filter_map(|point| point.value).reduce(f64::max))
        .map(|value| value.map_or(' ', bar))
        .collect()
}

fn short(at: Timestamp) -> String {
    at.to_chrono().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// At most four decimals.
fn number(value: f64) -> String {
    format!("{}", (value * 1e4).round() / 1e4)
}

fn fail(what: &str, problem: &str) -> Error {
    Error::failed(format!("{what}: {problem}"))
}
