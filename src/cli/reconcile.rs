//! `check --reconcile`: compares minutes, hours and groups with the table of errors, place by place.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use super::wiring;
use crate::{
    config::{Database, Environment},
    error::Error,
    model::Timestamp,
    store::{
        reconcile::{Counted, Hours, compare},
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
    environment: &Environment,
) -> Result<(), Error> {
    if to <= from {
        return Err(Error::failed("--reconcile: the second time must be later than the first"));
    }
    let mut reader = environment.reader();
    let config = Database::read(&mut reader);
    let db = wiring::database(&reader.finish(config)?)?;
    let pruned_before = events_pruned_before(&db, TIME_LIMIT).await.map_err(Error::failed)?;
    let mut hours = Hours::around(from, to);
    if let Some(pruned_before) = pruned_before.filter(|at| hours.from < *at) {
        println!("errors before {pruned_before} may be deleted, as their retention says");
        hours.from = Hours::around(pruned_before, pruned_before).to;
        if hours.from >= hours.to {
            return Err(Error::failed("nothing is left to compare in that period"));
        }
    }
    println!("from {} to {}, in whole hours", hours.from, hours.to);
    let mut difference = 0;
    for counted in Counted::ALL {
        let what = counted.as_str();
        let compared = compare(&db, counted, hours, false, pruned_before, TIME_LIMIT)
            .await
            .map_err(Error::failed)?;
        difference += compared.difference;
        if compared.difference == 0 {
            println!("ok    {what}: {} errors, difference 0", compared.rows);
            continue;
        }
        println!("FAIL  {what}: {} errors, difference {}", compared.rows, compared.difference);
        for place in &compared.places {
            println!("      {}: {} instead of {}", place.place, place.found, place.expected);
        }
    }
    if difference > 0 {
        return Err(Error::failed(format!(
            "counts differ from the table by {difference} errors; deleted errors stay counted"
        )));
    }
    Ok(())
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
