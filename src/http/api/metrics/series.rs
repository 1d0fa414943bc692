//! How many events there were per minute, hour or day, with those in which there were none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    super::{Caller, Problem},
    too_slow_or,
    wanted::{Unit, Wanted},
};
use crate::model::{Timestamp, TypePattern};

/// Errors over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ErrorSeries)]
pub struct Series {
    /// minute, hour or day.
    pub group: &'static str,
    /// Where the first bucket begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Where the last bucket ends.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Errors in all of them.
    pub total: u64,
    /// Every bucket of the period, from the oldest.
    pub buckets: Vec<Bucket>,
}

/// Errors of one minute, hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ErrorBucket)]
pub struct Bucket {
    /// Where it begins, in UTC.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// All errors in it.
    pub count: u64,
    /// Those of severity low.
    pub low: u64,
    /// Those of severity medium.
    pub medium: u64,
    /// Those of severity high.
    pub high: u64,
}

/// Reads a series; the period of `wanted` must be settled.
///
/// # Errors
/// As PostgREST answers the caller.
pub async fn read(caller: &Caller, wanted: &Wanted, unit: Unit) -> Result<Series, Problem> {
    let (Some(from), Some(to)) = (wanted.from, wanted.to) else {
        return Err(Problem::field("from", "is missing"));
    };
    let some = |list: Vec<String>| if list.is_empty() { None } else { Some(list) };
    let types = wanted.types.iter().map(|pattern| match pattern {
        TypePattern::Class(text) | TypePattern::Exact(text) => text.to_string(),
    });
    let arguments = json!({
        "unit": unit.as_str(),
        "since": from,
        "until": to,
        "sources": some(wanted.sources.iter().map(ToString::to_string).collect()),
        "types": some(types.collect()),
        "severities": some(wanted.severities.iter().map(ToString::to_string).collect()),
        "workflows": some(wanted.workflows.iter().map(ToString::to_string).collect()),
        "projects": some(wanted.projects.iter().map(ToString::to_string).collect()),
        "fingerprints": some(wanted.fingerprints.iter().map(ToString::to_string).collect()),
        "contains": wanted.text,
    });
    let counted: Vec<Counted> =
        caller.call("error_counts", &arguments).await.map_err(too_slow_or)?;
    Ok(filled(unit, (from, to), &counted))
}

/// Start, low, medium and high of a bucket that has any.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Counted(Timestamp, u64, u64, u64);

fn filled(unit: Unit, (from, to): (Timestamp, Timestamp), counted: &[Counted]) -> Series {
    let by_start: HashMap<Timestamp, &Counted> = counted.iter().map(|c| (c.0, c)).collect();
    let mut buckets = Vec::new();
    let mut at = from;
    while at < to {
        let [low, medium, high] = by_start.get(&at).map_or([0; 3], |c| [c.1, c.2, c.3]);
        buckets.push(Bucket { at, count: low + medium + high, low, medium, high });
        at = at + unit.length();
    }
    let total = buckets.iter().map(|bucket| bucket.count).sum();
    Series { group: unit.as_str(), from, to, total, buckets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_zero() {
        let at = |hour: i64| Timestamp::from_secs(1_780_002_000 + hour * 3_600);
        let series = filled(Unit::Hour, (at(0), at(4)), &[Counted(at(2), 1, 2, 3)]);
        let counts: Vec<u64> = series.buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!((counts, series.total), (vec![0, 0, 6, 0], 6));
        assert_eq!(series.buckets[2].medium, 2);
    }
}
