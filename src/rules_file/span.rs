//! Lengths of time as people write them: `90s`, `5m`, `1h 30m`, `7d`.

use crate::model::Span;

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time as in 90s, 5m, 1h30m or 7d")]
pub struct ParseSpanError(String);

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads whole days, hours, minutes and seconds, the larger first, each at most once.
///
/// # Errors
/// For anything else.
pub fn parse_span(text: &str) -> Result<Span, ParseSpanError> {
    let error = || ParseSpanError(text.chars().take(40).collect());
    let mut units = UNITS.iter();
    let (mut total, mut digits, mut any) = (0_i64, String::new(), false);
    for character in text.chars().filter(|character| *character != ' ') {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let (_, seconds) = units.find(|(unit, _)| *unit == character).ok_or_else(error)?;
        let count: i64 = digits.parse().map_err(|_| error())?;
        total = count
            .checked_mul(*seconds)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= i64::from(u32::MAX))
            .ok_or_else(error)?;
        digits.clear();
        any = true;
    }
    if any && digits.is_empty() { Ok(Span::from_secs(total)) } else { Err(error()) }
}

/// The shortest text for whole seconds that [`parse_span`] reads: `5m`, `1h30m`.
#[must_use]
pub fn render_span(seconds: i64) -> String {
    let mut rest = seconds.max(0);
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        for (text, expected) in [
            ("5m", Some(300)),
            ("90s", Some(90)),
            ("1h 30m", Some(5_400)),
            ("7d", Some(604_800)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5m5h", None),
            ("1m1m", None),
            ("-5m", None),
            ("5 min", None),
            ("99999999999999999999d", None),
            ("200000000d", None),
        ] {
            let got = parse_span(text).ok().map(|span| span.micros() / 1_000_000);
            assert_eq!(got, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_i64..10_000_000) {
            prop_assert_eq!(parse_span(&render_span(seconds)), Ok(Span::from_secs(seconds)));
        }
    }
}
