//! One paragraph: what the value was, what follows from it, and who was told.

use super::{Channel, Facts, Incident};
use crate::{
    model::{AbsenceOf, Detail, Level, Span, Timestamp},
    rules_file::render_span,
};

/// A leader that has not said anything for so long has probably ended.
const STALE: Span = Span::from_secs(15);

/// The answer to "why did it fire, or not?".
#[must_use]
pub fn paragraph(facts: &Facts) -> String {
    let mut sentences = vec![state(facts), measured(facts)];
    sentences.extend(compared(facts));
    sentences.extend(of_kind(facts));
    sentences.extend(still(facts));
    sentences.extend(filtered(facts));
    sentences.extend(facts.incident.as_ref().map(told));
    sentences.extend(held(facts));
    sentences.extend(unreachable(facts));
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
    let window = render_span(facts.counted_over_seconds);
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

/// What the value alone does not say.
fn of_kind(facts: &Facts) -> Option<String> {
    match (facts.metric, facts.detail) {
        ("burn_rate", Some(Detail::Burn { long_seconds, short_seconds })) => {
            let objective = facts.objective.map_or_else(String::new, |objective| {
                format!("Its objective is that {} % of runs succeed. ", number(objective * 100.0))
            });
            let factor = facts.threshold.map_or_else(String::new, |factor| {
                format!(", which fires from {} on", number(factor))
            });
            let (long, short) = (render_span(long_seconds), render_span(short_seconds));
            Some(format!("{objective}The pair of {long} and {short} decides{factor}."))
        }
        ("change", Some(Detail::Earlier { errors, seconds })) => {
            let earlier = render_span(seconds);
            let guard = facts
                .min_count
                .filter(|least| facts.errors < u64::from(*least))
                .map_or_else(String::new, |least| {
                    format!(" With fewer than {least} errors in the window it does not fire.")
                });
            let noun = if errors == 1 { "error" } else { "errors" };
            Some(format!("The same window {earlier} earlier held {errors} {noun}.{guard}"))
        }
        ("change", _) if facts.value.is_none() => {
            Some("What the same window held earlier is not known.".to_owned())
        }
        ("absence", Some(Detail::Silence { of })) => {
            let window = render_span(facts.window_seconds);
            let what = if of == AbsenceOf::Runs { "runs" } else { "errors that match" };
            Some(format!("It waits for {what}; a value of 1 is a silence of {window}."))
        }
        ("new_group", _) => facts.known_since.filter(|_| facts.replayed.is_none()).map(|seen| {
            format!("This error group is not new: it was last seen at {}.", clock(seen))
        }),
        _ => None,
    }
}

/// Why it goes on firing at a value at which it would not begin to.
fn still(facts: &Facts) -> Option<String> {
    let fired = facts.replayed.and_then(|r| r.fired_at).is_some_and(|fired| fired <= facts.at);
    if !fired || facts.fires {
        return None;
    }
    let lasting = render_span(facts.keep_seconds);
    Some(match (facts.flapping, facts.below_since, facts.value) {
        (true, _, _) => format!(
            "It comes and goes: it is held open until it has stayed away for {lasting}, and there are no \
             reminders until then."
        ),
        (false, Some(since), _) => format!(
            "The value has been low enough since {}; it is over when that has lasted for {lasting}, at {}.",
            clock(since),
            clock(since + Span::from_secs(facts.keep_seconds))
        ),
        (false, None, None) => format!(
            "Without a value what fires goes on firing (no_data is {}).",
            facts.no_data.as_str()
        ),
        (false, None, Some(_)) => {
            "It would not begin to fire now, but is not below what resolves it either.".to_owned()
        }
    })
}

/// The most frequent surprise: errors that the filter does not let through.
fn filtered(facts: &Facts) -> Option<String> {
    let all = facts.errors_of_any_kind;
    if facts.metric == "absence" {
        return None;
    }
    let others = match facts.metric {
        "new_group" => "belong to error groups that are known already, or are not what it counts",
        _ => "are not what it counts",
    };
    (all > facts.errors && facts.replayed.is_none()).then(|| {
        let all = if all >= 100_000 { "100000 or more".to_owned() } else { all.to_string() };
        format!("In that time {all} errors happened in all; the others {others}.")
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

fn unreachable(facts: &Facts) -> Option<String> {
    let channels: &[Channel] = &facts.channels;
    if channels.is_empty() {
        let now = if facts.now { "" } else { " now" };
        return Some(format!("It has no channel{now}, so nobody is ever told."));
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
