//! A request before anything is known about tables.

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, header, request::Parts},
};

use super::{
    error::ApiError, media::Media, payload::Format, prefer::Preferences, query::Query, range::Range,
};

/// What the URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Table(String),
    Function(String),
}

/// What the method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Insert,
    Upsert,
    Update,
    Delete,
    /// With `by_get` the arguments come in the URL and nothing may be written.
    Call {
        by_get: bool,
    },
}

/// A request taken apart.
#[derive(Clone, Debug)]
pub(super) struct ApiRequest {
    pub target: Target,
    pub action: Action,
    pub head: bool,
    pub query: Query,
    pub preferences: Preferences,
    pub media: Media,
    pub range: Range,
    pub schema: String,
    /// Whether the client chose the schema, and so wants it confirmed.
    pub profile_given: bool,
    pub format: Option<Format>,
    pub body: Bytes,
    /// For the settings that functions can read.
    pub context: Context,
}

/// What functions can read about the request.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub method: String,
    pub path: String,
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub cookies: serde_json::Map<String, serde_json::Value>,
}

impl ApiRequest {
    pub(super) fn read(parts: &Parts, body: Bytes, schemas: &[String]) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let target = target(parts.uri.path())?;
        let head = parts.method == Method::HEAD;
        let is_call = matches!(target, Target::Function(_));
        let action = action(&parts.method, is_call)?;
        if text(headers, header::CONTENT_ENCODING.as_str())
            .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(ApiError::unsupported("a compressed request body"));
        }
        let reads = matches!(action, Action::Read | Action::Call { by_get: true });
        let (schema, profile_given) = schema(headers, reads, schemas)?;
        let query = Query::parse(
            parts.uri.query().unwrap_or_default(),
            action == Action::Call { by_get: true },
        )?;
        let preferences = Preferences::parse(
            headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()),
        );
        if preferences.timezone.is_some() {
            return Err(ApiError::unsupported("the preference timezone"));
        }
        let by_header = match text(headers, header::RANGE.as_str()) {
            Some(value) if parts.method == Method::GET => Range::from_header(value)?,
            _ => Range::default(),
        };
        let range = query.range(&[]).map_or(by_header, |range| range.intersect(by_header));
        let takes_body = matches!(
            action,
            Action::Insert | Action::Upsert | Action::Update | Action::Call { by_get: false }
        );
        let format = if takes_body {
            Some(Format::of(text(headers, header::CONTENT_TYPE.as_str()))?)
        } else {
            None
        };
        let media = Media::negotiate(text(headers, header::ACCEPT.as_str()))?;
        let context = Context::read(parts);
        Ok(Self {
            target,
            action,
            head,
            query,
            preferences,
            media,
            range,
            schema,
            profile_given,
            format,
            body,
            context,
        })
    }
}

/// `/table` or `/rpc/function`.
fn target(path: &str) -> Result<Target, ApiError> {
    let segments: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(|segment| decode(segment).ok_or_else(bad_path))
        .collect::<Result<_, _>>()?;
    match segments.as_slice() {
        [only] if only.is_empty() => Err(ApiError::unsupported("the OpenAPI description at /")),
        [table] => Ok(Target::Table(table.clone())),
        [rpc, function] if rpc == "rpc" => Ok(Target::Function(function.clone())),
        _ => Err(bad_path()),
    }
}

fn bad_path() -> ApiError {
    ApiError::new(404, "PGRST125", "Invalid path specified in request URL")
}

fn decode(segment: &str) -> Option<String> {
    // Form decoding would turn a plus into a space, which it is only in a query.
    let plus = segment.replace('+', "%2B");
    let (text, _) = url::form_urlencoded::parse(plus.as_bytes()).next().unwrap_or_default();
    (!text.contains('\0')).then(|| text.into_owned())
}

fn action(method: &Method, is_call: bool) -> Result<Action, ApiError> {
    match (method.as_str(), is_call) {
        ("GET" | "HEAD", true) => Ok(Action::Call { by_get: true }),
        ("POST", true) => Ok(Action::Call { by_get: false }),
        (other, true) => {
            Err(ApiError::new(405, "PGRST101", format!("Cannot use the {other} method on RPC")))
        }
        ("GET" | "HEAD", false) => Ok(Action::Read),
        ("POST", false) => Ok(Action::Insert),
        ("PUT", false) => Ok(Action::Upsert),
        ("PATCH", false) => Ok(Action::Update),
        ("DELETE", false) => Ok(Action::Delete),
        (other, false) => {
            Err(ApiError::new(405, "PGRST117", format!("Unsupported HTTP method: {other}")))
        }
    }
}

/// The schema that a profile header chooses: `Accept-Profile` for reads, else `Content-Profile`.
fn schema(
    headers: &HeaderMap,
    reads: bool,
    schemas: &[String],
) -> Result<(String, bool), ApiError> {
    let name = if reads { "accept-profile" } else { "content-profile" };
    match text(headers, name) {
        Some(wanted) if schemas.iter().any(|schema| schema == wanted) => {
            Ok((wanted.to_owned(), true))
        }
        Some(wanted) => {
            let served = schemas.join(", ");
            Err(ApiError::new(406, "PGRST106", format!("Invalid schema: {wanted}"))
                .hint(Some(format!("Only the following schemas are exposed: {served}"))))
        }
        None => Ok((schemas.first().cloned().unwrap_or_default(), schemas.len() > 1)),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Context {
    fn read(parts: &Parts) -> Self {
        let mut headers = serde_json::Map::new();
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.insert(name.as_str().to_owned(), value.into());
        }
        let mut cookies = serde_json::Map::new();
        for pair in text(&parts.headers, "cookie").unwrap_or_default().split(';') {
            if let Some((name, value)) = pair.trim().split_once('=') {
                cookies.insert(name.to_owned(), value.into());
            }
        }
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            headers,
            cookies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_targets() {
        for (path, expected) in [
            ("/things", Ok(Target::Table("things".to_owned()))),
            ("/odd%20name+x", Ok(Target::Table("odd name+x".to_owned()))),
            ("/rpc/add_up", Ok(Target::Function("add_up".to_owned()))),
            ("/rpc", Ok(Target::Table("rpc".to_owned()))),
            ("/", Err(501)),
            ("/a/b", Err(404)),
            ("/a%00b", Err(404)),
        ] {
            assert_eq!(target(path).map_err(|error| error.status), expected, "{path}");
        }
    }
}
