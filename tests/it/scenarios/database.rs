//! A scenario's rows in a database, and the back-test over them.

use std::time::Duration;

use meshhook_errors::{
    backtest::{Acknowledgement, replay},
    engine::{GroupStatus, KnownGroup},
    model::{ErrorEvent, Span, Timestamp},
    store::Db,
};
use sqlx::PgPool;

use super::{
    script::{BASE, Scenario, Step},
    stream::{Outcome, outcome_of},
};
use crate::support::db::{TestDb, pool};

const MINUTES: &str = "
  insert into public.error_rate_minutes (bucket, project_id, workflow_id, source, error_type, severity, count)
  select date_trunc('minute', \"timestamp\"), project_id, workflow_id, source, error_type, severity, count(*)
    from public.error_metrics group by 1, 2, 3, 4, 5, 6";
const GROUPS: &str = "
  insert into public.error_groups (project_id, fingerprint, title, source, error_type, worst_severity, first_seen,
    last_seen, count, sample_error_id)
  select project_id, fingerprint, min(message), min(source), min(error_type), max(severity), min(\"timestamp\"),
         max(\"timestamp\"), count(*), (array_agg(error_id))[1]
    from public.error_metrics group by 1, 2";
const SAID: &str = "
  update public.error_groups set status = $3, status_changed_at = $4
   where project_id is not distinct from $1 and fingerprint = $2";
const REGRESSED: &str = "
  update public.error_groups g
     set status = case when m.at is null then g.status else 'open' end,
         status_changed_at = coalesce(m.at, g.status_changed_at), regressed_at = coalesce(m.at, g.regressed_at)
    from (select min(m.\"timestamp\") as at from public.error_metrics m
           where $3 = 'resolved' and m.project_id is not distinct from $1 and m.fingerprint = $2
             and m.\"timestamp\" > $4) m
   where g.project_id is not distinct from $1 and g.fingerprint = $2";

const LIMIT: Duration = Duration::from_secs(60);

/// A database that holds the rows of one scenario after the other.
pub struct Warehouse {
    /// It must not end before the pools.
    _db: TestDb,
    superuser: PgPool,
    daemon: Db,
}

impl Warehouse {
    pub async fn new() -> Self {
        let db = TestDb::new().await;
        let superuser = pool(&db.superuser_url).await;
        let daemon = Db::from(db.daemon().await);
        Self { _db: db, superuser, daemon }
    }

    /// Stores the rows of `scenario` in place of those that were there, and runs the back-test.
    pub async fn backtest(&self, scenario: &Scenario, acknowledged: &[Acknowledgement]) -> Outcome {
        self.store(scenario, acknowledged).await;
        let end = scenario.steps.last().map_or(BASE, |(at, _)| *at);
        let (outcome, read) = replay(&self.daemon, &scenario.rule, BASE, end, LIMIT)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        let errors = scenario.steps.iter().filter(|(_, step)| matches!(step, Step::Event(_)));
        assert!(read <= errors.count() as u64, "{}: {read} rows", scenario.name);
        outcome_of(scenario, &outcome.transitions, end)
    }

    async fn store(&self, scenario: &Scenario, acknowledged: &[Acknowledgement]) {
        let mut link = self.superuser.begin().await.expect("a transaction");
        for sql in [
            // Numbers, times and fingerprints are those of the scenario, not the triggers'.
            "set local session_replication_role = replica",
            // One scenario has a type that only looks like a class.
            "alter table public.error_metrics drop constraint if exists \
             error_type_must_be_system_execution_or_input_with_detail",
            "delete from public.error_metrics",
            "delete from public.error_groups",
            "delete from public.error_rate_minutes",
            "delete from public.workflow_runs",
            "delete from public.alert_incident_events",
            "delete from public.alert_incidents",
        ] {
            sqlx::raw_sql(sql).execute(&mut *link).await.expect(sql);
        }
        for (at, step) in &scenario.steps {
            match step {
                Step::Event(event) => insert(&mut link, event).await,
                Step::Runs(runs) => {
                    let second = Timestamp::from_secs(at.micros().div_euclid(1_000_000));
                    assert_eq!(*at, second, "runs are counted by the second");
                    sqlx::query(
                        "insert into public.workflow_runs (id, project_id, workflow_id, status, started_at) \
                         select gen_random_uuid(), $1, $2, 'running', $3 from generate_series(1, $4)",
                    )
                    .bind(runs.project_id.unwrap_or_default())
                    .bind(runs.workflow_id.unwrap_or_default())
                    .bind(at.to_chrono())
                    .bind(i32::try_from(runs.count).expect("a count"))
                    .execute(&mut *link)
                    .await
                    .expect("runs");
                }
                _ => {}
            }
        }
        // What the daemon counts.
        for sql in [MINUTES, GROUPS] {
            sqlx::query(sql).execute(&mut *link).await.expect(sql);
        }
        for (at, step) in &scenario.steps {
            if let Step::Says(group) = step {
                say(&mut link, *at, group).await;
            }
        }
        for done in acknowledged {
            let kind = if done.acknowledged { "acknowledged" } else { "unacknowledged" };
            sqlx::query(
                "insert into public.alert_incidents (incident_id, rule_id, rule_name, state, level, \
                   peak_level, started_at, value, threshold, peak) \
                 values ($1, $2, 'r', 'firing', 'warning', 'warning', $3, 0, 0, 0) on conflict do nothing",
            )
            .bind(done.incident_id)
            .bind(scenario.rule.id)
            .bind((done.at - Span::from_secs(1)).to_chrono())
            .execute(&mut *link)
            .await
            .expect("an incident");
            sqlx::query(
                "insert into public.alert_incident_events (incident_id, at, kind) values ($1, $2, $3)",
            )
            .bind(done.incident_id)
            .bind(done.at.to_chrono())
            .bind(kind)
            .execute(&mut *link)
            .await
            .expect("an acknowledgement");
        }
        link.commit().await.expect("a commit");
    }
}

/// Changes a group's status; an error after a resolution undoes it, as the trigger does.
async fn say(link: &mut sqlx::PgConnection, at: Timestamp, group: &KnownGroup) {
    let status = match group.status {
        GroupStatus::Resolved(_) => "resolved",
        GroupStatus::Ignored => "ignored",
        GroupStatus::Open => "open",
    };
    for sql in [SAID, REGRESSED] {
        let done = sqlx::query(sql)
            .bind(group.project_id)
            .bind(group.fingerprint)
            .bind(status)
            .bind(at.to_chrono())
            .execute(&mut *link)
            .await
            .expect(sql);
        assert_eq!(done.rows_affected(), 1, "the group is there");
    }
}

async fn insert(link: &mut sqlx::PgConnection, event: &ErrorEvent) {
    sqlx::query(
        "insert into public.error_metrics (error_id, \"timestamp\", source, error_type, severity, \
           workflow_id, project_id, message, fingerprint, received_at, seq) \
         values ($1, $2, $3, $4, $5::public.error_severity, $6, $7, $8, $9, $10, $11)",
    )
    .bind(event.error_id)
    .bind(event.timestamp.to_chrono())
    .bind(event.source.as_str())
    .bind(&*event.error_type)
    .bind(event.severity.as_str())
    .bind(event.workflow_id)
    .bind(event.project_id)
    .bind(&*event.message)
    .bind(event.fingerprint)
    .bind(event.received_at.to_chrono())
    .bind(event.seq)
    .execute(link)
    .await
    .expect("an error");
}
