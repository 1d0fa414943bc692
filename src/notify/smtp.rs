//! Sends mails: one connection and one transaction a mail, with an answer of its own for each
//! recipient, so that one refused address loses nobody else's mail.

use std::{collections::BTreeSet, fmt, time::Duration};

use lettre::{
    message::Mailbox,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    email::{self, Letter},
    links::Links,
    message::NotificationFacts,
    outcome::{self, Outcome, REASON_MAX},
    smtp_config::{SmtpConfig, SmtpConfigError, SmtpSecurity},
    text::one_line,
};

type SmtpError = lettre::transport::smtp::Error;

/// How long a server is given to say goodbye, which nobody waits for.
const QUIT_LIMIT: Duration = Duration::from_millis(500);

/// A mail server that is ready for use; connects only when something is to be sent.
///
/// Connections are not kept: the pool of the SMTP library takes back a connection whose command was
/// given up half-way, and would then read an old answer as that to a new command.
#[derive(Clone)]
pub struct Mailer {
    tls: Option<TlsParameters>,
    config: SmtpConfig,
    links: Option<Links>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A mail to be sent.
#[derive(Clone, Copy, Debug)]
pub struct MailJob<'a> {
    /// Primary key of the notification.
    pub notification_id: Uuid,
    /// Primary key of the channel.
    pub channel_id: Uuid,
    /// What it tells: one piece of news, or several as one mail.
    pub news: &'a [&'a NotificationFacts],
    /// Everybody it goes to.
    pub to: &'a [String],
    /// Those who have it already, or whose server refused it for good.
    pub done: &'a BTreeSet<String>,
}

/// What came of a mail, by recipient with the server's answer; only those that were tried now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailReport {
    /// Accepted.
    pub accepted: Vec<(String, String)>,
    /// Refused for good.
    pub refused: Vec<(String, String)>,
    /// To be tried again.
    pub deferred: Vec<(String, String)>,
}

impl MailReport {
    fn put(&mut self, address: &str, outcome: Outcome) {
        let (list, text) = match outcome {
            Outcome::Sent { receipt } => (&mut self.accepted, receipt.unwrap_or_default()),
            Outcome::Retry { reason, .. } => (&mut self.deferred, reason),
            Outcome::Permanent { reason } => (&mut self.refused, reason),
        };
        list.push((address.to_owned(), text));
    }
}

impl Mailer {
    /// A mailer for `config`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: SmtpConfig) -> Result<Self, SmtpConfigError> {
        let tls = match config.security {
            SmtpSecurity::Plain => None,
            SmtpSecurity::Implicit | SmtpSecurity::StartTls => Some(tls_parameters(&config)?),
        };
        Ok(Self { tls, config, links: None })
    }

    /// The same with links in its mails.
    #[must_use]
    pub fn with_links(self, links: Option<Links>) -> Self {
        Self { links, ..self }
    }

    /// Sends one mail to all recipients that do not have it yet; ends by `deadline`.
    pub async fn send(&self, job: MailJob<'_>, deadline: Instant) -> MailReport {
        let mut report = MailReport::default();
        let mut everybody = Vec::new();
        let mut waiting = Vec::new();
        for address in job.to {
            let mailbox = address.trim().parse::<Mailbox>().ok();
            // Other addresses need SMTPUTF8, which few servers of today promise to the last hop.
            match mailbox.filter(|mailbox| AsRef::<str>::as_ref(&mailbox.email).is_ascii()) {
                Some(mailbox) => {
                    everybody.push(mailbox.clone());
                    if !job.done.contains(address) {
                        waiting.push((address.as_str(), mailbox));
                    }
                }
                None if job.done.contains(address) => {}
                None => report.put(address, Outcome::permanent("not a mail address")),
            }
        }
        let letter = Letter {
            notification_id: job.notification_id,
            channel_id: job.channel_id,
            from: &self.config.from,
            reply_to: self.config.reply_to.as_ref(),
            to: &everybody,
            links: self.links.as_ref(),
        };
        let composed = match job.news {
            [facts] => email::compose(letter, facts),
            several => email::compose_digest(letter, several),
        };
        let Ok(message) = composed else {
            // There is no usable address at all; each is reported already.
            return report;
        };
        if waiting.is_empty() {
            return report;
        }
        let rest = self.transaction(&message.formatted(), &waiting, deadline, &mut report).await;
        // What came of the whole transaction came of all who got no answer of their own.
        for (address, _) in waiting {
            let own = report.refused.iter().chain(&report.deferred).any(|(to, _)| to == address);
            if !own {
                report.put(address, rest.clone());
            }
        }
        report
    }

    /// Connects, negotiates TLS and signs in, without sending anything.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn probe(&self) -> Result<(), String> {
        let deadline = Instant::now() + self.config.command_timeout * 2;
        match self.connect(deadline).await {
            Ok(connection) => {
                quit(connection).await;
                Ok(())
            }
            Err(outcome) => Err(outcome.reason().unwrap_or_default().to_owned()),
        }
    }

    /// Host and port of the mail server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    /// One mail to several recipients. Those with an answer of their own go into `report`; the
    /// result is that of all others.
    async fn transaction(
        &self,
        bytes: &[u8],
        recipients: &[(&str, Mailbox)],
        deadline: Instant,
        report: &mut MailReport,
    ) -> Outcome {
        let mut connection = match self.connect(deadline).await {
            Ok(connection) => connection,
            Err(outcome) => return outcome,
        };
        let mail = Mail::new(Some(self.config.from.email.clone()), Vec::new());
        if let Err(outcome) = self.answer(deadline, connection.command(mail)).await {
            return outcome;
        }
        let mut accepted = 0_usize;
        for (address, mailbox) in recipients {
            let recipient = Rcpt::new(mailbox.email.clone(), Vec::new());
            let own = match timeout_at(self.soon(deadline), connection.command(recipient)).await {
                Ok(Ok(_)) => {
                    accepted += 1;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => return no_answer(),
            };
            match own.status().map(u16::from) {
                // 421 announces that the server closes the connection (RFC 5321, section 3.8).
                Some(421) | None => return classified(&own),
                Some(_) => report.put(address, classified(&own)),
            }
        }
        if accepted == 0 {
            quit(connection).await;
            return Outcome::retry("no recipient was accepted");
        }
        if let Err(outcome) = self.answer(deadline, connection.command(Data)).await {
            return outcome;
        }
        // A server may look at the mail for a while before it takes it over.
        match timeout_at(deadline, connection.message(bytes)).await {
            Ok(Ok(response)) => {
                let text = response.message().collect::<Vec<_>>().join(" ");
                let outcome = outcome::of_smtp(u16::from(response.code()), &text);
                quit(connection).await;
                outcome
            }
            Ok(Err(error)) => classified(&error),
            Err(_) => no_answer(),
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<AsyncSmtpConnection, Outcome> {
        let config = &self.config;
        let name = ClientId::default();
        let tls_at_once = match config.security {
            SmtpSecurity::Implicit => self.tls.clone(),
            SmtpSecurity::StartTls | SmtpSecurity::Plain => None,
        };
        let server = (config.host.as_str(), config.port);
        let limit = Some(config.command_timeout);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, limit, &name, tls_at_once, None);
        let mut connection = self.answer(deadline, connecting).await?;
        if config.security == SmtpSecurity::StartTls
            && let Some(tls) = self.tls.clone()
        {
            // A server that does not offer it is an error here: nothing goes on in plain text.
            self.answer(deadline, connection.starttls(tls, &name)).await?;
        }
        if let Some((user, password)) = &config.credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.answer(deadline, connection.auth(&mechanisms, &credentials)).await?;
        }
        Ok(connection)
    }

    /// The answer to one command, within the time for a command.
    async fn answer<T>(
        &self,
        deadline: Instant,
        command: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Outcome> {
        match timeout_at(self.soon(deadline), command).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(classified(&error)),
            Err(_) => Err(no_answer()),
        }
    }

    fn soon(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.config.command_timeout)
    }
}

/// Ends a conversation politely, but not at any price: the mail is delivered already.
async fn quit(mut connection: AsyncSmtpConnection) {
    tokio::time::timeout(QUIT_LIMIT, connection.quit()).await.ok();
}

fn no_answer() -> Outcome {
    Outcome::retry("no answer from the mail server in time")
}

fn classified(error: &SmtpError) -> Outcome {
    let reason = described(error);
    match error.status().map(u16::from) {
        Some(500..=599) => Outcome::Permanent { reason },
        // Put off, no answer, a broken connection, or TLS that does not come about.
        _ => Outcome::retry(reason),
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
