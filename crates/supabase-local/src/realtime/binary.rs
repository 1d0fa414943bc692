//! The binary broadcast frames of protocol 2.0.0: kind 3 from a client, kind 4 to a client.

use serde_json::{Value, json};

use super::frame::Incoming;

const USER_BROADCAST_PUSH: u8 = 3;
const USER_BROADCAST: u8 = 4;
const JSON_ENCODING: u8 = 1;

/// What a kind-3 frame carried.
#[derive(Debug, PartialEq)]
pub enum Broadcast {
    /// The user's payload was JSON: the same as a text `broadcast` push.
    Json(Incoming),
    /// The user's payload was bytes; `payload` of the message is null.
    Bytes {
        /// The message without its user payload.
        message: Incoming,
        /// The event name inside the broadcast.
        user_event: String,
        /// The user's bytes.
        bytes: Vec<u8>,
    },
}

/// Reads a kind-3 frame: seven length bytes, five strings, the user's payload.
///
/// `None` for anything else, which is dropped silently as a malformed text frame is.
#[must_use]
pub fn decode(frame: &[u8]) -> Option<Broadcast> {
    let (head, mut rest) = frame.split_at_checked(7)?;
    let &[kind, join_ref, reference, topic, user_event, metadata, encoding] = head else {
        return None;
    };
    if kind != USER_BROADCAST_PUSH {
        return None;
    }
    let mut take = |length: u8| {
        let (text, tail) = rest.split_at_checked(usize::from(length))?;
        rest = tail;
        String::from_utf8(text.to_vec()).ok()
    };
    let (join_ref, reference) = (take(join_ref)?, take(reference)?);
    let (topic, user_event) = (take(topic)?, take(user_event)?);
    take(metadata)?;
    let mut message = Incoming {
        join_ref: optional(join_ref),
        reference: optional(reference),
        topic,
        event: "broadcast".into(),
        payload: Value::Null,
    };
    if encoding == JSON_ENCODING {
        let user: Value = serde_json::from_slice(rest).ok()?;
        message.payload = json!({"type": "broadcast", "event": user_event, "payload": user});
        Some(Broadcast::Json(message))
    } else {
        Some(Broadcast::Bytes { message, user_event, bytes: rest.to_vec() })
    }
}

/// Writes a kind-4 frame with a binary user payload. `None` when a name is over 255 bytes, which
/// the format cannot say.
#[must_use]
pub fn encode(topic: &str, user_event: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = vec![
        USER_BROADCAST,
        u8::try_from(topic.len()).ok()?,
        u8::try_from(user_event.len()).ok()?,
        0,
        0,
    ];
    frame.extend_from_slice(topic.as_bytes());
    frame.extend_from_slice(user_event.as_bytes());
    frame.extend_from_slice(bytes);
    Some(frame)
}

fn optional(text: String) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_json_push_as_the_official_client_writes_it() {
        let mut frame = vec![3, 1, 1, 4, 5, 0, 1];
        frame.extend_from_slice(b"12realshout{\"hi\":1}");
        let Some(Broadcast::Json(message)) = decode(&frame) else { panic!("not read") };
        assert_eq!(message.topic, "real");
        assert_eq!(message.reference, json!("2"));
        assert_eq!(message.payload, json!({"type":"broadcast","event":"shout","payload":{"hi":1}}));
        for cut in 0..frame.len() - 1 {
            assert_eq!(decode(&frame[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn writes_what_the_official_client_reads() {
        assert_eq!(encode("ab", "e", &[9]), Some(vec![4, 2, 1, 0, 0, b'a', b'b', b'e', 9]));
        assert_eq!(encode(&"x".repeat(256), "e", &[]), None);
    }
}
