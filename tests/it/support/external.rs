//! The Supabase, or the bare servers, that the environment names for the tests; read here and nowhere else.
//!
//! | variable | meaning |
//! |---|---|
//! | `TEST_SUPABASE_URL` | use that project; its gateway has `/rest/v1` and `/realtime/v1` |
//! | `TEST_SUPABASE_REST_URL` | a PostgREST without gateway, instead or as well |
//! | `TEST_SUPABASE_REALTIME_URL`, `TEST_SUPABASE_REALTIME_HOST` | a Realtime without gateway, and its tenant |
//! | `TEST_DATABASE_URL` | its database, as the owner (`postgres`), who bypasses row-level security |
//! | `TEST_JWT_SECRET` | the HS256 secret of its tokens |
//! | `TEST_SUPABASE_ANON_KEY` | what its gateway wants as `apikey` |
//!
//! What was named is shared: tests that use it take turns, and each begins by emptying the tables of
//! error tracking. Name nothing whose errors anybody wants to keep.

use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use supabase_local::migrate::apply_folder;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    db::{MIGRATIONS, pool, switch},
    sql,
};

/// What the environment names.
#[derive(Clone, Debug)]
pub struct External {
    /// PostgREST, without a slash at the end.
    pub rest_url: String,
    /// As the owner.
    pub database_url: String,
    /// Signs its tokens.
    pub jwt_secret: String,
    /// For the gateway.
    pub anon_key: Option<String>,
}

/// Whether tests use another's Supabase, which cannot be told to misbehave and has no spare databases.
pub fn named() -> bool {
    switch("TEST_SUPABASE_URL").is_some() || switch("TEST_SUPABASE_REST_URL").is_some()
}

impl External {
    /// What is named, if anything.
    ///
    /// # Panics
    /// When only a part is.
    pub fn read() -> Option<Self> {
        if !named() {
            return None;
        }
        let trimmed = |name| switch(name).map(|url| url.trim_end_matches('/').to_owned());
        let needed =
            |name| switch(name).unwrap_or_else(|| panic!("{name} goes with TEST_SUPABASE_…"));
        Some(Self {
            rest_url: trimmed("TEST_SUPABASE_REST_URL")
                .or_else(|| Some(format!("{}/rest/v1", trimmed("TEST_SUPABASE_URL")?)))
                .expect("one of them is named"),
            database_url: needed("TEST_DATABASE_URL"),
            jwt_secret: needed("TEST_JWT_SECRET"),
            anon_key: switch("TEST_SUPABASE_ANON_KEY"),
        })
    }

    /// Waits for this test's turn, and makes the database ready: migrated and empty.
    pub async fn prepare(&self) -> (PgPool, OwnedMutexGuard<()>) {
        static TURN: OnceLock<Arc<Mutex<()>>> = OnceLock::new();
        let turn = Arc::clone(TURN.get_or_init(Arc::default)).lock_owned().await;
        eprintln!("this test uses the PostgREST at {}", self.rest_url);
        apply_folder(&self.database_url, MIGRATIONS.as_ref()).await.expect("the migrations apply");
        let admin = pool(&self.database_url).await;
        empty_tables(&admin).await;
        (admin, turn)
    }
}

/// Empties the tables of error tracking, but for the masking rules and the retention, and leaves
/// everything that was numbered so far accounted for.
async fn empty_tables(admin: &PgPool) {
    sql(
        admin,
        "truncate public.error_metrics, public.error_groups, public.error_group_hours,
           public.error_rate_minutes, public.error_rate_hours, public.error_rates_live,
           public.alert_rules, public.alert_channels, public.alert_rule_channels,
           public.alert_silences, public.alert_quiet_hours, public.alert_inhibitions,
           public.alert_held_back, public.alert_incidents, public.alert_incident_events,
           public.alert_notifications, public.error_tracker_status, public.error_access,
           error_tracking.channel_secrets, error_tracking.used_links, error_tracking.slack_threads,
           error_tracking.canary_delays cascade;
         update error_tracking.leases set holder = null, expires_at = '-infinity';
         update error_tracking.checkpoint set accounted = case
           when (select is_called from error_tracking.error_metrics_seq)
           then int8multirange(int8range(1, (select last_value + 1 from error_tracking.error_metrics_seq)))
           else '{}' end",
    )
    .await;
}
