//! What stands around every request: limits, time, CORS, headers, an id, and what is measured.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    ApiState, Problem, caller,
    limits::{Key, Limits},
};

/// Bodies are no longer than this where a route does not say otherwise, in bytes.
const BODY: usize = 64 * 1024;
/// How long a handler may take to begin its answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The longest body of any route, in bytes; shorter limits are the routes' own.
const LARGEST_BODY: usize = 1024 * 1024;
/// How long a client may take to send its body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Requests that are worked on at a time; more would only wait for the same database.
const AT_ONCE: usize = 64;
/// How long a browser may remember what CORS allows.
const CORS_AGE: Duration = Duration::from_secs(600);

/// How many callers' allowance one address has, behind which many people and workers may be.
const CALLERS_BEHIND_AN_ADDRESS: u32 = 10;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

struct Gate {
    callers: Limits,
    addresses: Limits,
    at_once: Semaphore,
}

impl Gate {
    fn new(per_minute: u32) -> Self {
        Self {
            callers: Limits::new(per_minute),
            addresses: Limits::new(per_minute.saturating_mul(CALLERS_BEHIND_AN_ADDRESS)),
            at_once: Semaphore::new(AT_ONCE),
        }
    }

    /// Counts a request for its token and for where it comes from. Nobody has checked the token yet:
    /// who invents one for each request has a full bucket each time, but only one address.
    fn count(
        &self,
        token: Option<&str>,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Duration> {
        let address = Key::Address(peer);
        let Some(token) = token else { return self.callers.take(address, now) };
        self.callers.take(Key::token(token), now)?;
        self.addresses.take(address, now)
    }
}

/// Puts everything that every request needs around `routes`.
pub(super) fn around(routes: Router<ApiState>, state: &ApiState) -> Router<ApiState> {
    let gate = Arc::new(Gate::new(state.config.requests_per_minute));
    // The last layer is the outermost: it also sees what the others answer.
    routes
        .layer(DefaultBodyLimit::max(BODY))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()))
        .layer(middleware::from_fn_with_state(gate, admit))
        .layer(cors(&state.config.allowed_origins))
        .layer(middleware::from_fn(observe))
}

async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if let Err(wait) = gate.count(caller::bearer(request.headers()), peer, Instant::now()) {
        return Problem::too_many(wait).into_response();
    }
    // Read before a place is taken, so that those who send slowly keep nobody else out.
    let request = match with_body(request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let Ok(_permit) = gate.at_once.try_acquire() else {
        return Problem::unavailable("too many requests at once").into_response();
    };
    timeout(TIME_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
        Problem::unavailable(format!("no answer within {} s", TIME_LIMIT.as_secs())).into_response()
    })
}

/// The request with its whole body.
async fn with_body(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    match timeout(BODY_WITHIN, to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(error)) if is_too_long(&error) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too long for this request",
        )),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_WITHIN.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

/// Pages of these origins may call, with a token; no cookies are involved, so none are allowed.
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|o| o.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, REQUEST_ID])
        .expose_headers([header::RETRY_AFTER, header::LINK, REQUEST_ID])
        .max_age(CORS_AGE)
}

/// Gives each request an id, measures it, and completes the answer's headers.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    // Every line that is logged on the way has the id; it is plain letters, whoever gave it.
    let shown = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", request_id = %shown, %method, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(status, took_ms, "api"));
    metrics::counter!(
        "meshhook_errors_api_requests_total",
        "method" => known(&method), "route" => route, "status" => status.to_string(),
    )
    .increment(1);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, id);
    response
}

/// Methods are the caller's choice, and must not become as many time series.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The caller's own id where it can be one, so that its log and ours can be laid side by side.
fn request_id(request: &Request) -> HeaderValue {
    let fit = |id: &&HeaderValue| {
        (1..=64).contains(&id.len())
            && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    request.headers().get(REQUEST_ID).filter(fit).cloned().unwrap_or_else(|| {
        let id = Uuid::now_v7().to_string();
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn invented_tokens_do_not_get_around_the_limit() {
        let gate = Gate::new(60);
        let now = Instant::now();
        let peer = |last| Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)));
        let admitted = |last, tokens: u32| {
            let call =
                |n: &u32| gate.count(Some(&format!("invented {n}")), peer(last), now).is_ok();
            (0..tokens).filter(call).count()
        };
        assert_eq!(admitted(1, 1_000), 120, "a fifth of ten callers' minute");
        assert_eq!(gate.count(Some("another"), peer(2), now), Ok(()));
        // One token's own limit is below that of its address.
        let same = (0..100).filter(|_| gate.count(Some("one"), peer(3), now).is_ok()).count();
        assert_eq!(same, 12);
    }
}
