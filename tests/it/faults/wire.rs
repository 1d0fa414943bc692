//! What the network between daemon and Realtime does: connections that are reset, bytes in drops.

use url::Url;

use super::{Fault, NONE, SEATS, rig::Rig, suffer};
use crate::support::{db::TestDb, proxy::Proxy, stack::Stack};

const RESET: Fault = Fault {
    name: "TCP reset",
    during: |look| look.grown("socket_losses_total") >= 1.0,
    after: |look| look.seen.sockets == 1 && look.grown("socket_connects_total") >= 1.0,
    ..NONE
};

const DROPS: Fault = Fault {
    name: "frames in drops",
    during: |look| look.seen.frames_sent >= 60,
    // Each frame is put together in the end, so there is neither loss nor trouble.
    after: |look| {
        look.seen.sockets == 0 && look.seen.joins == 0 && look.grown("rows_repaired_total") < 1.0
    },
    ..NONE
};

/// Lets `begin` and `end` do something to the connection.
async fn through_a_proxy(fault: &Fault, begin: fn(&Proxy), end: fn(&Proxy)) {
    let _seat = SEATS.acquire().await.expect("a seat");
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    let supabase: Url = stack.variables()["SUPABASE_URL"].parse().expect("an address");
    let proxy = Proxy::to(&supabase).await;
    let rig = Rig::start(stack, |settings| {
        settings.supabase.realtime_url = proxy.through(&settings.supabase.realtime_url);
    });
    let rig = rig.await;
    suffer(&rig, fault, || begin(&proxy), || end(&proxy)).await;
    rig.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_reset() {
    through_a_proxy(&RESET, Proxy::reset, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_come_in_drops() {
    through_a_proxy(&DROPS, |proxy| proxy.drip(true), |proxy| proxy.drip(false)).await;
}
