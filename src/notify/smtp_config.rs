//! How to reach the mail server, as one URL says it.

use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// Access to the operator's mail server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Name or address of the server; its certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// User name and password.
    pub credentials: Option<(String, SecretString)>,
    /// Whom mails are from; its domain also stands in their ids.
    pub from: Mailbox,
    /// Where answers go, where not to `from`.
    pub reply_to: Option<Mailbox>,
    /// A certificate (PEM) to trust besides the public authorities', for a private server.
    pub root_certificate: Option<String>,
    /// Time for connecting and for each command.
    pub command_timeout: Duration,
}

/// How an SMTP connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// None.
    Plain,
}

/// Which part of the mail configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpConfigError {
    /// The URL.
    #[error("the mail server's URL {0}")]
    Url(&'static str),
    /// The sender's address.
    #[error("the sender {0:?} is not a mail address")]
    From(String),
    /// The address for answers.
    #[error("the reply address {0:?} is not a mail address")]
    ReplyTo(String),
    /// TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up: {0}")]
    Tls(String),
}

impl SmtpConfig {
    /// Reads `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required` or
    /// `smtp://host:25`.
    ///
    /// The last form sends in plain text; it is refused for any host but this machine unless
    /// `allow_plaintext` is set, and with a password even then.
    ///
    /// # Errors
    /// Where a part cannot be read or is not safe; no message holds the password.
    pub fn parse(
        url: &SecretString,
        from: &str,
        reply_to: Option<&str>,
        allow_plaintext: bool,
    ) -> Result<Self, SmtpConfigError> {
        let url = Url::parse(url.expose_secret().trim())
            .map_err(|_| SmtpConfigError::Url("is not a URL"))?;
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value);
        let security = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => SmtpSecurity::Implicit,
            ("smtp", Some("required")) => SmtpSecurity::StartTls,
            ("smtp", None) => SmtpSecurity::Plain,
            ("smtp", Some(_)) => {
                return Err(SmtpConfigError::Url("may say tls=required and nothing else of tls"));
            }
            _ => return Err(SmtpConfigError::Url("must begin with smtps:// or smtp://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(SmtpConfigError::Url("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let credentials = credentials(&url)?;
        if security == SmtpSecurity::Plain && !is_loopback(&host) {
            if !allow_plaintext {
                return Err(SmtpConfigError::Url(
                    "would send in plain text; use smtps:// or add ?tls=required",
                ));
            }
            if credentials.is_some() {
                return Err(SmtpConfigError::Url(
                    "would send a password in plain text; use smtps:// or add ?tls=required",
                ));
            }
        }
        let port = url.port().unwrap_or(match security {
            SmtpSecurity::Implicit => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Plain => 25,
        });
        let mailbox = |text: &str| text.trim().parse::<Mailbox>();
        Ok(Self {
            host,
            port,
            security,
            credentials,
            from: mailbox(from).map_err(|_| SmtpConfigError::From(from.to_owned()))?,
            reply_to: reply_to
                .map(|text| mailbox(text).map_err(|_| SmtpConfigError::ReplyTo(text.to_owned())))
                .transpose()?,
            root_certificate: None,
            command_timeout: Duration::from_secs(10),
        })
    }
}

fn credentials(url: &Url) -> Result<Option<(String, SecretString)>, SmtpConfigError> {
    let decoded = |text: &str| {
        percent_decoded(text).ok_or(SmtpConfigError::Url("has a user or password with a bad %"))
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(SmtpConfigError::Url("has a password but no user")),
        (_, None) => Err(SmtpConfigError::Url("has a user but no password")),
        (user, Some(password)) => Ok(Some((decoded(user)?, decoded(password)?.into()))),
    }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Ok(Host::Ipv4(v4)) => v4.is_loopback(),
        Ok(Host::Ipv6(v6)) => v6.is_loopback(),
        // Host::parse wants brackets around IPv6.
        Err(_) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, allow: bool) -> Result<SmtpConfig, SmtpConfigError> {
        SmtpConfig::parse(&url.into(), "Alerts <alerts@example.com>", None, allow)
    }

    #[test]
    fn the_url_says_host_port_and_protection() {
        let cases = [
            ("smtps://u:p@mail.example", "mail.example", 465, SmtpSecurity::Implicit),
            ("smtps://mail.example:2465", "mail.example", 2465, SmtpSecurity::Implicit),
            ("smtp://mail.example?tls=required", "mail.example", 587, SmtpSecurity::StartTls),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, SmtpSecurity::Plain),
            ("smtp://u:p@localhost:2525", "localhost", 2525, SmtpSecurity::Plain),
            ("smtp://[::1]:2525", "::1", 2525, SmtpSecurity::Plain),
        ];
        for (url, host, port, security) in cases {
            let config = parse(url, false).expect(url);
            assert_eq!((&*config.host, config.port, config.security), (host, port, security));
        }
        let config = parse("smtps://user%40x:p%3Aw%2F@mail.example", false).expect("parsed");
        let (user, password) = config.credentials.clone().expect("credentials");
        assert_eq!((&*user, password.expose_secret()), ("user@x", "p:w/"));
        assert!(!format!("{config:?}").contains("p:w/"));
    }

    #[test]
    fn plain_text_needs_a_loopback_or_permission_and_never_carries_a_password() {
        assert!(parse("smtp://mail.example", false).is_err());
        assert!(parse("smtp://10.0.0.5:25", false).is_err());
        assert!(parse("smtp://mail.example", true).is_ok());
        assert!(parse("smtp://u:p@mail.example", true).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named_without_the_password() {
        for url in [
            "nonsense",
            "http://x",
            "smtp://mail.example?tls=opportunistic",
            "smtps://:geheim@mail.example",
            "smtps://user@mail.example",
            "smtps://u:geheim%zz@mail.example",
        ] {
            let error = parse(url, true).expect_err(url).to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
        let from = SmtpConfig::parse(&"smtps://mail.example".into(), "nobody", None, false);
        assert_eq!(from.expect_err("refused"), SmtpConfigError::From("nobody".to_owned()));
    }
}
