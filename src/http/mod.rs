//! The daemon's HTTP server: liveness, readiness and metrics here, and below `api` what its users ask.
//! Nothing about tenants is told but by their own tokens, and nothing is counted or alerted on here.
//! What it tells comes from a [`Probe`], the metrics recorder and the API's state; it goes out to
//! orchestrators, Prometheus, dashboards and workers.

pub mod api;
mod listen;

pub use listen::Patience;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// How the daemon is doing.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Whether it does its part: a leader that counts and notifies, or a standby that is warm.
    pub ready: bool,
    /// `leader` or `standby`.
    pub role: &'static str,
    /// What keeps it from being ready, or is not as it should be.
    pub problems: Vec<String>,
}

/// Asks how the daemon is doing; must not block.
pub type Probe = Arc<dyn Fn() -> Readiness + Send + Sync>;

#[derive(Clone)]
struct Shared {
    probe: Probe,
    metrics: Metrics,
}

/// Serves until `cancel` is cancelled; `api` beside what every daemon tells.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    probe: Probe,
    metrics: Metrics,
    api: Router,
    patience: Patience,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let upkeep = metrics.clone();
    let router = router(probe, metrics).merge(api);
    let server = listen::serve(listener, router, patience, cancel.clone());
    let maintain = async {
        let mut every = time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            upkeep.upkeep();
        }
    };
    tokio::select! {
        result = server => result,
        () = maintain => Ok(()),
        () = async { cancel.cancelled().await; time::sleep(Duration::from_secs(1)).await } => Ok(()),
    }
}

fn router(probe: Probe, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .with_state(Shared { probe, metrics })
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let readiness = (shared.probe)();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    let text = shared.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_follows_the_probe() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cancel = CancellationToken::new();
        let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&ready);
        let probe: Probe = Arc::new(move || Readiness {
            ready: seen.load(std::sync::atomic::Ordering::SeqCst),
            role: "standby",
            problems: vec![],
        });
        let server = tokio::spawn(serve(
            listener,
            probe,
            Metrics::default(),
            Router::new(),
            Patience::default(),
            cancel.clone(),
        ));
        metrics::counter!("http_test_total").increment(3);
        for (path, expected) in [("/healthz", 200), ("/readyz", 503), ("/metrics", 200)] {
            assert_eq!(reqwest::get(format!("{url}{path}")).await.unwrap().status(), expected);
        }
        ready.store(true, std::sync::atomic::Ordering::SeqCst);
        let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.text().await.unwrap(),
            r#"{"ready":true,"role":"standby","problems":[]}"#
        );
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("http_test_total 3"), "{metrics}");
        cancel.cancel();
        server.await.unwrap().unwrap();
    }
}
