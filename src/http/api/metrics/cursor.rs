//! A place between two events, as text that a client hands back.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::model::Timestamp;

/// The last event of a page: everything older than it, or as old and with a smaller number, follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its number, which tells events of one instant apart.
    pub seq: i64,
}

impl Cursor {
    /// Reads what [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (timestamp, seq) = bytes.split_first_chunk::<8>()?;
        let (timestamp, seq) = (i64::from_be_bytes(*timestamp), seq.try_into().ok()?);
        let (timestamp, seq) = (Timestamp::from_micros(timestamp), i64::from_be_bytes(seq));
        // Nothing outside these years can be in the table, and nothing else can be written to a query.
        let known = timestamp.to_chrono().timestamp_micros() == timestamp.micros()
            && (0..=253_402_300_799_999_999).contains(&timestamp.micros());
        (known && seq > 0).then_some(Self { timestamp, seq })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 16];
        let (first, second) = bytes.split_at_mut(8);
        first.copy_from_slice(&self.timestamp.micros().to_be_bytes());
        second.copy_from_slice(&self.seq.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text_and_no_text_is_a_panic(
            micros in 0..253_402_300_799_999_999_i64, seq in 1..i64::MAX, text in ".{0,40}",
        ) {
            let cursor = Cursor { timestamp: Timestamp::from_micros(micros), seq };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
            let _ = Cursor::parse(&text);
        }
    }

    #[test]
    fn others_are_refused() {
        for cursor in [
            Cursor { timestamp: Timestamp::from_micros(1), seq: 0 },
            Cursor { timestamp: Timestamp::from_micros(-1), seq: 1 },
            Cursor { timestamp: Timestamp::from_micros(i64::MAX), seq: 1 },
        ] {
            assert_eq!(Cursor::parse(&cursor.to_string()), None, "{cursor:?}");
        }
        assert_eq!(Cursor::parse(""), None);
        assert_eq!(Cursor::parse("AAAA"), None);
    }
}
