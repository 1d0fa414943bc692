//! Do minutes, hours and groups count what the table holds? The proof, asked of a running deployment.

use std::time::Duration;

use sqlx::Row;

use super::{Db, StoreError, pool::within};
use crate::model::Timestamp;

/// What is compared with the table of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// `error_rate_minutes`.
    Minutes,
    /// `error_rate_hours`.
    Hours,
    /// `error_groups`.
    Groups,
}

impl Counted {
    /// Everything there is.
    pub const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Groups];

    /// The word for people and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Groups => "groups",
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Minutes | Self::Hours => include_str!("../../sql/reconcile_rates.sql"),
            Self::Groups => include_str!("../../sql/reconcile_groups.sql"),
        }
    }
}

/// A stretch of time, in whole hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Begins an hour.
    pub from: Timestamp,
    /// Ends one; not included.
    pub to: Timestamp,
}

impl Hours {
    /// The whole hours that contain everything from `from` to `to`.
    #[must_use]
    pub fn around(from: Timestamp, to: Timestamp) -> Self {
        const HOUR: i64 = 3_600_000_000;
        let hour = |micros: i64| micros.div_euclid(HOUR).saturating_mul(HOUR);
        let to = hour(to.micros().saturating_add(HOUR - 1));
        Self { from: Timestamp::from_micros(hour(from.micros())), to: Timestamp::from_micros(to) }
    }
}

/// One place where the two disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Bucket and dimensions, or project and fingerprint.
    pub place: String,
    /// Errors in the table that are said to be counted.
    pub expected: i64,
    /// What is counted.
    pub found: i64,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Errors that were compared.
    pub rows: u64,
    /// By how many errors the two differ, over all places.
    pub difference: u64,
    /// The first hundred places.
    pub places: Vec<Difference>,
}

/// Compares one kind of counts with the table, in one snapshot.
///
/// With `cheaply`, groups that are older than `hours` are left out: each would have to be counted from
/// its beginning. So are groups that began before `pruned_before`, whose first errors may be deleted.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn compare(
    db: &Db,
    counted: Counted,
    hours: Hours,
    cheaply: bool,
    pruned_before: Option<Timestamp>,
    limit: Duration,
) -> Result<Comparison, StoreError> {
    within("compare counts with the table", limit, async {
        let mut link = db.link().await?;
        let mut query = link.query(counted.sql());
        query = query.bind(hours.from.to_chrono()).bind(hours.to.to_chrono());
        query = match counted {
            Counted::Minutes => query.bind("minute"),
            Counted::Hours => query.bind("hour"),
            Counted::Groups => query.bind(cheaply).bind(pruned_before.map(Timestamp::to_chrono)),
        };
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        let mut comparison = Comparison::default();
        for row in &rows {
            comparison.rows = row.try_get::<i64, _>(0)?.unsigned_abs();
            comparison.difference = row.try_get::<i64, _>(1)?.unsigned_abs();
            if let Some(place) = row.try_get::<Option<String>, _>(2)? {
                let (expected, found) = (row.try_get(3)?, row.try_get(4)?);
                comparison.places.push(Difference { place, expected, found });
            }
        }
        Ok(comparison)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_contain_what_they_were_made_around() {
        for (from, to, expected) in [
            (0, 3_600, (0, 3_600)),
            (1, 3_599, (0, 3_600)),
            (3_600, 3_600, (3_600, 3_600)),
            (7_199, 7_201, (3_600, 10_800)),
            (-1, 1, (-3_600, 3_600)),
        ] {
            let hours = Hours::around(Timestamp::from_secs(from), Timestamp::from_secs(to));
            let expected = Hours {
                from: Timestamp::from_secs(expected.0),
                to: Timestamp::from_secs(expected.1),
            };
            assert_eq!(hours, expected, "{from} {to}");
        }
    }
}
