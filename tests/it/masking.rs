//! Masking, as the database does it to every event: shared vectors, rules that people add, and chance.

use std::fmt::Write as _;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{db::TestDb, sql};

mod equal;
mod rules;

#[derive(Deserialize)]
struct Vectors {
    documents: Vec<DocumentVector>,
    texts: Vec<TextVector>,
}

#[derive(Deserialize)]
struct DocumentVector {
    name: String,
    input: Value,
    expected: Value,
}

#[derive(Deserialize)]
struct TextVector {
    text: String,
    expected: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/masking.json")).unwrap()
}

/// Inserts an event for each pair of metadata and message, and returns both as they were stored.
async fn store(pool: &PgPool, events: &[(Value, Option<String>)]) -> Vec<(Value, String)> {
    let metadata: Vec<String> = events.iter().map(|(metadata, _)| metadata.to_string()).collect();
    let messages: Vec<Option<String>> = events.iter().map(|(_, message)| message.clone()).collect();
    sqlx::query_as(
        "insert into public.error_metrics (source, error_type, metadata, message)
         select 'worker', 'execution.test', m::jsonb, t
           from unnest($1::text[], $2::text[]) with ordinality as e (m, t, n) order by n
         returning metadata, message",
    )
    .bind(metadata)
    .bind(messages)
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_shared_vectors_hold() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let Vectors { documents, texts } = vectors();
    let inputs: Vec<_> = documents.iter().map(|v| (v.input.clone(), None)).collect();
    let mut wrong = String::new();
    for (vector, (got, _)) in documents.iter().zip(store(&pool, &inputs).await) {
        if got != vector.expected {
            writeln!(wrong, "{}\n  got {got}\n want {}", vector.name, vector.expected).unwrap();
        }
    }
    let inputs: Vec<_> =
        texts.iter().map(|v| (json!({"note": v.text}), Some(v.text.clone()))).collect();
    for (vector, (metadata, message)) in texts.iter().zip(store(&pool, &inputs).await) {
        let (note, expected) = (metadata["note"].as_str().unwrap(), vector.expected.as_str());
        if note != expected {
            writeln!(wrong, "{:?}\n  got {note:?}\n want {expected:?}", vector.text).unwrap();
        }
        // A message is one line besides, and its metadata's or type where it says nothing.
        let line = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        if message.split_whitespace().collect::<Vec<_>>().join(" ") != line && !line.is_empty() {
            writeln!(wrong, "message {:?}\n  got {message:?}\n want {line:?}", vector.text)
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(documents.len() >= 50 && texts.len() >= 120, "vectors are missing");
}

/// Masking what is masked already changes nothing, so reporters may mask before they send.
#[tokio::test]
async fn masking_twice_changes_nothing_more() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let Vectors { documents, texts } = vectors();
    let masked: Vec<(Value, Option<String>)> = documents
        .into_iter()
        .map(|v| v.expected)
        .chain(texts.into_iter().map(|v| json!({"note": v.expected})))
        .map(|metadata| (metadata, Some("x".to_owned())))
        .collect();
    for ((before, _), (after, _)) in masked.iter().zip(store(&pool, &masked).await) {
        assert_eq!(before, &after);
    }
}

/// A rule without a vector could stop working unnoticed.
#[tokio::test]
async fn every_default_rule_has_a_vector() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let Vectors { documents, texts } = vectors();
    let words: Vec<String> =
        sqlx::query_scalar("select pattern from public.error_masking_rules where kind <> 'value'")
            .fetch_all(&pool)
            .await
            .unwrap();
    for word in &words {
        let name = format!("key {word}");
        assert!(documents.iter().any(|vector| vector.name == name), "no vector {name:?}");
    }
    let masked: Vec<String> =
        texts.into_iter().filter(|v| v.text != v.expected).map(|v| v.text).collect();
    let unused: Vec<String> = sqlx::query_scalar(
        "select r.pattern from public.error_masking_rules r where kind = 'value'
            and not exists (select from unnest($1::text[]) as t where t ~* r.pattern)",
    )
    .bind(&masked)
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(unused.is_empty(), "rules without a text: {unused:#?}");
    // A needle that a match need not contain would switch its rule off.
    let blind: Vec<(String, String)> = sqlx::query_as(
        "select r.pattern, t from public.error_masking_rules r, unnest($1::text[]) as t
          where kind = 'value' and cardinality(needles) > 0 and t ~* r.pattern
            and not exists (select from unnest(needles) as n where lower(t) like '%' || n || '%')",
    )
    .bind(&masked)
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(blind.is_empty(), "needles that miss: {blind:#?}");
    assert!(words.len() >= 30);
}

#[tokio::test]
async fn added_rules_take_effect_at_once() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let stored = async |metadata: Value| store(&pool, &[(metadata, None)]).await.remove(0).0;
    let before =
        json!({"customerRef": "C-1", "note": "CUST-000017 and ticket <A-1>", "shoe size": 44});
    assert_eq!(stored(before.clone()).await, before);
    sql(
        &pool,
        r"insert into public.error_masking_rules (kind, pattern, needles, replacement) values
            ('key_contains', 'customer', '{}', '[masked]'), ('key_is', 'shoesize', '{}', '[masked]'),
            ('value', 'CUST-(\d{2})\d+', '{cust-}', 'CUST-\1…'),
            -- Anchors, look-around, options and references within the pattern need no care.
            ('value', '^(?=x)x(\d)\1$', '{}', '[twice]'), ('value', '(?c)TICKET', '{}', '[ticket]')",
    )
    .await;
    let after = stored(json!({"customerRef": "C-1", "note": "CUST-000017 and ticket TICKET",
        "shoe size": 44, "lines": ["x11", "x12", "ax11", "a\nx11"]}));
    let expected = json!({"customerRef": "[masked]", "note": "CUST-00… and ticket [ticket]",
        "shoe size": "[masked]", "lines": ["[twice]", "x12", "ax11", "a\nx11"]});
    assert_eq!(after.await, expected);
    sql(&pool, "delete from public.error_masking_rules where note = ''and kind = 'value'").await;
    let after = stored(json!({"note": "CUST-000017 x11 TICKET bob@example.com"}));
    assert_eq!(after.await, json!({"note": "CUST-000017 x11 TICKET [masked]"}));
    // Not even a table without rules may cost events.
    sql(&pool, "delete from public.error_masking_rules").await;
    let all =
        json!({"password": "x", "note": "bob@example.com", "card": 4_111_111_111_111_111_i64});
    let expected = json!({"password": "x", "note": "bob@example.com", "card": "[masked]"});
    assert_eq!(stored(all).await, expected);
}

#[tokio::test]
async fn rules_that_cannot_work_are_refused() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    for (kind, pattern, needles, says) in [
        ("value", "(", "{}", "pattern: invalid regular expression"),
        ("value", "a{2,1}", "{}", "pattern: invalid regular expression"),
        ("value", "x*", "{}", "pattern: must not match an empty text"),
        ("value", "", "{}", "pattern"),
        ("value", &"x".repeat(501), "{}", "pattern_must_have_1_to_500_characters"),
        ("value", "x", "{\"\"}", "needles_must_be_lower_case"),
        ("value", "x", "{X}", "needles_must_be_lower_case"),
        ("value", "x", "{null}", "needles_must_be_lower_case"),
        ("key_is", "x", "{x}", "needles_are_for_values"),
        ("key_is", "Pass_Word", "{}", "pattern_of_a_key_must_be_lower_case_letters_and_digits"),
        ("key", "x", "{}", "kind_must_be_key_contains_key_ends_key_is_or_value"),
    ] {
        let error = sqlx::query(
            "insert into public.error_masking_rules (kind, pattern, needles) values ($1, $2, $3::text[])",
        )
        .bind(kind)
        .bind(pattern)
        .bind(needles)
        .execute(&pool)
        .await
        .expect_err(pattern);
        let error = error.to_string();
        assert!(error.contains(says), "{kind} {pattern:?}: {error}");
    }
}

const SECRETS: [&str; 12] = [
    "AKIAIOSFODNN7EXAMPLE",
    "sb_secret_abcdefgh12345678",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "Bearer abcdefgh12345678",
    "bob.smith@example.com",
    "xoxb-fake-fake-fakefake",
    "4111111111111111",
    "sk-abcdefghijklmnopqrstuvwx",
    "whsec_ZmFrZWZha2VmYWtl",
    "password=hunter2hunter2",
    "postgres://app:hunter2hunter2@db.example.com/app",
];
/// What of each must not come out; the rest, such as a host, may.
const TELLTALES: [&str; 12] = [
    "IOSFODNN7",
    "abcdefgh12345678",
    "eyJzdWIi",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "abcdefgh12345678",
    "bob.smith@",
    "fake-fakefake",
    "4111111111111111",
    "abcdefghijklmnopqrstuvwx",
    "ZmFrZWZha2VmYWtl",
    "hunter2hunter2",
    "hunter2hunter2",
];
const KEYS: [&str; 8] =
    ["password", "Api-Key", "x_access_token", "Set-Cookie", "ssn", "PIN", "client secret", "auth"];
const FILLERS: [&str; 12] =
    ["", " ", "\n", "\t", "\"", "\\", ", ", "; at line 12: ", "ключ ", "🙂", "(", "\u{1}"];

/// A random document with a secret in it somewhere, and what must not come out of it.
fn planted(random: &mut StdRng, depth: u32) -> (Value, String) {
    let around = |random: &mut StdRng, secret: &str| {
        let (before, after) = (FILLERS.choose(random).unwrap(), FILLERS.choose(random).unwrap());
        format!("{before}{secret}{after}")
    };
    let (mut value, mut telltale) = if random.random_bool(0.3) {
        let telltale = format!("plain{}", random.random::<u64>());
        let key = *KEYS.choose(random).unwrap();
        let inner =
            if random.random_bool(0.5) { json!(telltale) } else { json!([{"x": telltale}]) };
        (json!({ key: inner }), telltale)
    } else {
        let n = random.random_range(0..SECRETS.len());
        (json!(around(random, SECRETS[n])), TELLTALES[n].to_owned())
    };
    for level in 0..depth {
        value = match random.random_range(0..4) {
            0 => json!([1, "x", value, null]),
            1 => json!({"a": {"b": 1}, "nested": value}),
            2 => Value::Array(vec![
                json!("long text ").as_str().unwrap().repeat(level as usize).into(),
                value,
            ]),
            _ => json!({"list": [value], "ok": true}),
        };
    }
    let mut document = Map::from_iter([("data".to_owned(), value)]);
    match random.random_range(0..5) {
        0 => document.insert("filler".to_owned(), json!("lorem ipsum ".repeat(4000))),
        1 => document.insert("message".to_owned(), json!(format!("{} failed", SECRETS[0]))),
        2 => {
            let n = random.random_range(0..SECRETS.len());
            telltale = TELLTALES[n].to_owned();
            document.clear();
            let long = "lorem ipsum ".repeat(random.random_range(0..900));
            document.insert("text".to_owned(), json!(format!("{long}{} {long}", SECRETS[n])));
            document.insert("filler".to_owned(), json!("x".repeat(33_000)))
        }
        3 => document.insert(format!("key with {}", around(random, SECRETS[0])), json!(1)),
        _ => None,
    };
    (Value::Object(document), telltale)
}

#[tokio::test]
async fn no_planted_secret_comes_out() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let seed = random_seed();
    println!("seed {seed}; MASKING_SEED={seed} repeats this run");
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..6_u32 {
        let planted: Vec<(Value, String)> =
            (0..100).map(|_| planted(&mut random, round * 6)).collect();
        let events: Vec<_> = planted.iter().map(|(value, _)| (value.clone(), None)).collect();
        for ((input, telltale), (metadata, message)) in
            planted.iter().zip(store(&pool, &events).await)
        {
            for telltale in [telltale.as_str(), TELLTALES[0]] {
                assert!(
                    !metadata.to_string().contains(telltale) && !message.contains(telltale),
                    "seed {seed}: {telltale:?} came out of {input}: {message:?} {metadata}"
                );
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads its switch")]
fn random_seed() -> u64 {
    let given = std::env::var("MASKING_SEED").ok();
    given.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0)
}

/// Prints how many rows of 1 KB a second one connection inserts; machines differ, so nothing is asserted.
#[tokio::test]
async fn insert_rate() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let project = Uuid::new_v4();
    sql(
        &pool,
        &format!(
            "insert into public.projects (id, owner, name) values ('{project}', '{project}', 'p');
             insert into public.workflow_definitions (id, project_id, slug, definition, name)
             values ('{project}', '{project}', 'w', '{{}}', 'w');
             create table plain_errors (like public.error_metrics including defaults including indexes);"
        ),
    )
    .await;
    let harmless = "jsonb_build_object('run_id', gen_random_uuid(), 'node', 'http-' || i, 'attempt', i % 5,
        'url', 'https://api.example.com/v1/orders/' || i, 'context', jsonb_build_object('region', 'eu', 'ms', i),
        'stack', repeat('    at Object.call (/app/workers/http-exec.mjs:120:15)' || chr(10), 13))";
    let sensitive = &format!(
        "{harmless} || jsonb_build_object('password', 'x', 'note', 'mail bob@example.com',
        'headers', jsonb_build_object('authorization', 'Bearer abcdefgh12345678', 'host', 'x'))"
    );
    let columns = "source, error_type, severity, message, workflow_id, metadata";
    for (what, table, extra, value, metadata) in [
        (
            "plain table, same indexes",
            "plain_errors",
            ", fingerprint, received_at, seq",
            ", gen_random_uuid(), now(), i",
            harmless,
        ),
        ("nothing to mask", "public.error_metrics", "", "", harmless),
        ("three things to mask", "public.error_metrics", "", "", sensitive.as_str()),
    ] {
        let statement = format!(
            "insert into {table} ({columns}{extra})
             select 'worker', 'execution.http', 'high', 'HTTP 500 from order ' || i, '{project}', m{value}
               from (select i, {metadata} as m from generate_series(1, 10000) as i) as e"
        );
        let start = Instant::now();
        sql(&pool, &statement).await;
        println!("{what}: {:.0} rows/s", 10_000.0 / start.elapsed().as_secs_f64());
    }
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "select count(*), avg(octet_length(metadata::text))::bigint from public.error_metrics",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(count, 20_000);
    assert!((800..1400).contains(&bytes), "{bytes}");
}
