//! Rules that two people change at the same time: each must find the other's in force as well.

use serde_json::json;

use super::store;
use crate::support::{db::TestDb, sql};

#[tokio::test]
async fn rules_added_at_once_are_all_in_force() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    let add = |pattern: &str| {
        format!(
            "insert into public.error_masking_rules (kind, pattern, needles) values
               ('value', '{pattern}-\\d+', '{{{pattern}-}}')"
        )
    };
    let mut first = pool.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(add("cust"))).execute(&mut *first).await.unwrap();
    let second = tokio::spawn({
        let (pool, add) = (pool.clone(), add("order"));
        async move { sql(&pool, &add).await }
    });
    // Not before the second waits does the first end.
    let waits = "select exists (select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    second.await.unwrap();
    let stored = store(&pool, &[(json!({"a": "cust-1", "b": "order-1"}), None)]).await.remove(0).0;
    assert_eq!(stored, json!({"a": "[masked]", "b": "[masked]"}));
}
