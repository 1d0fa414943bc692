//! What the insert trigger makes of an error event: numbers, times, projects, messages, fingerprints, limits.
//! Rights are no matter here (`matrix` has them), and neither is what masking finds (`masking` has that).
//! Rows go in as JSON on the owner's connection, and come back as they were stored.

mod limits;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{db::TestDb, sql};

/// Inserts a row with these columns besides source and type; gives the stored row.
async fn insert(pool: &PgPool, row: &Value) -> Result<Value, String> {
    let mut full = json!({"source": "worker", "error_type": "execution.test"});
    full.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    insert_text(
        pool,
        &full.to_string(),
        &full.as_object().unwrap().keys().cloned().collect::<Vec<_>>(),
    )
    .await
}

async fn insert_text(pool: &PgPool, row: &str, columns: &[String]) -> Result<Value, String> {
    let columns: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let columns = columns.join(", ");
    let query = format!(
        "insert into public.error_metrics as e ({columns})
         select {columns} from jsonb_populate_record(null::public.error_metrics, $1::jsonb) returning to_jsonb(e)"
    );
    sqlx::query_scalar(AssertSqlSafe(query))
        .bind(row)
        .fetch_one(pool)
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_row_has_a_number_of_its_own() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    // What the client says about the server's columns counts for nothing, even with the right to say it.
    let forged =
        json!({"seq": 7, "received_at": "2020-01-01T00:00:00Z", "fingerprint": Uuid::nil()});
    let row = insert(&pool, &forged).await.unwrap();
    assert_eq!(row["seq"], 1);
    assert!(
        row["received_at"].as_str().unwrap() > "2026" && row["fingerprint"] != json!(Uuid::nil())
    );

    sql(
        &pool,
        "do $$ begin for i in 1 .. 20 loop
           insert into public.error_metrics (source, error_type) values ('worker', 'execution'), ('system', 'system');
         end loop; end $$",
    )
    .await;
    let in_order: bool = sqlx::query_scalar(
        "select bool_and(seq > before and received_at >= earlier) from (select seq, received_at, lag(seq, 1, 0::bigint) over w as before,
           lag(received_at, 1, '-infinity') over w as earlier from public.error_metrics window w as (order by ctid)) as rows",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(in_order, "numbers and times grow in one session");

    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let pool = pool.clone();
        writers.spawn(async move {
            for _ in 0..50 {
                insert(&pool, &json!({})).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let (rows, numbers): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct seq) from public.error_metrics")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((rows, numbers), (241, 241));
    // The proof that a missing number is empty rests on both.
    let (cache, xid_first): (i64, bool) = sqlx::query_as(
        "select s.seqcache, position('pg_current_xact_id()' in f.prosrc) < position('nextval(' in f.prosrc)
           from pg_sequence s, pg_proc f where s.seqrelid = 'error_tracking.error_metrics_seq'::regclass
            and f.oid = 'error_tracking.before_error_insert()'::regprocedure",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((cache, xid_first), (1, true));
}

#[tokio::test]
async fn impossible_times_become_the_time_of_receipt() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    for (given, note) in [
        (json!("2026-01-02T03:04:05.678901+01:00"), None),
        (json!("2000-01-01T00:00:00Z"), None),
        (json!("2126-01-02T03:04:05+01:00"), Some("2126-01-02T02:04:05.000000Z")),
        (json!("1999-12-31T23:59:59Z"), Some("1999-12-31T23:59:59.000000Z")),
        (json!("infinity"), Some("infinity")),
        (json!("-infinity"), Some("-infinity")),
        (Value::Null, None),
    ] {
        let row = insert(&pool, &json!({"timestamp": given, "metadata": {"a": 1}})).await.unwrap();
        assert_eq!(row["metadata"]["_tracker"]["reported_timestamp"], json!(note), "{given}");
        assert_eq!(row["metadata"]["a"], 1);
        let moved = row["timestamp"] == row["received_at"];
        assert_eq!(moved, note.is_some() || given.is_null(), "{given}: {row}");
    }
    let row = insert(&pool, &json!({"timestamp": "2126-01-01", "metadata": {"_tracker": {"mine": 1, "reported_timestamp": "x"}}})).await.unwrap();
    let expected =
        json!({"_tracker": {"mine": 1, "reported_timestamp": "2126-01-01T00:00:00.000000Z"}});
    assert_eq!(row["metadata"], expected, "what the server notes wins, the rest stays");
    let row = insert(&pool, &json!({"timestamp": "2126-01-01", "metadata": {"_tracker": "text"}}))
        .await
        .unwrap();
    assert_eq!(
        row["metadata"],
        json!({"_tracker": {"reported_timestamp": "2126-01-01T00:00:00.000000Z"}})
    );
}

/// Two projects with a workflow each.
async fn projects(pool: &PgPool) -> [(Uuid, Uuid); 2] {
    let pairs = [(); 2].map(|()| (Uuid::new_v4(), Uuid::new_v4()));
    for (project, workflow) in pairs {
        sql(
            pool,
            &format!(
                "insert into public.projects (id, owner, name) values ('{project}', '{project}', 'p');
                 insert into public.workflow_definitions (id, project_id, slug, definition, name)
                 values ('{workflow}', '{project}', 'w', '{{}}', 'w')"
            ),
        )
        .await;
    }
    pairs
}

#[tokio::test]
async fn the_project_comes_from_where_it_is_known() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let [(a, workflow_a), (b, _)] = projects(&pool).await;
    let nobody = Uuid::new_v4();
    for (claim, row, expected, workflow, note) in [
        (None, json!({}), None, None, json!({})),
        (None, json!({"project_id": a}), Some(a), None, json!({})),
        (None, json!({"workflow_id": workflow_a}), Some(a), Some(workflow_a), json!({})),
        (
            None,
            json!({"project_id": a, "workflow_id": workflow_a}),
            Some(a),
            Some(workflow_a),
            json!({}),
        ),
        // What does not exist must not cost the event.
        (None, json!({"workflow_id": nobody}), None, None, json!({"unknown_workflow_id": nobody})),
        (None, json!({"project_id": nobody}), None, None, json!({"unknown_project_id": nobody})),
        (
            None,
            json!({"project_id": a, "workflow_id": nobody}),
            Some(a),
            None,
            json!({"unknown_workflow_id": nobody}),
        ),
        (Some(a), json!({}), Some(a), None, json!({})),
        (
            Some(a),
            json!({"workflow_id": nobody}),
            Some(a),
            None,
            json!({"unknown_workflow_id": nobody}),
        ),
        // The policy refuses this one to a reporter; the trigger must not move it to the pin.
        (Some(a), json!({"project_id": b}), Some(b), None, json!({})),
    ] {
        let mut transaction = pool.begin().await.unwrap();
        let claims = claim.map_or_else(String::new, |id| json!({"project_id": id}).to_string());
        sqlx::query("select set_config('request.jwt.claims', $1, true)")
            .bind(claims)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let got: (Option<Uuid>, Option<Uuid>, Value) = sqlx::query_as(
            "insert into public.error_metrics (source, error_type, project_id, workflow_id) values ('worker', 'system', $1, $2)
             returning project_id, workflow_id, metadata",
        )
        .bind(row["project_id"].as_str().map(|id| id.parse::<Uuid>().unwrap()))
        .bind(row["workflow_id"].as_str().map(|id| id.parse::<Uuid>().unwrap()))
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        let metadata = if note == json!({}) { json!({}) } else { json!({"_tracker": note}) };
        assert_eq!(got, (expected, workflow, metadata), "{row} with {claim:?}");
        transaction.rollback().await.unwrap();
    }
    let error =
        insert(&pool, &json!({"project_id": b, "workflow_id": workflow_a})).await.unwrap_err();
    assert!(
        error.contains("workflow_id: workflow") && error.contains("does not belong to project"),
        "{error}"
    );
}

#[tokio::test]
async fn stored_events_do_not_change() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let [(project, workflow), _] = projects(&pool).await;
    let before = insert(&pool, &json!({"workflow_id": workflow})).await.unwrap();
    for change in [
        "message = 'x'",
        "severity = 'low'",
        "seq = 0",
        "metadata = '{}'",
        "project_id = null",
        "workflow_id = null, message = 'x'",
        "\"timestamp\" = now()",
    ] {
        let query = format!("update public.error_metrics set {change}");
        let error = sqlx::query(AssertSqlSafe(query)).execute(&pool).await.err();
        let harmless = change == "metadata = '{}'";
        match error {
            None if harmless => {}
            Some(error) => assert!(error.to_string().contains("append-only"), "{change}: {error}"),
            None => panic!("{change} was done"),
        }
    }
    sql(&pool, &format!("delete from public.workflow_definitions where id = '{workflow}'")).await;
    let after: Value = sqlx::query_scalar("select to_jsonb(e) from public.error_metrics e")
        .fetch_one(&pool)
        .await
        .unwrap();
    let mut expected = before;
    expected["workflow_id"] = Value::Null;
    assert_eq!(after, expected, "an event outlives its workflow");
    sql(&pool, &format!("delete from public.projects where id = '{project}'")).await;
    let left: i64 = sqlx::query_scalar("select count(*) from public.error_metrics")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "a project takes its events with it");
}

#[tokio::test]
async fn like_errors_share_a_fingerprint() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let fingerprint = async |message: &str, more: Value| {
        let mut row = json!({"message": message});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        insert(&pool, &row).await.unwrap()["fingerprint"].clone()
    };
    let alike = [
        ("HTTP 500 in order 17", "HTTP 502 in order 9000000"),
        ("took 1.5 s", "took 12,000.25 s"),
        ("Timeout", "timeout"),
        (
            "run 0b6f2d5e-6f0f-4a57-9a0e-2c6a2f8f4b11 failed",
            "run 99999999-0000-4000-8000-000000000000 failed",
        ),
        ("at 0x7ffee4 in commit 9f86d081884c", "at 0x00 in commit 1c2d3e4f5a6b7"),
        ("a\nb", "a b"),
        ("mail to ann@example.com", "mail to bob@example.com"),
    ];
    for (one, other) in alike {
        assert_eq!(
            fingerprint(one, json!({})).await,
            fingerprint(other, json!({})).await,
            "{one:?} {other:?}"
        );
    }
    for (one, other) in [
        ("disk full", "disk fool"),
        ("a 1 b", "a b"),
        ("deadbeef facade", "deadbeef decade"),
        ("x", ""),
    ] {
        assert_ne!(
            fingerprint(one, json!({})).await,
            fingerprint(other, json!({})).await,
            "{one:?} {other:?}"
        );
    }
    let base = fingerprint("m", json!({})).await;
    assert_eq!(base, fingerprint("m", json!({"severity": "low", "metadata": {"a": 1}})).await);
    assert_ne!(base, fingerprint("m", json!({"source": "system"})).await);
    assert_ne!(base, fingerprint("m", json!({"error_type": "execution"})).await);
}
