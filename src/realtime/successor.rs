//! The socket that is to replace the current one: opened, joined and subscribed while that one still
//! delivers, so that no moment is without a subscription.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::time::{Instant, sleep_until};

use super::{
    config::Target,
    connection::Incoming,
    delivery::{Outbox, RealtimeState},
    errors::Disposition,
    line::{Line, tell},
    session::SessionEvent,
};
use crate::token::Minter;

type Opening = Pin<Box<dyn Future<Output = Result<Line, (Disposition, String)>> + Send>>;

/// A socket in the making, or none.
#[derive(Default)]
pub(super) enum Successor {
    /// None is needed at the moment.
    #[default]
    None,
    /// It is being opened.
    Opening(Opening),
    /// It is open; once it is subscribed, it takes over at that time.
    Joining {
        line: Box<Line>,
        /// It is given up when it has not been subscribed until then.
        deadline: Instant,
        take_over_at: Option<Instant>,
    },
}

/// What happened to the successor.
pub(super) enum Turn {
    Opened(Result<Box<Line>, (Disposition, String)>),
    Received(Incoming),
    Tick,
}

impl Successor {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn begin(&mut self, target: &Arc<Target>, minter: &Arc<Minter>, started: Instant) {
        let (target, minter) = (Arc::clone(target), Arc::clone(minter));
        *self = Self::Opening(Box::pin(async move { Line::open(&target, minter, started).await }));
    }

    /// Waits until something happens; for ever while there is no successor.
    pub(super) async fn turn(&mut self) -> Turn {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => Turn::Opened(opening.await.map(Box::new)),
            Self::Joining { line, deadline, take_over_at } => {
                let wake = take_over_at.unwrap_or(*deadline).min(line.next_tick());
                tokio::select! {
                    incoming = line.next() => Turn::Received(incoming),
                    () = sleep_until(wake) => Turn::Tick,
                }
            }
        }
    }

    /// Takes in what happened; an error says why there is no successor any more.
    pub(super) fn take(&mut self, turn: Turn, target: &Target) -> Result<(), String> {
        match (turn, &mut *self) {
            (Turn::Opened(Ok(line)), _) => {
                let timing = &target.timing;
                let deadline = Instant::now() + (timing.join + timing.subscribe) * 2;
                *self = Self::Joining { line, deadline, take_over_at: None };
                Ok(())
            }
            (Turn::Opened(Err((_, reason))), _) => self.fail(reason),
            (Turn::Received(incoming), Self::Joining { line, .. }) => {
                line.receive(incoming).or_else(|reason| self.fail(reason))
            }
            (Turn::Tick, Self::Joining { line, deadline, take_over_at }) => {
                if take_over_at.is_none() && *deadline <= Instant::now() {
                    return self.fail("it was not subscribed in time".to_owned());
                }
                line.tick();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fail(&mut self, reason: String) -> Result<(), String> {
        *self = Self::None;
        Err(reason)
    }

    /// Does what its session asks for. Its rows are told like any others, its troubles are not: the
    /// current socket still delivers.
    pub(super) async fn perform(
        &mut self,
        outbox: &mut Outbox,
        target: &Target,
    ) -> Result<(), String> {
        let Self::Joining { line, take_over_at, .. } = self else { return Ok(()) };
        let mut trouble = None;
        let done = line.perform(|event| match event {
            SessionEvent::Trouble { message, .. } => trouble = Some(message),
            event => tell(outbox, event),
        });
        let done = done.await;
        if line.session.state() == RealtimeState::Subscribed {
            take_over_at.get_or_insert_with(|| Instant::now() + target.timing.overlap);
        }
        match done.err().or(trouble) {
            Some(reason) => self.fail(reason),
            None => Ok(()),
        }
    }

    /// The successor, when its time has come or `now_or_never` wants it in whatever state it is.
    pub(super) fn ready(&mut self, now_or_never: bool) -> Option<Line> {
        match std::mem::take(self) {
            Self::Joining { line, take_over_at, .. }
                if now_or_never || take_over_at.is_some_and(|at| at <= Instant::now()) =>
            {
                Some(*line)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}
