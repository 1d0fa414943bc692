//! The feed, the rollups and the lease against a real PostgreSQL.

use crate::support::db::TestDb;

#[tokio::test]
async fn smoke() {
    let db = TestDb::new().await;
    let n: i64 = sqlx::query_scalar("select count(*) from public.error_metrics")
        .fetch_one(&db.daemon().await)
        .await
        .unwrap();
    assert_eq!(n, 0);
    let db = TestDb::empty().await;
    let n: i64 = sqlx::query_scalar("select count(*) from auth.users")
        .fetch_one(&db.admin().await)
        .await
        .unwrap();
    assert_eq!(n, 0);
}
