//! What a join asks for: the `config` object and its `postgres_changes` entries.

use serde_json::{Value, json};

use super::filter::{self, Filter};

/// The parts of a join's `config` this server acts on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinConfig {
    /// The `postgres_changes` entries as sent; they are echoed in the reply.
    pub changes: Vec<Value>,
    /// `broadcast.self`: the sender gets its own broadcasts.
    pub broadcast_self: bool,
    /// `broadcast.ack`: a broadcast is answered.
    pub broadcast_ack: bool,
    /// `presence.enabled`.
    pub presence: bool,
    /// `presence.key`; empty means that the server chooses one.
    pub presence_key: String,
    /// `private`: needs policies on `realtime.messages`, which this server does not have.
    pub private: bool,
}

impl JoinConfig {
    /// Reads the payload of a `phx_join`. A malformed part is ignored, as the real server does,
    /// except for a `postgres_changes` that is no list.
    ///
    /// # Errors
    /// The reason of the refused join.
    pub fn parse(payload: &Value) -> Result<Self, &'static str> {
        let at = |path: &str| payload.pointer(path);
        let flag = |path: &str| at(path).and_then(Value::as_bool).unwrap_or(false);
        let changes = match at("/config/postgres_changes") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(entries)) => {
                entries.iter().filter(|entry| entry.is_object()).cloned().collect()
            }
            Some(_) => {
                return Err("UnknownErrorOnChannel: no function clause matching in Access.get/3");
            }
        };
        Ok(Self {
            changes,
            broadcast_self: flag("/config/broadcast/self"),
            broadcast_ack: flag("/config/broadcast/ack"),
            presence: flag("/config/presence/enabled"),
            presence_key: at("/config/presence/key")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            private: flag("/config/private"),
        })
    }

    /// The entries with their ids, as the reply to the join echoes them.
    #[must_use]
    pub fn echo(&self) -> Value {
        let echoed = self.changes.iter().map(|entry| {
            let mut entry = entry.clone();
            let id = subscription_id(&entry);
            if let Some(map) = entry.as_object_mut() {
                map.insert("id".into(), json!(id));
            }
            entry
        });
        json!({ "postgres_changes": echoed.collect::<Vec<_>>() })
    }
}

/// The id of an entry: the same parameters give the same id on every connection, and it fits in 27
/// bits as Erlang's `phash2` does. (FNV-1a over the canonical JSON; the values differ from Erlang's.)
#[must_use]
pub fn subscription_id(entry: &Value) -> u32 {
    let hash = entry.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u32::try_from((hash ^ (hash >> 32)) & 0x07ff_ffff).unwrap_or_default()
}

/// One kind of change, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    All,
    Insert,
    Update,
    Delete,
}

impl Action {
    /// As written on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "*",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a subscription to `self` wants a change of kind `other`.
    #[must_use]
    pub fn wants(self, other: Self) -> bool {
        self == Self::All || self == other
    }
}

/// A `postgres_changes` entry, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeParams {
    /// See [`subscription_id`].
    pub id: u32,
    /// Which verbs.
    pub event: Action,
    /// A LIKE pattern, or `*`.
    pub schema: String,
    /// A LIKE pattern, or `*`.
    pub table: String,
    /// All of them must hold.
    pub filters: Vec<Filter>,
    /// Columns to send; `None` for all.
    pub select: Option<Vec<String>>,
}

impl ChangeParams {
    /// Reads an entry.
    ///
    /// # Errors
    /// The sentence of the `system` error.
    pub fn parse(entry: &Value) -> Result<Self, String> {
        let event = entry.get("event").and_then(Value::as_str).unwrap_or("*");
        let event = match event.to_ascii_uppercase().as_str() {
            "INSERT" => Action::Insert,
            "UPDATE" => Action::Update,
            "DELETE" => Action::Delete,
            _ => Action::All,
        };
        let select = match entry.get("select") {
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(|n| n.as_str().map(str::to_owned));
                Some(names.collect::<Vec<_>>()).filter(|names| !names.is_empty())
            }
            Some(Value::String(_)) => {
                return Err("Error parsing `select` params: expected a list of column name \
                            strings, e.g. select: [\"col1\", \"col2\"]"
                    .into());
            }
            _ => None,
        };
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let has = |key: &str| entry.get(key).is_some();
        let nothing = || {
            format!(
                "No subscription params provided. Please provide at least a `schema` or `table` \
                 to subscribe to: {}",
                inspect(entry)
            )
        };
        let (schema, table) = match (text("schema"), text("table")) {
            (Some(schema), Some(table)) => (schema, table),
            (Some(schema), None) if !has("table") && !has("filter") => (schema, "*"),
            (None, Some(table)) if !has("schema") && !has("filter") => ("public", table),
            _ => return Err(nothing()),
        };
        let filters = match entry.get("filter") {
            None => Vec::new(),
            Some(Value::String(text)) => filter::parse(text)
                .map_err(|parts| format!("Error parsing `filter` params: {parts}"))?,
            Some(_) => return Err(nothing()),
        };
        if select.is_some() && (schema == "*" || table == "*") {
            return Err(
                "Column selection is not supported for wildcard subscriptions. Provide an \
                        explicit schema and table name."
                    .into(),
            );
        }
        Ok(Self {
            id: subscription_id(entry),
            event,
            schema: schema.to_owned(),
            table: table.to_owned(),
            filters,
            select,
        })
    }

    /// The list the real server prints in its error messages.
    #[must_use]
    pub fn log(&self) -> String {
        let filters: Vec<String> = self.filters.iter().map(Filter::inspect).collect();
        let select =
            self.select.as_ref().map_or_else(|| "nil".into(), |names| format!("{names:?}"));
        format!(
            "event: {}, schema: {}, table: {}, filters: [{}], select: {select}",
            self.event.name(),
            self.schema,
            self.table,
            filters.join(", "),
        )
    }
}

/// Prints a JSON object the way Elixir prints a map.
fn inspect(entry: &Value) -> String {
    let Some(map) = entry.as_object() else { return entry.to_string() };
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key:?} => {value}")).collect();
    format!("%{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &Value, want: &str) {
        let got = ChangeParams::parse(entry).map_or_else(|error| error, |params| params.log());
        assert_eq!(got, want);
    }

    #[test]
    fn reads_entries() {
        check(
            &json!({"event":"INSERT","schema":"public","table":"messages"}),
            "event: INSERT, schema: public, table: messages, filters: [], select: nil",
        );
        check(
            &json!({"event":"x","schema":"public"}),
            "event: *, schema: public, table: *, filters: [], select: nil",
        );
        check(
            &json!({"schema":"public","table":"em3","select":["a","b"],"filter":"zzz=eq.1"}),
            r#"event: *, schema: public, table: em3, filters: [{"zzz", "eq", "1", false}], select: ["a", "b"]"#,
        );
        check(
            &json!({"schema":"public","table":"m","filter":"n=foo.1"}),
            r#"Error parsing `filter` params: ["foo", "1"]"#,
        );
        check(
            &json!({}),
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: %{}",
        );
    }

    #[test]
    fn ids_are_stable_and_small() {
        let entry = json!({"event":"*","schema":"public","table":"messages"});
        let other = json!({"event":"INSERT","schema":"public","table":"messages"});
        assert_eq!(subscription_id(&entry), subscription_id(&entry.clone()));
        assert_ne!(subscription_id(&entry), subscription_id(&other));
        assert!(subscription_id(&entry) < 1 << 27);
    }

    #[test]
    fn a_config_that_is_no_list_is_refused() {
        let bad = json!({"config":{"postgres_changes":"x","broadcast":5}});
        assert!(JoinConfig::parse(&bad).is_err());
        assert_eq!(JoinConfig::parse(&json!({})).unwrap(), JoinConfig::default());
    }
}
