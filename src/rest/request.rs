//! Builds requests with the `postgrest` crate and turns them into ones of the current `reqwest`.
//!
//! The crate brings an outdated HTTP and TLS stack, so nothing of it ever touches the network; it
//! also panics on header values that it cannot send, so these are checked before it sees them.

use reqwest::{
    Method, Request,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{MAX_ROWS, RestConfig, RestError};

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// The table, of plain characters.
    pub table: &'a str,
    /// The columns, separated by commas.
    pub columns: &'a str,
    /// What must hold, all of it.
    pub filters: &'a [Condition<'a>],
    /// `column.asc` or `column.desc`; unordered when empty.
    pub order: &'a str,
    /// At most this many rows, up to [`MAX_ROWS`].
    pub limit: usize,
}

/// A condition on one column, which is of plain characters.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// Equal to the value.
    Equals(&'a str, &'a str),
    /// At least the value.
    AtLeast(&'a str, &'a str),
    /// More than the value.
    Above(&'a str, &'a str),
    /// Less than the value.
    Below(&'a str, &'a str),
    /// One of the values.
    OneOf(&'a str, &'a [&'a str]),
    /// Null.
    IsNull(&'a str),
}

impl Select<'_> {
    pub(super) fn apply(
        &self,
        builder: &postgrest::Postgrest,
    ) -> Result<postgrest::Builder, RestError> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !plain(self.table) {
            return Err(RestError::Config("the table's name is not plain"));
        }
        let mut built = builder
            .from(self.table)
            .select(self.columns)
            .range(0, self.limit.clamp(1, MAX_ROWS) - 1);
        for condition in self.filters {
            let (Condition::Equals(column, _)
            | Condition::AtLeast(column, _)
            | Condition::Above(column, _)
            | Condition::Below(column, _)
            | Condition::OneOf(column, _)
            | Condition::IsNull(column)) = *condition;
            if !plain(column) {
                return Err(RestError::Config("a column's name is not plain"));
            }
            built = match *condition {
                Condition::Equals(_, value) => built.eq(column, value),
                Condition::AtLeast(_, value) => built.gte(column, value),
                Condition::Above(_, value) => built.gt(column, value),
                Condition::Below(_, value) => built.lt(column, value),
                Condition::OneOf(_, values) => built.in_(column, values.iter().map(|v| quote(v))),
                Condition::IsNull(_) => built.is(column, "null"),
            };
        }
        Ok(if self.order.is_empty() { built } else { built.order(self.order) })
    }
}

/// Quotes a value for a list (`in`, `or`, `and`), where `, . : ( )` and quotes have a meaning.
///
/// Alone behind an operator such as `eq.`, a value must not be quoted: there all of it counts.
#[must_use]
pub fn quote(value: &str) -> String {
    let needs =
        |c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | '(' | ')' | '"' | '\\');
    if !value.is_empty() && !value.contains(needs) {
        return value.to_owned();
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The server's address, if it is one that nothing secret can stand in.
pub(super) fn checked_address(config: &RestConfig) -> Result<Url, RestError> {
    let url = &config.url;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(RestError::Config("the address must begin with http:// or https://"));
    }
    let has_login = !url.username().is_empty() || url.password().is_some();
    if has_login || url.query().is_some() || url.fragment().is_some() {
        return Err(RestError::Config("the address must have no credentials, query or fragment"));
    }
    Ok(url.clone())
}

/// A builder for requests to `config`'s server, with the headers that every request has.
pub(super) fn builder(config: &RestConfig) -> Result<postgrest::Postgrest, RestError> {
    let url = checked_address(config)?;
    let mut builder = postgrest::Postgrest::new(url.as_str().trim_end_matches('/'));
    if let Some(key) = &config.apikey {
        header(key.expose_secret())
            .ok_or(RestError::Config("the API key is not fit for a header"))?;
        builder = builder.insert_header("apikey", key.expose_secret());
    }
    Ok(builder)
}

/// Copies what was built into a request of the current `reqwest`.
///
/// `prefer` replaces what the crate asks for: it always wants the rows back, which a role that may
/// only insert is refused.
pub(super) fn convert(
    built: postgrest::Builder,
    token: &SecretString,
    prefer: Option<&'static str>,
) -> Result<Request, RestError> {
    let unbuildable = |_| RestError::Config("the request could not be built");
    let old = built.build().build().map_err(unbuildable)?;
    let method = match old.method().as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => return Err(RestError::Config("only reading and inserting are supported")),
    };
    let mut request = Request::new(method, old.url().clone());
    let mut headers = HeaderMap::new();
    for (name, value) in old.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(RestError::Config("a header could not be built"));
        };
        value.set_sensitive(name == "apikey");
        headers.append(name, value);
    }
    headers.remove("prefer");
    if let Some(prefer) = prefer {
        headers.insert("prefer", HeaderValue::from_static(prefer));
    }
    let mut bearer = header(&format!("Bearer {}", token.expose_secret()))
        .ok_or(RestError::Config("the token is not fit for a header"))?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    *request.headers_mut() = headers;
    if let Some(body) = old.body().and_then(|body| body.as_bytes()).filter(|b| !b.is_empty()) {
        *request.body_mut() = Some(body.to_vec().into());
    }
    Ok(request)
}

/// A header value, if every old and new library on the way can send it.
pub(super) fn header(value: &str) -> Option<HeaderValue> {
    let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    visible.then(|| HeaderValue::from_str(value).ok()).flatten()
}
