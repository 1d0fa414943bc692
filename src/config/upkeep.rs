//! The section about what an instance does beside counting and telling.

use secrecy::SecretString;

use super::{Reader, urls, variables as var};

/// What an instance does beside counting and telling.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// Whether the leader deletes what is older than its retention.
    pub prunes: bool,
    /// What the leader asks now and then while all is well; its path is as good as a password.
    pub dead_mans_ping: Option<SecretString>,
    /// Names or ids of the channels that are told of trouble with the tracker itself; none for all
    /// channels without a project.
    pub system_channels: Option<Vec<String>>,
}

impl Upkeep {
    /// Reads `RETENTION`, `SYSTEM_ALERT_CHANNELS` and `DEAD_MANS_PING_URL`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let ping = urls::address(reader, &var::DEAD_MANS_PING_URL, ("http", "https"));
        let prunes = match reader.text(&var::RETENTION)?.as_str() {
            "leader" => true,
            "off" => false,
            other => {
                reader.problem(&var::RETENTION, format!("must be leader or off, not {other:?}"));
                return None;
            }
        };
        let system_channels = match reader.text(&var::SYSTEM_ALERT_CHANNELS)?.trim() {
            "global" => None,
            "none" => Some(Vec::new()),
            names => Some(names.split(',').map(|name| name.trim().to_owned()).collect()),
        };
        let dead_mans_ping = ping.map(|url| url.to_string().into());
        Some(Self { prunes, dead_mans_ping, system_channels })
    }
}
