//! Where the client connects, what it joins, and how long it waits.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use url::Url;

use super::frame::Vsn;
use crate::backoff::Backoff;

/// One of the channels that the client joins.
///
/// They are two because a server refuses every entry of a join when one of them is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// Inserts into `error_metrics`.
    Errors,
    /// Updates of `error_tracker_status`, by which a daemon sees itself through the whole path.
    Canary,
}

impl ChannelKind {
    /// Both channels, in the order in which they are joined.
    pub const ALL: [Self; 2] = [Self::Errors, Self::Canary];

    /// The Phoenix topic.
    #[must_use]
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Errors => "realtime:meshhook-errors",
            Self::Canary => "realtime:meshhook-errors-canary",
        }
    }

    /// The watched table, in schema `public`.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Errors => "error_metrics",
            Self::Canary => "error_tracker_status",
        }
    }

    /// The watched kind of change.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Errors => "INSERT",
            Self::Canary => "UPDATE",
        }
    }
}

/// Every wait of the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Between heartbeats; one that is unanswered when the next is due means a dead socket.
    pub heartbeat: Duration,
    /// For TCP, TLS and handshake together; the server holds back a refusal for 2 s.
    pub connect: Duration,
    /// For one write to the socket.
    pub write: Duration,
    /// For the reply to a join; the server holds back a refusal for 5 s.
    pub join: Duration,
    /// From the reply to "Subscribed to PostgreSQL"; a cold server takes up to 8 s.
    pub subscribe: Duration,
    /// Between attempts to connect or to join.
    pub retry: Backoff,
    /// Before trying again what may become right by itself, such as an unpublished table.
    pub slow_retry: Duration,
    /// Between probes of what only a human can put right.
    pub probe: Duration,
    /// The age at which a socket is replaced, less up to 10 %; Supabase ends the connections of API
    /// keys after 24 h.
    pub replace_after: Duration,
    /// How long the old socket is still listened to once the new one is subscribed: what was sent
    /// to it alone may be on its way.
    pub overlap: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            connect: Duration::from_secs(10),
            write: Duration::from_secs(10),
            join: Duration::from_secs(10),
            subscribe: Duration::from_secs(15),
            retry: Backoff::default(),
            slow_retry: Duration::from_secs(60),
            probe: Duration::from_secs(180),
            replace_after: Duration::from_secs(20 * 3_600),
            overlap: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// The usual waits with another heartbeat interval.
    ///
    /// # Errors
    /// [`ConfigError::Heartbeat`] outside 10 to 25 s: Supabase asks for at least one every 25 s,
    /// and more than one every 10 s finds a dead socket no sooner than the canary does.
    pub fn with_heartbeat(heartbeat: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_secs(10)..=Duration::from_secs(25)).contains(&heartbeat) {
            return Err(ConfigError::Heartbeat);
        }
        Ok(Self { heartbeat, ..Self::default() })
    }
}

/// How to reach Realtime.
#[derive(Clone, Debug)]
pub struct RealtimeConfig {
    /// The websocket's address without query, `wss://<ref>.supabase.co/realtime/v1/websocket` or
    /// `…/socket/websocket` when there is no gateway in front.
    pub url: Url,
    /// Sent as `Host` instead of the address's own: a server without gateway selects the tenant by
    /// its first label.
    pub host_header: Option<String>,
    /// The project's API key; sent as query parameter and as header `apikey`, never logged.
    /// Without one, the access token takes its place, which a server without gateway accepts.
    pub apikey: Option<SecretString>,
    /// The protocol version to ask for; what arrives is understood in either.
    pub vsn: Vsn,
    /// Every wait.
    pub timing: Timing,
    /// PEM certificates to trust besides the public roots, for private gateways.
    pub extra_root_ca: Option<String>,
}

/// Why a configuration cannot work; no text contains a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is not a websocket's.
    #[error("the Realtime address must begin with ws:// or wss:// and name a host")]
    Url,
    /// Credentials in an address end up in logs and error messages of others.
    #[error("the Realtime address must not contain credentials, a query or a fragment")]
    UrlParts,
    /// The key has characters that no header may have.
    #[error("the API key contains characters that are not allowed in a header")]
    ApiKey,
    /// The host has characters that no header may have.
    #[error("the Host override is empty or not allowed in a header")]
    Host,
    /// The PEM text holds no certificate or a broken one.
    #[error("the extra root CA is not a PEM file with at least one valid certificate")]
    RootCa,
    /// Too often or too rarely.
    #[error("the Realtime heartbeat must be between 10 and 25 seconds")]
    Heartbeat,
}

/// A checked configuration, with everything that is computed once.
pub(super) struct Target {
    url: Url,
    apikey: Option<SecretString>,
    pub host: Option<HeaderValue>,
    /// Absent for plain `ws://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub vsn: Vsn,
    pub timing: Timing,
}

impl RealtimeConfig {
    pub(super) fn check(self) -> Result<Target, ConfigError> {
        let url = self.url;
        if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
            return Err(ConfigError::Url);
        }
        let has_login = !url.username().is_empty() || url.password().is_some();
        if has_login || url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::UrlParts);
        }
        if let Some(key) = &self.apikey {
            header(key).ok_or(ConfigError::ApiKey)?;
        }
        let host = match self.host_header.as_deref().map(str::trim) {
            Some("") => return Err(ConfigError::Host),
            Some(host) => Some(HeaderValue::from_str(host).map_err(|_| ConfigError::Host)?),
            None => None,
        };
        let tls = match url.scheme() {
            "wss" => Some(Arc::new(tls_config(self.extra_root_ca.as_deref())?)),
            _ => None,
        };
        let Self { apikey, vsn, timing, .. } = self;
        Ok(Target { url, apikey, host, tls, vsn, timing })
    }
}

impl Target {
    /// The address with key and version, which is a secret, and the key as a header.
    ///
    /// Nothing comes back only if `token` stands in for the key and is not fit for a header.
    pub(super) fn address(&self, token: &SecretString) -> Option<(SecretString, HeaderValue)> {
        let key = self.apikey.as_ref().unwrap_or(token);
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("apikey", key.expose_secret())
            .append_pair("vsn", self.vsn.as_str());
        Some((SecretString::from(String::from(url)), header(key)?))
    }
}

fn header(secret: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The public web roots, and the given ones besides them.
fn tls_config(extra: Option<&str>) -> Result<rustls::ClientConfig, ConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| ConfigError::RootCa)?;
            roots.add(certificate).map_err(|_| ConfigError::RootCa)?;
        }
        if roots.len() == before {
            return Err(ConfigError::RootCa);
        }
    }
    // The provider is named so that a wrong or missing process-wide default cannot make this panic.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| ConfigError::RootCa)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> RealtimeConfig {
        RealtimeConfig {
            url: url.parse().expect("url"),
            host_header: None,
            apikey: Some("sb_publishable_x&y".into()),
            vsn: Vsn::V2,
            timing: Timing::default(),
            extra_root_ca: None,
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |config: RealtimeConfig| config.check().err();
        let good = || config("wss://abc.supabase.co/realtime/v1/websocket");
        assert_eq!(error(good()), None);
        assert_eq!(error(config("https://abc.supabase.co/")), Some(ConfigError::Url));
        assert_eq!(error(config("wss://u:p@h/x")), Some(ConfigError::UrlParts));
        assert_eq!(error(config("wss://h/x?apikey=1")), Some(ConfigError::UrlParts));
        let apikey = Some("a\nb".into());
        assert_eq!(error(RealtimeConfig { apikey, ..good() }), Some(ConfigError::ApiKey));
        for host in ["", "a\r\nb"] {
            let host_header = Some(host.to_owned());
            assert_eq!(error(RealtimeConfig { host_header, ..good() }), Some(ConfigError::Host));
        }
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "nonsense", broken] {
            let extra_root_ca = Some(pem.to_owned());
            assert_eq!(
                error(RealtimeConfig { extra_root_ca, ..good() }),
                Some(ConfigError::RootCa)
            );
        }
        assert_eq!(Timing::with_heartbeat(Duration::from_secs(9)), Err(ConfigError::Heartbeat));
        assert_eq!(Timing::with_heartbeat(Duration::from_secs(26)), Err(ConfigError::Heartbeat));
        assert!(Timing::with_heartbeat(Duration::from_secs(25)).is_ok());
    }

    #[test]
    fn the_key_is_a_query_parameter_and_never_shown() {
        let target = config("ws://localhost:4000/socket/websocket").check().expect("config");
        let (uri, header) = target.address(&"token".into()).expect("address");
        assert_eq!(
            uri.expose_secret(),
            "ws://localhost:4000/socket/websocket?apikey=sb_publishable_x%26y&vsn=2.0.0"
        );
        assert!(target.tls.is_none());
        assert!(!format!("{header:?}").contains("publishable"));
        let keyless = RealtimeConfig { apikey: None, ..config("ws://localhost/x") };
        let (uri, _) = keyless.check().expect("config").address(&"jwt".into()).expect("address");
        assert_eq!(uri.expose_secret(), "ws://localhost/x?apikey=jwt&vsn=2.0.0");
        assert!(!format!("{:?}", config("ws://localhost/x")).contains("publishable"));
    }
}
