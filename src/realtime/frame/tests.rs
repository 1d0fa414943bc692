use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One line of the captured traffic.
#[derive(Deserialize)]
struct Line {
    case: String,
    dir: String,
    raw: Option<String>,
}

const CAPTURED: &str = include_str!("../../../tests/fixtures/realtime-frames.jsonl");

#[test]
fn every_captured_frame_decodes_to_its_kind() {
    let mut seen = 0;
    for line in CAPTURED.lines() {
        let line: Line = serde_json::from_str(line).expect("fixture line");
        let (Some(raw), "recv") = (line.raw, line.dir.as_str()) else { continue };
        let value: serde_json::Value = serde_json::from_str(&raw).expect("fixture JSON");
        let part = |index: usize, name: &str| {
            if value.is_array() { value[index].clone() } else { value[name].clone() }
        };
        let text = |value: serde_json::Value| value.as_str().map(str::to_owned);

        let frame = decode(&raw).unwrap_or_else(|error| panic!("{}: {error}", line.case));
        let expected = match part(3, "event").as_str().expect("event") {
            "phx_reply" => Event::Reply,
            "phx_close" => Event::Close,
            "phx_error" => Event::Error,
            "system" => Event::System,
            "postgres_changes" => Event::PostgresChanges,
            "broadcast" | "presence_state" | "presence_diff" => Event::Other,
            other => panic!("{}: the fixture has the event {other}", line.case),
        };
        assert_eq!(frame.event, expected, "{}", line.case);
        assert_eq!(Some(frame.topic.into_owned()), text(part(2, "topic")), "{}", line.case);
        assert_eq!(frame.reference.map(Cow::into_owned), text(part(1, "ref")), "{}", line.case);
        if value.is_array() {
            assert_eq!(frame.join_ref.map(Cow::into_owned), text(part(0, "")), "{}", line.case);
        }
        let payload: serde_json::Value = serde_json::from_str(frame.payload).expect("payload");
        assert_eq!(payload, part(4, "payload"), "{}", line.case);
        seen += 1;
    }
    assert!(seen >= 100, "only {seen} frames were looked at");
}

#[test]
fn odd_frames_are_understood() {
    let frame = decode(r#" [ null , 7 , "a\"b,]" , "phx_reply" , {"x": "],"} ] "#).expect("frame");
    assert_eq!(frame.reference.as_deref(), Some("7"));
    assert_eq!(frame.topic, "a\"b,]");
    assert_eq!(frame.payload, r#"{"x": "],"}"#);
    let frame = decode(r#"{"new":[1],"payload":{},"topic":"t","event":"later"}"#).expect("frame");
    assert_eq!((frame.event, frame.reference), (Event::Other, None));
}

#[test]
fn what_is_no_frame_is_refused() {
    let long = format!("[null,null,\"t\",\"e\",\"{}\"]", "x".repeat(MAX_FRAME_BYTES));
    assert!(matches!(decode(&long), Err(FrameError::TooLong { .. })));
    for text in [
        "",
        "null",
        "[]",
        "[1,2,3]",
        "[1,2,3,4]",
        "[\"1\",\"2\",\"t\",\"e\",]",
        "[\"1\",\"2\",null,\"e\",{}]",
        "[\"1\",\"2\",\"t",
        "[\"1\",\"2\",\"t\\",
        "[{},1,\"t\",\"e\",{}]",
        "{",
        "{}",
        "{\"topic\":{}}",
        "{\"topic\":\"t\",\"payload\":}",
    ] {
        assert!(decode(text).is_err(), "{text}");
    }
}

#[test]
fn pushes_look_as_real_clients_send_them() {
    let payload = serde_json::json!({"access_token": "<JWT>"});
    let push = encode(Vsn::V2, Some("1"), "3", "realtime:room-2.0.0", "access_token", &payload);
    let v2 =
        r#"["1","3","realtime:room-2.0.0","access_token",{"access_token":"<JWT>"}]"#.to_owned();
    assert_eq!(push.expect("push"), v2);
    let push = encode(Vsn::V1, Some("1"), "3", "realtime:room-1.0.0", "access_token", &payload);
    let v1 = r#"{"topic":"realtime:room-1.0.0","event":"access_token","payload":{"access_token":"<JWT>"},"ref":"3","join_ref":"1"}"#;
    assert_eq!(push.expect("push"), v1);
    for sent in [v2.as_str(), v1] {
        let captured = CAPTURED.contains(&serde_json::to_string(sent).expect("JSON"));
        assert!(captured, "no real client sent {sent}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC*") {
        drop(decode(&text));
    }

    #[test]
    fn nothing_like_a_frame_makes_it_panic(text in "[\\[\\]{},:\"\\\\a1né \u{e9}]{0,60}") {
        drop(decode(&text));
        drop(decode(&format!("[{text}")));
        drop(decode(&format!("[null,null,{text}]")));
    }
}
