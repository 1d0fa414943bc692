//! What a query means, or everything that is wrong with it.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use uuid::Uuid;

use super::{super::FieldProblem, Asked, Problem, cursor::Cursor};
use crate::model::{Severity, Source, Span, Timestamp, TypePattern};

/// Events of a page where the query does not say.
pub const DEFAULT_LIMIT: usize = 100;
/// Events of a page at most, which is also the most that PostgREST gives at once.
pub const MOST: usize = 1_000;
/// Values of one parameter at most.
const VALUES: usize = 100;
/// Minutes, hours or days of a series at most: a day of minutes, two months of hours, four years.
const BUCKETS: i64 = 1_500;
/// Characters of a text to look for.
const TEXT: usize = 200;
/// How long a period may be searched for a text: no index helps there, every message is read.
const SEARCHED: Span = Span::from_secs(7 * 86_400);

/// How long each bucket of a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Unit {
    /// As the query and the database write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its length.
    pub const fn length(self) -> Span {
        Span::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    /// The start of the bucket that `at` is in.
    pub fn start(self, at: Timestamp) -> Timestamp {
        let length = self.length().micros();
        Timestamp::from_micros(at.micros().div_euclid(length) * length)
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// Sources; empty for all. The same holds for the other lists.
    pub sources: Vec<Source>,
    /// Classes and whole types.
    pub types: Vec<TypePattern>,
    /// Severities.
    pub severities: Vec<Severity>,
    /// Workflows.
    pub workflows: Vec<Uuid>,
    /// Projects.
    pub projects: Vec<Uuid>,
    /// Groups.
    pub fingerprints: Vec<Uuid>,
    /// What the message contains.
    pub text: Option<String>,
    /// Events at most.
    pub limit: Option<usize>,
    /// Where the page begins.
    pub cursor: Option<Cursor>,
    /// A series instead of events; then `from` and `to` are there and on its bounds.
    pub group: Option<Unit>,
}

impl Wanted {
    /// Reads a query that is asked at `now`.
    ///
    /// # Errors
    /// 400 with every field that is wrong.
    pub fn read(asked: &Asked, now: Timestamp) -> Result<Self, Problem> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| {
            problems.push(FieldProblem::new(field, message));
        };
        let mut wanted = Self {
            from: one(&mut problem, "from", &asked.from, instant),
            to: one(&mut problem, "to", &asked.to, instant),
            sources: list(&mut problem, "source", &asked.source, words),
            types: list(&mut problem, "type", &asked.error_type, error_type),
            severities: list(&mut problem, "severity", &asked.severity, words),
            workflows: list(&mut problem, "workflow", &asked.workflow, id),
            projects: list(&mut problem, "project", &asked.project, id),
            fingerprints: list(&mut problem, "fingerprint", &asked.fingerprint, id),
            text: one(&mut problem, "text", &asked.text, text),
            limit: one(&mut problem, "limit", &asked.limit, limit),
            cursor: one(&mut problem, "cursor", &asked.cursor, |text| {
                Cursor::parse(text).ok_or_else(|| "is not one that was given out".to_owned())
            }),
            group: one(&mut problem, "group", &asked.group, unit),
        };
        if let (Some(from), Some(to)) = (wanted.from, wanted.to)
            && from >= to
        {
            problem("to", "must be later than from".to_owned());
        }
        if wanted.text.is_some() {
            wanted.settle_search(&mut problem, now);
        }
        if let Some(unit) = wanted.group {
            wanted.settle_period(&mut problem, unit, now);
            for (field, given) in
                [("cursor", asked.cursor.is_some()), ("limit", asked.limit.is_some())]
            {
                if given {
                    problem(field, "does not go together with group".to_owned());
                }
            }
        }
        if problems.is_empty() { Ok(wanted) } else { Err(Problem::fields(problems)) }
    }

    /// Bounds the period that is searched for a text. Where it has no beginning, it is as long as it may be;
    /// that of a series is settled with its buckets.
    fn settle_search(&mut self, problem: &mut impl FnMut(&str, String), now: Timestamp) {
        let to = self.to.unwrap_or(now);
        match self.from {
            Some(from) if to.since(from) > SEARCHED => {
                let days = SEARCHED.micros() / Unit::Day.length().micros();
                problem(
                    "from",
                    format!(
                        "a text is looked for in at most {days} days; ask for a shorter period"
                    ),
                );
            }
            None if self.group.is_none() => self.from = Some(to - SEARCHED),
            _ => {}
        }
    }

    /// Widens the period of a series to whole buckets; where it has no beginning, it has 60 of them, or
    /// as many as are searched for a text.
    fn settle_period(
        &mut self,
        problem: &mut impl FnMut(&str, String),
        unit: Unit,
        now: Timestamp,
    ) {
        let length = unit.length();
        let to = self.to.unwrap_or(now);
        let to = unit.start(to + length - Span::from_micros(1));
        let most = if self.text.is_some() { SEARCHED.micros() } else { i64::MAX };
        let from = self.from.unwrap_or(to - Span::from_micros(most.min(60 * length.micros())));
        let from = unit.start(from);
        if to.since(from).micros() > BUCKETS * length.micros() {
            let unit = unit.as_str();
            problem("from", format!("more than {BUCKETS} {unit}s; ask for a shorter period"));
        }
        (self.from, self.to) = (Some(from), Some(to));
    }
}

fn one<T>(
    problem: &mut impl FnMut(&str, String),
    field: &str,
    value: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    read(value.as_deref()?).map_err(|message| problem(field, message)).ok()
}

fn list<T>(
    problem: &mut impl FnMut(&str, String),
    field: &str,
    value: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let Some(value) = value else { return Vec::new() };
    if value.split(',').count() > VALUES {
        problem(field, format!("must have at most {VALUES} values"));
        return Vec::new();
    }
    let values: Result<Vec<T>, String> = value.split(',').map(|part| read(part.trim())).collect();
    values.map_err(|message| problem(field, message)).unwrap_or_default()
}

/// Years in which Postgres and the model agree about how an instant is written.
fn instant(text: &str) -> Result<Timestamp, String> {
    let instant: Option<DateTime<Utc>> = text.parse().ok();
    match instant {
        Some(instant) if (1970..=9999).contains(&instant.year()) => Ok(instant.into()),
        _ => Err("must be a time with its zone, as in 2026-01-31T12:00:00Z".to_owned()),
    }
}

fn words<T: FromStr<Err = crate::model::ParseEnumError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: crate::model::ParseEnumError| error.to_string())
}

fn error_type(text: &str) -> Result<TypePattern, String> {
    let fit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let known = matches!(TypePattern::class_of(text), "system" | "execution" | "input");
    if known && text.len() <= 128 && text.bytes().all(fit) {
        Ok(TypePattern::parse(text))
    } else {
        Err("must be system, execution or input, or such a class with details, as in \
             execution.http_timeout"
            .to_owned())
    }
}

fn id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "must be a UUID".to_owned())
}

fn text(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("must not be empty".to_owned()),
        _ if text.contains('\0') => Err("must not contain the character NUL".to_owned()),
        count if count > TEXT => Err(format!("must have at most {TEXT} characters")),
        _ => Ok(text.to_owned()),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| format!("must be a number from 1 to {MOST}"))
}

fn unit(text: &str) -> Result<Unit, String> {
    match text {
        "minute" => Ok(Unit::Minute),
        "hour" => Ok(Unit::Hour),
        "day" => Ok(Unit::Day),
        _ => Err("must be minute, hour or day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_780_000_030);

    /// Reads a query, and names what is wrong with it.
    #[track_caller]
    fn check(query: &str, expected: &[&str]) {
        let uri = format!("/?{query}").parse().unwrap();
        let axum::extract::Query(asked) = axum::extract::Query::try_from_uri(&uri).unwrap();
        let problems = Wanted::read(&asked, NOW).err().map(|p| p.errors).unwrap_or_default();
        let got: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(got, expected, "{query}");
    }

    #[test]
    fn each_wrong_parameter_is_named() {
        let many = format!("severity={}", vec!["low"; VALUES + 1].join(","));
        let long = format!("text={}", "x".repeat(TEXT + 1));
        for (query, expected) in [
            ("", &[][..]),
            ("from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B01:00&source=worker,system", &[]),
            ("type=execution,system.database&severity=high&limit=1000&text=a%20b", &[]),
            ("from=yesterday&to=2026", &["from", "to"]),
            ("from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", &["to"]),
            ("source=cron&severity=critical&type=other", &["source", "type", "severity"]),
            ("type=execution.a)", &["type"]),
            ("source=", &["source"]),
            ("workflow=1&project=,&fingerprint=x", &["workflow", "project", "fingerprint"]),
            ("limit=0", &["limit"]),
            ("limit=1001", &["limit"]),
            ("limit=ten&cursor=abc&group=week", &["limit", "cursor", "group"]),
            ("text=", &["text"]),
            ("text=%00", &["text"]),
            (&long, &["text"]),
            (&many, &["severity"]),
            ("group=minute", &[]),
            ("group=minute&from=2020-01-01T00:00:00Z", &["from"]),
            ("group=day&text=x&limit=5", &["limit"]),
            ("group=minute&cursor=AAZg4UdcI4IAAAAAAACE-A", &["cursor"]),
            ("text=x&from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z", &[]),
            ("text=x&from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00.000001Z", &["from"]),
            ("text=x&from=2026-01-01T00:00:00Z", &["from"]),
            ("text=x&group=day&from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z", &["from"]),
        ] {
            check(query, expected);
        }
    }

    #[test]
    fn a_series_has_whole_buckets() {
        let asked = Asked { group: Some("minute".to_owned()), ..Asked::default() };
        let wanted = Wanted::read(&asked, NOW).unwrap();
        let end = Timestamp::from_secs(1_780_000_080);
        assert_eq!(wanted.to, Some(end), "the minute that is not over yet is one of them");
        assert_eq!(wanted.from, Some(end - Span::from_secs(3_600)));
    }

    #[test]
    fn a_text_is_looked_for_in_a_week() {
        let text = Some("x".to_owned());
        let read = |group: Option<&str>| {
            let group = group.map(str::to_owned);
            Wanted::read(&Asked { text: text.clone(), group, ..Asked::default() }, NOW).unwrap()
        };
        let searched = read(None);
        assert_eq!((searched.from, searched.to), (Some(NOW - SEARCHED), None));
        for (unit, buckets) in [("minute", 60), ("hour", 60), ("day", 7)] {
            let series = read(Some(unit));
            let length = series.group.unwrap().length().micros();
            let period = series.to.unwrap().since(series.from.unwrap());
            assert_eq!(period.micros(), buckets * length, "{unit}");
        }
    }
}
