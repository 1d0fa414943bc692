//! JSON Web Tokens signed with the project's HS256 secret: made, checked, and refused for the same
//! reasons and in the same order as PostgREST 14 does.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};

/// The claims of a token, as they were signed.
pub type Claims = Map<String, Value>;

/// A source of the current time in seconds since 1970, UTC; tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Seconds that clocks may differ by, as in PostgREST.
const SKEW: i64 = 30;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads time")]
    Arc::new(|| chrono::Utc::now().timestamp())
}

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Nothing where a token should be.
    #[error("Empty JWT is sent in Authorization header")]
    Empty,
    /// Not three parts with dots between.
    #[error("Expected 3 parts in JWT; got {0}")]
    Parts(usize),
    /// A part that is not base64url, or a header that is not one.
    #[error("JWT cryptographic operation failed")]
    Encoding,
    /// A token that says of itself that it is not signed.
    #[error("Wrong or unsupported encoding algorithm")]
    Unsigned,
    /// Signed by somebody else, or changed since.
    #[error("No suitable key or wrong key type")]
    Forged,
    /// `exp` is past.
    #[error("JWT expired")]
    Expired,
    /// `nbf` is to come.
    #[error("JWT not yet valid")]
    NotYetValid,
    /// `iat` is to come.
    #[error("JWT issued at future")]
    IssuedInFuture,
    /// A claim of the wrong type, or claims that are no JSON object; the text says which.
    #[error("{0}")]
    Claims(String),
}

impl JwtError {
    /// Whether the signature was fine and only the claims were not (PGRST303 and not PGRST301).
    #[must_use]
    pub fn is_about_claims(&self) -> bool {
        matches!(self, Self::Expired | Self::NotYetValid | Self::IssuedInFuture | Self::Claims(_))
    }
}

/// Signs claims (a JSON object) with HS256.
///
/// # Errors
/// When the claims cannot be written as JSON.
pub fn sign_hs256(secret: &str, claims: &impl Serialize) -> Result<String, serde_json::Error> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
    let mut token = format!("{header}.{body}");
    let signature = hmac::sign(&key(secret), token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

/// Checks the signature and then the times; `now` is in seconds since 1970, UTC.
///
/// # Errors
/// The first reason found, in PostgREST's order.
pub fn verify(secret: &str, token: &str, now: i64) -> Result<Claims, JwtError> {
    if token.is_empty() {
        return Err(JwtError::Empty);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts.as_slice() else {
        return Err(JwtError::Parts(parts.len()));
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Encoding);
    let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Encoding)?;
    match header.get("alg").and_then(Value::as_str).unwrap_or_default() {
        "HS256" => {}
        // Real algorithms for which there is no key here.
        "HS384" | "HS512" | "RS256" | "RS384" | "RS512" | "ES256" | "ES384" | "ES512" | "PS256"
        | "PS384" | "PS512" | "EdDSA" => return Err(JwtError::Forged),
        "none" => return Err(JwtError::Unsigned),
        _ => return Err(JwtError::Encoding),
    }
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    hmac::verify(&key(secret), signed.as_bytes(), &decode(signature)?)
        .map_err(|_| JwtError::Forged)?;
    let claims = match serde_json::from_slice(&decode(body)?) {
        Ok(Value::Object(claims)) => claims,
        Ok(_) => return Err(JwtError::Claims("Parsing claims failed".to_owned())),
        Err(_) => return Err(JwtError::Claims("Parsing claims failed".to_owned())),
    };
    check_times(&claims, now)?;
    Ok(claims)
}

fn check_times(claims: &Claims, now: i64) -> Result<(), JwtError> {
    if time(claims, "exp")?.is_some_and(|exp| exp < now.saturating_sub(SKEW)) {
        return Err(JwtError::Expired);
    }
    if time(claims, "nbf")?.is_some_and(|nbf| nbf > now.saturating_add(SKEW)) {
        return Err(JwtError::NotYetValid);
    }
    if time(claims, "iat")?.is_some_and(|iat| iat > now.saturating_add(SKEW)) {
        return Err(JwtError::IssuedInFuture);
    }
    Ok(())
}

/// A time in whole seconds. One with a fraction counts as 0, so that such an `exp` has always
/// passed: PostgREST does the same, and a token that works here must work there.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, JwtError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.as_i64().unwrap_or(0))),
        Some(_) => Err(JwtError::Claims(format!("The JWT '{name}' claim must be a number"))),
    }
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "0123456789012345678901234567890123456789";
    const NOW: i64 = 1_800_000_000;

    fn check(claims: &Value, expected: Result<(), JwtError>) {
        let token = sign_hs256(SECRET, claims).unwrap();
        let got = verify(SECRET, &token, NOW);
        assert_eq!(got.clone().map(|_| ()), expected, "{claims}");
        if let Ok(got) = got {
            assert_eq!(&Value::Object(got), claims);
        }
    }

    #[test]
    fn claims_decide() {
        check(&json!({"role": "anon"}), Ok(()));
        check(&json!({"role": "a", "exp": NOW + 1, "nbf": NOW, "iat": NOW}), Ok(()));
        check(&json!({"exp": NOW - 30}), Ok(()));
        check(&json!({"exp": NOW - 31}), Err(JwtError::Expired));
        check(&json!({"exp": 1_800_000_900.5}), Err(JwtError::Expired));
        check(&json!({"nbf": NOW + 31}), Err(JwtError::NotYetValid));
        check(&json!({"iat": NOW + 31}), Err(JwtError::IssuedInFuture));
        let message = "The JWT 'exp' claim must be a number".to_owned();
        check(&json!({"exp": "soon"}), Err(JwtError::Claims(message)));
    }

    #[test]
    fn only_our_own_signature_counts() {
        let good = sign_hs256(SECRET, &json!({"role": "service_role"})).unwrap();
        let other = sign_hs256("another secret of enough length!!", &json!({"role": "a"})).unwrap();
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"role":"service_role"}"#)
        );
        let rsa = good.replacen(
            good.split('.').next().unwrap(),
            &URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#),
            1,
        );
        for (token, expected) in [
            (good.clone(), None),
            (other, Some(JwtError::Forged)),
            (rsa, Some(JwtError::Forged)),
            (unsigned, Some(JwtError::Unsigned)),
            ("abc.def.ghi".to_owned(), Some(JwtError::Encoding)),
            (String::new(), Some(JwtError::Empty)),
            ("abc".to_owned(), Some(JwtError::Parts(1))),
            ("a.b.c.d".to_owned(), Some(JwtError::Parts(4))),
            ("!!.x.y".to_owned(), Some(JwtError::Encoding)),
            (format!("{good}x"), Some(JwtError::Forged)),
            (format!("{good}+"), Some(JwtError::Encoding)),
        ] {
            assert_eq!(verify(SECRET, &token, NOW).err(), expected, "{token}");
        }
    }

    /// Two implementations that agree with themselves only would be of no use.
    #[test]
    fn a_token_from_another_library_verifies() {
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &json!({"sub": "ä", "exp": NOW}), &key).unwrap();
        assert_eq!(verify(SECRET, &token, NOW).unwrap().get("sub"), Some(&json!("ä")));
    }
}
