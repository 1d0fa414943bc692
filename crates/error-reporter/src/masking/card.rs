//! Payment card numbers in text.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::MASK;

/// In one piece, or in the groups that are printed on cards; ids in other groups are none.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static CARD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?<![0-9a-z])(?<![0-9]\.)(?:[2-6][0-9]{12,18}",
        r"|[2-6][0-9]{3}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?",
        r"|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9a-z])",
    ))
    .expect("the pattern is valid")
});

/// What every card number in a text contains.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static MAYBE_CARD: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new("[2-6](?:[ -]?[0-9]){12}").expect("the pattern is valid"));

/// Whether a row of digits has the length and check digit of a payment card.
///
/// Issuers' numbers begin with 2 to 6, which keeps times in milliseconds out of it; the check digit
/// is that of ISO/IEC 7812-1, annex B.
#[must_use]
pub fn is_card_number(digits: &[u8]) -> bool {
    let plausible = (13..=19).contains(&digits.len())
        && digits.first().is_some_and(|first| (b'2'..=b'6').contains(first))
        && digits.iter().all(u8::is_ascii_digit);
    plausible
        && digits.iter().rev().enumerate().fold(0u32, |sum, (place, digit)| {
            let digit = u32::from(digit - b'0');
            sum + match (place % 2 == 0, digit > 4) {
                (true, _) => digit,
                (false, true) => 2 * digit - 9,
                (false, false) => 2 * digit,
            }
        }) % 10
            == 0
}

pub(super) fn may_have_card(text: &str) -> bool {
    MAYBE_CARD.is_match(text)
}

/// The text without card numbers; nothing where there are none.
pub(super) fn mask_cards(text: &str) -> Option<String> {
    if !may_have_card(text) {
        return None;
    }
    let mut masked: Option<String> = None;
    for found in CARD.find_iter(text) {
        // A text too intricate to search is not passed on.
        let Ok(found) = found else { return Some(MASK.to_owned()) };
        let digits: Vec<u8> = found.as_str().bytes().filter(u8::is_ascii_digit).collect();
        if is_card_number(&digits) {
            let text = masked.as_deref().unwrap_or(text);
            masked = Some(text.replace(found.as_str(), MASK));
        }
    }
    masked
}
