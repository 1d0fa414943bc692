//! One request from its arrival to its answer.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, State},
    http::{Method, Request},
    response::Response,
};
use sqlx::PgPool;

use super::{
    RestConfig,
    auth::identify,
    cache::SharedCache,
    cors,
    database_error::database_error,
    error::ApiError,
    execute::execute,
    plan::{Limits, plan},
    request::ApiRequest,
    respond::respond,
};

/// What all requests share.
pub(super) struct Service {
    pub pool: PgPool,
    pub cache: SharedCache,
    pub limits: Limits,
    pub config: RestConfig,
}

/// Answers any request.
pub(super) async fn handle(
    State(service): State<Arc<Service>>,
    request: Request<Body>,
) -> Response {
    if request.method() == Method::OPTIONS {
        return cors::preflight(request.headers());
    }
    let head = request.method() == Method::HEAD;
    let mut response = match service.answer(request).await {
        Ok(response) => response,
        Err(error) => error.into_response(head),
    };
    cors::allow(response.headers_mut());
    response
}

impl Service {
    async fn answer(&self, request: Request<Body>) -> Result<Response, ApiError> {
        let (parts, body) = request.into_parts();
        let now = (self.config.clock)();
        let identity =
            identify(&parts.headers, &self.config.jwt_secret, &self.config.anon_role, now)?;
        let again = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(again, &()).await.map_err(|error| {
            ApiError::new(error.status().as_u16(), "PGRST102", error.body_text())
        })?;
        let request = ApiRequest::read(&parts, body, &self.config.schemas)?;
        let (seen, cache) = self.cache.get();
        let plan = match plan(&request, &cache, self.limits) {
            Err(error) if error.cache_miss => {
                // A migration may have added it since the schema was read.
                let newer = match self.cache.newer_than(&self.pool, seen).await {
                    Ok(newer) => newer,
                    Err(error) => {
                        return Err(database_error(error, identity.signed_in, &self.pool).await);
                    }
                };
                plan(&request, &newer, self.limits)?
            }
            planned => planned?,
        };
        let outcome = execute(&self.pool, &request, &identity, &plan).await?;
        respond(&request, &plan, outcome)
    }
}
