//! The mixed fault campaign of `make soak`, for as long as a test may take.

use std::time::Duration;

use crate::soak;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_for_half_a_minute() {
    let balance = soak::run(Duration::from_secs(25), soak::seed()).await;
    println!("{balance:?}");
    assert!(balance.holds(), "{balance:#?}");
    assert!(balance.rows_committed > 100 && balance.incidents_seen > 0 && balance.faults > 2);
}
