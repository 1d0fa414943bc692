//! How many instructions the hot path takes: the same on every run and on a busy machine, where times
//! are not. The program runs itself under valgrind with so many and twice so many rounds; the difference
//! is what the rounds cost, without what comes before and after them.
//!
//! Where there is no valgrind it says so and counts nothing.

use std::{env, hint::black_box, process::Command};

use meshhook_errors::{
    engine::{Engine, Input},
    feed::ledger::Ledger,
    model::{Rule, Span, Timestamp},
    realtime::{Change, decode, decode_change},
};
use serde_json::json;

mod summary;

use summary::{Line, Summary};

const FRAME: &str = include_str!("frames/error.json");
const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const ROUNDS: u64 = 20_000;
const KERNELS: [&str; 3] =
    ["frame to error event", "a row in order into the ledger", "an event against ten rules"];

fn main() {
    let mut arguments = env::args().skip(1);
    if let (Some("kernel"), Some(name), Some(rounds)) =
        (arguments.next().as_deref(), arguments.next(), arguments.next())
    {
        return kernel(&name, rounds.parse().expect("a number of rounds"));
    }
    if !summary::measuring() {
        return;
    }
    let mut summary = Summary::new("instructions");
    for name in KERNELS {
        let counted = instructions(name, ROUNDS).zip(instructions(name, 2 * ROUNDS));
        let Some((once, twice)) = counted else {
            println!("instructions: not counted, because valgrind does not run here");
            return;
        };
        let each = (twice as f64 - once as f64) / ROUNDS as f64;
        summary.add(Line::new(name, "instructions", each));
    }
    summary.write();
}

/// Instructions of a whole run of one kernel.
fn instructions(name: &str, rounds: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().ok()?)
        .args(["kernel", name, &rounds.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split("Collected :").nth(1))?;
    count.trim().parse().ok()
}

fn kernel(name: &str, rounds: u64) {
    match name {
        "frame to error event" => {
            for _ in 0..rounds {
                black_box(decode_change(decode(black_box(FRAME)).expect("a frame").payload));
            }
        }
        "a row in order into the ledger" => {
            let mut ledger = Ledger::default();
            for seq in 1..=i64::try_from(rounds).expect("few rounds") {
                black_box(ledger.insert(black_box(seq), START));
            }
        }
        "an event against ten rules" => engine(rounds),
        _ => panic!("there is no kernel {name}"),
    }
}

/// Ten rules that all concern the event, half of them by group.
fn engine(rounds: u64) {
    let Change::Error(mut event) = decode_change(decode(FRAME).expect("a frame").payload) else {
        panic!("the frame is not understood")
    };
    let rules = (0..10).map(|n| {
        let group_by: &[&str] = if n % 2 == 0 { &["fingerprint"] } else { &[] };
        let columns = json!({"name": n.to_string(), "warning": 1e12, "group_by": group_by});
        Rule::from_columns(columns).expect("a rule")
    });
    let mut engine = Engine::new();
    let mut out = Vec::new();
    engine.step(START, Input::Rules(rules.collect()), &mut out);
    let mut now = START;
    for _ in 0..rounds {
        now = now + Span::from_micros(1);
        (event.timestamp, event.received_at) = (now, now);
        engine.step(now, Input::Event(black_box(&event)), &mut out);
    }
    black_box(out.len());
    assert_eq!(engine.stats().matched, 10 * rounds, "every rule is concerned");
}
