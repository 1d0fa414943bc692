//! Who calls: a bearer token, which PostgREST checks and row-level security judges.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ApiState, Problem};
use crate::rest::{ForwardAnswer, Forwarded, RestError};

/// The longest token that is passed on; Supabase's have one or two kilobytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// What a user may do with a project's errors, as in `error_access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also acknowledges, silences, and resolves groups.
    Responder,
    /// Also edits rules, channels and access.
    Admin,
}

impl Role {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "viewer" => Some(Self::Viewer),
            "responder" => Some(Self::Responder),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// As the database writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }
}

/// What [`Caller::require`] found out; the token's signature and times were checked by PostgREST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The user; none where a service key called.
    pub user: Option<Uuid>,
    /// The role, at least the required one.
    pub role: Role,
}

/// Whoever makes a request, by the token in its `Authorization` header. Without a token the request
/// is answered 401.
///
/// Nothing here checks the token: only what PostgREST answered to it tells that it is genuine.
#[derive(Clone)]
pub struct Caller {
    token: SecretString,
    state: ApiState,
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            Problem::unauthorized("a Supabase access token is needed: Authorization: Bearer …")
        })?;
        Ok(Self { token: token.to_owned().into(), state: state.clone() })
    }
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let usable = (1..=LONGEST_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && usable).then_some(token)
}

impl Caller {
    /// Reads through PostgREST, as the caller.
    ///
    /// # Errors
    /// [`RestError`], of which [`Problem`] makes an answer.
    pub async fn get(&self, what: Forwarded<'_>) -> Result<ForwardAnswer, RestError> {
        self.state.rest.get(&self.token, what).await
    }

    /// Inserts through PostgREST, as the caller.
    ///
    /// # Errors
    /// [`RestError`], of which [`Problem`] makes an answer.
    pub async fn post(
        &self,
        what: Forwarded<'_>,
        body: &impl serde::Serialize,
    ) -> Result<ForwardAnswer, RestError> {
        self.state.rest.post(&self.token, what, body).await
    }

    /// Changes rows through PostgREST, as the caller.
    ///
    /// # Errors
    /// [`RestError`], of which [`Problem`] makes an answer.
    pub async fn patch(
        &self,
        what: Forwarded<'_>,
        body: &impl serde::Serialize,
    ) -> Result<ForwardAnswer, RestError> {
        self.state.rest.patch(&self.token, what, body).await
    }

    /// Calls a function of the database through PostgREST, as the caller.
    ///
    /// # Errors
    /// [`RestError`], of which [`Problem`] makes an answer.
    pub async fn call<T: serde::de::DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl serde::Serialize,
    ) -> Result<T, RestError> {
        let path = format!("rpc/{function}");
        self.post(Forwarded { path: &path, ..Forwarded::default() }, arguments).await?.json()
    }

    /// The caller's role in a project; none asks for what belongs to no project.
    ///
    /// # Errors
    /// 401 and 503 as PostgREST says; a token that may not even ask has no role, which is no error.
    pub async fn role(&self, project_id: Option<Uuid>) -> Result<Option<Role>, Problem> {
        let arguments = json!({ "project_id": project_id });
        match self.call::<Option<String>>("error_role", &arguments).await {
            Ok(_) if self.claim("role").as_deref() == Some("service_role") => Ok(Some(Role::Admin)),
            Ok(role) => Ok(role.as_deref().and_then(Role::parse)),
            Err(RestError::Refused(error)) if error.code == "42501" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on only for callers with at least this role in the project.
    ///
    /// # Errors
    /// 403 for others; 401 and 503 as PostgREST says.
    pub async fn require(
        &self,
        at_least: Role,
        project_id: Option<Uuid>,
    ) -> Result<Granted, Problem> {
        match self.role(project_id).await? {
            Some(role) if role >= at_least => Ok(Granted { user: self.unproven_user(), role }),
            _ => Err(Problem::forbidden(format!(
                "this needs the role {} or a higher one in the project",
                at_least.as_str()
            ))),
        }
    }

    /// The user that the token names; true only after PostgREST has accepted the token.
    fn unproven_user(&self) -> Option<Uuid> {
        self.claim("sub")?.parse().ok()
    }

    fn claim(&self, name: &str) -> Option<String> {
        let payload = self.token.expose_secret().split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        claims.get(name)?.as_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_bearer_tokens_are_taken() {
        let long = format!("Bearer {}", "x".repeat(LONGEST_TOKEN + 1));
        for (value, expected) in [
            ("Bearer abc.def.ghi", Some("abc.def.ghi")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic dXNlcg==", None),
            ("Bearer a b", None),
            (long.as_str(), None),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.clone())]);
            assert_eq!(bearer(&headers), expected, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn roles_are_ordered_and_survive_the_way_to_the_database() {
        assert!(Role::Viewer < Role::Responder && Role::Responder < Role::Admin);
        for role in [Role::Viewer, Role::Responder, Role::Admin] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("owner"), None);
    }
}
