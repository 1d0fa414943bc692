//! The present rates of each project, for dashboards.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Db, Fence, StoreError, pool::within};

/// One row of `error_rates_live`.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRates {
    /// The project; none for errors that belong to none.
    pub project_id: Option<Uuid>,
    /// What dashboards show.
    pub snapshot: Value,
}

/// Writes the rates of projects that changed, as leader; each project at most once a call.
///
/// Returns how many were written: those of a project that was just deleted are passed over.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures.
pub async fn write(
    db: &Db,
    fence: &Fence,
    rates: &[LiveRates],
    limit: Duration,
) -> Result<usize, StoreError> {
    match write_together(db, fence, rates, limit).await {
        Ok(()) => Ok(rates.len()),
        // One project is gone and would cost the others their update, so each goes by itself.
        Err(error) if refers_to_nothing(&error) && rates.len() > 1 => {
            let mut written = 0;
            for one in rates {
                match write_together(db, fence, std::slice::from_ref(one), limit).await {
                    Ok(()) => written += 1,
                    Err(error) if refers_to_nothing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(written)
        }
        Err(error) if refers_to_nothing(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

async fn write_together(
    db: &Db,
    fence: &Fence,
    rates: &[LiveRates],
    limit: Duration,
) -> Result<(), StoreError> {
    const WHAT: &str = "write the live rates";
    if rates.is_empty() {
        return Ok(());
    }
    within(WHAT, limit, async {
        let projects: Vec<Option<Uuid>> = rates.iter().map(|one| one.project_id).collect();
        let snapshots: Vec<&Value> = rates.iter().map(|one| &one.snapshot).collect();
        let mut link = db.transaction().await?;
        link.query(include_str!("../../sql/write_live_rates.sql"))
            .bind(projects)
            .bind(snapshots.into_iter().map(sqlx::types::Json).collect::<Vec<_>>())
            .execute(link.connection())
            .await?;
        link.commit_as(fence).await
    })
    .await
}

/// A foreign key that points nowhere (SQLSTATE 23503).
fn refers_to_nothing(error: &StoreError) -> bool {
    let StoreError::Database { source, .. } = error else { return false };
    source.as_database_error().is_some_and(|error| error.code().as_deref() == Some("23503"))
}
