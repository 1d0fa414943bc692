//! The masking that the trigger does, with all its short cuts, against one that has none: on random
//! documents both must come to the same.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

use super::{random_seed, vectors};
use crate::support::{db::TestDb, sql};

/// Whole secrets, halves of them, words that the short cuts look for, near misses, and what separates.
const PIECES: [&str; 70] = [
    "AKIAIOSFODNN7EXAMPLE",
    "akiaiosfodnn7example",
    "accasia",
    "sb_secret_abcdefgh12345678",
    "eyJhbGciOiJI.eyJzdWIiOiI.c2lnbmF0dXJl",
    "eyJhbGci",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "ghp_",
    "github_pat_abcdefghijklmnopqrst",
    "glpat-abcdefghijklmnop",
    "npm_",
    "xoxb-fake-fake",
    "xapp-",
    "hooks.slack.com/services/T0/B0/x",
    "sk_live_abcdefgh12",
    "whsec_ZmFrZWZha2VmYWtl",
    "sk-",
    "sk-abcdefghijklmnopqrstuvwx",
    "AIzaabcdefghijklmnopqrstuvwxyz0123456",
    "Bearer ",
    "basic ",
    "abcdefgh12345678",
    "bob.smith@example.com",
    "@",
    "package@1.2.3",
    "https://",
    "postgres://app:hunter2@db/app",
    "://",
    "user:pa/ss@host",
    "http://localhost:5173/@vite/client",
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1112",
    "1700000000000",
    "password",
    "password=",
    "passWord: \"x y\"",
    "secret",
    "client_secret = 'a b'",
    "token",
    "token=abc",
    "token_count",
    "api key: abc",
    "apikey",
    "authorization",
    "Authorization: Basic abc",
    "cookie",
    "Set-Cookie: a=b; c=d",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "[masked]",
    "\": \"[masked]\"",
    "{\"password\": \"[masked]\"}",
    "credit",
    "card",
    "number",
    "session",
    "id",
    "pin",
    "auth",
    " ",
    "\n",
    "\t",
    "\"",
    "\\",
    ": ",
    "=",
    "ключ",
    "🙂",
    "\u{1}",
];
const KEYS: [&str; 24] = [
    "password",
    "Api-Key",
    "x_access_token",
    "Set-Cookie",
    "ssn",
    "PIN",
    "client secret",
    "auth",
    "a",
    "list",
    "authorization",
    "headers",
    "creditcardnumber",
    "session",
    "sessions",
    "token_count",
    "tokens",
    "url",
    "note",
    "a\"password",
    "pass\\word",
    "database_url",
    "Authorization",
    "пароль",
];

fn text(random: &mut StdRng) -> String {
    (0..random.random_range(0..6)).map(|_| *PIECES.choose(random).unwrap()).collect()
}

fn value(random: &mut StdRng, depth: u32) -> Value {
    match random.random_range(0..if depth == 0 { 6 } else { 9 }) {
        0 => json!(random.random::<i32>()),
        1 => json!(*[4_111_111_111_111_111_i64, 4_111_111_111_111_112].choose(random).unwrap()),
        2 => {
            [Value::Null, json!(true), json!(""), json!("[masked]")].choose(random).unwrap().clone()
        }
        3..6 => json!(text(random)),
        6 => (0..random.random_range(0..4)).map(|_| value(random, depth - 1)).collect(),
        _ => object(random, depth - 1),
    }
}

fn object(random: &mut StdRng, depth: u32) -> Value {
    let mut members: Map<String, Value> = (0..random.random_range(0..5))
        .map(|_| ((*KEYS.choose(random).unwrap()).to_owned(), value(random, depth)))
        .collect();
    // At most one key of an object is masked itself: which of two that become the same stays is chance.
    if random.random_bool(0.1) {
        // What stands behind a quote within a key is taken for a key as well, so that more is masked
        // than must be.
        let key = format!("key {}", text(random)).replace('"', "");
        members.insert(key, value(random, depth));
    }
    Value::Object(members)
}

#[tokio::test]
async fn short_cuts_change_nothing() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    sql(&pool, include_str!("reference.sql")).await;
    let seed = random_seed();
    println!("seed {seed}; MASKING_SEED={seed} repeats this run");
    let mut random = StdRng::seed_from_u64(seed);
    let given = vectors();
    let mut documents: Vec<Value> = given.documents.into_iter().map(|v| v.input).collect();
    documents.extend(given.texts.into_iter().map(|v| json!({"note": v.text})));
    documents.extend((0..3_000).map(|_| object(&mut random, 4)));
    let documents: Vec<String> =
        documents.iter().filter(|d| d.is_object()).map(Value::to_string).collect();
    let differ: Vec<(String, String, String)> = sqlx::query_as(
        "select d, error_tracking.mask_metadata(d::jsonb)::text, reference.mask(d::jsonb)::text
           from unnest($1::text[]) as d
          where error_tracking.mask_metadata(d::jsonb) is distinct from reference.mask(d::jsonb)
          limit 5",
    )
    .bind(&documents)
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(differ.is_empty(), "seed {seed}: document, masked, expected: {differ:#?}");
    let masked: i64 = sqlx::query_scalar(
        "select count(*) from unnest($1::text[]) as d where reference.mask(d::jsonb) <> d::jsonb",
    )
    .bind(&documents)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(masked > 1_000, "only {masked} documents had anything to mask");
}
