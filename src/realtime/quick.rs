//! Takes a 2.0.0 frame apart without looking into its payload.
//!
//! A row change is some 1 KB of which the frame around it is 60 bytes; skipping the payload here
//! means that it is read once, by whoever decodes it, and not twice.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// The five elements of `[join_ref, ref, topic, event, payload]`.
pub(super) struct Parts<'a> {
    pub join_ref: Option<Cow<'a, str>>,
    pub reference: Option<Cow<'a, str>>,
    pub topic: Option<Cow<'a, str>>,
    pub event: Option<Cow<'a, str>>,
    pub payload: &'a str,
}

/// Splits `text`, which begins with `[`, at its first four commas outside strings.
pub(super) fn split(text: &str) -> Result<Parts<'_>, &'static str> {
    let rest = text.strip_prefix('[').ok_or("it does not begin with a bracket")?;
    let (join_ref, rest) = element(rest)?;
    let (reference, rest) = element(rest)?;
    let (topic, rest) = element(rest)?;
    let (event, rest) = element(rest)?;
    let payload = rest.strip_suffix(']').ok_or("it does not end with a bracket")?.trim_ascii();
    if payload.is_empty() {
        return Err("the payload is missing");
    }
    Ok(Parts { join_ref, reference, topic, event, payload })
}

/// Reads one string, number or null and the comma after it.
fn element(text: &str) -> Result<(Option<Cow<'_, str>>, &str), &'static str> {
    let text = text.trim_ascii_start();
    let (value, rest) = if text.starts_with('"') {
        let end = string_end(text.as_bytes()).ok_or("a string does not end")?;
        let (quoted, rest) = text.split_at_checked(end).ok_or("a string does not end")?;
        let word: Word<'_> = serde_json::from_str(quoted).map_err(|_| "a string is invalid")?;
        (word.0, rest)
    } else {
        let end = text.find([',', ']', '[', '{']).ok_or("it has fewer than five elements")?;
        let (bare, rest) = text.split_at_checked(end).ok_or("it has fewer than five elements")?;
        let word: Word<'_> = serde_json::from_str(bare).map_err(|_| "an element is invalid")?;
        (word.0, rest)
    };
    let rest =
        rest.trim_ascii_start().strip_prefix(',').ok_or("it has fewer than five elements")?;
    Ok((value, rest))
}

/// The index after the closing quote of the string that `bytes` begin with.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// A string that borrows where it can; null is nothing, and a number is taken by its digits.
pub(super) struct Word<'a>(pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or null")
            }

            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Borrowed(value))))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(value.to_owned()))))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Word(None))
            }
        }

        deserializer.deserialize_any(Words)
    }
}
