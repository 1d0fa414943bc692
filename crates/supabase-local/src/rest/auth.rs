//! From a request's token to a role.

use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::{error::ApiError, execute::Identity};
use crate::jwt;

/// Checks the token, if there is one; without one the request is anonymous.
///
/// Behind Supabase's gateway a request with only an `apikey` header uses that as its token.
pub(super) fn identify(
    headers: &HeaderMap,
    secret: &str,
    anonymous: &str,
    now: i64,
) -> Result<Identity, ApiError> {
    let mut claims = match token(headers) {
        Some(token) => jwt::verify(secret, token, now).map_err(|error| ApiError::token(&error))?,
        None => jwt::Claims::new(),
    };
    let role = match claims.get("role") {
        None => anonymous.to_owned(),
        Some(Value::String(role)) => role.clone(),
        Some(other) => other.to_string(),
    };
    claims.insert("role".to_owned(), role.clone().into());
    let signed_in = role != anonymous;
    Ok(Identity { role, claims: Value::Object(claims).to_string(), signed_in })
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ').unwrap_or(("", ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| headers.get("apikey")?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn tokens_become_roles() {
        let sign = |claims: Value| jwt::sign_hs256(SECRET, &claims).unwrap();
        let user = sign(json!({"role": "authenticated", "sub": "u"}));
        let plain = sign(json!({"sub": "u"}));
        let bearer = |token: &str| format!("Bearer {token}");
        for (authorization, apikey, expected) in [
            (None, None, Ok(("anon", false))),
            (Some(bearer(&user)), None, Ok(("authenticated", true))),
            (Some(format!("bearer  {user}")), None, Ok(("authenticated", true))),
            (Some(bearer(&plain)), None, Ok(("anon", false))),
            (None, Some(user.clone()), Ok(("authenticated", true))),
            (Some(bearer(&plain)), Some(user.clone()), Ok(("anon", false))),
            (Some("Basic eDp5".to_owned()), None, Ok(("anon", false))),
            (Some("Bearer ".to_owned()), None, Err("PGRST301")),
            (Some(bearer("x.y.z")), None, Err("PGRST301")),
            (Some(bearer(&sign(json!({"exp": 5})))), None, Err("PGRST303")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = &authorization {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            if let Some(value) = &apikey {
                headers.insert("apikey", value.parse().unwrap());
            }
            let got = identify(&headers, SECRET, "anon", 1000);
            let got = got.as_ref().map(|i| (i.role.as_str(), i.signed_in));
            let got = got.map_err(|error| error.body.code.as_str());
            assert_eq!(got, expected, "{authorization:?} {apikey:?}");
        }
    }
}
