//! What a `postgres_changes` frame says about the watched tables.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use uuid::Uuid;

use super::{config::ChannelKind, quick::Word, row::Row};
use crate::model::{ErrorEvent, Timestamp};

/// A change of a watched table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row was inserted into `error_metrics`.
    Error(ErrorEvent),
    /// A daemon updated its row of `error_tracker_status`.
    Canary {
        /// Which daemon.
        instance: Uuid,
        /// The heartbeat time it wrote, by which the round trip can be measured.
        heartbeat_at: Timestamp,
    },
    /// Something happened to the table, but the frame does not say what: a reason to read it.
    Undecodable {
        /// The table, as far as the frame says.
        table: Box<str>,
    },
}

/// Decodes the payload of a `postgres_changes` frame; whatever cannot be decoded is
/// [`Change::Undecodable`], because it still proves that something was committed.
#[must_use]
pub fn decode_change(payload: &str) -> Change {
    let data = serde_json::from_str::<Payload<'_>>(payload).map_or_else(|_| None, |p| p.data);
    let Some(data) = data else { return Change::Undecodable { table: Box::default() } };
    let table = data.table.as_deref().unwrap_or_default();
    let decoded = if data.truncated || data.schema.as_deref() != Some("public") {
        None
    } else if table == ChannelKind::Errors.table() && data.action.as_deref() == Some("INSERT") {
        data.record.and_then(|row| row.to_error_event()).map(Change::Error)
    } else if table == ChannelKind::Canary.table() && data.action.as_deref() == Some("UPDATE") {
        data.record.and_then(|row| {
            Some(Change::Canary {
                instance: row.instance_id.uuid()?,
                heartbeat_at: row.heartbeat_at.timestamp()?,
            })
        })
    } else {
        None
    };
    decoded.unwrap_or_else(|| Change::Undecodable { table: table.into() })
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
}

#[derive(Default)]
struct Data<'a> {
    schema: Option<std::borrow::Cow<'a, str>>,
    table: Option<std::borrow::Cow<'a, str>>,
    action: Option<std::borrow::Cow<'a, str>>,
    record: Option<Row<'a>>,
    /// The server reported an error, so the record is cut or missing.
    truncated: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Member {
            Schema,
            Table,
            Type,
            Record,
            Errors,
            #[serde(other)]
            Unknown,
        }

        impl<'de> Visitor<'de> for Members {
            type Value = Data<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the description of a change")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut data = Data::default();
                while let Some(member) = map.next_key()? {
                    match member {
                        Member::Schema => data.schema = map.next_value::<Word<'_>>()?.0,
                        Member::Table => data.table = map.next_value::<Word<'_>>()?.0,
                        Member::Type => data.action = map.next_value::<Word<'_>>()?.0,
                        Member::Record => data.record = map.next_value()?,
                        Member::Errors => {
                            let errors = map.next_value::<Option<Vec<IgnoredAny>>>()?;
                            data.truncated = errors.is_some_and(|errors| !errors.is_empty());
                        }
                        Member::Unknown => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(data)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Severity, Source};

    /// A payload as the server writes it, with `record` and `errors` given.
    fn payload(table: &str, action: &str, record: &str, errors: &str) -> String {
        format!(
            r#"{{"data":{{"table":"{table}","type":"{action}","record":{record},"columns":[{{"name": "seq", "type": "int8"}}],"errors":{errors},"schema":"public","commit_timestamp":"2026-11-22T11:41:38.797Z"}},"ids":[1,2]}}"#
        )
    }

    const ROW: &str = r#"{"seq": 9223372036854775807, "source": "worker", "message": "caf\u00e9 \"x\"", "error_id": "e73f3543-ac21-4326-a144-c5273ad17c04", "severity": "high", "timestamp": "2026-11-22T12:07:47.720301+00:00", "error_type": "execution.timeout", "project_id": null, "fingerprint": "00000000-0000-4000-8000-000000000001", "received_at": "2026-11-22T12:07:48+00:00", "workflow_id": "00000000-0000-4000-8000-000000000002", "later": {"a": [1.5]}}"#;

    #[test]
    fn a_row_becomes_an_event() {
        let change = decode_change(&payload("error_metrics", "INSERT", ROW, "null"));
        let Change::Error(event) = change else { panic!("{change:?}") };
        assert_eq!(event.seq, i64::MAX);
        assert_eq!((event.source, event.severity), (Source::Worker, Severity::High));
        assert_eq!(&*event.message, "café \"x\"");
        assert_eq!(&*event.error_type, "execution.timeout");
        assert_eq!(event.timestamp.to_string(), "2026-11-22T12:07:47.720301Z");
        assert_eq!(event.project_id, None);
        assert_eq!(event.workflow_id, Some(Uuid::from_u128(0x4000_8000_0000_0000_0002)));
    }

    #[test]
    fn a_status_update_becomes_a_canary() {
        let record = r#"{"instance_id":"e73f3543-ac21-4326-a144-c5273ad17c04","leader":true,"lag":0.5,"heartbeat_at":"2026-11-22T12:07:47.720301+00:00","state":"subscribed"}"#;
        let change = decode_change(&payload("error_tracker_status", "UPDATE", record, "[]"));
        let Change::Canary { instance, heartbeat_at } = change else { panic!("{change:?}") };
        assert_eq!(instance.to_string(), "e73f3543-ac21-4326-a144-c5273ad17c04");
        assert_eq!(heartbeat_at.to_string(), "2026-11-22T12:07:47.720301Z");
    }

    #[test]
    fn anything_else_is_a_wake_up() {
        let without = |column: &str| ROW.replace(&format!("\"{column}\""), "\"gone\"");
        let mut undecodable = vec![
            payload("error_metrics", "INSERT", ROW, r#"["Error 413: Payload Too Large"]"#),
            payload("error_metrics", "UPDATE", ROW, "null"),
            payload("error_metrics", "INSERT", "null", r#"["Error 401: Unauthorized"]"#),
            payload("error_metrics", "INSERT", "[]", "null"),
            payload("error_metrics", "INSERT", &ROW.replace("\"high\"", "\"urgent\""), "null"),
            payload("error_metrics", "INSERT", &ROW.replace("\"worker\"", "7"), "null"),
            payload(
                "error_metrics",
                "INSERT",
                &ROW.replace("9223372036854775807", "9223372036854775808"),
                "null",
            ),
            payload("error_metrics", "INSERT", &ROW.replace("9223372036854775807", "0"), "null"),
            payload("error_metrics", "INSERT", &ROW.replace("9223372036854775807", "1.5"), "null"),
            payload(
                "error_metrics",
                "INSERT",
                &ROW.replace("2026-11-22T12:07:48+00:00", "infinity"),
                "null",
            ),
            payload("error_tracker_status", "UPDATE", "{}", "null"),
            payload("other", "INSERT", ROW, "null"),
            payload("error_metrics", "INSERT", ROW, "null").replace("public", "private"),
        ];
        for column in ["seq", "error_id", "timestamp", "project_id", "workflow_id", "message"] {
            undecodable.push(payload("error_metrics", "INSERT", &without(column), "null"));
        }
        for payload in undecodable {
            let change = decode_change(&payload);
            assert!(matches!(change, Change::Undecodable { .. }), "{payload}");
        }
        for garbage in ["", "{}", "null", "[]", "{\"data\":3}", "{\"data\":{\"table\":{}}}", "{"] {
            assert_eq!(decode_change(garbage), Change::Undecodable { table: Box::default() });
        }
    }

    #[test]
    fn the_table_is_named_even_if_the_record_is_not_readable() {
        let change = decode_change(
            r#"{"data":{"table":"error_metrics","type":"INSERT","errors":["Error 401: Unauthorized"],"schema":"public"},"ids":[3]}"#,
        );
        assert_eq!(change, Change::Undecodable { table: "error_metrics".into() });
    }
}
