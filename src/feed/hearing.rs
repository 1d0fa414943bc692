//! Is the socket deaf? Heartbeats prove nothing, so two things are watched: whether our own status
//! row comes back, and whether rows that a read brought are brought by the socket too. Pure.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::FeedCommand;
use crate::model::{RangeSet, Span, Timestamp};

/// A read normally beats the socket, whose server polls every 500 ms; a row is called repaired only
/// when the socket had this long to bring it.
const ECHO_WITHIN: Duration = Duration::from_secs(5);
/// After subscribing, the server may need this long until changes really flow.
const SETTLE: Duration = Duration::from_secs(2);
/// A status row that has not come back after this long will not come.
const CANARY_WITHIN: Duration = Duration::from_secs(15);
/// This many repairs without a sound in between mean deafness, if there was none for this long: in a
/// storm, a server that discards nearly everything still lets something through.
const REPAIRS: u32 = 3;
const SILENCE: Duration = Duration::from_secs(4);
/// How long a command may take to show.
const PATIENCE: Duration = Duration::from_secs(20);
/// What two commands did not mend will hardly be mended by the next, so each waits twice as long as the
/// one before, up to this; numbered reads carry the load meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);

/// Watches over the socket.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    subscribed: Option<Instant>,
    /// The first status row that was written since the last one that came back.
    waiting_for: Option<(Timestamp, Instant)>,
    /// Rows that reads brought, until when the socket may bring them too.
    echoes: VecDeque<(Instant, RangeSet)>,
    /// Repairs since the last sound.
    repairs: u32,
    /// The last sound, since the subscription.
    heard_at: Option<Instant>,
    /// The last command since the last sound, and how many there were.
    asked: Option<Asked>,
    /// How long the last status row took.
    canary: Option<Span>,
}

/// A command that was given.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    /// Commands since the last sound, this one included.
    times: u32,
}

impl Asked {
    /// Until when the next command waits, however deaf the socket still is.
    fn patience(self) -> Instant {
        let doubled = PATIENCE * 2_u32.saturating_pow(self.times.saturating_sub(2).min(16));
        self.at + doubled.min(LONGEST_PATIENCE)
    }
}

/// What a look at the clock found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Rows that the socket should have brought by now.
    pub repaired: u64,
    /// What to do about it.
    pub command: Option<FeedCommand>,
}

impl Hearing {
    /// Changes flow, says the server.
    pub fn subscribed(&mut self, now: Instant) {
        self.subscribed = Some(now);
        self.forget();
    }

    /// No changes can flow.
    pub fn down(&mut self) {
        self.subscribed = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.waiting_for = None;
        self.echoes.clear();
        self.repairs = 0;
        self.heard_at = None;
    }

    pub fn is_subscribed(&self) -> bool {
        self.subscribed.is_some()
    }

    pub fn is_deaf(&self) -> bool {
        self.asked.is_some()
    }

    pub fn canary(&self) -> Option<Span> {
        self.canary
    }

    /// The status row was written.
    pub fn canary_sent(&mut self, at: Timestamp, now: Instant) {
        if self.settled(now) && self.waiting_for.is_none() {
            self.waiting_for = Some((at, now));
        }
    }

    /// The status row written at `at` came back; `database_now` is the present by the same clock.
    pub fn canary_heard(&mut self, at: Timestamp, database_now: Timestamp, now: Instant) {
        self.canary = Some(database_now.since(at).max(Span::ZERO));
        // A later row proves as much as the one that is waited for.
        if self.waiting_for.is_some_and(|(waiting, _)| at >= waiting) {
            self.waiting_for = None;
        }
        self.sound(now);
    }

    fn sound(&mut self, now: Instant) {
        self.heard_at = Some(now);
        self.repairs = 0;
        self.asked = None;
    }

    fn settled(&self, now: Instant) -> bool {
        self.subscribed.is_some_and(|since| now.duration_since(since) > SETTLE)
    }

    /// A read brought rows that had not come by the socket.
    pub fn read_brought(&mut self, rows: RangeSet, now: Instant) {
        if self.settled(now) && !rows.is_empty() {
            self.echoes.push_back((now + ECHO_WITHIN, rows));
        }
    }

    /// The socket brought the row with this number, new or known.
    pub fn heard(&mut self, seq: i64, now: Instant) {
        for (_, rows) in &mut self.echoes {
            rows.remove(seq..seq.saturating_add(1));
        }
        self.sound(now);
    }

    /// When to look next.
    pub fn next_look(&self) -> Option<Instant> {
        let echo = self.echoes.front().map(|(due, _)| *due);
        // A canary that is lost changes nothing once several commands were no use.
        let canary = self.waiting_for.filter(|_| self.asked.is_none_or(|asked| asked.times < 2));
        let canary = canary.map(|(_, sent)| sent + CANARY_WITHIN);
        let command = self.asked.map(Asked::patience);
        [echo, canary, command].into_iter().flatten().min()
    }

    /// Looks at the clock.
    pub fn look(&mut self, now: Instant) -> Found {
        let mut found = Found::default();
        while let Some((_, rows)) = self.echoes.pop_front_if(|(due, _)| *due <= now) {
            if !rows.is_empty() {
                found.repaired += rows.len();
                self.repairs += 1;
            }
        }
        let lost =
            self.waiting_for.is_some_and(|(_, sent)| now.duration_since(sent) >= CANARY_WITHIN);
        let silent = self.heard_at.is_none_or(|at| now.duration_since(at) >= SILENCE);
        let deaf = self.subscribed.is_some() && (lost || (silent && self.repairs >= REPAIRS));
        found.command = match self.asked {
            None if deaf => Some(FeedCommand::Rejoin),
            // It is subscribed again and still hears nothing, or never was subscribed again.
            Some(asked) if now >= asked.patience() || (deaf && asked.times < 2) => {
                Some(FeedCommand::Reconnect)
            }
            _ => None,
        };
        if found.command.is_some() {
            let times = self.asked.map_or(0, |asked| asked.times).saturating_add(1);
            self.asked = Some(Asked { at: now, times });
            self.forget();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(1_000);

    fn rows(text: &str) -> RangeSet {
        text.parse().expect("ranges")
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_canary_that_does_not_come_back_means_deaf() {
        let start = Instant::now();
        let mut hearing = Hearing::default();
        hearing.canary_sent(AT, start);
        assert_eq!(hearing.next_look(), None, "nothing is expected of a closed socket");
        hearing.subscribed(start);
        hearing.canary_sent(AT, after(start, 5));
        hearing.canary_heard(AT, AT + Span::from_millis(120), after(start, 5));
        assert_eq!(hearing.canary(), Some(Span::from_millis(120)));
        assert_eq!(hearing.look(after(start, 60)), Found::default());

        hearing.canary_sent(AT, after(start, 60));
        hearing.canary_sent(AT + Span::from_secs(5), after(start, 65));
        assert_eq!(hearing.look(after(start, 74)).command, None);
        assert_eq!(hearing.next_look(), Some(after(start, 75)));
        assert_eq!(hearing.look(after(start, 75)).command, Some(FeedCommand::Rejoin));
        assert!(hearing.is_deaf());
        assert_eq!(hearing.look(after(start, 76)).command, None, "told once");
        // Joined again, and still nothing comes: a new connection, and again after a while.
        hearing.subscribed(after(start, 77));
        hearing.canary_sent(AT, after(start, 80));
        assert_eq!(hearing.look(after(start, 95)).command, Some(FeedCommand::Reconnect));
        hearing.down();
        assert_eq!(hearing.look(after(start, 114)).command, None);
        assert_eq!(hearing.look(after(start, 115)).command, Some(FeedCommand::Reconnect));
        hearing.subscribed(after(start, 116));
        hearing.canary_heard(AT, AT, after(start, 116));
        assert!(!hearing.is_deaf());
    }

    #[tokio::test]
    async fn what_does_not_help_is_done_less_and_less_often() {
        let start = Instant::now();
        let mut hearing = Hearing::default();
        hearing.subscribed(start);
        hearing.canary_sent(AT, after(start, 5));
        let mut asked = Vec::new();
        // The server takes us back at once each time, and brings nothing.
        for second in 6..2_000 {
            let now = after(start, second);
            if hearing.look(now).command.is_some() {
                asked.push(second);
                hearing.subscribed(now);
            }
            if second % 5 == 0 {
                hearing.canary_sent(AT, now);
            }
            assert!(hearing.next_look().is_none_or(|at| at > now), "no look for nothing: {second}");
        }
        let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [20, 20, 40, 80, 160, 300, 300, 300, 300, 300], "{asked:?}");
        // Once it is heard again, deafness is told as soon as the first time.
        hearing.canary_heard(AT, AT, after(start, 2_000));
        hearing.canary_sent(AT, after(start, 2_005));
        assert_eq!(hearing.look(after(start, 2_020)).command, Some(FeedCommand::Rejoin));
    }

    #[tokio::test]
    async fn rows_that_only_reads_bring_mean_deaf() {
        let start = Instant::now();
        let mut hearing = Hearing::default();
        hearing.subscribed(start);
        hearing.read_brought(rows("{[1,9)}"), after(start, 1));
        assert_eq!(hearing.next_look(), None, "too soon after subscribing");
        for seq in ["{[10,13)}", "{[13,14)}", "{[20,25)}"] {
            hearing.read_brought(rows(seq), after(start, 10));
        }
        for seq in 10..13 {
            hearing.heard(seq, after(start, 11));
        }
        assert_eq!(hearing.look(after(start, 14)), Found::default());
        let found = hearing.look(after(start, 15));
        assert_eq!(found, Found { repaired: 6, command: None });
        // Some rows are lost under load although others come: that is no deafness.
        hearing.heard(14, after(start, 20));
        hearing.read_brought(rows("{[30,31)}"), after(start, 20));
        assert_eq!(hearing.look(after(start, 25)), Found { repaired: 1, command: None });
        for second in [30, 31] {
            hearing.read_brought(rows("{[40,42)}"), after(start, second));
        }
        let found = hearing.look(after(start, 36));
        assert_eq!(found, Found { repaired: 4, command: Some(FeedCommand::Rejoin) });

        // Nearly everything is lost in a storm, but not everything.
        hearing.subscribed(after(start, 40));
        hearing.heard(100, after(start, 50));
        for row in ["{[200,201)}", "{[201,202)}", "{[202,203)}"] {
            hearing.read_brought(rows(row), after(start, 48));
        }
        assert_eq!(hearing.look(after(start, 53)), Found { repaired: 3, command: None });
        assert_eq!(hearing.look(after(start, 54)).command, Some(FeedCommand::Rejoin));
    }
}
