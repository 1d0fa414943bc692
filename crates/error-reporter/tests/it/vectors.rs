//! The vectors that SQL, JavaScript and Rust share.

use std::collections::BTreeMap;

use error_reporter::{
    Circumstances, ErrorFacts, Severity, classify,
    masking::{mask_document, mask_text},
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[test]
fn errors_are_classified_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Vector {
        about: String,
        error: ErrorFacts,
        #[serde(default)]
        given: Circumstances,
        error_type: String,
        severity: Severity,
    }
    let vectors = include_str!("../../../../tests/vectors/classification.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    assert!(vectors.len() >= 120);
    for Vector { about, error, given, error_type, severity } in vectors {
        let classified = classify(&error, &given);
        let got = (classified.error_type, classified.severity);
        assert_eq!(got, (error_type.as_str(), severity), "{about}: {error:?}");
    }
}

#[test]
fn what_is_masked_and_what_is_not_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Vectors {
        documents: Vec<Document>,
        texts: Vec<Text>,
    }
    #[derive(Deserialize)]
    struct Document {
        name: String,
        input: Value,
        expected: Value,
    }
    #[derive(Deserialize)]
    struct Text {
        text: String,
        expected: String,
    }
    let vectors = include_str!("../../../../tests/vectors/masking.json");
    let Vectors { documents, texts } = serde_json::from_str(vectors).unwrap();
    assert!(documents.len() + texts.len() >= 150);
    for Document { name, mut input, expected } in documents {
        mask_document(&mut input);
        assert_eq!(input, expected, "{name}");
    }
    for Text { text, expected } in texts {
        assert_eq!(mask_text(&text), expected, "{text}");
    }
}

/// The table is what the migration inserts, word for word.
#[test]
fn the_rules_are_those_of_the_migration() {
    let migration =
        include_str!("../../../../supabase/migrations/20261122000002_error_masking.sql");
    let table = include_str!("../../../../packages/error-reporter/data/masking.json");
    let table: BTreeMap<String, Value> = serde_json::from_str(table).unwrap();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut rules = 0;
    for kind in ["key_contains", "key_ends", "key_is"] {
        for word in table[kind].as_array().unwrap() {
            let row = format!("('{kind}', {}, ", quoted(word.as_str().unwrap()));
            assert!(migration.contains(&row), "{row}");
            rules += 1;
        }
    }
    for value in table["values"].as_array().unwrap() {
        let pattern = quoted(value["pattern"].as_str().unwrap());
        let note = quoted(value["note"].as_str().unwrap());
        let row = migration.lines().find(|line| line.contains(&pattern)).expect(&pattern);
        assert!(row.starts_with("  ('value', ") && row.contains(&note), "{row}");
        rules += 1;
    }
    // Short rows share a line.
    let rows = ["('key_contains', '", "('key_ends', '", "('key_is', '", "\n  ('value', "];
    let inserts = migration.split_once("insert into").unwrap().1;
    let rows: usize = rows.iter().map(|opening| inserts.matches(opening).count()).sum();
    assert_eq!(rows, rules, "each of the migration's rules is in the table");
}

/// Secrets, and a part of each that must not be seen again.
const SECRETS: [(&str, &str); 9] = [
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
    ("sb_secret_0123456789abcdef", "0123456789abcdef"),
    ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "abcdefghij"),
    ("xoxb-123456789012-abcdefghijkl", "abcdefghijkl"),
    ("sk_live_0123456789abcdef", "0123456789abcdef"),
    ("4111 1111 1111 1111", "1111 1111"),
    ("jane.doe@example.com", "jane.doe"),
    (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0B\n-----END PRIVATE KEY-----",
        "MIIEvQ",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Wherever a secret is put, and whatever stands around it, it does not survive.
    #[test]
    fn planted_secrets_survive_nowhere(
        secret in 0..SECRETS.len(),
        wraps in prop::collection::vec(0..6u8, 1..6),
        around in "[a-z ,.;!?(){}]{0,12}",
    ) {
        let (secret, seen) = SECRETS[secret];
        let mut document = Value::from(secret);
        for wrap in wraps {
            document = match (wrap, document) {
                (0, inner) => json!({ "note": inner }),
                (1, inner) => json!([1, inner, null]),
                (2, inner) => json!({ "deep": { "er": [inner] } }),
                (3, inner) => json!({ "inner": inner }).to_string().into(),
                (4, Value::String(text)) => format!("{around} {text} {around}").into(),
                (5, Value::String(text)) => json!({ text: 1 }),
                (_, inner) => inner,
            };
        }
        if let Value::String(text) = &document {
            prop_assert!(!mask_text(text).contains(seen), "{text}");
        }
        mask_document(&mut document);
        prop_assert!(!document.to_string().contains(seen), "{document}");
    }

    /// Masking takes any text without a panic, and masked text stays as it is.
    #[test]
    fn any_text_can_be_masked(text in "\\PC{0,200}") {
        let once = mask_text(&text);
        let _ = mask_text(&once);
    }
}
