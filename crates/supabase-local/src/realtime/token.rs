//! Token checks and the exact sentences the real server answers with at each place.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, errors::ErrorKind};
use serde_json::Value;

/// A token whose signature, claims and expiry were right when it was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The database role to act as.
    pub role: String,
    /// All claims as JSON text, for `request.jwt.claims`.
    pub claims: String,
    /// Unix seconds after which the token is void.
    pub expires_at: i64,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not a JWT at all.
    Malformed,
    /// Signed with another secret.
    Signature,
    /// Signed with an algorithm this server has no key for.
    Signer,
    /// `role` or `exp` is missing.
    MissingClaims,
    /// Expired this many seconds ago.
    Expired(i64),
}

/// Checks `token` at unix second `now`.
///
/// # Errors
/// The first thing that is wrong, in the real server's order: form, signature, claims, expiry.
pub fn verify(token: &str, secret: &str, now: i64) -> Result<Token, TokenError> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims = decode::<Value>(token, &key, &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Signer,
            _ => TokenError::Malformed,
        })?
        .claims;
    let role = claims.get("role").and_then(Value::as_str);
    let expires_at = claims.get("exp").and_then(Value::as_i64);
    let (Some(role), Some(expires_at)) = (role, expires_at) else {
        return Err(TokenError::MissingClaims);
    };
    let token = Token { role: role.to_owned(), claims: claims.to_string(), expires_at };
    token.check_expiry(now)?;
    Ok(token)
}

impl Token {
    /// Whether the token is still good at unix second `now`.
    ///
    /// # Errors
    /// [`TokenError::Expired`] with its age.
    pub fn check_expiry(&self, now: i64) -> Result<(), TokenError> {
        if self.expires_at > now { Ok(()) } else { Err(TokenError::Expired(now - self.expires_at)) }
    }
}

impl TokenError {
    /// The `error` of a refused handshake.
    #[must_use]
    pub fn at_connect(self) -> String {
        match self {
            Self::Expired(_) => "Token has expired".into(),
            Self::Signature => "Failed to validate JWT signature".into(),
            other => other.at_refresh(),
        }
    }

    /// The `reason` of a refused join.
    #[must_use]
    pub fn at_join(self) -> String {
        let code = match self {
            Self::Malformed => "MalformedJWT",
            Self::Signature => "JwtSignatureError",
            Self::Signer => "JwtSignerError",
            Self::MissingClaims | Self::Expired(_) => "InvalidJWTToken",
        };
        let text = match self {
            Self::Signature => self.at_connect(),
            other => other.at_refresh(),
        };
        format!("{code}: {text}")
    }

    /// The `message` of the system error that closes a channel after a bad refresh or an expiry.
    #[must_use]
    pub fn at_refresh(self) -> String {
        match self {
            Self::Malformed => "The token provided is not a valid JWT".into(),
            Self::Signature => ":signature_error".into(),
            Self::Signer => {
                "Failed to generate JWT signer, check your JWT secret or JWKS configuration".into()
            }
            Self::MissingClaims => "Fields `role` and `exp` are required in JWT".into(),
            Self::Expired(seconds) => format!("Token has expired {seconds} seconds ago"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    fn sign(claims: &Value, secret: &str) -> String {
        encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    #[test]
    fn says_what_the_real_server_says() {
        let good = json!({"role": "anon", "exp": 1000});
        let check = |token: &str| verify(token, "s", 940);
        let token = check(&sign(&good, "s")).unwrap();
        assert_eq!((token.role.as_str(), token.expires_at), ("anon", 1000));
        assert_eq!(check(&sign(&good, "x")), Err(TokenError::Signature));
        assert_eq!(check("not.a.jwt"), Err(TokenError::Malformed));
        assert_eq!(check(""), Err(TokenError::Malformed));
        assert_eq!(check(&sign(&json!({"exp": 1000}), "s")), Err(TokenError::MissingClaims));
        let expired = check(&sign(&json!({"role": "anon", "exp": 880}), "s")).unwrap_err();
        assert_eq!(expired.at_join(), "InvalidJWTToken: Token has expired 60 seconds ago");
        assert_eq!(expired.at_connect(), "Token has expired");
        assert_eq!(
            TokenError::Signature.at_join(),
            "JwtSignatureError: Failed to validate JWT signature"
        );
        assert_eq!(
            TokenError::Malformed.at_join(),
            "MalformedJWT: The token provided is not a valid JWT"
        );
        assert_eq!(TokenError::Signature.at_refresh(), ":signature_error");
    }
}
