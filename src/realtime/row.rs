//! One row of either watched table, read in a single pass and without judging any value.
//!
//! Types are checked afterwards: a value of an unexpected type must not make the rest of the frame
//! unreadable, because even a row that cannot be decoded wakes the reader of the table.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use uuid::Uuid;

use crate::model::{ErrorEvent, Timestamp};

/// One value of a row.
#[derive(Debug, Default)]
pub(super) enum Value<'a> {
    /// The column was not sent.
    #[default]
    Missing,
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    /// A fraction, a boolean, an array or an object; no column that is read here has these.
    Other,
}

impl<'a> Value<'a> {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn uuid(&self) -> Option<Uuid> {
        Uuid::try_parse(self.text()?).ok()
    }

    /// Absent is a failure, null is not.
    fn nullable_uuid(&self) -> Option<Option<Uuid>> {
        if let Self::Null = self { Some(None) } else { self.uuid().map(Some) }
    }

    pub(super) fn timestamp(&self) -> Option<Timestamp> {
        parse_timestamp(self.text()?)
    }

    fn boxed(&self) -> Option<Box<str>> {
        self.text().map(Box::from)
    }
}

/// The columns of `error_metrics` and `error_tracker_status` that matter.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    seq: Value<'a>,
    error_id: Value<'a>,
    timestamp: Value<'a>,
    received_at: Value<'a>,
    source: Value<'a>,
    error_type: Value<'a>,
    severity: Value<'a>,
    project_id: Value<'a>,
    workflow_id: Value<'a>,
    fingerprint: Value<'a>,
    message: Value<'a>,
    pub(super) instance_id: Value<'a>,
    pub(super) heartbeat_at: Value<'a>,
}

impl Row<'_> {
    /// The row as an error event; nothing when a column is missing or has a value unknown here.
    pub(super) fn to_error_event(&self) -> Option<ErrorEvent> {
        let Value::Int(seq) = self.seq else { return None };
        let message = match &self.message {
            Value::Null => Box::default(),
            message => message.boxed()?,
        };
        Some(ErrorEvent {
            seq: (seq >= 1).then_some(seq)?,
            error_id: self.error_id.uuid()?,
            timestamp: self.timestamp.timestamp()?,
            received_at: self.received_at.timestamp()?,
            source: self.source.text()?.parse().ok()?,
            error_type: self.error_type.boxed()?,
            severity: self.severity.text()?.parse().ok()?,
            project_id: self.project_id.nullable_uuid()?,
            workflow_id: self.workflow_id.nullable_uuid()?,
            fingerprint: self.fingerprint.uuid()?,
            message,
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Column {
    Seq,
    ErrorId,
    Timestamp,
    ReceivedAt,
    Source,
    ErrorType,
    Severity,
    ProjectId,
    WorkflowId,
    Fingerprint,
    Message,
    InstanceId,
    HeartbeatAt,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut row = Row::default();
                while let Some(column) = map.next_key()? {
                    let place = match column {
                        Column::Seq => &mut row.seq,
                        Column::ErrorId => &mut row.error_id,
                        Column::Timestamp => &mut row.timestamp,
                        Column::ReceivedAt => &mut row.received_at,
                        Column::Source => &mut row.source,
                        Column::ErrorType => &mut row.error_type,
                        Column::Severity => &mut row.severity,
                        Column::ProjectId => &mut row.project_id,
                        Column::WorkflowId => &mut row.workflow_id,
                        Column::Fingerprint => &mut row.fingerprint,
                        Column::Message => &mut row.message,
                        Column::InstanceId => &mut row.instance_id,
                        Column::HeartbeatAt => &mut row.heartbeat_at,
                        Column::Unknown => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = map.next_value()?;
                }
                Ok(row)
            }
        }

        deserializer.deserialize_map(Rows)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Value::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Value::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Value::Other, Value::Int))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(Values)
    }
}

/// Reads what Postgres prints for a `timestamptz`: `2026-11-22T11:24:03.476548+00:00`.
///
/// The usual form (zero offset, any number of fractional digits up to six) is read by position,
/// which is several times faster than a general parser; every other form goes to chrono.
fn parse_timestamp(text: &str) -> Option<Timestamp> {
    quick_timestamp(text.as_bytes()).or_else(|| {
        chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Timestamp::from(time.with_timezone(&chrono::Utc)))
    })
}

fn quick_timestamp(bytes: &[u8]) -> Option<Timestamp> {
    let (head, tail) = bytes.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] =
        *head
    else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    let (hour, minute, second) = (pair(h1, h2)?, pair(i1, i2)?, pair(s1, s2)?);
    let fraction = match tail.strip_suffix(b"+00:00").or_else(|| tail.strip_suffix(b"Z"))? {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let value = digits.iter().try_fold(0, |sum, byte| Some(sum * 10 + digit(*byte)?))?;
            (digits.len()..6).fold(value, |value, _| value * 10)
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since the epoch in the proleptic Gregorian calendar, by counting years from 1 March so
    // that the leap day is the last of its year; 719,468 days lie between 0000-03-01 and the epoch.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + (day - 1)
        - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_micros(seconds * 1_000_000 + fraction))
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_chrono(text: &str) -> Option<Timestamp> {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp::from(time.with_timezone(&chrono::Utc)))
    }

    #[test]
    fn timestamps_are_read_exactly() {
        for text in [
            "2026-11-22T11:24:03.476548+00:00",
            "2026-11-22T11:56:10.84205+00:00",
            "2026-11-22T11:56:10+00:00",
            "2026-11-22T11:41:38.797Z",
            "2024-02-29T23:59:59.999999+00:00",
            "1970-01-01T00:00:00+00:00",
            "1969-12-31T23:59:59.5+00:00",
            "0001-01-01T00:00:00+00:00",
            "2026-11-22T13:24:03.476548+02:00",
            "2000-03-01T00:00:00-05:30",
        ] {
            assert_eq!(parse_timestamp(text), by_chrono(text), "{text}");
            assert!(parse_timestamp(text).is_some(), "{text}");
        }
        for text in [
            "",
            "infinity",
            "2026-11-22",
            "2025-02-29T00:00:00+00:00",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00",
            "0044-03-15T00:00:00+00:00 BC",
            "2026-01-0\u{e9}T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_instant_of_the_common_era_survives(micros in -62_135_596_800_000_000..253_402_300_799_999_999i64) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(quick_timestamp(time.to_string().as_bytes()), Some(time));
        }
    }
}
