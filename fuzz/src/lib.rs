//! What each fuzz target does with its bytes; the integration tests do the same with the committed corpus.
//! Only checks live here: no server, no clock and no file, so that a run depends on its bytes alone.
//! Bytes come in; a panic goes out where something is read wrongly.

use error_reporter::masking;
use meshhook_errors::{
    engine::batch,
    model::{ErrorEvent, Rule, Severity, Source, Span, Timestamp},
    notify::{LinkAction, Links, slack_press, webhook},
    realtime::{self, Change, Event, Frame, Vsn},
    rules_file::{self, FileRule},
};
use secrecy::SecretString;
use serde_json::{Map, Value, value::RawValue};
use supabase_local::rest::Query;
use uuid::Uuid;

/// A target: its bytes are those of one file of its corpus.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its program and of its corpus.
pub const TARGETS: [(&str, Target); 8] = [
    ("frame", frame),
    ("change", change),
    ("rules_yaml", rules_yaml),
    ("rule_json", rule_json),
    ("masking", masking),
    ("slack", slack),
    ("webhook", webhook),
    ("rest_query", rest_query),
];

/// An instant that all targets agree on.
const NOW: Timestamp = Timestamp::from_secs(1_764_000_000);

/// A frame is understood as a JSON parser understands it, and comes back from what it is encoded to.
pub fn frame(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let decoded = realtime::decode(text);
    type Parts<'a> = (Option<String>, Option<String>, String, String, &'a RawValue);
    if let Ok((join_ref, reference, topic, _, payload)) = serde_json::from_str::<Parts<'_>>(text) {
        let frame = decoded.as_ref().expect("an array of five is a frame");
        assert_eq!(frame.join_ref.as_deref(), join_ref.as_deref());
        assert_eq!(frame.reference.as_deref(), reference.as_deref());
        assert_eq!(frame.topic, topic);
        assert_eq!(frame.payload, payload.get());
    }
    let Ok(frame) = decoded else { return };
    let _ = realtime::decode_change(frame.payload);
    let Ok(payload) = serde_json::from_str::<&RawValue>(frame.payload) else { return };
    for vsn in [Vsn::V1, Vsn::V2] {
        let (join_ref, reference) = (frame.join_ref.as_deref(), frame.reference.as_deref());
        let reference = reference.unwrap_or("7");
        let name = event_name(frame.event);
        let sent = realtime::encode(vsn, join_ref, reference, &frame.topic, name, &payload)
            .expect("what was read can be written");
        let expected = Frame {
            join_ref: join_ref.map(Into::into),
            reference: Some(reference.into()),
            payload: payload.get(),
            ..frame.clone()
        };
        assert_eq!(realtime::decode(&sent).expect("what was written can be read"), expected);
    }
}

fn event_name(event: Event) -> &'static str {
    match event {
        Event::Reply => "phx_reply",
        Event::Close => "phx_close",
        Event::Error => "phx_error",
        Event::System => "system",
        Event::PostgresChanges => "postgres_changes",
        Event::Other => "broadcast",
    }
}

/// A change is an event with a number, or a reason to read the table.
pub fn change(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Change::Error(event) = realtime::decode_change(text) {
        assert!(event.seq >= 1);
        // Rules must be able to take whatever is decoded.
        let rule = r#"{"name": "r", "critical": 1, "group_by": ["source", "fingerprint"]}"#;
        let rule = Rule::from_columns(serde_json::from_str(rule).expect("JSON"));
        let until = event.received_at;
        let _ = batch::evaluate(vec![rule.expect("a rule")], &[event], &[], until);
    }
}

/// A file of rules is refused line by line, or is the same after it was written and read again.
pub fn rules_yaml(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match rules_file::parse(text) {
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.line >= 1, "{problem}");
            }
        }
        Ok(rules) => {
            let written = rules_file::render(
                rules.iter().map(|rule| (&rule.columns, rule.channels.as_slice())),
            );
            let again = rules_file::parse(&written).unwrap_or_else(|problems| {
                panic!("what was written cannot be read: {problems:?}\n{written}")
            });
            assert_eq!(content(&again), content(&rules), "{written}");
        }
    }
}

/// What a rule of a file says: its columns, and its channels with the lowest level of each.
type Content<'a> = (&'a Map<String, Value>, Vec<(&'a str, &'static str)>);

/// Rules without their lines.
fn content(rules: &[FileRule]) -> Vec<Content<'_>> {
    let mut content = Vec::new();
    for rule in rules {
        let channels = rule.channels.iter();
        let channels = channels.map(|one| (one.name.as_str(), one.min_level.as_str())).collect();
        content.push((&rule.columns, channels));
    }
    content
}

/// A rule is refused column by column, or can be evaluated.
pub fn rule_json(data: &[u8]) {
    let Ok(columns) = serde_json::from_slice::<Value>(data) else { return };
    for rule in [Rule::from_columns(columns.clone()), Rule::from_stored(columns)] {
        match rule {
            Ok(rule) => {
                let events: Vec<ErrorEvent> = (0..6).map(event).collect();
                let until = NOW + Span::from_secs(3_600);
                let _ = batch::evaluate(vec![rule], &events, &[], until);
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                for error in errors {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

/// One of some errors, ten seconds apart.
fn event(number: i64) -> ErrorEvent {
    let at = NOW + Span::from_secs(number * 10);
    ErrorEvent {
        seq: number + 1,
        error_id: Uuid::from_u128(7),
        timestamp: at,
        received_at: at,
        source: Source::Worker,
        error_type: "execution.timeout".into(),
        severity: Severity::High,
        project_id: None,
        workflow_id: None,
        fingerprint: Uuid::from_u128(9),
        message: "step timed out".into(),
    }
}

/// Whatever is masked loses what the rules name, stays JSON, and does not change by masking it again.
pub fn masking(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let masked = masking::mask_text(&text);
    let _ = masking::is_sensitive_key(&text);
    let planted = format!("{masked}\nAuthorization: Bearer Zq9ZfuzzedTokenZq9Z0123456789\n");
    assert!(!masking::mask_text(&planted).contains("fuzzedToken"), "{planted:?}");
    let Ok(mut document) = serde_json::from_str::<Value>(&text) else { return };
    masking::mask_document(&mut document);
    let once = document.to_string();
    assert!(!once.contains("\\u0000"), "Postgres cannot store NUL: {once}");
    masking::mask_document(&mut document);
    assert_eq!(document.to_string(), once);
}

/// Of a time, a signature and a body, one line each: only what was signed is taken, and a press can be
/// answered whatever message it names.
pub fn slack(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (time, signature, body) = (next(), next(), next());
    let (time, signature) = (String::from_utf8_lossy(time), String::from_utf8_lossy(signature));
    let secret = SecretString::from("a-secret, another");
    let tag = slack_press::genuine(&secret, &time, &signature, body, NOW);
    assert!(tag.is_none(), "nobody can guess a signature");
    if let Ok(Some(press)) = slack_press::Press::read(body) {
        assert!(!press.actor.chars().any(char::is_control), "{:?}", press.actor);
        assert!(press.user.chars().all(|c| c.is_ascii_alphanumeric()));
        assert!(press.changed("done").is_object());
    }
}

/// Of a secret, a link's token and a body, one line each: what signs can be checked, and a link says
/// what was written into it and nothing else.
pub fn webhook(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (secret, token, body) = (next(), next(), next());
    let secret = SecretString::from(secret);
    let signed = webhook::sign("msg_1", 1_764_000_000, body, &secret);
    assert_eq!(signed.is_ok(), webhook::check_secret(&secret).is_ok());
    if let Ok(signature) = signed {
        assert_eq!(signature.len(), "v1,".len() + 44, "{signature}");
        let other = webhook::sign("msg_2", 1_764_000_000, body, &secret);
        assert_ne!(other.as_ref(), Ok(&signature));
    }

    let key = SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let base = "https://errors.example.com/".parse().expect("an address");
    let links = Links::new(&key, base).expect("a key");
    assert!(links.read(token, NOW).is_err(), "nobody can guess a link");
    let recipients: Vec<String> = body.lines().take(8).map(str::to_owned).collect();
    let address = links.address(Uuid::from_u128(7), LinkAction::Silence, &recipients, NOW);
    let (_, token) = address.rsplit_once('/').expect("a token");
    let claims = links.read(token, NOW).expect("a link that was just made");
    assert_eq!(claims.recipients, recipients);
}

/// A query string is refused with an answer in JSON, or is understood in the same way once more.
pub fn rest_query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for call in [false, true] {
        match Query::parse(text, call) {
            Ok(query) => {
                if let Ok(again) = Query::parse(&query.canonical, call) {
                    assert_eq!(again.canonical, query.canonical);
                }
            }
            Err(error) => {
                assert!(matches!(error.status, 400..=599), "{error:?}");
                let body: Value = serde_json::from_str(&error.json()).expect("JSON");
                assert!(body.get("message").is_some_and(Value::is_string), "{body}");
            }
        }
    }
}
