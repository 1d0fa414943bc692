//! Makes events with secrets in them: of every kind that masking knows, at any depth, in any position.

use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

/// An event, and what of it must be nowhere.
pub struct Planted {
    pub event: Value,
    /// The parts that must not survive.
    pub secrets: Vec<String>,
    /// A part that must.
    pub harmless: String,
}

/// Keys whose values are secret, in the spellings of different people.
const KEYS: [&str; 20] = [
    "password",
    "Password",
    "db_password",
    "PASSWD",
    "client_secret",
    "clientSecret",
    "api-key",
    "x-api-key",
    "API Key",
    "Authorization",
    "Proxy-Authorization",
    "Set-Cookie",
    "cookie",
    "private.key",
    "credit_card",
    "access_token",
    "refreshToken",
    "ssn",
    "pin",
    "connection_string",
];

/// An event whose message and metadata hold secrets.
pub fn plant(rng: &mut StdRng, seed: u64, number: usize, project: Uuid) -> Planted {
    let mut secrets = Vec::new();
    let harmless = format!("harmless{seed}x{number}");
    let in_text = text(rng, &mut secrets);
    let mut metadata =
        json!({ "kept": harmless, "order": "4111111111111112", "token_count": number });
    for place in 0..rng.random_range(1..5) {
        let value = nested(rng, &mut secrets);
        metadata[format!("part_{place}")] = value;
    }
    if rng.random_bool(0.3) {
        metadata[format!("as key {}", text(rng, &mut secrets))] = json!(1);
    }
    let message = match number % 3 {
        // A third has its message derived from metadata.
        0 => {
            metadata["error"] = json!({"message": format!("failed {number}: {in_text}")});
            Value::Null
        }
        1 => format!("step {number} failed: {in_text}\nand more").into(),
        _ => format!("{} {in_text}", "long ".repeat(rng.random_range(0..300))).into(),
    };
    let event = json!({
        "error_id": Uuid::from_u128(rng.random()), "source": "worker", "error_type": "execution.test",
        "severity": "high", "project_id": project, "message": message, "metadata": metadata,
    });
    Planted { event, secrets, harmless }
}

/// A value with a secret in it, up to five levels down.
fn nested(rng: &mut StdRng, secrets: &mut Vec<String>) -> Value {
    let mut value = match rng.random_range(0..3) {
        0 => {
            let key = KEYS[rng.random_range(0..KEYS.len())];
            let secret = mark(rng, secrets);
            let whole = match rng.random_range(0..3) {
                0 => json!(secret),
                1 => json!([secret]),
                _ => json!({"value": {"inner": secret}}),
            };
            json!({key: whole, "step": 3})
        }
        1 => json!(text(rng, secrets)),
        // JSON within a string, as bodies of requests are often kept.
        _ => json!(json!({"password": mark(rng, secrets), "note": text(rng, secrets)}).to_string()),
    };
    for _ in 0..rng.random_range(0..5) {
        value = match rng.random_range(0..3) {
            0 => json!([1, value, "x"]),
            1 => json!({"request": value, "status": 500}),
            _ => json!([[value]]),
        };
    }
    value
}

/// A sentence with a secret of one of the kinds that are known by their looks.
fn text(rng: &mut StdRng, secrets: &mut Vec<String>) -> String {
    let s = mark(rng, secrets);
    let upper = s.to_uppercase();
    let secret = match rng.random_range(0..18) {
        0 => format!("Authorization: Bearer {s}"),
        1 => format!("bearer   {s}"),
        2 => format!("eyJhbGciOiJIUzI1NiJ9.{s}.{s}"),
        3 => format!("sb_secret_{s}"),
        4 => format!("AKIA{}", also(secrets, upper[..16].to_owned())),
        5 => format!("ghp_{s}{s}"),
        6 => format!("xoxb-123456-{s}"),
        7 => format!("sk_live_{s}"),
        8 => format!("-----BEGIN PRIVATE KEY-----\n{s}\n{s}\n-----END PRIVATE KEY-----"),
        9 => format!("{s}@example.com"),
        10 => format!("postgres://app:{s}@db.internal:5432/app"),
        11 => format!("https://{s}@api.example.com/v1"),
        12 => format!("password={s}"),
        13 => format!("client_secret: \"{s}\""),
        14 => format!("https://hooks.slack.com/services/T0/B0/{s}"),
        15 => format!("token={s}&x=1"),
        16 => format!("Set-Cookie: sid={s}; Path=/"),
        _ => card(rng, secrets),
    };
    format!("it said {secret} and went on")
}

/// A card number with its check digit (ISO/IEC 7812-1), in one piece or in groups.
fn card(rng: &mut StdRng, secrets: &mut Vec<String>) -> String {
    let mut digits: Vec<u32> = vec![4];
    digits.extend((0..14).map(|_| rng.random_range(0..10)));
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        digits.iter().enumerate().map(|(n, d)| if n % 2 == 0 { doubled(*d) } else { *d }).sum();
    digits.push((10 - sum % 10) % 10);
    let plain: String = digits.iter().map(ToString::to_string).collect();
    let grouped = [&plain[..4], &plain[4..8], &plain[8..12], &plain[12..]].join(" ");
    secrets.extend([plain.clone(), grouped.clone()]);
    if rng.random_bool(0.5) { plain } else { grouped }
}

/// Text that is nowhere else: 24 letters and digits.
fn mark(rng: &mut StdRng, secrets: &mut Vec<String>) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let letters = (0..21).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    also(secrets, format!("zqz{}", letters.collect::<String>()))
}

fn also(secrets: &mut Vec<String>, secret: String) -> String {
    secrets.push(secret.clone());
    secret
}
