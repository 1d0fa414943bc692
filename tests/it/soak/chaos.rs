//! Whatever may go wrong, at random.

use std::{sync::Arc, time::Duration};

use meshhook_errors::sinks::{Answer, MailFault};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use supabase_local::faults::{Action, Faults, Knobs};
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::{db::OwnServer, eventually, process::Process, stack::Stack};

/// Instances at most.
const INSTANCES: usize = 3;

/// Turns something on.
type Misbehave = fn(&mut Knobs);

/// Ways of Realtime to misbehave for a while.
const KNOBS: &[(&str, Misbehave)] = &[
    ("deaf", |knobs| knobs.deaf = true),
    ("half of all frames lost", |knobs| knobs.drop_fraction = 0.5),
    ("frames twice", |knobs| knobs.duplicate = 2),
    ("frames late", |knobs| knobs.delay = Some(Duration::from_millis(700))),
    ("frames in another order", |knobs| knobs.reorder = Some(5)),
    ("frames cut off", |knobs| knobs.truncate_next = 20),
    ("rate limit", |knobs| knobs.max_events_per_second = Some(3)),
    ("heartbeats swallowed", |knobs| knobs.swallow_heartbeats = true),
    ("tokens ignored", |knobs| knobs.ignore_access_token = true),
    ("handshakes refused", |knobs| knobs.refuse_handshake = Some(503)),
    ("joins not answered", |knobs| knobs.mute_join = true),
    ("never subscribed", |knobs| knobs.join_without_system = true),
    ("subscribed twice", |knobs| knobs.system_twice = true),
    ("wrong ids", |knobs| knobs.wrong_ids = true),
    ("slot lost", |knobs| knobs.slot_lost = true),
];

/// What Realtime may do once to every socket and channel.
const ACTIONS: &[(&str, Action)] = &[
    ("sockets are closed", Action::Close(1001)),
    ("the server restarts", Action::Close(1012)),
    ("connections are lost without a word", Action::Abort),
    ("connections are half-open", Action::Freeze),
    ("tokens expire", Action::ExpireTokens),
    ("channels crash", Action::CrashChannels),
    ("channels are closed", Action::CloseChannels),
    ("the publication changes", Action::Resubscribe),
];

/// The instances, and what is done to them.
pub struct Chaos {
    stack: Arc<Stack>,
    server: OwnServer,
    random: StdRng,
    instances: Vec<Process>,
    started: usize,
    faults: u64,
}

impl Chaos {
    /// Starts the instances, and waits until one of them leads.
    pub async fn begin(stack: Arc<Stack>, server: OwnServer, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let mut chaos =
            Self { stack, server, random, instances: Vec::new(), started: 0, faults: 0 };
        for _ in 0..INSTANCES {
            chaos.start().await;
        }
        chaos.leader().await;
        chaos
    }

    /// How many faults there were.
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    async fn start(&mut self) {
        self.started += 1;
        let mut variables = self.stack.variables();
        variables.insert("INSTANCE_NAME".to_owned(), format!("instance {}", self.started));
        self.instances.push(Process::launch(variables).await);
    }

    /// Which instance leads, by its place.
    async fn leader(&self) -> usize {
        eventually("somebody leads", || async {
            for (place, instance) in self.instances.iter().enumerate() {
                if instance.role().await.as_deref() == Some("leader") {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    fn note(&mut self, what: &str) {
        self.faults += 1;
        eprintln!("soak: {what}");
    }

    /// Lets something go wrong, mends it, and waits a little; does not begin anything long after `end`.
    pub async fn one_more(&mut self, end: Instant) {
        let seconds = |random: &mut StdRng, most: u64| {
            Duration::from_millis(random.random_range(300..most * 1_000))
        };
        match self.random.random_range(0..100) {
            0..36 => {
                let (name, set) = KNOBS[self.random.random_range(0..KNOBS.len())];
                self.note(name);
                let faults = self.realtime();
                faults.set(set);
                if self.random.random_bool(0.5) {
                    faults.act(Action::Close([1000, 1001, 1012][self.random.random_range(0..3)]));
                }
                let until = Instant::now() + seconds(&mut self.random, 5);
                sleep_until(until.min(end)).await;
                faults.clear();
            }
            36..48 => {
                let (name, action) = &ACTIONS[self.random.random_range(0..ACTIONS.len())];
                self.note(name);
                self.realtime().act(action.clone());
            }
            48..62 => self.receivers_fail(),
            62..70 => {
                self.note("connections to the database end");
                sqlx::query(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                      where usename = 'error_daemon' and datname = current_database()",
                )
                .execute(&self.stack.superuser().await)
                .await
                .expect("the superuser may");
            }
            70..74 => {
                self.note("the database crashes");
                self.server.crash().await;
                sleep(seconds(&mut self.random, 3)).await;
                self.server.restart().await;
            }
            74..82 => {
                self.note("the leader is killed");
                self.end_one(true, "KILL").await;
            }
            82..88 => {
                self.note("a standby is killed");
                self.end_one(false, "KILL").await;
            }
            88..94 => {
                self.note("the leader stops in order");
                self.end_one(true, "TERM").await;
            }
            _ => {
                self.note("the leader sleeps for longer than its lease");
                let leader = self.leader().await;
                self.instances[leader].signal("STOP").await;
                sleep(Duration::from_secs(8)).await;
                self.instances[leader].signal("CONT").await;
            }
        }
        let pause = seconds(&mut self.random, 2);
        sleep_until((Instant::now() + pause).min(end)).await;
    }

    fn realtime(&self) -> Faults {
        self.stack.faults().expect("the local server")
    }

    fn receivers_fail(&mut self) {
        if self.random.random_bool(0.3) {
            let faults = [
                ("mail is put off", MailFault::Greylist),
                ("the mail server hangs", MailFault::Hang),
                ("the mail server's reply is lost", MailFault::LoseReply),
            ];
            let (name, fault) = faults[self.random.random_range(0..faults.len())];
            self.stack.mail.script([fault]);
            return self.note(name);
        }
        let answer = match self.random.random_range(0..5) {
            0 => Answer::new(500, "error"),
            1 => Answer::reset(),
            2 => Answer::new(429, "rate_limited").header("retry-after", "1"),
            3 => Answer::new(200, "<html>log in</html>"),
            _ => Answer::ok().after(Duration::from_secs(3)),
        };
        let (name, sink) = if self.random.random_bool(0.5) {
            ("Slack fails once", &self.stack.slack)
        } else {
            ("the webhook fails once", &self.stack.webhook)
        };
        sink.script([answer]);
        self.note(name);
    }

    /// Ends the leader or another instance, and starts one in its place.
    async fn end_one(&mut self, leads: bool, signal: &str) {
        let leader = self.leader().await;
        let place = if leads { leader } else { (leader + 1) % self.instances.len() };
        let mut ended = self.instances.swap_remove(place);
        ended.signal(signal).await;
        ended.ended().await;
        self.start().await;
    }

    /// Mends everything that was broken.
    pub async fn heal(&mut self) {
        self.realtime().clear();
        for sink in [&self.stack.slack, &self.stack.webhook] {
            sink.otherwise(Answer::ok());
        }
        self.leader().await;
    }

    /// Stops the instances in order.
    pub async fn end(self) {
        for mut instance in self.instances {
            instance.signal("TERM").await;
            instance.ended().await;
        }
    }
}
