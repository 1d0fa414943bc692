//! The websocket handshake: protocol version, API key, and the plain HTTP answers of a refusal.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{FromRequestParts, Query, Request, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::{Shared, frame::Version, socket, token};
use crate::faults::Event;

/// Frames above this are refused in either direction, as by the real server.
const MAX_FRAME_BYTES: usize = 5_000_000;

#[derive(Debug, Default, Deserialize)]
pub struct Parameters {
    apikey: Option<String>,
    vsn: Option<String>,
}

/// Answers `GET …/websocket`.
pub async fn upgrade(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.faults.count(Event::Handshake);
    // A query that cannot be read has no key in it.
    let Query(parameters) = Query::<Parameters>::try_from_uri(request.uri()).unwrap_or_default();
    if let Some(status) = shared.faults.knobs().refuse_handshake {
        return refuse(&shared, status, refusal_text(status)).await;
    }
    let Some(version) = Version::negotiate(parameters.vsn.as_deref()) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let (mut parts, _) = request.into_parts();
    let Some(key) = api_key(&parts.headers, parameters.apikey) else {
        return refuse(&shared, 401, "API key is missing").await;
    };
    let checked = token::verify(&key, &shared.secret, (shared.clock)());
    let token = match checked {
        Ok(token) => token,
        Err(error) => return refuse(&shared, 401, &error.at_connect()).await,
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &shared).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let number = shared.sockets.fetch_add(1, Ordering::Relaxed);
    let opened = socket::Opened { number, version, key, token };
    upgrade.max_message_size(MAX_FRAME_BYTES).max_frame_size(MAX_FRAME_BYTES).on_upgrade(
        move |websocket| {
            let tasks = shared.tasks.clone();
            tasks.track_future(socket::serve(shared, opened, websocket))
        },
    )
}

/// The header `x-api-key` wins; the gateway also takes `apikey` as header or query parameter.
fn api_key(headers: &HeaderMap, query: Option<String>) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    header("x-api-key").or_else(|| header("apikey")).or(query).filter(|key| !key.is_empty())
}

async fn refuse(shared: &Shared, status: u16, error: &str) -> Response {
    tokio::select! {
        () = shared.cancel.cancelled() => {}
        () = sleep(shared.config.handshake_delay) => {}
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": error }))).into_response()
}

fn refusal_text(status: u16) -> &'static str {
    match status {
        401 => "Failed to validate JWT signature",
        403 => "Realtime disabled for this tenant",
        404 => "Tenant not found",
        429 => "Too many connected users",
        _ => "Internal server error",
    }
}
