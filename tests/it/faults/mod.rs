//! What Realtime can do to a daemon, one fault at a time: no row is missed, doubled or late.
//! Every fault has a row in a table here; how the client reacts frame by frame is tested elsewhere.
//! Faults are produced by the local Supabase, which is why these tests never use another one.

mod channels;
mod connection;
mod counts;
mod database;
mod frames;
pub mod rig;
mod storm;
mod wire;

use std::time::Duration;

use meshhook_errors::cli::run::Settings;
use supabase_local::faults::Faults;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use self::rig::{Look, Rig};
use crate::support::{db::TestDb, external, stack::Stack};

/// Deployments at a time: most of a fault is waiting, but two cores and one database server have
/// their limits.
static SEATS: Semaphore = Semaphore::const_new(5);
/// The shortest time that a fault lasts.
const LASTS: Duration = Duration::from_secs(3);
/// After the last row the daemon waits no longer than this for the socket to bring it too.
const NO_ROW_IS_MISSED: Duration = Duration::from_secs(6);

/// One fault, and what is expected of the daemon meanwhile and afterwards.
pub struct Fault {
    pub name: &'static str,
    /// Settings of the daemon, beyond short waits.
    pub settings: fn(&mut Settings),
    pub begin: fn(&Faults),
    pub end: fn(&Faults),
    /// Nobody writes meanwhile, and has not for a while when it begins.
    pub quiet: bool,
    /// What server, metrics and status row come to show while it lasts.
    pub during: fn(&Look) -> bool,
    /// What they come to show when it is over, besides that all is well.
    pub after: fn(&Look) -> bool,
}

/// A fault that is nothing; the table says what differs.
pub const NONE: Fault = Fault {
    name: "",
    settings: |_| {},
    begin: |_| {},
    end: Faults::clear,
    quiet: false,
    during: |_| true,
    after: |_| true,
};

/// Lets every fault happen to a deployment of its own.
pub async fn run(faults: &'static [Fault]) {
    if external::named() {
        eprintln!("faults are tested with the local Supabase");
    }
    let mut runs = JoinSet::new();
    for fault in faults {
        runs.spawn(async move {
            let _seat = SEATS.acquire().await.expect("seats are never closed");
            // A panic names the place; this names the fault.
            tokio::spawn(one(fault)).await.is_err().then_some(fault.name)
        });
    }
    let mut failed = runs.join_all().await;
    failed.retain(Option::is_some);
    assert!(failed.is_empty(), "{failed:?}");
}

async fn one(fault: &'static Fault) {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    let rig = Rig::start(stack, fault.settings).await;
    suffer(&rig, fault, || (fault.begin)(&rig.faults), || (fault.end)(&rig.faults)).await;
    rig.instance.stop().await;
}

/// Lets a fault begin and end, and checks what it made of the daemon.
pub async fn suffer(rig: &Rig, fault: &Fault, begin: impl FnOnce(), end: impl FnOnce()) {
    rig.calm().await;
    if fault.quiet {
        sleep(NO_ROW_IS_MISSED).await;
    }
    let begun = Instant::now();
    begin();
    let during = async {
        let look = rig.shows(&format!("{}: during", fault.name), fault.during).await;
        sleep(LASTS.saturating_sub(begun.elapsed())).await;
        look
    };
    let during = if fault.quiet { during.await } else { rig.write_until(during).await };
    end();
    let ended = Instant::now();
    let what = format!("{}: after", fault.name);
    let after = rig.shows(&what, |look| look.is_well() && (fault.after)(look));
    let after = if fault.quiet { after.await } else { rig.write_until(after).await };
    let recovery = ended.elapsed();
    let (worst, alert) = rig.is_exact(None).await;
    eprintln!(
        "{}: {} rows, worst delay {} ms, alert after {} ms; {} meanwhile, well after {:.1} s; {:?}",
        fault.name,
        after.rows,
        worst.as_millis(),
        alert.as_millis(),
        during.socket,
        recovery.as_secs_f64(),
        after.seen,
    );
}
