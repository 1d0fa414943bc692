//! Phoenix frames, as text: protocol 2.0.0 (an array) and 1.0.0 (an object).
//!
//! Decoding copies nothing in the usual case: every part of a [`Frame`] borrows from the received
//! text, and the payload stays text until somebody wants it.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::quick;

/// The largest frame that is decoded, in bytes; the server's own limit is 5,000,000.
pub const MAX_FRAME_BYTES: usize = 6 * 1024 * 1024;

/// The version of the Phoenix protocol that the client asks for by the query parameter `vsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vsn {
    /// Objects; what old self-hosted servers speak.
    V1,
    /// Arrays; what current servers and clients speak.
    #[default]
    V2,
}

impl Vsn {
    /// The value of the query parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0.0",
            Self::V2 => "2.0.0",
        }
    }
}

impl fmt::Display for Vsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A protocol version that this client does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Realtime protocol version must be 1.0.0 or 2.0.0")]
pub struct UnknownVsn;

impl FromStr for Vsn {
    type Err = UnknownVsn;

    fn from_str(value: &str) -> Result<Self, UnknownVsn> {
        match value {
            "1.0.0" => Ok(Self::V1),
            "2.0.0" => Ok(Self::V2),
            _ => Err(UnknownVsn),
        }
    }
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The answer to a push of ours.
    Reply,
    /// The server closed a channel.
    Close,
    /// A channel's process crashed.
    Error,
    /// News of a channel's subscription or token.
    System,
    /// A changed row.
    PostgresChanges,
    /// Broadcast, presence and whatever later servers invent; of no concern here.
    Other,
}

impl Event {
    fn from_name(name: &str) -> Self {
        match name {
            "phx_reply" => Self::Reply,
            "phx_close" => Self::Close,
            "phx_error" => Self::Error,
            "system" => Self::System,
            "postgres_changes" => Self::PostgresChanges,
            _ => Self::Other,
        }
    }
}

/// One received frame, borrowed from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The reference of the join that the frame belongs to; absent in 1.0.0 and in row changes.
    pub join_ref: Option<Cow<'a, str>>,
    /// The reference of the push that is answered; the join's own one in `phx_close`.
    pub reference: Option<Cow<'a, str>>,
    /// The channel, for example `realtime:errors`.
    pub topic: Cow<'a, str>,
    /// What it is about.
    pub event: Event,
    /// JSON text, not looked into yet: it is valid or not when somebody parses it.
    pub payload: &'a str,
}

/// Why a text is not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {bytes} bytes is longer than the limit")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Neither an array of five elements nor an object with topic and event.
    #[error("not a Phoenix frame: {0}")]
    Malformed(&'static str),
    /// The object of a 1.0.0 frame is not valid JSON or lacks a member.
    #[error("not a Phoenix frame: {0}")]
    Json(#[from] serde_json::Error),
}

/// Decodes a text frame of either protocol version, whichever was asked for.
///
/// # Errors
/// [`FrameError`] when the text is too long or no frame; the payload itself is not checked.
pub fn decode(text: &str) -> Result<Frame<'_>, FrameError> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong { bytes: text.len() });
    }
    let text = text.trim_ascii();
    if text.starts_with('[') {
        let parts = quick::split(text).map_err(FrameError::Malformed)?;
        return Ok(Frame {
            join_ref: parts.join_ref,
            reference: parts.reference,
            topic: parts.topic.ok_or(FrameError::Malformed("the topic is null"))?,
            event: parts.event.as_deref().map_or(Event::Other, Event::from_name),
            payload: parts.payload,
        });
    }
    let parts: ObjectFrame<'_> = serde_json::from_str(text)?;
    Ok(Frame {
        join_ref: parts.join_ref,
        reference: parts.reference,
        topic: parts.topic.ok_or(FrameError::Malformed("the topic is missing"))?,
        event: parts.event.as_deref().map_or(Event::Other, Event::from_name),
        payload: parts.payload.map_or("{}", RawValue::get),
    })
}

/// Encodes a push of ours.
///
/// # Errors
/// Only when `payload` cannot be expressed as JSON.
pub fn encode<P: Serialize>(
    vsn: Vsn,
    join_ref: Option<&str>,
    reference: &str,
    topic: &str,
    event: &str,
    payload: &P,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct ObjectPush<'a, P> {
        topic: &'a str,
        event: &'a str,
        payload: &'a P,
        #[serde(rename = "ref")]
        reference: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        join_ref: Option<&'a str>,
    }
    match vsn {
        Vsn::V2 => serde_json::to_string(&(join_ref, reference, topic, event, payload)),
        Vsn::V1 => {
            serde_json::to_string(&ObjectPush { topic, event, payload, reference, join_ref })
        }
    }
}

/// The members of a 1.0.0 frame, in any order.
#[derive(Default)]
struct ObjectFrame<'a> {
    join_ref: Option<Cow<'a, str>>,
    reference: Option<Cow<'a, str>>,
    topic: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    payload: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for ObjectFrame<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ObjectFrame<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with topic, event, payload and ref")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut frame = ObjectFrame::default();
                while let Some(key) = map.next_key::<quick::Word<'de>>()? {
                    match key.0.as_deref() {
                        Some("join_ref") => frame.join_ref = map.next_value::<quick::Word<'_>>()?.0,
                        Some("ref") => frame.reference = map.next_value::<quick::Word<'_>>()?.0,
                        Some("topic") => frame.topic = map.next_value::<quick::Word<'_>>()?.0,
                        Some("event") => frame.event = map.next_value::<quick::Word<'_>>()?.0,
                        Some("payload") => frame.payload = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(frame)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests;
