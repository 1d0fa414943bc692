//! The one sentence that every medium says: how much, over which time, against which threshold.

use super::{
    message::{IncidentFacts, MessageKind, MetricKind, NotificationFacts},
    text::{one_line, thousands},
};
use crate::model::{AbsenceOf, Detail, Span};

/// What happened, in one plain sentence without a full stop.
///
/// `25 errors in 5 min (threshold 20)`, `4.2 errors/min over 10 min (threshold 3)`,
/// `7.5 % of 120 runs failed in 15 min (threshold 5 %)`.
#[must_use]
pub fn sentence(facts: &NotificationFacts) -> String {
    match (facts.transition, &facts.incident) {
        (MessageKind::ChannelBroken, incident) => broken(facts, incident.as_ref()),
        (MessageKind::Test, _) | (_, None) => {
            "This is a test message: alerts reach this channel".to_owned()
        }
        (MessageKind::Acknowledged, Some(incident)) => {
            let (by, note) = acknowledgement(facts);
            format!("{by} takes care of it{note}; {}", state(incident))
        }
        (MessageKind::Unacknowledged, Some(incident)) => {
            format!("Nobody takes care of it any more; {}", state(incident))
        }
        (MessageKind::Resolved, Some(incident)) if no_data(incident).is_some() => format!(
            "{}; it lasted {}, the peak was {}",
            measure(incident, incident.value),
            duration(facts.at.since(incident.since)),
            amount(incident.rule.metric, incident.peak),
        ),
        (MessageKind::Resolved, Some(incident)) if incident.rule.metric == MetricKind::System => {
            format!("It is over; it lasted {}", duration(facts.at.since(incident.since)))
        }
        (_, Some(incident)) if incident.rule.metric == MetricKind::System => {
            measure(incident, incident.value)
        }
        // Whatever falls below its threshold is below it; this one ended for another reason.
        (MessageKind::Resolved, Some(incident)) if incident.value >= incident.threshold => format!(
            "The rule was changed, disabled or deleted; it lasted {}, the peak was {}",
            duration(facts.at.since(incident.since)),
            amount(incident.rule.metric, incident.peak),
        ),
        (MessageKind::Resolved, Some(incident)) if incident.rule.metric == MetricKind::Absence => {
            let what = if of_runs(incident) { "A run was started" } else { "An error came" };
            format!("{what} again; it lasted {}", duration(facts.at.since(incident.since)))
        }
        (MessageKind::Resolved, Some(incident)) => format!(
            "{}, below {}; it lasted {}, the peak was {}",
            measure(incident, incident.value),
            amount(incident.rule.metric, incident.threshold),
            duration(facts.at.since(incident.since)),
            amount(incident.rule.metric, incident.peak),
        ),
        (MessageKind::Flapping, Some(incident)) => format!(
            "It comes and goes; there will be no news before it stays away. Now: {}",
            measure(incident, incident.value)
        ),
        (_, Some(incident)) => state(incident),
    }
}

/// Value and threshold, or whatever else is decisive.
fn state(incident: &IncidentFacts) -> String {
    let says_it_all = matches!(incident.rule.metric, MetricKind::System | MetricKind::Absence)
        || no_data(incident).is_some();
    if says_it_all {
        return measure(incident, incident.value);
    }
    format!(
        "{} (threshold {})",
        measure(incident, incident.value),
        amount(incident.rule.metric, incident.threshold)
    )
}

/// Who acknowledged, and what they said with a colon before it.
fn acknowledgement(facts: &NotificationFacts) -> (String, String) {
    let known = facts.acknowledgement.as_ref();
    let tamed = |text: Option<&String>, max| {
        text.map(|text| one_line(text, max)).filter(|text| !text.is_empty())
    };
    let by = tamed(known.and_then(|known| known.by.as_ref()), 120);
    let note = tamed(known.and_then(|known| known.note.as_ref()), 300);
    (
        by.unwrap_or_else(|| "Somebody".to_owned()),
        note.map_or_else(String::new, |note| format!(": {note}")),
    )
}

/// The message's title: what kind of news it is, and of which rule.
#[must_use]
pub fn headline(facts: &NotificationFacts) -> String {
    let Some(incident) = &facts.incident else {
        return "Test message from meshhook-errors".to_owned();
    };
    let name = one_line(&incident.rule.name, 120);
    match facts.transition {
        MessageKind::Firing => format!("{}: {name}", capital(incident.level.as_str())),
        MessageKind::Escalated => format!("Now {}: {name}", incident.level),
        MessageKind::Reminder => {
            format!("Still {}, reminder {}: {name}", incident.level, incident.reminder)
        }
        MessageKind::Flapping => format!("Flapping: {name}"),
        MessageKind::Resolved => format!("Resolved: {name}"),
        MessageKind::Acknowledged => format!("Acknowledged: {name}"),
        MessageKind::Unacknowledged => format!("No longer acknowledged: {name}"),
        MessageKind::ChannelBroken => format!("Alert channel broken; concerns: {name}"),
        MessageKind::Test => "Test message from meshhook-errors".to_owned(),
    }
}

/// A length of time in at most two units: `45 s`, `5 min`, `1 h 30 min`, `2 d 3 h`.
#[must_use]
pub fn duration(span: Span) -> String {
    let seconds = span.micros().max(0) / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let join = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {small_unit}"),
    };
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => join(minutes, "min", seconds % 60, "s"),
        3600..86400 => join(hours, "h", minutes % 60, "min"),
        _ => join(days, "d", hours % 24, "h"),
    }
}

/// A value with what it counts and the window it counts over.
fn measure(incident: &IncidentFacts, value: f64) -> String {
    let window = duration(incident.rule.counted_over());
    let amount = amount(incident.rule.metric, value);
    let errors = if value == 1.0 { "error" } else { "errors" };
    if let Some(min_runs) = no_data(incident) {
        let runs = runs_text(incident.evidence.runs.unwrap_or(0));
        return format!("No data: {runs} in {window}, it takes {}", thousands(min_runs.into()));
    }
    match (incident.rule.metric, incident.evidence.runs) {
        (MetricKind::System, _) => one_line(&incident.rule.description, 500),
        (MetricKind::NewGroup, _) => format!("{amount} new {errors} in {window}"),
        (MetricKind::Change, _) => change(incident, value, &window),
        (MetricKind::BurnRate, _) => burn(incident, &amount),
        (MetricKind::Absence, _) => {
            let what = if of_runs(incident) { "No run was started" } else { "No error came" };
            #[expect(clippy::cast_precision_loss, reason = "windows are at most 30 days")]
            let seconds = value * incident.rule.window_seconds as f64;
            #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
            let seconds = seconds as i64;
            format!("{what} for {}", duration(Span::from_secs(seconds)))
        }
        (MetricKind::Count, _) => format!("{amount} {errors} in {window}"),
        (MetricKind::Rate, _) => format!("{amount} errors/min over {window}"),
        // More errors than runs: a share of the runs would make no sense.
        (MetricKind::Ratio, Some(runs)) if value > 1.0 => format!(
            "{} errors for {} in {window}, {amount}",
            thousands(incident.evidence.errors),
            runs_text(runs)
        ),
        (MetricKind::Ratio, Some(runs)) => {
            format!("{amount} of {} failed in {window}", runs_text(runs))
        }
        (MetricKind::Ratio, None) => format!("{amount} of the runs failed in {window}"),
    }
}

/// How many runs it takes, where there were fewer.
const fn no_data(incident: &IncidentFacts) -> Option<u32> {
    match incident.evidence.detail {
        Some(Detail::NoData { min_runs }) => Some(min_runs),
        _ => None,
    }
}

const fn of_runs(incident: &IncidentFacts) -> bool {
    matches!(incident.evidence.detail, Some(Detail::Silence { of: AbsenceOf::Runs }))
}

/// `35 errors in 5 min, +250 % against yesterday (10)`.
fn change(incident: &IncidentFacts, value: f64, window: &str) -> String {
    let errors = incident.evidence.errors;
    let sign = if value > 0.0 { "+" } else { "" };
    let against = match incident.evidence.detail {
        Some(Detail::Earlier { errors, seconds }) => {
            let then = match seconds {
                86_400 => "yesterday".to_owned(),
                604_800 => "a week ago".to_owned(),
                _ => format!("{} ago", duration(Span::from_secs(seconds))),
            };
            format!("{then} ({})", thousands(errors))
        }
        _ => "before".to_owned(),
    };
    let noun = if errors == 1 { "error" } else { "errors" };
    let change = amount(MetricKind::Change, value);
    format!("{} {noun} in {window}, {sign}{change} against {against}", thousands(errors))
}

/// `The error budget burns at 16.2× the allowed speed over 1 h and 5 min`.
fn burn(incident: &IncidentFacts, amount: &str) -> String {
    let windows = match incident.evidence.detail {
        Some(Detail::Burn { long_seconds, short_seconds }) => format!(
            " over {} and {}",
            duration(Span::from_secs(long_seconds)),
            duration(Span::from_secs(short_seconds))
        ),
        _ => String::new(),
    };
    format!("The error budget burns at {amount} the allowed speed{windows}")
}

fn runs_text(runs: u64) -> String {
    format!("{} {}", thousands(runs), if runs == 1 { "run" } else { "runs" })
}

/// A bare value in the metric's own unit.
#[must_use]
pub fn amount(metric: MetricKind, value: f64) -> String {
    match metric {
        MetricKind::Count | MetricKind::Rate | MetricKind::NewGroup | MetricKind::System => {
            number(value)
        }
        MetricKind::Change => format!("{} %", number(value)),
        MetricKind::BurnRate => format!("{}×", number(value)),
        MetricKind::Absence => {
            format!("{} {}", number(value), if value == 1.0 { "window" } else { "windows" })
        }
        MetricKind::Ratio => format!("{} %", number(value * 100.0)),
    }
}

/// At most one decimal where that says enough, two significant digits for small values.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "an unknown number".to_owned();
    }
    let text = if value.abs() >= 1.0 || value == 0.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

fn broken(facts: &NotificationFacts, incident: Option<&IncidentFacts>) -> String {
    let Some(channel) = &facts.broken_channel else {
        return "A channel cannot be reached".to_owned();
    };
    let missed = incident.map_or_else(String::new, |incident| {
        format!("; it was to tell: {}", measure(incident, incident.value))
    });
    format!(
        "Messages to the {} channel \"{}\" fail: {}{missed}",
        one_line(&channel.kind, 20),
        one_line(&channel.name, 120),
        one_line(&channel.reason, 300)
    )
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_at_most_two_units() {
        let cases = [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (65, "1 min 5 s"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (86_400, "1 d"),
            (97_200, "1 d 3 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(Span::from_secs(seconds)), text);
        }
    }

    #[test]
    fn numbers_say_enough_and_not_more() {
        let cases = [
            (25.0, "25"),
            (4.25, "4.2"),
            (0.0, "0"),
            (0.125, "0.125"),
            (12_345.0, "12,345"),
            (10.0, "10"),
            (100.0, "100"),
            (f64::NAN, "an unknown number"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(amount(MetricKind::Ratio, 0.075), "7.5 %");
    }
}
