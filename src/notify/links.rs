//! Signed links in mail: each does one thing to one incident, in the name of those it was sent to,
//! for a limited time.
//!
//! The token is `payload.tag`, both in base64url: the payload is JSON, the tag HMAC-SHA-256 over a
//! label and the payload. The address only shows a page; the page's button acts, because programs
//! that look for malware follow every link of a mail.

use aws_lc_rs::{digest, hmac};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::model::{Span, Timestamp};

/// How long a link works after the news it came with.
pub const LINK_LIFE: Span = Span::from_secs(72 * 3_600);
/// How long a link or button silences.
pub const SILENCE: Span = Span::from_secs(3_600);
/// Keeps these tags apart from everything else that might be signed with the same key.
const LABEL: &[u8] = b"meshhook-errors link 1\n";
/// A longer list of recipients is not carried in a link.
const RECIPIENTS_MAX: usize = 10;

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkAction {
    /// Takes the incident in hand.
    Acknowledge,
    /// Silences the incident's rule and group for an hour.
    Silence,
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkClaims {
    /// The incident.
    #[serde(rename = "i")]
    pub incident: Uuid,
    /// What is done to it.
    #[serde(rename = "a")]
    pub action: LinkAction,
    /// Who got the link: one of these acts.
    #[serde(rename = "r")]
    pub recipients: Vec<String>,
    /// Until when it works, in seconds since 1970.
    #[serde(rename = "e")]
    expires: i64,
}

/// Why a link does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was not made here, or was changed on the way.
    #[error("this link is not genuine; it may have been cut off by the mail program")]
    NotGenuine,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
}

/// Makes and reads links.
#[derive(Clone)]
pub struct Links {
    /// The first one signs, and each of them is good for reading.
    keys: Vec<hmac::Key>,
    base: Url,
}

/// The key stays out of logs.
impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl LinkAction {
    /// Every action.
    pub const ALL: [Self; 2] = [Self::Acknowledge, Self::Silence];

    /// What the link and the page's button are called.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Acknowledge => "Acknowledge",
            Self::Silence => "Silence for 1 hour",
        }
    }
}

impl Links {
    /// Links below `base`, the address at which `/api` is reached, signed with a key of 32 bytes in
    /// base64. Behind a comma may stand former keys, whose links still work; none where a key is
    /// something else.
    #[must_use]
    pub fn new(keys: &SecretString, base: Url) -> Option<Self> {
        let key = |text: &str| {
            let bytes = STANDARD.decode(text.trim()).ok().filter(|key| key.len() == 32)?;
            Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        let keys = keys.expose_secret().split(',').map(key).collect::<Option<Vec<_>>>()?;
        Some(Self { keys, base })
    }

    /// The tag of a payload, by the key that is in force.
    fn tag(&self, payload: &str) -> String {
        let tag = self.keys.first().map(|key| hmac::sign(key, &signed(payload)));
        tag.map(|tag| URL_SAFE_NO_PAD.encode(tag)).unwrap_or_default()
    }

    /// The address of a link that was sent with news of `at` to these people.
    #[must_use]
    pub fn address(
        &self,
        incident: Uuid,
        action: LinkAction,
        recipients: &[String],
        at: Timestamp,
    ) -> String {
        let listed = recipients.len() <= RECIPIENTS_MAX;
        let recipients = if listed { recipients.to_vec() } else { Vec::new() };
        let expires = (at + LINK_LIFE).micros() / 1_000_000;
        let claims = LinkClaims { incident, action, recipients, expires };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let tag = self.tag(&payload);
        format!("{}/api/links/{payload}.{tag}", self.base.as_str().trim_end_matches('/'))
    }

    /// What a token says, if it is genuine and its time is not over.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn read(&self, token: &str, now: Timestamp) -> Result<LinkClaims, LinkError> {
        let (payload, tag) = token.split_once('.').ok_or(LinkError::NotGenuine)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| LinkError::NotGenuine)?;
        if !self.keys.iter().any(|key| hmac::verify(key, &signed(payload), &tag).is_ok()) {
            return Err(LinkError::NotGenuine);
        }
        let claims: LinkClaims = URL_SAFE_NO_PAD
            .decode(payload)
            .ok()
            .and_then(|payload| serde_json::from_slice(&payload).ok())
            .ok_or(LinkError::NotGenuine)?;
        if now >= Timestamp::from_secs(claims.expires) {
            return Err(LinkError::Expired);
        }
        Ok(claims)
    }
}

/// By what a link is remembered once it was used.
#[must_use]
pub fn link_digest(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, &signed(token)).as_ref().to_vec()
}

fn signed(payload: &str) -> Vec<u8> {
    [LABEL, payload.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(byte: u8) -> Links {
        let key = STANDARD.encode([byte; 32]);
        Links::new(&key.into(), "https://errors.example.com/".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_link_is_read_by_whoever_made_it_while_it_lasts() {
        let at = Timestamp::from_secs(1_000_000);
        let incident = Uuid::from_u128(7);
        let to = ["ada@mesh.example".to_owned()];
        let address = links(1).address(incident, LinkAction::Silence, &to, at);
        let token = address.strip_prefix("https://errors.example.com/api/links/").unwrap();
        let claims = links(1).read(token, at).unwrap();
        assert_eq!((claims.incident, claims.action), (incident, LinkAction::Silence));
        assert_eq!(claims.recipients, to);
        let last = at + LINK_LIFE - Span::from_micros(1);
        assert!(links(1).read(token, last).is_ok());
        assert_eq!(links(1).read(token, at + LINK_LIFE), Err(LinkError::Expired));
        assert_eq!(links(2).read(token, at), Err(LinkError::NotGenuine));
        for position in 0..token.len() {
            let mut changed = token.to_owned().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character of base64 may carry bits that mean nothing.
            let same = links(1).read(&changed, at).is_ok();
            assert!(!same || position == token.len() - 1, "{position}");
        }
        for bad in ["", ".", "a.b", &token[..20], &token[..token.len() - 4]] {
            assert_eq!(links(1).read(bad, at), Err(LinkError::NotGenuine), "{bad:?}");
        }
        assert!(Links::new(&"c2hvcnQ=".into(), "https://x.example".parse().unwrap()).is_none());
    }
}
