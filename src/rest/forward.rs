//! Requests that are made with somebody else's token, so that row-level security decides for them.

use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{MAX_ANSWER, RestConfig, RestError};

/// A PostgREST client without a token of its own; cheap to clone.
#[derive(Clone, Debug)]
pub struct Forward {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
}

/// What is sent.
#[derive(Debug, Default)]
pub struct Forwarded<'a> {
    /// What stands behind `/rest/v1/`: a table, or `rpc/` and a function.
    pub path: &'a str,
    /// The query, in order; values need no escaping.
    pub query: &'a [(&'a str, String)],
    /// The `Prefer` header.
    pub prefer: Option<&'static str>,
    /// The `Accept` header; JSON without one.
    pub accept: Option<&'static str>,
}

/// A successful answer.
#[derive(Debug)]
pub struct ForwardAnswer {
    /// HTTP status, below 300.
    pub status: StatusCode,
    /// The `Content-Range` header, which has the number of rows where it was asked for.
    pub range: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl ForwardAnswer {
    /// The body as a value.
    ///
    /// # Errors
    /// [`RestError::Answer`] when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, RestError> {
        serde_json::from_slice(&self.body).map_err(|_| RestError::Answer("its body is unexpected"))
    }
}

impl Forward {
    /// A client for the server of `config`.
    ///
    /// # Errors
    /// [`RestError::Config`] when the address or the key cannot be used.
    pub fn new(config: &RestConfig) -> Result<Self, RestError> {
        let base = super::request::checked_address(config)?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        if let Some(key) = &config.apikey {
            let mut key = super::request::header(key.expose_secret())
                .ok_or(RestError::Config("the API key is not fit for a header"))?;
            key.set_sensitive(true);
            headers.insert("apikey", key);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| RestError::Config("the HTTP client could not be set up"))?;
        Ok(Self { http, base, headers })
    }

    /// Reads.
    ///
    /// # Errors
    /// [`RestError`]; reading may always be repeated.
    pub async fn get(
        &self,
        token: &SecretString,
        what: Forwarded<'_>,
    ) -> Result<ForwardAnswer, RestError> {
        self.send(Method::GET, token, what, None).await
    }

    /// Inserts, or calls a function.
    ///
    /// # Errors
    /// [`RestError`]; whether it may be repeated is for the caller to know.
    pub async fn post<T: Serialize + ?Sized>(
        &self,
        token: &SecretString,
        what: Forwarded<'_>,
        body: &T,
    ) -> Result<ForwardAnswer, RestError> {
        self.with_body(Method::POST, token, what, body).await
    }

    /// Changes rows.
    ///
    /// # Errors
    /// [`RestError`]; whether it may be repeated is for the caller to know.
    pub async fn patch<T: Serialize + ?Sized>(
        &self,
        token: &SecretString,
        what: Forwarded<'_>,
        body: &T,
    ) -> Result<ForwardAnswer, RestError> {
        self.with_body(Method::PATCH, token, what, body).await
    }

    async fn with_body<T: Serialize + ?Sized>(
        &self,
        method: Method,
        token: &SecretString,
        what: Forwarded<'_>,
        body: &T,
    ) -> Result<ForwardAnswer, RestError> {
        let body = serde_json::to_vec(body).map_err(|_| RestError::Config("not JSON"))?;
        self.send(method, token, what, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        token: &SecretString,
        what: Forwarded<'_>,
        body: Option<Vec<u8>>,
    ) -> Result<ForwardAnswer, RestError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| RestError::Config("the address has no path"))?
            .pop_if_empty()
            .extend(what.path.split('/'));
        if !what.query.is_empty() {
            url.query_pairs_mut().extend_pairs(what.query);
        }
        let mut request = self
            .http
            .request(method, url)
            .headers(self.headers.clone())
            .bearer_auth(token.expose_secret())
            .header(ACCEPT, what.accept.unwrap_or("application/json"));
        if let Some(prefer) = what.prefer {
            request = request.header("prefer", prefer);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(RestError::transport)?;
        let status = response.status();
        let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
        let range = range.map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(RestError::transport)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(RestError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            Ok(ForwardAnswer { status, range, body })
        } else {
            Err(RestError::refused(status.as_u16(), &body))
        }
    }
}
