//! The coarser counts hold what the hours hold, whatever is done to those.

use serde_json::json;

use super::scene::{PROJECT_A, Scene};
use crate::support::sql;

/// Sums that differ from the hours, in both directions.
const DIFFERENT: &str = "
    with rates as (
      select d.kind, d.starts, h.project_id, d.key, h.severity, sum(h.count)::bigint as count
        from public.error_rate_hours h
       cross join lateral error_tracking.sums_of(h.bucket, h.source, h.error_type, h.workflow_id) d
       group by 1, 2, 3, 4, 5 having sum(h.count) <> 0
    ), stored as (
      select kind, bucket, project_id, key, severity, count from error_tracking.rate_sums where count <> 0
    ), groups as (
      select error_tracking.day_of(bucket), project_id, workflow_id, fingerprint, source, error_type, severity,
             sum(count)::bigint as count
        from public.error_group_hours group by 1, 2, 3, 4, 5, 6, 7 having sum(count) <> 0
    ), days as (
      select bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count
        from error_tracking.group_days where count <> 0
    )
    select jsonb_build_object(
      'different', (select count(*) from (
          (table rates except table stored) union all (table stored except table rates)) r)
        + (select count(*) from ((table groups except table days) union all (table days except table groups)) g),
      'there', (select count(*) from stored) > 0)";

#[tokio::test]
async fn sums_follow_the_hours() {
    let scene = Scene::new(800).await;
    let admin = &scene.site.admin;
    for (change, left) in [
        ("select 1", true),
        (
            "update public.error_rate_hours set count = count + 3 where severity = 'high';
             update public.error_group_hours set count = count * 2 where source = 'worker';
             update public.error_rate_hours set error_type = error_type || '.other' where source = 'system'",
            true,
        ),
        (
            "delete from public.error_rate_hours where bucket < now() - interval '1 day';
             delete from public.error_group_hours where bucket < now() - interval '1 hour'",
            true,
        ),
        ("delete from public.projects where id = '{A}'", true),
        ("truncate public.error_rate_hours, public.error_group_hours", false),
    ] {
        sql(admin, &change.replace("{A}", PROJECT_A)).await;
        let found = scene.ask(DIFFERENT).await;
        assert_eq!(found, json!({"different": 0, "there": left}), "{change}");
    }
    // What is counted later stands in both again.
    scene.insert(50).await;
    scene.roll_up().await;
    assert_eq!(scene.ask(DIFFERENT).await["different"], json!(0));
}

#[tokio::test]
async fn hours_of_groups_are_deleted_with_the_others() {
    let scene = Scene::new(100).await;
    let admin = &scene.site.admin;
    sql(
        admin,
        "update public.error_group_hours set bucket = bucket - interval '5 years';
         update public.error_rate_hours set bucket = bucket - interval '5 years'",
    )
    .await;
    let rows = "select to_jsonb((select count(*) from public.error_group_hours) + (select count(*) from public.error_rate_hours)
                  + (select count(*) from error_tracking.rate_sums where count <> 0) + (select count(*) from error_tracking.group_days where count <> 0))";
    assert_ne!(scene.ask(rows).await, json!(0));
    for _ in 0..100 {
        let finished = "select to_jsonb(finished) from error_tracking.prune('hours', 20)";
        if scene.ask(finished).await == json!(true) {
            break;
        }
    }
    assert_eq!(scene.ask(rows).await, json!(0));
}
