//! A long history: a week of errors made by the database itself.
//!
//! `BACKTEST_ROWS=1000000` makes as many rows as the budget speaks of; the report says how long it took.

use std::time::Duration;

use meshhook_errors::{
    backtest::{ChannelRef, Request, Restraints, run},
    model::{ErrorEvent, Filter, Level, Rule, Span, Timestamp},
    store::{
        Db,
        history::{Columns, Scope, stream_keeping},
    },
};
use serde_json::json;

use crate::support::db::{TestDb, pool, switch};

const WEEK: i64 = 7 * 86_400;

/// A week of even traffic with a burst of a hundred errors in a second each day at noon.
const MAKE: &str = "
  insert into public.error_metrics (error_id, \"timestamp\", source, error_type, severity, message, fingerprint, received_at, seq)
  select gen_random_uuid(), t.at, case n % 3 when 0 then 'webhook' else 'worker' end,
         case n % 2 when 0 then 'execution.timeout' else 'input.schema' end, 'medium', 'made', gen_random_uuid(), t.at, n
    from generate_series(1, $1::bigint) n,
         lateral (select $2::timestamptz + n * interval '7 days' / $1 as at) t";
const BURSTS: &str = "
  insert into public.error_metrics (error_id, \"timestamp\", source, error_type, severity, message, fingerprint, received_at, seq)
  select gen_random_uuid(), t.at, 'worker', 'execution.oom', 'high', 'burst', gen_random_uuid(), t.at, $1::bigint + day * 100 + n
    from generate_series(0, 6) day, generate_series(1, 100) n,
         lateral (select $2::timestamptz + day * interval '1 day' + interval '12 hours' + n * interval '10 ms' as at) t";

#[tokio::test]
async fn a_week_is_looked_through_in_one_go() {
    let rows: i64 = switch("BACKTEST_ROWS").map_or(20_000, |text| text.parse().expect("a number"));
    let db = TestDb::new().await;
    let superuser = pool(&db.superuser_url).await;
    let from = Timestamp::from_secs(1_717_372_800);
    let mut link = superuser.begin().await.expect("a transaction");
    sqlx::raw_sql("set local session_replication_role = replica")
        .execute(&mut *link)
        .await
        .expect("set");
    for sql in [MAKE, BURSTS] {
        sqlx::query(sql).bind(rows).bind(from.to_chrono()).execute(&mut *link).await.expect("rows");
    }
    link.commit().await.expect("a commit");
    sqlx::raw_sql("analyze public.error_metrics").execute(&superuser).await.expect("analyze");
    let daemon = Db::from(db.daemon().await);
    let scope = Scope {
        from,
        to: from + Span::from_secs(WEEK + 3_600),
        project: None,
        filter: Filter::default(),
        columns: Columns { error_type: true, fingerprint: true, ..Columns::default() },
    };
    let mut ways = Vec::new();
    for most in [usize::MAX, 1_000] {
        let mut seen = Vec::new();
        let each = |event: &ErrorEvent| {
            let times = (event.received_at, event.seq, event.timestamp);
            seen.push((times, event.error_type.clone(), event.fingerprint));
        };
        let read = stream_keeping(&daemon, &scope, Duration::from_secs(120), most, each).await;
        assert_eq!(read.expect("rows"), u64::try_from(rows + 700).expect("rows"));
        ways.push(seen);
    }
    assert!(ways[0].is_sorted(), "in the order in which they were received");
    assert!(ways[0] == ways[1], "whether they were sorted here or by the server");
    for (what, columns, events, incidents) in [
        // Even traffic is far below these; only the bursts reach them.
        ("oom", json!({"error_types": ["execution.oom"], "warning": 50}), 700, 7),
        ("all", json!({"warning": even(rows, 300) + 60.0}), rows + 700, 7),
        (
            "by source",
            json!({"warning": even(rows, 300) + 60.0, "group_by": ["source"]}),
            rows + 700,
            7,
        ),
    ] {
        let mut columns = columns;
        columns["name"] = json!(what);
        columns["window_seconds"] = json!(300);
        let rule = Rule::from_columns(columns).expect("a rule");
        let channel = ChannelRef {
            channel_id: None,
            name: "ops".to_owned(),
            kind: "webhook".to_owned(),
            min_level: Level::Warning,
            enabled: true,
        };
        let request = Request {
            rule,
            channels: vec![channel],
            restraints: Restraints::default(),
            from,
            to: from + Span::from_secs(WEEK + 3_600),
            suggest: true,
        };
        let report = run(&daemon, &request, Duration::from_secs(120)).await.expect("a report");
        println!("{what}: {} rows in {} ms", report.events_read, report.took_ms);
        assert_eq!(i64::try_from(report.events_read).expect("rows"), events, "{what}");
        assert_eq!(report.incidents_total, incidents, "{what}");
        assert_eq!(report.messages[0].count, 2 * incidents, "{what}: firing and resolved each");
        assert_eq!(report.series.len(), 400);
        let suggestion = report.suggestion.expect("a suggestion");
        assert!(
            suggestion.max >= 100.0 && suggestion.p50 < 50.0 + even(rows, 300),
            "{suggestion:?}"
        );
    }
}

/// Errors of the even traffic in so many seconds.
fn even(rows: i64, seconds: i64) -> f64 {
    f64::from(u32::try_from(rows * seconds / WEEK).expect("a count"))
}
