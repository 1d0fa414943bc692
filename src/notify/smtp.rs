//! Sends mails, one transaction for each recipient, so that one refused address loses nobody else's.

use std::collections::BTreeSet;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    address::Envelope,
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError, PoolConfig,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    email::{self, Letter},
    message::NotificationFacts,
    outcome::{self, Outcome, REASON_MAX},
    smtp_config::{SmtpConfig, SmtpConfigError, SmtpSecurity},
    text::one_line,
};

/// A mail server that is ready for use.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    config: SmtpConfig,
}

/// A mail to be sent.
#[derive(Clone, Copy, Debug)]
pub struct MailJob<'a> {
    /// Primary key of the notification.
    pub notification_id: Uuid,
    /// Primary key of the channel.
    pub channel_id: Uuid,
    /// What it tells.
    pub facts: &'a NotificationFacts,
    /// Everybody it goes to.
    pub to: &'a [String],
    /// Those who have it already, or whose server refused it for good.
    pub done: &'a BTreeSet<String>,
}

/// What came of a mail, by recipient; only those that were tried now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailReport {
    /// Accepted, with the server's last answer.
    pub accepted: Vec<(String, String)>,
    /// Refused for good, with the reason.
    pub refused: Vec<(String, String)>,
    /// To be tried again, with the reason.
    pub deferred: Vec<(String, String)>,
}

/// What a failure says about the recipients that come after.
enum Reach {
    /// Only this recipient is concerned.
    Recipient,
    /// The server would answer all the same.
    Server,
}

impl Mailer {
    /// A mailer for `config`; connects only when something is to be sent.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: SmtpConfig) -> Result<Self, SmtpConfigError> {
        let tls = match config.security {
            SmtpSecurity::Implicit => Tls::Wrapper(tls_parameters(&config)?),
            SmtpSecurity::StartTls => Tls::Required(tls_parameters(&config)?),
            SmtpSecurity::Plain => Tls::None,
        };
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
                .port(config.port)
                .tls(tls)
                .timeout(Some(config.command_timeout))
                .pool_config(PoolConfig::new().max_size(4));
        if let Some((user, password)) = &config.credentials {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self { transport: builder.build(), config })
    }

    /// Sends one mail to each recipient that does not have it yet; stops at `deadline`.
    pub async fn send(&self, job: MailJob<'_>, deadline: Instant) -> MailReport {
        let mut report = MailReport::default();
        let mut mailboxes = Vec::new();
        for address in job.to {
            match address.trim().parse::<Mailbox>() {
                Ok(mailbox) => mailboxes.push((address, mailbox)),
                Err(_) if job.done.contains(address) => {}
                Err(_) => report.refused.push((address.clone(), "not a mail address".to_owned())),
            }
        }
        let to: Vec<_> = mailboxes.iter().map(|(_, mailbox)| mailbox.clone()).collect();
        let letter = Letter {
            notification_id: job.notification_id,
            channel_id: job.channel_id,
            from: &self.config.from,
            reply_to: self.config.reply_to.as_ref(),
            to: &to,
        };
        let Ok(message) = email::compose(letter, job.facts) else {
            // There is no usable address at all; each is reported already.
            return report;
        };
        let bytes = message.formatted();
        let mut stopped: Option<Outcome> = None;
        for (address, mailbox) in mailboxes {
            if job.done.contains(address) {
                continue;
            }
            let outcome = match &stopped {
                Some(outcome) => outcome.clone(),
                None => {
                    let (outcome, reach) = self.send_one(mailbox, &bytes, deadline).await;
                    if matches!(reach, Reach::Server) {
                        stopped = Some(outcome.clone());
                    }
                    outcome
                }
            };
            let address = address.clone();
            match outcome {
                Outcome::Sent { receipt } => {
                    report.accepted.push((address, receipt.unwrap_or_default()));
                }
                Outcome::Retry { reason, .. } => report.deferred.push((address, reason)),
                Outcome::Permanent { reason } => report.refused.push((address, reason)),
            }
        }
        report
    }

    /// Connects, negotiates TLS and signs in, without sending anything.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn probe(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the mail server closed the connection".to_owned()),
            Err(error) => Err(described(&error)),
        }
    }

    /// Host and port of the mail server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    async fn send_one(&self, to: Mailbox, bytes: &[u8], deadline: Instant) -> (Outcome, Reach) {
        let from = Some(self.config.from.email.clone());
        let Ok(envelope) = Envelope::new(from, vec![to.email]) else {
            return (Outcome::permanent("not a mail address"), Reach::Recipient);
        };
        match timeout_at(deadline, self.transport.send_raw(&envelope, bytes)).await {
            Ok(Ok(response)) => {
                let text = response.message().collect::<Vec<_>>().join(" ");
                let code = u16::from(response.code());
                (outcome::of_smtp(code, &text), Reach::Recipient)
            }
            Ok(Err(error)) => classified(&error),
            Err(_) => (Outcome::retry("no answer from the mail server in time"), Reach::Server),
        }
    }
}

fn classified(error: &SmtpError) -> (Outcome, Reach) {
    let reason = described(error);
    match error.status().map(u16::from) {
        // Not available, encryption or authentication: the server's answer to everybody.
        Some(code @ (421 | 454 | 530 | 534 | 535 | 538)) => {
            let outcome = match outcome::of_smtp(code, "") {
                Outcome::Permanent { .. } => Outcome::Permanent { reason },
                _ => Outcome::retry(reason),
            };
            (outcome, Reach::Server)
        }
        Some(500..=599) => (Outcome::Permanent { reason }, Reach::Recipient),
        Some(_) => (Outcome::retry(reason), Reach::Recipient),
        // No answer, a broken connection, or TLS that does not come about.
        None => (Outcome::retry(reason), Reach::Server),
    }
}

fn described(error: &SmtpError) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let part = source.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = source.source();
    }
    one_line(&text, REASON_MAX)
}

fn tls_parameters(config: &SmtpConfig) -> Result<TlsParameters, SmtpConfigError> {
    let tls_error = |error: SmtpError| SmtpConfigError::Tls(described(&error));
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(pem) = &config.root_certificate {
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(tls_error)?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(tls_error)
}
