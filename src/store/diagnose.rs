//! Questions that `check` asks of a deployment.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};

/// Every table of the migrations but those that MeshHook brings itself.
pub const TABLES: &[&str] = &[
    "public.error_access",
    "public.error_masking_rules",
    "public.error_metrics",
    "public.error_groups",
    "public.error_group_hours",
    "public.error_rate_minutes",
    "public.error_rate_hours",
    "public.error_rates_live",
    "public.alert_rules",
    "public.alert_channels",
    "public.alert_rule_channels",
    "public.alert_silences",
    "public.alert_quiet_hours",
    "public.alert_inhibitions",
    "public.alert_held_back",
    "public.alert_incidents",
    "public.alert_incident_events",
    "public.alert_notifications",
    "public.error_tracker_status",
    "error_tracking.checkpoint",
    "error_tracking.leases",
    "error_tracking.masking",
    "error_tracking.channel_secrets",
    "error_tracking.config_version",
    "error_tracking.used_links",
    "error_tracking.slack_threads",
    "error_tracking.canary_delays",
    "error_tracking.retention",
    "error_tracking.rate_sums",
    "error_tracking.group_days",
];

/// Tables that the daemon and the dashboard subscribe to.
pub const PUBLISHED: &[&str] = &[
    "public.error_metrics",
    "public.alert_incidents",
    "public.alert_rules",
    "public.error_rates_live",
    "public.error_tracker_status",
];

/// Who we are, and on what.
#[derive(Clone, Debug)]
pub struct Login {
    /// The database role.
    pub role: String,
    /// The server's major version.
    pub major: i32,
    /// Whether the connection uses TLS.
    pub encrypted: bool,
}

/// What our role may do.
#[derive(Clone, Debug)]
pub struct Rights {
    /// May read the counted columns.
    pub reads_events: bool,
    /// May read metadata, which the daemon must not.
    pub reads_metadata: bool,
    /// May delete events, which the daemon must not.
    pub deletes_events: bool,
    /// May take the lease.
    pub leads: bool,
    /// May write to the outbox.
    pub notifies: bool,
    /// May look at the sequence.
    pub reads_numbers: bool,
    /// Row-level security hides nothing from it.
    pub sees_every_row: bool,
    /// Of the logins of PostgREST and Realtime, those that exist and may not become our role.
    pub cannot_switch: Vec<String>,
}

/// An instance of the daemon, from the status table.
#[derive(Clone, Debug)]
pub struct InstanceSeen {
    /// Its name.
    pub name: String,
    /// Whether it says that it leads.
    pub leader: bool,
    /// Since when it has said nothing, in seconds.
    pub silent_seconds: f64,
}

async fn rows<'a>(
    db: &Db,
    what: &'static str,
    sql: &'static str,
    names: Option<&'a [&'a str]>,
    limit: Duration,
) -> Result<Vec<PgRow>, StoreError> {
    within(what, limit, async {
        let mut link = db.link().await?;
        let mut query = link.query(sql);
        if let Some(names) = names {
            query = query.bind(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        }
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows)
    })
    .await
}

fn read<T>(
    what: &'static str,
    rows: &[PgRow],
    one: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, StoreError> {
    rows.iter()
        .map(|row| one(row).map_err(|source| StoreError::Database { what, source }))
        .collect()
}

fn only<T>(what: &'static str, values: Vec<T>) -> Result<T, StoreError> {
    let source = sqlx::Error::RowNotFound;
    values.into_iter().next().ok_or(StoreError::Database { what, source })
}

/// Who we are.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn login(db: &Db, limit: Duration) -> Result<Login, StoreError> {
    let what = "log in";
    let rows = rows(db, what, include_str!("../../sql/diagnose_login.sql"), None, limit).await?;
    let one = |row: &PgRow| {
        Ok(Login { role: row.try_get(0)?, major: row.try_get(1)?, encrypted: row.try_get(2)? })
    };
    only(what, read(what, &rows, one)?)
}

/// Those of [`TABLES`] that do not exist.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn missing_tables(db: &Db, limit: Duration) -> Result<Vec<String>, StoreError> {
    let what = "look for tables";
    let sql = include_str!("../../sql/diagnose_tables.sql");
    let rows = rows(db, what, sql, Some(TABLES), limit).await?;
    read(what, &rows, |row| row.try_get(0))
}

/// Those of [`PUBLISHED`] that Realtime does not publish.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn unpublished(db: &Db, limit: Duration) -> Result<Vec<String>, StoreError> {
    let what = "look at the publication";
    let sql = include_str!("../../sql/diagnose_published.sql");
    let rows = rows(db, what, sql, Some(PUBLISHED), limit).await?;
    read(what, &rows, |row| row.try_get(0))
}

/// What our role may do.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn rights(db: &Db, limit: Duration) -> Result<Rights, StoreError> {
    let what = "look at our rights";
    let rows = rows(db, what, include_str!("../../sql/diagnose_rights.sql"), None, limit).await?;
    let one = |row: &PgRow| {
        Ok(Rights {
            reads_events: row.try_get(0)?,
            reads_metadata: row.try_get(1)?,
            deletes_events: row.try_get(2)?,
            leads: row.try_get(3)?,
            notifies: row.try_get(4)?,
            reads_numbers: row.try_get(5)?,
            sees_every_row: row.try_get(6)?,
            cannot_switch: row.try_get(7)?,
        })
    };
    only(what, read(what, &rows, one)?)
}

/// The instances that the status table knows, the latest first.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn instances(db: &Db, limit: Duration) -> Result<Vec<InstanceSeen>, StoreError> {
    let what = "look at the instances";
    let rows =
        rows(db, what, include_str!("../../sql/diagnose_instances.sql"), None, limit).await?;
    read(what, &rows, |row| {
        Ok(InstanceSeen {
            name: row.try_get(0)?,
            leader: row.try_get(1)?,
            silent_seconds: row.try_get(2)?,
        })
    })
}

/// Writes or changes a status row of our own, whose change Realtime should bring.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn write_canary(db: &Db, id: Uuid, limit: Duration) -> Result<(), StoreError> {
    within("write the canary", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/canary_write.sql"));
        query.bind(id).bind(env!("CARGO_PKG_VERSION")).execute(link.connection()).await?;
        link.commit().await?;
        Ok(())
    })
    .await
}

/// Takes the row away again.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn delete_canary(db: &Db, id: Uuid, limit: Duration) -> Result<(), StoreError> {
    within("delete the canary", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/canary_delete.sql"));
        query.bind(id).execute(link.connection()).await?;
        link.commit().await?;
        Ok(())
    })
    .await
}
