//! The `Retry-After` header (RFC 9110, section 10.2.3).

use chrono::DateTime;

use crate::model::{Span, Timestamp};

/// How long to wait from `now`; none where the header says nothing understandable.
///
/// Absurd values are not judged here: [`super::schedule::wait`] keeps every wait within bounds.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Span> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(super::schedule::LONGEST, Span::from_secs));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some(Timestamp::from_micros(date.timestamp_micros()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = Timestamp::from_secs(1_445_412_420);
        let cases = [
            ("30", Some(30)),
            (" 1 ", Some(1)),
            ("0", Some(0)),
            ("99999999999999999999", Some(3600)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(-60)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(parse(value, now), seconds.map(Span::from_secs), "{value:?}");
        }
    }
}
