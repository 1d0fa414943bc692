//! Masking before anything leaves the process or reaches a disk, by the database's own rules.
//! No reading of what is reported for any other purpose, and no rule that the database does not have.
//! Texts and JSON documents come in, and go out without their sensitive parts.

mod card;
mod rules;

use serde_json::{Map, Value};

pub use card::is_card_number;
use rules::RULES;

/// What takes the place of something sensitive.
pub const MASK: &str = "[masked]";
/// Nobody reads deeper than this, and a hostile document must not exhaust the stack.
const MAX_DEPTH: usize = 24;

/// Compiles the patterns now and not with the first event.
pub(crate) fn prepare() {
    std::sync::LazyLock::force(&RULES);
}

/// A text without its sensitive parts.
#[must_use]
pub fn mask_text(text: &str) -> String {
    RULES.mask(text).unwrap_or_else(|| text.to_owned())
}

/// Whether all values of this metadata key are masked.
#[must_use]
pub fn is_sensitive_key(key: &str) -> bool {
    RULES.is_sensitive_key(key)
}

/// Takes the sensitive parts out of a JSON document: values of sensitive keys at any depth, and
/// sensitive texts anywhere, also in keys. Texts also lose NUL, which Postgres cannot store.
pub fn mask_document(document: &mut Value) {
    mask_value(document, 0);
}

fn mask_value(value: &mut Value, depth: usize) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            if is_card_number(number.to_string().as_bytes()) {
                *value = MASK.into();
            }
        }
        Value::String(text) => mask_string(text),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => {
            if may_be_sensitive(value) {
                *value = "[masked: nested too deep]".into();
            }
        }
        Value::Array(elements) => {
            for element in elements {
                mask_value(element, depth + 1);
            }
        }
        Value::Object(fields) => mask_fields(fields, depth),
    }
}

fn mask_fields(fields: &mut Map<String, Value>, depth: usize) {
    let mut any_key = false;
    for (key, value) in fields.iter_mut() {
        any_key |= key.contains('\0') || RULES.mask(key).is_some();
        if value.is_null() || value.as_str() == Some("") {
            continue;
        }
        if is_sensitive_key(key) {
            *value = MASK.into();
        } else {
            mask_value(value, depth + 1);
        }
    }
    if any_key {
        let old = std::mem::take(fields);
        fields.extend(old.into_iter().map(|(mut key, value)| {
            mask_string(&mut key);
            (key, value)
        }));
    }
}

fn mask_string(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if let Some(masked) = RULES.mask(text) {
        *text = masked;
    }
}

fn may_be_sensitive(value: &Value) -> bool {
    let text = value.to_string();
    RULES.may_change(&text) || RULES.may_have_sensitive_key(&text) || text.contains("\\u0000")
}
