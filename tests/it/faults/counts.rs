//! The comparison of counts with the table: on a schedule, and by hand.

use std::time::Duration;

use super::{SEATS, rig::Rig};
use crate::support::{PATIENCE, db::TestDb, process, stack::Stack};

const TAMPER: &str = "update public.error_rate_minutes set count = count + 2
   where bucket = (select min(bucket) from public.error_rate_minutes);
 update public.error_rate_hours set error_type = 'input';
 update public.error_groups set count = count - 1;
 insert into public.error_groups (fingerprint, title, source, error_type, worst_severity, first_seen,
   last_seen, count, sample_error_id)
 values (gen_random_uuid(), 'never happened', 'worker', 'input', 'low', now(), now(), 4, gen_random_uuid())";

const MEND: &str = "update public.error_rate_minutes set count = count - 2
   where bucket = (select min(bucket) from public.error_rate_minutes);
 update public.error_rate_hours set error_type = 'execution.timeout';
 delete from public.error_groups where title = 'never happened';
 update public.error_groups set count = count + 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_compared_with_the_table() {
    let _seat = SEATS.acquire().await.expect("a seat");
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    let often = |settings: &mut meshhook_errors::cli::run::Settings| {
        settings.reconcile_every = Duration::from_millis(150);
    };
    let rig = Rig::start(stack, often).await;
    rig.calm().await;
    // While rows flow and rollups move on, one snapshot shows both in agreement, every time.
    let look = rig
        .write_until(rig.shows("compared often", |look| {
            assert!(look.metric("reconcile_difference") < 1.0, "{look:?}");
            look.grown("reconciliations_total") >= 20.0 && look.rows > super::rig::THRESHOLD
        }))
        .await;
    assert!(look.problems.is_empty(), "{:?}", look.problems);
    rig.is_exact(None).await;

    let variables = rig.stack.variables();
    let check = async || {
        let arguments = ["check", "--reconcile", "2026-01-01", "2100-01-01T00:00:00Z"];
        process::run(&variables, &arguments, "").await
    };
    let output = check().await;
    assert_eq!(output.status, 0, "{output:?}");
    let rows = rig.stack.number("select count(*) from public.error_metrics").await;
    for counted in ["minutes", "hours", "groups"] {
        let line = format!("ok    {counted}: {rows} errors, difference 0");
        assert!(output.out.contains(&line), "{}", output.out);
    }

    rig.stack.alter(TAMPER).await;
    let difference = 2 + 2 * rows + 5;
    let look = rig.shows("it says so", |look| {
        look.problems.contains(&"reconcile".to_owned())
            && look.metric("reconcile_difference") == difference as f64
    });
    assert_eq!(look.await.socket, "subscribed");
    let output = check().await;
    assert_eq!(output.status, 1, "{output:?}");
    let mut lines = vec![
        format!("FAIL  minutes: {rows} errors, difference 2"),
        format!("FAIL  hours: {rows} errors, difference {}", 2 * rows),
        format!("FAIL  groups: {rows} errors, difference 5"),
        ": 4 instead of 0".to_owned(),
        format!(": {} instead of {rows}", rows - 1),
    ];
    // Unless an hour has just begun.
    if rig.stack.number("select count(*) from public.error_rate_hours").await == 1 {
        lines.push(format!("Z worker input medium: {rows} instead of 0"));
        lines.push(format!("Z worker execution.timeout medium: 0 instead of {rows}"));
    }
    for line in lines {
        assert!(output.out.contains(&line), "{line}: {}", output.out);
    }

    rig.stack.alter(MEND).await;
    rig.shows("all is well", |look| look.is_well() && look.metric("reconcile_difference") < 1.0)
        .await;
    assert_eq!(check().await.status, 0);
    let arguments = ["check", "--json", "--reconcile", "2026-01-01", "2100-01-01"];
    let output = process::run(&variables, &arguments, "").await;
    let answer: serde_json::Value = serde_json::from_str(&output.out).expect("one object");
    assert_eq!((output.status, &answer["difference"]), (0, &0.into()), "{output:?}");
    assert!(answer["compared"][0]["errors"].as_i64() > Some(0), "{answer}");
    for (from, to) in [("2026-01-02", "2026-01-01"), ("yesterday", "2026-01-01")] {
        let output = process::run(&variables, &["check", "--reconcile", from, to], "").await;
        assert!(output.status != 0 && !output.err.is_empty(), "{output:?}");
    }
    tokio::time::timeout(PATIENCE, rig.instance.stop()).await.expect("it stops");
}
