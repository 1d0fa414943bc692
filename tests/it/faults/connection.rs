//! Handshakes that are refused, and sockets that end in every way.

use supabase_local::faults::Action;

use super::{Fault, NONE, run};

/// Every open socket is closed, and the next handshakes get an HTTP status.
macro_rules! refused {
    ($status:literal, $state:literal) => {
        Fault {
            name: concat!("handshake refused with ", $status),
            begin: |faults| {
                faults.set(|knobs| knobs.refuse_handshake = Some($status));
                faults.act(Action::Close(1001));
            },
            during: |look| {
                look.seen.handshakes >= 1
                    && look.seen.sockets == 0
                    && look.socket == $state
                    && look.metric("socket_subscribed") < 1.0
                    && look.grown("socket_losses_total") >= 1.0
                    && look.grown("socket_troubles_total") >= 1.0
            },
            after: |look| look.seen.sockets == 1,
            ..NONE
        }
    };
}

/// Every open socket ends once, and another one replaces it.
macro_rules! ended {
    ($name:literal, $action:expr) => {
        Fault {
            name: $name,
            begin: |faults| {
                faults.act($action);
            },
            during: |look| look.grown("socket_losses_total") >= 1.0,
            after: |look| look.seen.sockets == 1 && look.grown("socket_connects_total") >= 1.0,
            ..NONE
        }
    };
}

const REFUSED: &[Fault] = &[
    refused!(401, "stopped"),
    refused!(403, "stopped"),
    refused!(404, "stopped"),
    refused!(429, "backoff"),
    refused!(500, "backoff"),
];

const ENDED: &[Fault] = &[
    ended!("close 1000", Action::Close(1000)),
    ended!("close 1001", Action::Close(1001)),
    ended!("close 1012", Action::Close(1012)),
    ended!("close 1006, without a close frame", Action::Abort),
    ended!("half-open TCP", Action::Freeze),
    Fault {
        name: "heartbeats are not answered",
        begin: |faults| faults.set(|knobs| knobs.swallow_heartbeats = true),
        during: |look| look.grown("socket_losses_total") >= 2.0 && look.seen.heartbeats >= 2,
        after: |look| look.seen.sockets >= 2,
        ..NONE
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_handshakes() {
    run(REFUSED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_sockets() {
    run(ENDED).await;
}
