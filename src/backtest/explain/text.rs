//! One paragraph: what the value was, what follows from it, and who was told.

use super::{Channel, Facts, Incident};
use crate::{
    model::{Level, Span, Timestamp},
    rules_file::render_span,
};

/// A leader that has not said anything for so long has probably ended.
const STALE: Span = Span::from_secs(15);

/// The answer to "why did it fire, or not?".
#[must_use]
pub fn paragraph(facts: &Facts) -> String {
    let mut sentences = vec![state(facts), measured(facts)];
    sentences.extend(compared(facts));
    sentences.extend(filtered(facts));
    sentences.extend(facts.incident.as_ref().map(told));
    sentences.extend(held(facts));
    sentences.extend(unreachable(&facts.channels));
    sentences.extend(leader(facts));
    sentences.join(" ")
}

fn state(facts: &Facts) -> String {
    let whom = facts.group.as_ref().map_or_else(String::new, |group| format!(" for {group}"));
    let rule = format!("Rule {:?}{whom}", facts.rule);
    let when = clock(facts.at);
    if !facts.enabled && facts.now {
        return format!("{rule} is not enabled, so it is not evaluated.");
    }
    let stored = facts.incident.as_ref().map(|i| (i.started_at, i.fired_at, i.level));
    let replayed = facts.replayed.map(|r| (r.started_at, r.fired_at, r.level));
    match stored.or(replayed) {
        Some((started, Some(fired), level)) if fired <= facts.at => {
            let since = if started == fired {
                String::new()
            } else {
                format!(", after the threshold was first reached at {}", clock(started))
            };
            format!("{rule} fires ({level}) at {when}: since {}{since}.", clock(fired))
        }
        Some((started, _, _)) => {
            let due = started + Span::from_secs(facts.pending_seconds);
            format!(
                "{rule} does not fire yet at {when}: the threshold was reached at {}, and must hold \
                 for {}, until {}.",
                clock(started),
                render_span(facts.pending_seconds),
                clock(due)
            )
        }
        None => format!("{rule} does not fire at {when}."),
    }
}

fn measured(facts: &Facts) -> String {
    let window = render_span(facts.window_seconds);
    let runs = facts.runs.map_or_else(String::new, |runs| format!(" and {runs} workflow runs"));
    let errors = format!("{} matching errors{runs} lie in the window of {window}", facts.errors);
    match (facts.value, facts.min_runs) {
        (Some(value), _) => {
            let highest = if facts.group.is_none() { "" } else { " of this group" };
            format!("The value ({}){highest} is {}; {errors}.", facts.metric, number(value))
        }
        (None, Some(min_runs)) => {
            format!("There is no value: {errors}, and fewer than {min_runs} runs say nothing.")
        }
        (None, None) => format!("There is no value ({}); {errors}.", facts.metric),
    }
}

fn compared(facts: &Facts) -> Option<String> {
    let thresholds: Vec<String> = [("warns", facts.warning), ("is critical", facts.critical)]
        .into_iter()
        .filter_map(|(verb, value)| Some(format!("{verb} from {}", number(value?))))
        .collect();
    if thresholds.is_empty() {
        return None;
    }
    let resolve = format!("resolves below {}", number(facts.resolve));
    Some(format!("It {} and {resolve}.", thresholds.join(", ")))
}

/// The most frequent surprise: errors that the filter does not let through.
fn filtered(facts: &Facts) -> Option<String> {
    let all = facts.errors_of_any_kind;
    (all > facts.errors && facts.replayed.is_none()).then(|| {
        let all = if all >= 100_000 { "100000 or more".to_owned() } else { all.to_string() };
        format!("In that time {all} errors happened in all; the others are not what it counts.")
    })
}

fn told(incident: &Incident) -> String {
    let acknowledged = incident.acknowledged_at.map_or_else(String::new, |at| {
        format!(" It was acknowledged at {}, which stops reminders.", clock(at))
    });
    if incident.messages.is_empty() {
        let nobody = if incident.fired_at.is_none() { " yet" } else { "" };
        return format!("Nobody was told of it{nobody}.{acknowledged}");
    }
    let messages: Vec<String> = incident
        .messages
        .iter()
        .map(|message| {
            let channel = message.channel.as_deref().unwrap_or("a channel that is gone");
            let state = match (&*message.state, message.sent_at) {
                ("sent", Some(at)) => format!("sent at {}", clock(at)),
                ("dead", _) => "given up".to_owned(),
                (state, _) => state.to_owned(),
            };
            let error = message.last_error.as_deref().filter(|_| message.state != "sent");
            let error = error.map_or_else(String::new, |error| format!(" after {error:?}"));
            format!("{} to {channel} {state}{error}", message.transition)
        })
        .collect();
    format!("Messages: {}.{acknowledged}", messages.join(", "))
}

fn held(facts: &Facts) -> Option<String> {
    (!facts.holds.is_empty())
        .then(|| format!("Nobody is told at that time: {}.", facts.holds.join("; ")))
}

fn unreachable(channels: &[Channel]) -> Option<String> {
    if channels.is_empty() {
        return Some("It has no channel, so nobody is ever told.".to_owned());
    }
    let faults: Vec<String> = channels
        .iter()
        .filter_map(|channel| match &channel.broken {
            _ if !channel.enabled => Some(format!("{} is not enabled", channel.name)),
            Some(reason) => Some(format!("{} is broken ({reason})", channel.name)),
            None => None,
        })
        .collect();
    let picky: Vec<&str> = channels
        .iter()
        .filter(|channel| channel.min_level == Level::Critical)
        .map(|channel| channel.name.as_str())
        .collect();
    let mut parts = faults;
    if picky.len() == channels.len() {
        parts.push("all its channels want critical incidents only".to_owned());
    }
    (!parts.is_empty()).then(|| format!("Channels: {}.", parts.join(", ")))
}

fn leader(facts: &Facts) -> Option<String> {
    if !facts.now {
        return None;
    }
    let Some(leader) = &facts.leader else {
        return Some("No instance leads, so nothing is decided.".to_owned());
    };
    let silent = facts.at.since(leader.heartbeat_at);
    if silent > STALE {
        let silent = render_span(silent.micros() / 1_000_000);
        return Some(format!("The leader, {}, has been silent for {silent}.", leader.name));
    }
    let through = leader.complete_through.map_or_else(String::new, |through| {
        format!(", and has counted everything up to {}", clock(through))
    });
    Some(format!("{} decides{through}.", leader.name))
}

fn clock(at: Timestamp) -> String {
    at.to_chrono().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn number(value: f64) -> String {
    format!("{}", (value * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests;
