//! Access tokens: what signs them, what they claim, and when they are due for renewal.
//! No network and no storage may appear here, and no key or token in any message.
//! Keys come in from the configuration; signed tokens go out to `realtime`, `rest` and `cli`.

mod key;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{
    clock::Clock,
    model::{Span, Timestamp},
};

/// Why there is no token; no text contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing that could be a key.
    #[error("the signing key is not a JWK or PEM: {0}")]
    NotAKey(&'static str),
    /// A key, but none that can sign.
    #[error("the signing key cannot be used: {0}")]
    Unusable(&'static str),
    /// Too short to be the project's.
    #[error("the JWT secret is shorter than 32 characters, so it cannot be a Supabase project's")]
    ShortSecret,
    /// The caller tried to set what is set here.
    #[error("the claim {0} cannot be given; it is set from the token's own options")]
    Reserved(String),
    /// A token must expire in the future, and within a time that a leak may last.
    #[error("a token's life must be between 1 second and 10 years")]
    Life,
    /// The key was accepted but could not sign.
    #[error("the token could not be signed")]
    Signing,
}

/// What access tokens are made from.
pub enum TokenSource {
    /// A key of ours signs a token for any role.
    Signing {
        /// How it signs: HS256, ES256 or RS256.
        algorithm: Algorithm,
        /// The key's id, which a project with several keys selects the public key by.
        kid: Option<String>,
        /// The key; redacted in `Debug`, wiped when dropped.
        key: EncodingKey,
    },
    /// A ready-made key, such as the service key: it has its own role and is used as it is.
    Fixed {
        /// The key.
        key: SecretString,
    },
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signing { algorithm, .. } => write!(f, "TokenSource({algorithm:?})"),
            Self::Fixed { .. } => f.write_str("TokenSource(fixed)"),
        }
    }
}

/// What a token says besides its role and its times.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The database role that it gives.
    pub role: String,
    /// Who made it; left out when empty.
    pub issuer: String,
    /// Further claims, for instance `sub` or `project_id`.
    pub extra: Map<String, Value>,
}

impl TokenSource {
    /// Signs with the project's shared JWT secret, by HS256.
    ///
    /// # Errors
    /// [`TokenError::ShortSecret`] below the 32 characters that Supabase requires.
    pub fn hs256(secret: &SecretString) -> Result<Self, TokenError> {
        let secret = secret.expose_secret();
        if secret.chars().count() < 32 {
            return Err(TokenError::ShortSecret);
        }
        let key = EncodingKey::from_secret(secret.as_bytes());
        Ok(Self::Signing { algorithm: Algorithm::HS256, kid: None, key })
    }

    /// Signs with a private key: a JWK (or a set of them, or the array that the Supabase CLI
    /// writes), or PEM in PKCS#8, SEC1 or PKCS#1. P-256 keys sign by ES256, RSA keys by RS256,
    /// symmetric JWKs by HS256.
    ///
    /// A JWK's own `kid` is used when `kid` is absent.
    ///
    /// # Errors
    /// [`TokenError::NotAKey`] or [`TokenError::Unusable`]; the key has signed once on success.
    pub fn key(text: &SecretString, kid: Option<String>) -> Result<Self, TokenError> {
        let key::ParsedKey { algorithm, kid: own_kid, key } = key::parse(text.expose_secret())?;
        let source = Self::Signing { algorithm, kid: kid.or(own_kid), key };
        let trial = Claims { role: "trial".to_owned(), ..Claims::default() };
        source.mint(&trial, Span::from_secs(60), Timestamp::from_secs(0))?;
        Ok(source)
    }

    /// Uses a ready-made key.
    #[must_use]
    pub const fn fixed(key: SecretString) -> Self {
        Self::Fixed { key }
    }

    /// Whether tokens cannot be renewed.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed { .. })
    }

    /// Makes a token that is valid from `now` for `life`; a fixed key is returned as it is.
    ///
    /// # Errors
    /// [`TokenError`] when `life` is out of range, a reserved claim is given or signing fails.
    pub fn mint(
        &self,
        claims: &Claims,
        life: Span,
        now: Timestamp,
    ) -> Result<SecretString, TokenError> {
        let (algorithm, kid, key) = match self {
            Self::Fixed { key } => return Ok(key.clone()),
            Self::Signing { algorithm, kid, key } => (*algorithm, kid, key),
        };
        let seconds = life.micros() / 1_000_000;
        if !(1..=10 * 366 * 86_400).contains(&seconds) {
            return Err(TokenError::Life);
        }
        let issued_at = now.micros().div_euclid(1_000_000);
        let mut body = claims.extra.clone();
        let mut set = |name: &str, value: Value| match body.insert(name.to_owned(), value) {
            Some(_) => Err(TokenError::Reserved(name.to_owned())),
            None => Ok(()),
        };
        set("role", claims.role.clone().into())?;
        set("aud", "authenticated".into())?;
        set("iat", issued_at.into())?;
        set("exp", issued_at.saturating_add(seconds).into())?;
        if !claims.issuer.is_empty() {
            set("iss", claims.issuer.clone().into())?;
        }
        let header = Header { kid: kid.clone(), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &body, key)
            .map(SecretString::from)
            .map_err(|_| TokenError::Signing)
    }
}

/// Makes tokens of one kind whenever they are asked for.
#[derive(Debug)]
pub struct Minter {
    source: TokenSource,
    claims: Claims,
    life: Span,
    clock: Clock,
}

/// A token, and when to replace it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// When 60 % of its life is over, counted from now; never for a fixed key.
    pub refresh_after: Option<Duration>,
    /// When 80 % of its life is over, and whatever still lives on it must get another one in another
    /// way; never for a fixed key.
    pub replace_after: Option<Duration>,
}

impl Minter {
    /// Tokens with these claims that live for `life` each.
    #[must_use]
    pub const fn new(source: TokenSource, claims: Claims, life: Span, clock: Clock) -> Self {
        Self { source, claims, life, clock }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// As [`TokenSource::mint`].
    pub fn issue(&self) -> Result<IssuedToken, TokenError> {
        let token = self.source.mint(&self.claims, self.life, self.clock.now())?;
        let refresh_after = (!self.is_fixed()).then(|| refresh_after(self.life));
        let replace_after = refresh_after.map(|_| self.life.to_std().mul_f64(0.8));
        Ok(IssuedToken { token, refresh_after, replace_after })
    }

    /// Whether every token is the same one.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        self.source.is_fixed()
    }
}

/// How long after its issue a token that lives for `life` is due for renewal: 60 % of its life.
///
/// That leaves 40 % to get a new one through, whatever is down meanwhile.
#[must_use]
pub fn refresh_after(life: Span) -> Duration {
    life.to_std().mul_f64(0.6)
}
