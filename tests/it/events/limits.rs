//! Messages and metadata of any size and shape are kept, within bounds.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{insert, insert_text};
use crate::support::db::TestDb;

#[tokio::test]
async fn a_message_is_found_and_fits_one_line() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let long = "é".repeat(600);
    for (row, expected) in [
        (json!({"message": "given"}), "given"),
        (json!({"message": "given", "metadata": {"message": "other"}}), "given"),
        (json!({"metadata": {"message": "m", "error": "e", "reason": "r"}}), "m"),
        (json!({"metadata": {"error": "e", "reason": "r"}}), "e"),
        (json!({"metadata": {"error": {"message": "em"}, "reason": "r"}}), "em"),
        (json!({"metadata": {"reason": "r"}}), "r"),
        (json!({"metadata": {"message": 5, "error": ["x"], "reason": ""}}), "execution.test"),
        (json!({"metadata": {"message": "  \n", "error": "e"}}), "e"),
        (json!({"message": " \n\t ", "metadata": {"reason": "r"}}), "r"),
        (json!({"message": null}), "execution.test"),
        (json!({}), "execution.test"),
        (
            json!({"message": "  two\r\n\tlines\u{b}and\u{85}more\u{2028}here\u{7f} "}),
            "two lines and more here",
        ),
        (json!({"message": long}), &"é".repeat(500)),
        (json!({"message": format!("{}tail", " ".repeat(9000))}), "tail"),
        (json!({"message": format!("{}tail", "\u{1}".repeat(9000))}), "execution.test"),
        (json!({"message": "key AKIAIOSFODNN7EXAMPLE"}), "key [masked]"),
        (json!({"metadata": {"error": "Bearer abcdefgh12345678"}}), "Bearer [masked]"),
        (json!({"message": "名 🙂 ключ"}), "名 🙂 ключ"),
    ] {
        let stored = insert(&pool, &row).await.unwrap();
        assert_eq!(stored["message"], json!(expected), "{row}");
    }
}

#[tokio::test]
async fn any_metadata_is_stored_within_bounds() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let deep =
        |n: usize, inner: &str| format!("{{\"a\":{}{inner}{}}}", "[".repeat(n), "]".repeat(n));
    let many: Vec<String> = (0..20_000).map(|n| format!("\"k{n:05}\":\"value {n}\"")).collect();
    let wide: Vec<String> =
        (0..60).map(|n| format!("\"{}{n}\":\"{}\"", "ö".repeat(200), "🙂".repeat(500))).collect();
    let escaped: Vec<String> = (0..60)
        .map(|n| format!("\"{}{n}\":\"{}\"", "\\u0001".repeat(90), "\\u0002".repeat(500)))
        .collect();
    for (what, metadata, check) in [
        (
            "an array",
            "[1, \"bob@example.com\"]".to_owned(),
            Some(json!({"value": [1, "[masked]"]})),
        ),
        ("a text", "\"bob@example.com\"".to_owned(), Some(json!({"value": "[masked]"}))),
        ("a number", "4111111111111111".to_owned(), Some(json!({"value": "[masked]"}))),
        ("null", "null".to_owned(), Some(json!({}))),
        (
            "exactly the limit",
            format!("{{\"a\": \"{}\"}}", "x".repeat(32_768 - 9)),
            Some(json!({"a": "x".repeat(32_768 - 9)})),
        ),
        (
            "one over the limit",
            format!("{{\"a\": \"{}\"}}", "x".repeat(32_769 - 9)),
            Some(
                json!({"a": format!("{}…", "x".repeat(400)), "_tracker": {"cut_from_bytes": 32_769}}),
            ),
        ),
        (
            "ten megabytes",
            format!("{{\"a\": \"{}\", \"b\": 1}}", "x".repeat(10_000_000)),
            Some(
                json!({"a": format!("{}…", "x".repeat(400)), "b": 1, "_tracker": {"cut_from_bytes": 10_000_017}}),
            ),
        ),
        (
            "a large part",
            format!("{{\"a\": [\"{}\"], \"token\": \"{0}\"}}", "x".repeat(33_000)),
            Some(
                json!({"a": "[cut: 33004 bytes]", "token": "[masked]", "_tracker": {"cut_from_bytes": 66_024}}),
            ),
        ),
        (
            "a secret across the cut",
            format!(
                "{{\"a\": \"{} AKIAIOSFODNN7EXAMPLE {}\"}}",
                "x".repeat(390),
                "y".repeat(33_000)
            ),
            Some(
                json!({"a": format!("{} [masked] …", "x".repeat(390)), "_tracker": {"cut_from_bytes": 33_421}}),
            ),
        ),
        ("many keys", format!("{{{}}}", many.join(",")), None),
        ("wide letters", format!("{{{}}}", wide.join(",")), None),
        ("control characters", format!("{{{}}}", escaped.join(",")), None),
        ("5,000 levels", deep(5_000, "1"), None),
        ("5,000 levels with a secret", deep(5_000, "\"bob@example.com\""), None),
    ] {
        let row = format!(
            "{{\"source\": \"worker\", \"error_type\": \"system\", \"metadata\": {metadata}}}"
        );
        let columns = ["source", "error_type", "metadata"].map(str::to_owned);
        // Deep documents are compared as text: a parser on this side has limits of its own.
        let query_columns = columns.join(", ");
        let (stored, bytes): (String, i32) = sqlx::query_as(AssertSqlSafe(format!(
            "insert into public.error_metrics as e ({query_columns})
             select {query_columns} from jsonb_populate_record(null::public.error_metrics, $1::jsonb)
             returning metadata::text, octet_length(metadata::text)"
        )))
        .bind(row)
        .fetch_one(&pool)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(bytes <= 32_768, "{what}: {bytes} bytes");
        assert!(!stored.contains("bob@example.com"), "{what}");
        if let Some(expected) = check {
            assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), expected, "{what}");
        } else if !what.contains("levels") {
            assert!(stored.contains("cut_from_bytes"), "{what}");
        }
    }
    let error = insert_text(
        &pool,
        r#"{"source": "worker", "error_type": "system", "metadata": {"a": "\u0000"}}"#,
        &["source", "error_type", "metadata"].map(str::to_owned),
    )
    .await
    .unwrap_err();
    assert!(
        error.contains("unsupported Unicode escape sequence"),
        "PostgreSQL has no zero character: {error}"
    );
}
