//! The rules of the database's masking migration, compiled.

use std::{borrow::Cow, sync::LazyLock};

use aho_corasick::AhoCorasick;
use regex::RegexBuilder;
use serde::Deserialize;

use super::{
    MASK,
    card::{mask_cards, may_have_card},
};

/// Made from the migration; a test compares the two.
const TABLE: &str = include_str!("../../../../packages/error-reporter/data/masking.json");

#[derive(Deserialize)]
struct Table {
    key_contains: Vec<String>,
    key_ends: Vec<String>,
    key_is: Vec<String>,
    values: Vec<ValueRow>,
}

#[derive(Deserialize)]
struct ValueRow {
    pattern: String,
    needles: Vec<String>,
    replacement: String,
}

/// A pattern with look-around needs an engine that tries again; all others take linear time.
enum Pattern {
    Linear(regex::Regex),
    Trying(fancy_regex::Regex),
}

pub(super) struct Rules {
    keys: regex::Regex,
    key_words: AhoCorasick,
    /// Finds all needles of all rules in one pass; parallel to `needle_of`.
    needles: AhoCorasick,
    /// The rule that a needle belongs to.
    needle_of: Vec<usize>,
    /// Patterns and replacements in the order in which they are applied, and whether they have needles.
    values: Vec<(Pattern, String, bool)>,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let table = serde_json::from_str(TABLE).expect("the masking table is valid JSON");
    Rules::new(table).expect("the masking table's patterns are valid")
});

impl Rules {
    fn new(table: Table) -> Result<Self, Box<dyn std::error::Error>> {
        let keys: Vec<String> = table
            .key_contains
            .iter()
            .cloned()
            .chain(table.key_ends.iter().map(|word| format!("{word}$")))
            .chain(table.key_is.iter().map(|word| format!("^{word}$")))
            .collect();
        let words = table.key_contains.iter().chain(&table.key_ends).chain(&table.key_is);
        let mut needles = Vec::new();
        let mut needle_of = Vec::new();
        let mut values = Vec::new();
        let reference = regex::Regex::new(r"\\([1-9])")?;
        for row in &table.values {
            needle_of.extend(row.needles.iter().map(|_| values.len()));
            needles.extend(&row.needles);
            let replacement = row.replacement.replace('$', "$$");
            values.push((
                compile(&row.pattern)?,
                reference.replace_all(&replacement, "$${$1}").into_owned(),
                !row.needles.is_empty(),
            ));
        }
        Ok(Self {
            keys: regex::Regex::new(&keys.join("|"))?,
            key_words: AhoCorasick::new(words)?,
            needles: AhoCorasick::builder().ascii_case_insensitive(true).build(needles)?,
            needle_of,
            values,
        })
    }

    /// The text without its sensitive parts; nothing where it has none.
    pub(super) fn mask(&self, text: &str) -> Option<String> {
        // Looked for in what was given: a replacement never makes a later rule unnecessary.
        let wanted = self.wanted(text);
        let mut masked: Option<String> = None;
        for (index, (pattern, replacement, has_needles)) in self.values.iter().enumerate() {
            if *has_needles && wanted & (1 << index) == 0 {
                continue;
            }
            let text = masked.as_deref().unwrap_or(text);
            if let Cow::Owned(changed) = pattern.replace(text, replacement) {
                masked = Some(changed);
            }
        }
        mask_cards(masked.as_deref().unwrap_or(text)).or(masked)
    }

    /// One bit for each rule of which a needle is in the text.
    fn wanted(&self, text: &str) -> u128 {
        // Needles may stand inside of one another, as `secret` does in `sb_secret_`.
        self.needles
            .find_overlapping_iter(text)
            .filter_map(|found| self.needle_of.get(found.pattern().as_usize()))
            .fold(0, |wanted, index| wanted | 1 << index)
    }

    pub(super) fn may_change(&self, text: &str) -> bool {
        self.wanted(text) != 0
            || may_have_card(text)
            || self.values.iter().any(|(_, _, has_needles)| !has_needles)
    }

    pub(super) fn is_sensitive_key(&self, key: &str) -> bool {
        self.keys.is_match(&normal(key))
    }

    pub(super) fn may_have_sensitive_key(&self, document: &str) -> bool {
        self.key_words.is_match(&normal(document))
    }
}

/// In lower case without `_`, `-`, `.` and blanks.
fn normal(key: &str) -> String {
    key.chars()
        .filter(|char| !matches!(char, '_' | '-' | '.' | ' '))
        .map(|char| char.to_ascii_lowercase())
        .collect()
}

impl Pattern {
    fn replace<'a>(&self, text: &'a str, replacement: &str) -> Cow<'a, str> {
        match self {
            Self::Linear(regex) => regex.replace_all(text, replacement),
            // A text on which the search would take too long is not passed on.
            Self::Trying(regex) => regex
                .try_replacen(text, 0, replacement)
                .unwrap_or_else(|_| Cow::Owned(MASK.to_owned())),
        }
    }
}

/// From Postgres's notation, where `\m` and `\M` are the two ends of a word and `(?c)` at the beginning
/// makes a pattern case-sensitive. Words are made of ASCII there (collation C), as they are here.
fn compile(pattern: &str) -> Result<Pattern, Box<dyn std::error::Error>> {
    let exact = pattern.strip_prefix("(?c)");
    let source = exact.unwrap_or(pattern);
    let flags = if exact.is_some() { "(?s)" } else { "(?is)" };
    let looks_around = ["(?=", "(?!", "(?<"].iter().any(|text| source.contains(text));
    if looks_around {
        let source = source
            .replace(r"\m", "(?<![A-Za-z0-9_])(?=[A-Za-z0-9_])")
            .replace(r"\M", "(?<=[A-Za-z0-9_])(?![A-Za-z0-9_])");
        return Ok(Pattern::Trying(fancy_regex::Regex::new(&format!("{flags}{source}"))?));
    }
    let source = source.replace(r"\m", r"(?-u:\b)").replace(r"\M", r"(?-u:\b)");
    Ok(Pattern::Linear(RegexBuilder::new(&format!("{flags}{source}")).build()?))
}
