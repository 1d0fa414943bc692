//! Notices when tables join or leave the publication, after which every channel subscribes again.

use std::sync::Arc;

use tokio::time::sleep;

use super::Shared;

const FINGERPRINT: &str = include_str!("sql/publication_fingerprint.sql");

/// Checks the publication until the server stops; it starts with the first subscription.
pub async fn run(shared: Arc<Shared>) {
    let mut wanted = shared.wanted.subscribe();
    let watching = async {
        let _ = wanted.wait_for(|wanted| *wanted).await;
        let mut last: Option<String> = None;
        loop {
            let now = sqlx::query_scalar::<_, String>(FINGERPRINT)
                .bind(&shared.config.publication)
                .fetch_one(&shared.pool)
                .await;
            match now {
                Ok(now) => {
                    if last.as_ref().is_some_and(|last| *last != now) {
                        shared.republished.send_modify(|count| *count += 1);
                    }
                    last = Some(now);
                }
                // The stream reports an unreachable database already.
                Err(error) => tracing::debug!(%error, "the publication could not be checked"),
            }
            sleep(shared.config.publication_check).await;
        }
    };
    tokio::select! {
        () = shared.cancel.cancelled() => {}
        () = watching => {}
    }
}
