//! Brings one message to one channel: renders it for the medium, sends it and judges the answer.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    attempt::Progress,
    controls::{self, Controls},
    digest,
    egress::{Egress, EgressError},
    message::NotificationFacts,
    outcome::{self, Answer, Outcome},
    pagerduty,
    parcel::Parcel,
    slack,
    slack_api::{SLACK_API, SlackApi},
    slack_bot::Bot,
    smtp::{MailJob, MailReport, Mailer},
    text::one_line,
    webhook,
};
use crate::{
    clock::Clock,
    store::{
        channels::{Channel, Region, Target},
        slack_threads::SlackThreads,
    },
};

/// No mail job lasts longer.
const MAIL_LIMIT: Duration = Duration::from_secs(45);

/// The ways out: HTTP, and mail where a server is configured.
#[derive(Clone, Debug)]
pub struct Senders {
    pub(super) egress: Egress,
    pub(super) mailer: Option<Mailer>,
    pub(super) clock: Clock,
    pub(super) endpoints: Endpoints,
    pub(super) controls: Controls,
}

/// Where services are whose addresses no channel may choose, because secrets are sent there.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Slack's Web API, without a trailing slash.
    pub slack_api: String,
    /// Stands in for PagerDuty's Events API v2, in every region.
    pub pagerduty: Option<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { slack_api: SLACK_API.to_owned(), pagerduty: None }
    }
}

/// What came of bringing a message to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Done, try again, or never.
    pub outcome: Outcome,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// Mail addresses that have it now.
    pub accepted: Vec<String>,
    /// Mail addresses that cannot get it.
    pub refused: Vec<String>,
    /// What the operator should know although the message went out.
    pub note: Option<String>,
}

impl Senders {
    /// Ways out over `egress`, and over `mailer` where there is one.
    #[must_use]
    pub fn new(egress: Egress, mailer: Option<Mailer>, clock: Clock) -> Self {
        let (endpoints, controls) = (Endpoints::default(), Controls::default());
        Self { egress, mailer, clock, endpoints, controls }
    }

    /// The same with other services behind it.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Endpoints) -> Self {
        Self { endpoints, ..self }
    }

    /// The same with controls in its messages.
    #[must_use]
    pub fn with_controls(mut self, controls: Controls) -> Self {
        self.mailer = self.mailer.map(|mailer| mailer.with_links(controls.links.clone()));
        self.controls = controls;
        self
    }

    /// The controls in its messages.
    #[must_use]
    pub const fn controls(&self) -> &Controls {
        &self.controls
    }

    /// The client for addresses that others give.
    #[must_use]
    pub const fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Brings a message to a channel.
    ///
    /// Ends within 46 s for mail and twice the client's time limit for the others.
    ///
    /// `threads` knows the Slack messages of incidents; without it every message stands alone.
    pub(super) async fn send(
        &self,
        channel: &Channel,
        parcel: &Parcel<'_>,
        threads: Option<&SlackThreads>,
    ) -> Delivery {
        let (id, facts) = (parcel.notification_id, parcel.facts);
        match &channel.target {
            Err(error) => Delivery::plain(Outcome::permanent(error.to_string()), None),
            Ok(Target::Slack { url }) => self.slack(url, facts).await,
            Ok(Target::SlackBot { conversation, token }) => {
                self.bot(channel.id, conversation, token, threads).tell(parcel).await
            }
            Ok(Target::Webhook { url, secret }) => self.webhook(url, secret, id, facts).await,
            Ok(Target::PagerDuty { routing_key, region, severities }) => {
                let key = routing_key.expose_secret().trim();
                let events = pagerduty::events(facts, id, key, severities);
                self.pagerduty(*region, key, events).await
            }
            Ok(Target::Email { to }) => self.mail(channel.id, to, &[*parcel]).await,
        }
    }

    /// Brings several pieces of news to a channel as one message, where people read it.
    pub(super) async fn send_merged(
        &self,
        channel: &Channel,
        parcels: &[Parcel<'_>],
        threads: Option<&SlackThreads>,
    ) -> Delivery {
        let news: Vec<&NotificationFacts> = parcels.iter().map(|parcel| parcel.facts).collect();
        match &channel.target {
            Err(error) => Delivery::plain(Outcome::permanent(error.to_string()), None),
            Ok(Target::Slack { url }) => {
                self.post_slack(url, || digest::render(&news), || digest::plain(&news)).await
            }
            Ok(Target::SlackBot { conversation, token }) => {
                self.bot(channel.id, conversation, token, threads).tell_merged(parcels).await
            }
            Ok(Target::Email { to }) => self.mail(channel.id, to, parcels).await,
            // The dispatcher does not ask for it; were it to, they would go out one by one later.
            Ok(_) => Delivery::plain(Outcome::retry("not a channel that merges messages"), None),
        }
    }

    pub(super) fn slack_api<'a>(&'a self, token: &'a SecretString) -> SlackApi<'a> {
        let (egress, now) = (&self.egress, self.clock.now());
        SlackApi { egress, base: &self.endpoints.slack_api, token, now }
    }

    fn bot<'a>(
        &'a self,
        channel_id: Uuid,
        conversation: &'a str,
        token: &'a SecretString,
        threads: Option<&'a SlackThreads>,
    ) -> Bot<'a> {
        let (api, buttons) = (self.slack_api(token), self.controls.slack);
        Bot { api, conversation, channel_id, threads, buttons }
    }

    /// Parcels that have got equally far, as one mail.
    async fn mail(&self, channel_id: Uuid, to: &[String], parcels: &[Parcel<'_>]) -> Delivery {
        let (Some(mailer), Some(first)) = (&self.mailer, parcels.first()) else {
            return Delivery::plain(Outcome::permanent(NO_MAIL_SERVER), None);
        };
        let news: Vec<&NotificationFacts> = parcels.iter().map(|parcel| parcel.facts).collect();
        let done = first.progress.done();
        let notification_id = first.notification_id;
        let job = MailJob { notification_id, channel_id, news: &news, to, done: &done };
        let report = mailer.send(job, Instant::now() + MAIL_LIMIT).await;
        mail_delivery(report, first.progress)
    }

    /// Where PagerDuty takes events.
    pub(super) fn pagerduty_address(&self, region: Region) -> &str {
        self.endpoints.pagerduty.as_deref().unwrap_or_else(|| pagerduty::address(region))
    }

    /// Sends events in order, as far as they are taken.
    async fn pagerduty(&self, region: Region, key: &str, events: Vec<Value>) -> Delivery {
        let mut last = Delivery::plain(Outcome::Sent { receipt: None }, None);
        for event in events {
            let answer =
                self.egress.post(self.pagerduty_address(region), &[], event.to_string()).await;
            let now = self.clock.now();
            last = Delivery::over_http(answer, &[key], |answer| pagerduty::judged(answer, now));
            if !matches!(last.outcome, Outcome::Sent { .. }) {
                break;
            }
        }
        last
    }

    async fn slack(&self, url: &SecretString, facts: &NotificationFacts) -> Delivery {
        let full = || {
            let mut message = slack::render(facts);
            if self.controls.slack {
                controls::add_buttons(&mut message, facts);
            }
            message
        };
        self.post_slack(url, full, || slack::plain(facts)).await
    }

    async fn post_slack(
        &self,
        url: &SecretString,
        full: impl Fn() -> Value,
        plain: impl Fn() -> Value,
    ) -> Delivery {
        let url = url.expose_secret();
        let mut answer = self.egress.post(url, &[], full().to_string()).await;
        // A message without its blocks is better than none.
        if answer.as_ref().is_ok_and(outcome::slack_refused_form) {
            answer = self.egress.post(url, &[], plain().to_string()).await;
        }
        let now = self.clock.now();
        Delivery::over_http(answer, &[url], |answer| outcome::of_slack(answer, now))
    }

    async fn webhook(
        &self,
        url: &str,
        secret: &SecretString,
        id: Uuid,
        facts: &NotificationFacts,
    ) -> Delivery {
        let now = self.clock.now();
        let body = webhook::body(id, facts);
        let headers = match webhook::headers(id, now, &body, secret) {
            Ok(headers) => headers,
            Err(error) => return Delivery::plain(Outcome::permanent(error.to_string()), None),
        };
        let secrets = [secret.expose_secret(), headers[2].1.as_str()];
        let answer = self.egress.post(url, &headers, body).await;
        Delivery::over_http(answer, &secrets, |answer| outcome::of_webhook(answer, now))
    }
}

/// What an email channel without a mail server is told.
pub(super) const NO_MAIL_SERVER: &str =
    "the daemon has no mail server; configure one, or remove the email channel";

impl Delivery {
    pub(super) fn plain(outcome: Outcome, status: Option<u16>) -> Self {
        Self { outcome, status, accepted: Vec::new(), refused: Vec::new(), note: None }
    }

    fn over_http(
        answer: Result<Answer, EgressError>,
        secrets: &[&str],
        judge: impl FnOnce(&Answer) -> Outcome,
    ) -> Self {
        match answer {
            Ok(mut answer) => {
                answer.body = without_secrets(&answer.body, secrets);
                Self::plain(judge(&answer), Some(answer.status))
            }
            Err(error) => Self::plain(error.outcome(), None),
        }
    }
}

/// Some servers repeat the path or headers of a request in their answer; reasons are shown to
/// people who may not see the secrets in them.
fn without_secrets(body: &str, secrets: &[&str]) -> String {
    let mut body = body.to_owned();
    for secret in secrets {
        let path = url::Url::parse(secret).ok().map(|url| url.path().to_owned());
        for part in [Some((*secret).to_owned()), path].into_iter().flatten() {
            if part.len() >= 8 {
                body = body.replace(&part, "[masked]");
            }
        }
        // The parts of a path are secret even where the answer shortens it.
        for part in secret.split('/').filter(|part| part.len() >= 16) {
            body = body.replace(part, "[masked]");
        }
    }
    body
}

/// One outcome for a mail to several people: whoever can still get it decides.
fn mail_delivery(report: MailReport, progress: &Progress) -> Delivery {
    let list = |list: &[(String, String)]| {
        let parts: Vec<_> =
            list.iter().map(|(address, reason)| format!("{address}: {reason}")).collect();
        one_line(&parts.join("; "), outcome::REASON_MAX)
    };
    let outcome = if !report.deferred.is_empty() {
        Outcome::retry(list(&report.deferred))
    } else if let Some((_, answer)) = report.accepted.last() {
        Outcome::Sent { receipt: Some(answer.clone()) }
    } else if !progress.accepted.is_empty() {
        Outcome::Sent { receipt: None }
    } else {
        Outcome::permanent(list(&report.refused))
    };
    let note = (!report.refused.is_empty()).then(|| list(&report.refused));
    let addresses = |list: Vec<(String, String)>| list.into_iter().map(|(to, _)| to).collect();
    Delivery {
        outcome,
        status: None,
        accepted: addresses(report.accepted),
        refused: addresses(report.refused),
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &str) -> Vec<(String, String)> {
        addresses.split_whitespace().map(|to| (to.to_owned(), "why".to_owned())).collect()
    }

    #[test]
    fn a_mail_is_done_when_nobody_can_still_get_it() {
        let cases = [
            ("a", "", "", "", "sent"),
            ("a", "b", "", "", "sent"),
            ("a", "b", "c", "", "retry"),
            ("", "a b", "", "", "permanent"),
            ("", "b", "", "a", "sent"),
            ("", "", "b", "a", "retry"),
        ];
        for (accepted, refused, deferred, before, outcome) in cases {
            let report = MailReport {
                accepted: list(accepted),
                refused: list(refused),
                deferred: list(deferred),
            };
            let progress = Progress {
                accepted: before.split_whitespace().map(str::to_owned).collect(),
                ..Progress::default()
            };
            assert_eq!(mail_delivery(report, &progress).outcome.as_str(), outcome);
        }
    }

    #[test]
    fn an_answer_that_repeats_the_address_keeps_the_secret() {
        let url = "https://hooks.example/services/T000/B000/abcdefghijklmnop1234";
        let masked = without_secrets(
            "Cannot POST /services/T000/B000/abcdefghijklmnop1234 (…/abcdefghijklmnop1234)",
            &[url],
        );
        assert_eq!(masked, "Cannot POST [masked] (…/[masked])");
    }
}
