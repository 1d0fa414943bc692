//! `check --reconcile`: compares minutes, hours and groups with the table of errors, place by place.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::{progress::Progress, wiring};
use crate::{
    config::{Database, Environment},
    error::Error,
    model::Timestamp,
    store::{
        reconcile::{Comparison, Counted, Hours, compare},
        retention::events_pruned_before,
    },
};

/// How long one comparison may take; a month of ten million rows takes some ten seconds.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Reads a time as in `2026-11-22T10:00:00Z`, or a day as in `2026-11-22`, which begins in UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc().into());
    }
    let time: Result<DateTime<Utc>, _> = text.parse();
    time.map(Timestamp::from)
        .map_err(|_| "must be a time as in 2026-11-22T10:00:00Z or a day as in 2026-11-22".into())
}

/// Compares, and prints every difference.
///
/// # Errors
/// When anything differs, or the database does not answer.
pub async fn execute(
    from: Timestamp,
    to: Timestamp,
    as_json: bool,
    environment: &Environment,
) -> Result<(), Error> {
    if to <= from {
        return Err(Error::failed("--reconcile: the second time must be later than the first"));
    }
    let mut reader = environment.reader();
    let config = Database::read(&mut reader);
    let db = wiring::database(&reader.finish(config)?)?;
    let pruned_before = events_pruned_before(&db, TIME_LIMIT).await?;
    let mut hours = Hours::around(from, to);
    let cut = pruned_before.filter(|at| hours.from < *at);
    if let Some(pruned_before) = cut {
        hours.from = Hours::around(pruned_before, pruned_before).to;
        if hours.from >= hours.to {
            return Err(Error::failed(format!(
                "nothing is left to compare in that period: errors before {pruned_before} may be \
                 deleted, as their retention says; take a later one"
            )));
        }
    }
    let mut compared = Vec::new();
    for counted in Counted::ALL {
        let _progress =
            Progress::of(format_args!("comparing {} with the errors", counted.as_str()));
        let one = compare(&db, counted, hours, false, pruned_before, TIME_LIMIT).await;
        compared.push((counted, one?));
    }
    let difference: u64 = compared.iter().map(|(_, one)| one.difference).sum();
    if as_json {
        println!("{}", facts(hours, difference, &compared));
    } else {
        if let Some(pruned_before) = cut {
            println!("errors before {pruned_before} may be deleted, as their retention says");
        }
        print(hours, &compared);
    }
    if difference > 0 {
        return Err(Error::failed(format!(
            "counts differ from the table by {difference} errors; those that were deleted by hand stay counted, \
             anything else is a fault of the tracker: keep the places above, and report it"
        )));
    }
    Ok(())
}

fn print(hours: Hours, compared: &[(Counted, Comparison)]) {
    println!("from {} to {}, in whole hours", hours.from, hours.to);
    for (counted, one) in compared {
        let what = counted.as_str();
        if one.difference == 0 {
            println!("ok    {what}: {} errors, difference 0", one.rows);
            continue;
        }
        println!("FAIL  {what}: {} errors, difference {}", one.rows, one.difference);
        for place in &one.places {
            println!("      {}: {} instead of {}", place.place, place.found, place.expected);
        }
    }
}

/// The same for scripts.
fn facts(hours: Hours, difference: u64, compared: &[(Counted, Comparison)]) -> Value {
    let compared = compared.iter().map(|(counted, one)| {
        json!({
            "what": counted.as_str(),
            "errors": one.rows,
            "difference": one.difference,
            "places": one.places.iter().map(|place| json!({
                "place": place.place, "found": place.found, "expected": place.expected,
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "from": hours.from,
        "to": hours.to,
        "difference": difference,
        "compared": compared.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_days_are_read() {
        for (text, expected) in [
            ("2026-11-22", Some("2026-11-22T00:00:00Z")),
            ("2026-11-22T10:30:00Z", Some("2026-11-22T10:30:00Z")),
            ("2026-11-22T10:30:00.5+02:00", Some("2026-11-22T08:30:00.500Z")),
            ("2026-11-22T10:30:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            let got = time(text).ok().map(|time| time.to_chrono());
            let expected = expected.map(|text| text.parse::<DateTime<Utc>>().expect("a time"));
            assert_eq!(got, expected, "{text}");
        }
    }
}
