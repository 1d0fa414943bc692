use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{at, id};
use crate::{
    model::Timestamp,
    telling::{QuietHours, QuietKind},
};

fn window(zone: &str, starts: &str, ends: &str, days: &[u32]) -> QuietHours {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    QuietHours {
        quiet_hours_id: id(1),
        project_id: None,
        rule_id: None,
        name: "nights".to_owned(),
        kind: QuietKind::Quiet,
        days: days.to_vec(),
        starts: time(starts),
        ends: time(ends),
        time_zone: zone.parse().unwrap(),
        allow_critical: false,
    }
}

const DAILY: &[u32] = &[1, 2, 3, 4, 5, 6, 7];

/// The window that begins on `day` lasts from `from` until just before `to`.
#[track_caller]
fn check(zone: &str, (starts, ends): (&str, &str), day: &str, from: &str, to: &str) {
    let quiet = window(zone, starts, ends, DAILY);
    let found = quiet.on(day.parse().unwrap());
    assert_eq!(found, Some((at(from), at(to))), "{zone} {starts} to {ends} on {day}");
    let micro = crate::model::Span::from_micros(1);
    if starts != ends {
        assert_eq!(quiet.active_until(at(from) - micro), None, "before {zone} {day}");
        assert_eq!(quiet.active_until(at(to)), None, "after {zone} {day}");
    }
    assert_eq!(quiet.active_until(at(from)), Some(at(to)), "at the start of {zone} {day}");
    assert_eq!(quiet.active_until(at(to) - micro), Some(at(to)), "at the end of {zone} {day}");
}

#[test]
fn a_window_follows_the_clock_on_the_wall() {
    let night = ("22:00", "07:00");
    // An ordinary night, and the two at which Europe changes its clocks: ten and eight hours long.
    check("Europe/Berlin", night, "2026-01-10", "2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z");
    check("Europe/Berlin", night, "2026-03-28", "2026-03-28T21:00:00Z", "2026-03-29T05:00:00Z");
    check("Europe/Berlin", night, "2026-10-24", "2026-10-24T20:00:00Z", "2026-10-25T06:00:00Z");
    check("America/New_York", night, "2026-03-07", "2026-03-08T03:00:00Z", "2026-03-08T11:00:00Z");
    check("America/New_York", night, "2026-10-31", "2026-11-01T02:00:00Z", "2026-11-01T12:00:00Z");
    // Half-past two does not exist in Berlin on this day: it is the instant of the change.
    let early = ("02:30", "05:00");
    check("Europe/Berlin", early, "2026-03-29", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z");
    let late = ("00:00", "02:30");
    check("Europe/Berlin", late, "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z");
    // And twice on this one: from the first, until the last.
    check("Europe/Berlin", early, "2026-10-25", "2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z");
    check("Europe/Berlin", late, "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T01:30:00Z");
    let inside = ("02:15", "02:45");
    check("Europe/Berlin", inside, "2026-10-25", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z");
    // A clock that moves by half an hour.
    let lord = ("01:45", "03:00");
    check(
        "Australia/Lord_Howe",
        lord,
        "2026-04-05",
        "2026-04-04T14:45:00Z",
        "2026-04-04T16:30:00Z",
    );
    check(
        "Australia/Lord_Howe",
        ("02:10", "04:00"),
        "2026-10-04",
        "2026-10-03T15:30:00Z",
        "2026-10-03T17:00:00Z",
    );
    // A midnight that does not exist.
    let evening = ("22:00", "00:00");
    check(
        "America/Sao_Paulo",
        evening,
        "2018-11-03",
        "2018-11-04T01:00:00Z",
        "2018-11-04T03:00:00Z",
    );
    // A zone with odd minutes, and none at all.
    check("Asia/Kathmandu", night, "2026-06-01", "2026-06-01T16:15:00Z", "2026-06-02T01:15:00Z");
    check("UTC", night, "2026-06-01", "2026-06-01T22:00:00Z", "2026-06-02T07:00:00Z");
    check("UTC", ("00:00", "00:00"), "2026-06-01", "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z");
}

#[test]
fn a_window_that_lies_wholly_in_a_skipped_hour_does_not_take_place() {
    let quiet = window("Europe/Berlin", "02:10", "02:50", DAILY);
    assert_eq!(quiet.on("2026-03-29".parse().unwrap()), None);
    assert_eq!(quiet.active_until(at("2026-03-29T01:00:00Z")), None);
    assert!(quiet.on("2026-03-30".parse().unwrap()).is_some());
}

#[test]
fn a_night_before_a_day_that_does_not_exist_lasts_until_its_morning() {
    let quiet = window("Pacific/Apia", "22:00", "07:00", DAILY);
    // Samoa went from the end of the 29th to the beginning of the 31st.
    for (now, until) in [
        ("2011-12-30T08:00:00Z", Some("2011-12-30T10:00:00Z")),
        ("2011-12-30T10:00:00Z", Some("2011-12-30T17:00:00Z")),
        ("2011-12-30T17:00:00Z", None),
    ] {
        assert_eq!(quiet.active_until(at(now)), until.map(at), "{now}");
    }
}

#[test]
fn a_window_belongs_to_the_day_on_which_it_begins() {
    // Friday and Saturday nights; 2026-05-01 is a Friday.
    let quiet = window("Europe/Berlin", "22:00", "07:00", &[5, 6]);
    let cases = [
        ("2026-05-01T19:59:59Z", None),
        ("2026-05-01T20:00:00Z", Some("2026-05-02T05:00:00Z")),
        ("2026-05-02T04:00:00Z", Some("2026-05-02T05:00:00Z")),
        ("2026-05-02T05:00:00Z", None),
        ("2026-05-03T04:59:59Z", Some("2026-05-03T05:00:00Z")),
        // Sunday evening and Monday morning.
        ("2026-05-03T21:00:00Z", None),
        ("2026-05-04T04:00:00Z", None),
    ];
    for (now, expected) in cases {
        assert_eq!(quiet.active_until(at(now)), expected.map(at), "{now}");
    }
}

/// Whether the clock on the wall of `zone` shows `reading` or later at this minute.
fn shows(zone: Tz, minute: i64, reading: NaiveDateTime) -> bool {
    let utc = chrono::DateTime::from_timestamp(minute * 60, 0).unwrap().naive_utc();
    zone.from_utc_datetime(&utc).naive_local() >= reading
}

/// The first minute that shows the reading, and the first after the last that does not yet.
fn by_looking(zone: Tz, reading: NaiveDateTime) -> (Timestamp, Timestamp) {
    let middle = reading.and_utc().timestamp() / 60;
    let minutes = || middle - 16 * 60..=middle + 16 * 60;
    let first = minutes().find(|minute| shows(zone, *minute, reading)).unwrap();
    let last = minutes().rev().find(|minute| !shows(zone, *minute, reading)).unwrap() + 1;
    (Timestamp::from_secs(first * 60), Timestamp::from_secs(last * 60))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In any zone, on any day, a window is what somebody sees who looks at the clock each minute.
    #[test]
    fn windows_agree_with_looking_at_the_clock(
        zone in prop::sample::select(vec![
            "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "Africa/Cairo",
            "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tehran", "Asia/Gaza",
            "Antarctica/Troll", "America/Godthab", "Pacific/Chatham", "UTC",
        ]),
        day in 0_u64..11_000,
        starts in 0_u32..1_440,
        ends in 0_u32..1_440,
    ) {
        let zone: Tz = zone.parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap() + Days::new(day);
        let time = |minutes: u32| NaiveTime::MIN + TimeDelta::minutes(minutes.into());
        let quiet = QuietHours {
            starts: time(starts), ends: time(ends), time_zone: zone,
            ..window("UTC", "00:00", "00:00", DAILY)
        };
        let last = if ends > starts { day } else { day + Days::new(1) };
        let (from, _) = by_looking(zone, day.and_time(quiet.starts));
        let (_, to) = by_looking(zone, last.and_time(quiet.ends));
        prop_assert_eq!(quiet.on(day), (from < to).then_some((from, to)));
        if from < to {
            prop_assert!(quiet.active_until(from).is_some_and(|until| until >= to));
            let just_before = to - crate::model::Span::from_micros(1);
            prop_assert!(quiet.active_until(just_before).is_some());
        }
    }
}
