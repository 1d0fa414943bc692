//! Reads scenarios.

use chrono::NaiveTime;
use meshhook_errors::{
    backtest::ChannelRef,
    engine::{GroupStatus, KnownGroup, RunCount},
    model::{
        ErrorEvent, GroupField, GroupKey, Rule, Severity, Source, Span, Timestamp, Transition,
    },
    rules_file::{
        parse_span, rule_of,
        yaml::{Data, Node, load},
    },
    store::past::SourceChange,
    telling::{Inhibition, QuietHours, QuietKind, Silence},
};
use serde_json::json;
use uuid::Uuid;

use super::inhibitions::inhibition;

/// Monday, 3 June 2024, 00:00 UTC: a boundary of every window, and summer in Europe.
pub const BASE: Timestamp = Timestamp::from_secs(1_717_372_800);

/// One time line.
pub struct Scenario {
    pub name: String,
    pub rule: Rule,
    pub channels: Vec<ChannelRef>,
    pub silences: Vec<Silence>,
    pub quiet_hours: Vec<QuietHours>,
    /// What keeps the rule quiet, and what the rules did that do so, in order of time.
    pub inhibitions: Vec<Inhibition>,
    pub sources: Vec<SourceChange>,
    pub steps: Vec<(Timestamp, Step)>,
    pub then: Vec<String>,
    pub told: Vec<String>,
    /// Whether it also runs through a real daemon, in real time.
    pub live: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step {
    Event(ErrorEvent),
    Runs(RunCount),
    /// Somebody says something of an error group.
    Says(KnownGroup),
    /// Everything open is acknowledged, or given back.
    Acknowledge(bool),
    /// The process ends and another one starts from the database.
    Restart,
    /// Nothing reaches the daemon until the feed is back.
    FeedStops,
    FeedIsBack,
    /// Live only: the receiver answers the next message with this status.
    Receiver(u16),
    /// The last line of every scenario.
    End,
}

/// All scenarios of a file.
pub fn read(file: &str, text: &str) -> Vec<Scenario> {
    let root = load(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let Data::List(list) = root.data else { panic!("{file}: must be a list") };
    list.iter().map(scenario).collect()
}

fn scenario(node: &Node) -> Scenario {
    let Data::Map(pairs) = &node.data else { panic!("line {}: must be a mapping", node.line) };
    let known = [
        "scenario",
        "rule",
        "channels",
        "silences",
        "quiet_hours",
        "inhibitions",
        "when",
        "then",
        "told",
        "live",
    ];
    for (key, line, _) in pairs {
        assert!(known.contains(&key.as_str()), "line {line}: {key} is not known");
    }
    let name = text(get(node, "scenario").expect("scenario: its name"));
    let mut rule = get(node, "rule").cloned().expect("rule");
    let Data::Map(fields) = &mut rule.data else { panic!("{name}: rule") };
    let given = Node { line: node.line, data: Data::Text(name.chars().take(120).collect()) };
    fields.push(("name".to_owned(), node.line, given));
    let channels = get(node, "channels").cloned();
    fields.extend(channels.map(|channels| ("channels".to_owned(), node.line, channels)));
    if !fields.iter().any(|(key, _, _)| key == "reminder") {
        // Scenarios are long; who wants reminders says so.
        let never = Node { line: node.line, data: Data::Text("0s".to_owned()) };
        fields.push(("reminder".to_owned(), node.line, never));
    }
    let read = rule_of(&rule).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    let rule = Rule { id: id(0xa1e), ..read.rule };
    let channels = read.channels.iter().map(|binding| ChannelRef {
        channel_id: None,
        name: binding.name.clone(),
        kind: "webhook".to_owned(),
        min_level: binding.min_level,
        enabled: true,
    });
    let (inhibitions, sources): (Vec<_>, Vec<_>) =
        (1..).zip(items(node, "inhibitions")).map(|(n, node)| inhibition(n, node, &rule)).unzip();
    let mut sources: Vec<SourceChange> = sources.into_iter().flatten().collect();
    sources.sort_by_key(|change| change.transition.at);
    Scenario {
        channels: channels.collect(),
        inhibitions,
        sources,
        silences: items(node, "silences").iter().map(|node| silence(node, &rule)).collect(),
        quiet_hours: items(node, "quiet_hours").iter().map(quiet_hours).collect(),
        steps: steps(&name, &lines(node, "when")),
        then: lines(node, "then"),
        told: lines(node, "told"),
        live: matches!(get(node, "live").map(|node| &node.data), Some(Data::Flag(true))),
        rule,
        name,
    }
}

fn steps(name: &str, lines: &[String]) -> Vec<(Timestamp, Step)> {
    let mut steps = Vec::new();
    let mut seq = 0;
    for line in lines {
        let (at, rest) = time_of(line);
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["end"] => steps.push((at, Step::End)),
            ["acknowledged"] => steps.push((at, Step::Acknowledge(true))),
            ["given", "back"] => steps.push((at, Step::Acknowledge(false))),
            ["restart"] => steps.push((at, Step::Restart)),
            ["receiver", "answers", status] => {
                steps.push((at, Step::Receiver(status.parse().expect(line))));
            }
            ["feed", "stops"] => steps.push((at, Step::FeedStops)),
            ["feed", "is", "back"] => steps.push((at, Step::FeedIsBack)),
            [said @ ("resolved" | "ignored"), rest @ ..] => {
                let event = event(at, 0, rest);
                let status = match *said {
                    "resolved" => GroupStatus::Resolved(at),
                    _ => GroupStatus::Ignored,
                };
                let (project_id, fingerprint) = (event.project_id, event.fingerprint);
                let last_seen = Timestamp::default();
                let group = KnownGroup { project_id, fingerprint, last_seen, status };
                steps.push((at, Step::Says(group)));
            }
            [count, "runs" | "run", rest @ ..] => {
                let event = event(at, 0, rest);
                steps.push((
                    at,
                    Step::Runs(RunCount {
                        project_id: event.project_id,
                        workflow_id: event.workflow_id,
                        started_at: at,
                        count: count.parse().expect(line),
                    }),
                ));
            }
            [count, "errors" | "error", rest @ ..] => {
                for _ in 0..count.parse().expect(line) {
                    seq += 1;
                    steps.push((at, Step::Event(event(at, seq, rest))));
                }
            }
            _ => panic!("{name}: {line:?} is no step"),
        }
    }
    assert!(matches!(steps.last(), Some((_, Step::End))), "{name}: the last step must be end");
    assert!(steps.is_sorted_by_key(|(at, _)| *at), "{name}: steps must be in order of time");
    steps
}

fn event(at: Timestamp, seq: i64, words: &[&str]) -> ErrorEvent {
    let mut event = ErrorEvent {
        seq,
        error_id: id(u128::try_from(seq).expect("a number")),
        timestamp: at,
        received_at: at,
        source: Source::Worker,
        error_type: "execution.timeout".into(),
        severity: Severity::Medium,
        project_id: None,
        workflow_id: None,
        fingerprint: id(1),
        message: "step timed out".into(),
    };
    for word in words {
        let (field, value) = word.split_once('=').expect(word);
        match field {
            "late" => event.timestamp = at - parse_span(value).expect(word),
            "source" => event.source = value.parse().expect(word),
            "severity" => event.severity = value.parse().expect(word),
            "type" => event.error_type = value.into(),
            "project" => event.project_id = Some(named(value)),
            "workflow" => event.workflow_id = Some(named(value)),
            "fingerprint" => event.fingerprint = named(value),
            "message" => event.message = value.replace('_', " ").into(),
            _ => panic!("{word:?} is not a field of an error"),
        }
    }
    event
}

fn silence(node: &Node, rule: &Rule) -> Silence {
    let (from, to) = span_of(node);
    let matchers: serde_json::Map<_, _> = match get(node, "only").map(|node| &node.data) {
        Some(Data::Map(pairs)) => pairs
            .iter()
            .map(|(key, _, value)| {
                let value = text(value);
                let field: GroupField = key.parse().expect("a field");
                let id = matches!(field, GroupField::Project | GroupField::Workflow);
                (key.clone(), if id { json!(named(&value)) } else { json!(value) })
            })
            .collect(),
        _ => serde_json::Map::new(),
    };
    serde_json::from_value(json!({
        "silence_id": id(7), "project_id": null, "matchers": matchers, "reason": "deploy",
        "rule_id": get(node, "this_rule").map(|_| rule.id),
        "starts_at": from, "ends_at": to,
    }))
    .expect("a silence")
}

fn quiet_hours(node: &Node) -> QuietHours {
    let clock = |key: &str| -> NaiveTime {
        text(get(node, key).expect(key)).parse().unwrap_or_else(|_| panic!("{key}: a time"))
    };
    let flag = |key: &str| matches!(get(node, key).map(|n| &n.data), Some(Data::Flag(true)));
    QuietHours {
        quiet_hours_id: id(8),
        project_id: None,
        rule_id: None,
        name: "nights".to_owned(),
        kind: if flag("maintenance") { QuietKind::Maintenance } else { QuietKind::Quiet },
        days: match get(node, "days").map(|node| &node.data) {
            Some(Data::List(days)) => days
                .iter()
                .map(|day| match day.data {
                    Data::Whole(day) => u32::try_from(day).expect("a day"),
                    _ => panic!("days are numbers from 1 for Monday"),
                })
                .collect(),
            _ => (1..=7).collect(),
        },
        starts: clock("starts"),
        ends: clock("ends"),
        time_zone: get(node, "time_zone").map_or("UTC".to_owned(), text).parse().expect("a zone"),
        allow_critical: flag("allow_critical"),
    }
}

pub fn span_of(node: &Node) -> (Timestamp, Timestamp) {
    let at = |key| time_of(&text(get(node, key).expect(key))).0;
    (at("from"), at("to"))
}

/// Splits `1d 2:03:04 rest` into the instant and the rest; `-1:00` is a minute before the beginning.
pub fn time_of(line: &str) -> (Timestamp, &str) {
    let (mut days, mut rest) = (0, line.trim());
    if let Some(before) = rest.strip_prefix('-') {
        let (after, rest) = time_of(before);
        return (BASE - after.since(BASE), rest);
    }
    if let Some((word, further)) = rest.split_once(' ')
        && let Some(count) = word.strip_suffix('d')
    {
        days = count.parse().expect(line);
        rest = further.trim_start();
    }
    let (clock, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let seconds =
        clock.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect(line));
    #[expect(clippy::cast_possible_truncation, reason = "scenarios last days, not ages")]
    let micros = (seconds * 1e6).round() as i64;
    (BASE + Span::from_secs(days * 86_400) + Span::from_micros(micros), rest.trim())
}

/// The opposite of [`time_of`].
pub fn clock(at: Timestamp) -> String {
    if at < BASE {
        return format!("-{}", clock(BASE + BASE.since(at)));
    }
    let micros = at.since(BASE).micros();
    let (whole, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, seconds) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = if days == 0 { String::new() } else { format!("{days}d ") };
    text += &match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    };
    if micros > 0 {
        text += format!(".{micros:06}").trim_end_matches('0');
    }
    text
}

/// A transition as a scenario expects it.
pub fn line(told: &Transition) -> String {
    let value = (told.value * 1e3).round() / 1e3;
    let mut line = format!("{} {} {} {value}", clock(told.at), told.kind, told.level);
    line += &group(&told.group_key);
    line
}

fn group(key: &GroupKey) -> String {
    key.iter()
        .map(|(field, value)| {
            let value = value.map_or("none".to_owned(), |value| {
                Uuid::parse_str(value).map_or(value.to_owned(), name_of)
            });
            format!(" {field}={value}")
        })
        .collect()
}

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Projects, workflows and fingerprints are called `A`, `B`, … or by numbers.
pub fn named(text: &str) -> Uuid {
    match text.chars().next() {
        Some(letter) if text.len() == 1 && letter.is_ascii_alphabetic() => id(letter.into()),
        _ => id(text.parse().unwrap_or_else(|_| panic!("{text:?} is no letter or number"))),
    }
}

fn name_of(id: Uuid) -> String {
    let number = u32::try_from(id.as_u128()).unwrap_or(0);
    match char::from_u32(number) {
        Some(letter) if letter.is_ascii_alphabetic() => letter.to_string(),
        _ => number.to_string(),
    }
}

pub fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Data::Map(pairs) = &node.data else { panic!("line {}: must be a mapping", node.line) };
    pairs.iter().find(|(name, _, _)| name == key).map(|(_, _, value)| value)
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match get(node, key).map(|node| &node.data) {
        Some(Data::List(list)) => list,
        Some(_) => panic!("{key} must be a list"),
        None => &[],
    }
}

fn lines(node: &Node, key: &str) -> Vec<String> {
    let text = get(node, key).map(text).unwrap_or_default();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

pub fn text(node: &Node) -> String {
    match &node.data {
        Data::Text(text) => text.clone(),
        Data::Whole(number) => number.to_string(),
        Data::Null => String::new(),
        _ => panic!("line {}: must be a text, not {}", node.line, node.what()),
    }
}
