//! Quiet hours and maintenance windows: times of the day in somebody's time zone.
//!
//! A window is the time between two readings of the clock on the wall. Where the clock is put forward
//! over a reading, that reading is the instant of the change. Where a reading comes twice, a window
//! begins with its first and ends with its last, so that it never has a gap.

use chrono::{Datelike as _, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use uuid::Uuid;

use super::Case;
use crate::model::{Level, Timestamp};

/// Why it is quiet; both hold messages back alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuietKind {
    /// People sleep.
    Quiet,
    /// Errors are expected.
    Maintenance,
}

/// One row of `alert_quiet_hours`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Primary key.
    pub quiet_hours_id: Uuid,
    /// For this project only; none for all.
    pub project_id: Option<Uuid>,
    /// For this rule only; none for all.
    pub rule_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// Why it is quiet.
    pub kind: QuietKind,
    /// Days of the week on which it begins: 1 for Monday to 7 for Sunday.
    pub days: Vec<u32>,
    /// When it begins.
    pub starts: NaiveTime,
    /// When it ends: on the same day if later than `starts`, else on the next.
    pub ends: NaiveTime,
    /// Whose clock.
    pub time_zone: Tz,
    /// Whether critical incidents are told nevertheless.
    pub allow_critical: bool,
}

/// Which end of a window a reading of the clock is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl QuietKind {
    /// The word in `alert_quiet_hours.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Maintenance => "maintenance",
        }
    }

    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Quiet => "quiet hours",
            Self::Maintenance => "maintenance window",
        }
    }
}

impl QuietHours {
    /// Whether it says anything about this incident, whatever the time.
    #[must_use]
    pub fn concerns(&self, case: &Case<'_>) -> bool {
        self.project_id.is_none_or(|project| case.project_id == Some(project))
            && self.rule_id.is_none_or(|rule| case.rule_id == rule)
            && !(self.allow_critical && case.level == Level::Critical)
    }

    /// When the window in which `now` lies ends; none where it lies in none.
    #[must_use]
    pub fn active_until(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.time_zone.from_utc_datetime(&now.to_chrono().naive_utc()).date_naive();
        // A window that began two days ago may still be open: 24 hours, and a change of the clock.
        let began =
            (0..4).filter_map(|back| today.succ_opt()?.checked_sub_days(chrono::Days::new(back)));
        began
            .filter_map(|day| self.on(day))
            .filter(|(start, end)| *start <= now && now < *end)
            .map(|(_, end)| end)
            .max()
    }

    /// The window that begins on this day: its first instant, and the first one after it.
    #[must_use]
    pub fn on(&self, day: NaiveDate) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday().number_from_monday()) {
            return None;
        }
        let last = if self.ends > self.starts { day } else { day.succ_opt()? };
        let start = self.instant(day.and_time(self.starts), Edge::Start)?;
        let end = self.instant(last.and_time(self.ends), Edge::End)?;
        (start < end).then_some((start, end))
    }

    fn instant(&self, reading: NaiveDateTime, edge: Edge) -> Option<Timestamp> {
        match self.time_zone.from_local_datetime(&reading) {
            MappedLocalTime::Single(at) => Some(at.to_utc().into()),
            MappedLocalTime::Ambiguous(first, second) => {
                Some(if edge == Edge::Start { first } else { second }.to_utc().into())
            }
            MappedLocalTime::None => self.change_over(reading),
        }
    }

    /// The instant at which the clock is put forward over `reading`.
    fn change_over(&self, reading: NaiveDateTime) -> Option<Timestamp> {
        // No clock is more than 16 hours away from UTC, so the change lies between these two; and
        // from one to the other the clock passes the reading once.
        let margin = chrono::TimeDelta::hours(16);
        let mut before = reading.checked_sub_signed(margin)?.and_utc().timestamp();
        let mut after = reading.checked_add_signed(margin)?.and_utc().timestamp();
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let utc = chrono::DateTime::from_timestamp(middle, 0)?.naive_utc();
            if self.time_zone.from_utc_datetime(&utc).naive_local() >= reading {
                after = middle;
            } else {
                before = middle;
            }
        }
        Some(Timestamp::from_secs(after))
    }
}
