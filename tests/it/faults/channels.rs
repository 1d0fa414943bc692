//! Channels that are not joined, not subscribed, deaf, closed, or without a valid token.

use std::time::Duration;

use meshhook_errors::{model::Span, realtime::Timing};
use supabase_local::faults::{Action, Faults};

use super::{Fault, NONE, run};

/// Makes the client open another socket and join anew.
fn reconnect(faults: &Faults) {
    faults.act(Action::Close(1001));
}

const JOINS: &[Fault] = &[
    Fault {
        name: "join accepted, never subscribed",
        begin: |faults| {
            faults.set(|knobs| knobs.join_without_system = true);
            reconnect(faults);
        },
        // Both channels are left and joined again.
        during: |look| {
            look.seen.joins >= 4
                && look.socket == "joining"
                && look.metric("socket_subscribed") < 1.0
                && look.grown("socket_troubles_total") >= 2.0
        },
        ..NONE
    },
    Fault {
        name: "join not answered",
        begin: |faults| {
            faults.set(|knobs| knobs.mute_join = true);
            reconnect(faults);
        },
        // After a few the socket is given up.
        during: |look| look.seen.joins >= 8 && look.seen.sockets >= 2,
        ..NONE
    },
    Fault {
        name: "subscribed twice over",
        begin: |faults| {
            faults.set(|knobs| knobs.system_twice = true);
            reconnect(faults);
        },
        during: |look| {
            look.metric("socket_gaps_total{reason=\"resubscribed\"}") >= 1.0
                && look.socket == "subscribed"
        },
        after: |look| look.seen.sockets == 1 && look.seen.joins == 2,
        ..NONE
    },
    Fault {
        name: "subscribed long after the join",
        begin: |faults| {
            faults.set(|knobs| {
                knobs.subscribe_delay = Some(Duration::from_millis(1_500));
            });
            reconnect(faults);
        },
        during: |look| look.grown("socket_subscriptions_total") >= 2.0 && look.seen.joins == 2,
        ..NONE
    },
    Fault {
        name: "wrong ids echoed",
        begin: |faults| {
            faults.set(|knobs| knobs.wrong_ids = true);
            reconnect(faults);
        },
        during: |look| look.seen.joins >= 2,
        ..NONE
    },
    Fault {
        name: "join refused for the rate of joins",
        begin: |faults| {
            faults.set(|knobs| {
                let reason = "ClientJoinRateLimitReached: Too many joins per second";
                knobs.refuse_join = Some(reason.to_owned());
            });
            reconnect(faults);
        },
        // It waits for at least 10 s, so two joins are all.
        during: |look| look.grown("socket_troubles_total") >= 2.0 && look.seen.joins == 2,
        ..NONE
    },
    Fault {
        name: "join refused after five seconds",
        settings: |settings| settings.socket.join = Timing::default().join,
        begin: |faults| {
            faults.set(|knobs| {
                let reason = "ClientJoinRateLimitReached: Too many joins per second";
                knobs.refuse_join = Some(reason.to_owned());
                knobs.refuse_join_after = Some(Duration::from_secs(5));
            });
            reconnect(faults);
        },
        // It is taken for what it is, and not for a join that nobody answered.
        during: |look| look.grown("socket_troubles_total") >= 2.0 && look.seen.joins == 2,
        ..NONE
    },
    Fault {
        name: "join refused for good",
        begin: |faults| {
            faults.set(|knobs| {
                let reason = "Unauthorized: You do not have permissions to read from this Channel";
                knobs.refuse_join = Some(reason.to_owned());
            });
            reconnect(faults);
        },
        during: |look| look.socket == "stopped" && look.seen.joins >= 4,
        ..NONE
    },
];

const LIVES: &[Fault] = &[
    Fault {
        name: "deaf, but heartbeats are answered",
        begin: |faults| faults.set(|knobs| knobs.deaf = true),
        // First the channels are joined anew, then the socket is replaced.
        during: |look| {
            look.metric("socket_deaf") > 0.0
                && look.problems.contains(&"deaf".to_owned())
                && look.grown("rows_repaired_total") >= 3.0
                && look.seen.frames_lost > 0
                && look.seen.joins >= 4
                && look.seen.sockets >= 1
        },
        ..NONE
    },
    Fault {
        name: "deaf while nobody writes",
        quiet: true,
        begin: |faults| faults.set(|knobs| knobs.deaf = true),
        // Only the status row that does not come back can tell.
        during: |look| {
            look.metric("socket_deaf") > 0.0
                && look.problems.contains(&"deaf".to_owned())
                && look.seen.joins >= 2
        },
        after: |look| look.grown("rows_repaired_total") < 1.0,
        ..NONE
    },
    Fault {
        name: "slot lost",
        begin: |faults| faults.set(|knobs| knobs.slot_lost = true),
        // Joined channels hear nothing; those that are joined anew are not even subscribed.
        during: |look| look.metric("socket_deaf") > 0.0 && look.seen.joins >= 2,
        after: |look| look.seen.slots >= 1 && look.grown("rows_repaired_total") >= 3.0,
        ..NONE
    },
    Fault {
        name: "channels crash",
        begin: |faults| {
            faults.act(Action::CrashChannels);
        },
        during: |look| look.grown("socket_troubles_total") >= 2.0,
        after: |look| look.seen.joins == 2 && look.seen.sockets == 0,
        ..NONE
    },
    Fault {
        name: "channels closed",
        begin: |faults| {
            faults.act(Action::CloseChannels);
        },
        during: |look| look.grown("socket_troubles_total") >= 2.0,
        after: |look| look.seen.joins == 2 && look.seen.sockets == 0,
        ..NONE
    },
    Fault {
        name: "publication changed",
        begin: |faults| {
            faults.act(Action::Resubscribe);
        },
        during: |look| look.metric("socket_gaps_total{reason=\"resubscribed\"}") >= 1.0,
        after: |look| look.seen.joins == 0 && look.grown("socket_losses_total") < 1.0,
        ..NONE
    },
];

const TOKENS: &[Fault] = &[
    Fault {
        name: "token expired",
        begin: |faults| {
            faults.act(Action::ExpireTokens);
        },
        during: |look| look.seen.joins >= 2,
        after: |look| look.seen.sockets == 0 && look.grown("socket_troubles_total") >= 2.0,
        ..NONE
    },
    Fault {
        name: "token refused at the join",
        begin: |faults| {
            faults.set(|knobs| {
                let reason = "InvalidJWTToken: Token has expired 60 seconds ago";
                knobs.refuse_join = Some(reason.to_owned());
            });
            reconnect(faults);
        },
        during: |look| look.seen.joins >= 4 && look.metric("socket_subscribed") < 1.0,
        ..NONE
    },
    Fault {
        name: "new tokens ignored",
        settings: |settings| settings.token_life = Span::from_secs(12),
        begin: |faults| faults.set(|knobs| knobs.ignore_access_token = true),
        // The socket is replaced before its token ends, so there is neither loss nor trouble; on a slow
        // machine, too, if a token lives long enough.
        during: |look| {
            look.seen.token_refreshes >= 2 && look.seen.sockets >= 2 && look.socket == "subscribed"
        },
        after: |look| {
            look.grown("socket_losses_total") < 1.0 && look.grown("socket_troubles_total") < 1.0
        },
        ..NONE
    },
    Fault {
        name: "new tokens taken",
        settings: |settings| settings.token_life = Span::from_secs(6),
        during: |look| look.seen.token_refreshes >= 4 && look.socket == "subscribed",
        after: |look| {
            look.seen.sockets == 0
                && look.metric("socket_gaps_total{reason=\"resubscribed\"}") >= 1.0
                && look.grown("socket_troubles_total") < 1.0
        },
        ..NONE
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins() {
    run(JOINS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels() {
    run(LIVES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens() {
    run(TOKENS).await;
}
