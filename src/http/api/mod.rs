//! The API under `/api`: one file per area, each with `routes()`, and the document that describes them.
//! Nothing here decides who may see what: the caller's token is passed on, and row-level security decides.
//! Requests come in from dashboards, workers and links in messages; they go out to PostgREST, the store
//! and the senders, and every failure comes back as `application/problem+json`.
//!
//! An area is `pub(super) fn routes() -> OpenApiRouter<ApiState>` of handlers with `#[utoipa::path]`
//! (whole paths, from `/api`), merged in `areas`. A handler takes a [`Caller`], asks as the caller
//! (`caller.get`, `caller.call`) or, before it uses the daemon's own rights, `caller.require(…)`, and
//! returns `Result<_, Problem>`.

mod body;
mod caller;
mod channels;
mod check;
mod document;
mod events;
mod explain;
mod interactivity;
mod layers;
mod limits;
mod links;
mod metrics;
mod preview;
mod problem;
mod state;

pub use body::{JsonBody, PathOf, QueryOf, RawBody};
pub use caller::{Caller, Granted, Role};
pub use problem::{FieldProblem, Problem, ProblemBody};
pub use state::{ApiParts, ApiState};

use axum::{Json, Router, http::Uri, routing::get};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// Every area's routes, with their description.
fn areas() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(document::head())
        .merge(channels::routes())
        .merge(check::routes())
        .merge(events::routes())
        .merge(explain::routes())
        .merge(interactivity::routes())
        .merge(links::routes())
        .merge(metrics::routes())
        .merge(preview::routes())
}

/// The OpenAPI 3.1 description of everything under `/api`.
#[must_use]
pub fn document() -> OpenApi {
    document::finish(areas().into_openapi())
}

/// The API, to be merged into the server's routes.
pub fn router(state: ApiState) -> Router {
    let (routes, described) = areas().split_for_parts();
    let described = document::finish(described);
    let routes = routes
        .route("/api/openapi.json", get(|| async { Json(described) }))
        .route("/api/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() });
    layers::around(routes, &state).with_state(state)
}

async fn unknown(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["security"][0]["supabase"], serde_json::json!([]));
        assert!(document["components"]["schemas"]["Problem"]["properties"]["errors"].is_object());
    }
}
