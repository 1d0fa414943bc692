//! Takes due messages from the outbox and has each delivered in a task of its own, so that a channel
//! that is slow or down holds up no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    deliver::{self, Finished, Shared},
    mandate::Leadership,
    pace::Paces,
    sender::Senders,
    template_watch,
};
use crate::store::{
    Fence, StoreError,
    channels::Channels,
    outbox::{Outbox, Wanted},
};

/// How the dispatcher works.
#[derive(Clone, Debug)]
pub struct DispatcherSettings {
    /// How often the outbox is looked at when nobody wakes the dispatcher.
    pub poll: Duration,
    /// How many messages are sent at once, over all channels.
    pub in_flight: usize,
    /// How long messages on their way may take when the dispatcher is stopped.
    pub drain: Duration,
}

impl Default for DispatcherSettings {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), in_flight: 32, drain: Duration::from_millis(3_500) }
    }
}

/// How long a channel rests whose delivery panicked.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// Sends what the outbox holds, while this instance leads.
pub struct Dispatcher {
    outbox: Outbox,
    channels: Arc<Channels>,
    senders: Senders,
    settings: DispatcherSettings,
}

impl Dispatcher {
    /// A dispatcher over these parts.
    #[must_use]
    pub const fn new(
        outbox: Outbox,
        channels: Arc<Channels>,
        senders: Senders,
        settings: DispatcherSettings,
    ) -> Self {
        Self { outbox, channels, senders, settings }
    }

    /// Sends until `cancel`; then finishes what is on its way and records it.
    ///
    /// `wake` is to be notified after each transaction that wrote messages: they go out at once.
    pub async fn run(
        self,
        wake: Arc<Notify>,
        leadership: Arc<dyn Leadership>,
        cancel: CancellationToken,
    ) {
        let Self { outbox, channels, senders, settings } = self;
        let shared = Arc::new(Shared { outbox, channels, senders, leadership });
        let watch = template_watch::run(
            shared.outbox.templates(),
            Arc::clone(&shared.leadership),
            cancel.clone(),
        );
        tokio::join!(watch, dispatch(shared, wake, settings, cancel));
    }
}

async fn dispatch(
    shared: Arc<Shared>,
    wake: Arc<Notify>,
    settings: DispatcherSettings,
    cancel: CancellationToken,
) {
    let mut flights = Flights::default();
    let mut complained = false;
    loop {
        // Interest is registered before the outbox is read, so that no message waits for a poll.
        let woken = wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let next = match launch(&shared, &settings, &mut flights).await {
            Ok(next) => {
                complained = false;
                next
            }
            Err(error) => {
                if !complained {
                    tracing::warn!(%error, "the outbox cannot be read; trying again every poll");
                }
                complained = true;
                settings.poll
            }
        };
        let next = Instant::now() + next.min(settings.poll);
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(landed) = flights.tasks.join_next_with_id() => flights.landed(landed),
            () = &mut woken => {}
            () = sleep_until(next) => {}
        }
    }
    flights.drain(Instant::now() + settings.drain).await;
}

/// Starts what is due; returns how long nothing else can become due, as far as the outbox tells.
async fn launch(
    shared: &Arc<Shared>,
    settings: &DispatcherSettings,
    flights: &mut Flights,
) -> Result<Duration, StoreError> {
    let Some(mandate) = shared.leadership.mandate().filter(|mandate| mandate.covers(mandate))
    else {
        return Ok(settings.poll);
    };
    let free = settings.in_flight.saturating_sub(flights.tasks.len());
    if free == 0 {
        // The next landing wakes the loop.
        return Ok(settings.poll);
    }
    let fence = Fence { holder: mandate.holder, number: mandate.fence };
    let (busy, merging) = (flights.busy(), flights.paces.last(Instant::now()));
    let wanted = Wanted { busy: &busy, merging: &merging, channels: free };
    let mut taken: HashMap<Uuid, Vec<_>> = HashMap::new();
    for message in shared.outbox.claim(&fence, wanted).await? {
        taken.entry(message.channel.id()).or_default().push(message);
    }
    let full = taken.len() == free;
    for (id, messages) in taken {
        let Some(first) = messages.first() else { continue };
        let channel = shared.channels.open(first.channel.clone());
        if channel.merges() {
            flights.paces.take(id, messages.len(), Instant::now());
        }
        let span = deliver::span_of(&channel, &messages);
        let delivery = deliver::deliver(Arc::clone(shared), channel, messages, mandate);
        let task = flights.tasks.spawn(delivery.instrument(span));
        flights.channels.insert(task.id(), id);
    }
    if full {
        return Ok(settings.poll);
    }
    let due = shared.outbox.next_due(&flights.busy()).await?;
    let due = due.map_or(settings.poll, crate::model::Span::to_std);
    Ok(flights.next_rested().map_or(due, |rested| due.min(rested)))
}

/// Messages on their way, and channels that rest.
#[derive(Default)]
struct Flights {
    tasks: JoinSet<Finished>,
    channels: HashMap<Id, Uuid>,
    resting: HashMap<Uuid, Instant>,
    paces: Paces,
}

impl Flights {
    /// Channels to which nothing may be sent now; forgets those that have rested.
    fn busy(&mut self) -> Vec<Uuid> {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let empty = self.paces.empty(now);
        self.channels.values().chain(self.resting.keys()).copied().chain(empty).collect()
    }

    fn next_rested(&self) -> Option<Duration> {
        let now = Instant::now();
        let rested = self.resting.values().min().map(|at| at.saturating_duration_since(now));
        [rested, self.paces.next(now)].into_iter().flatten().min()
    }

    fn landed(&mut self, landed: Result<(Id, Finished), JoinError>) {
        match landed {
            Ok((id, Finished { channel_id, rest, limited })) => {
                self.channels.remove(&id);
                let now = Instant::now();
                if let Some(rest) = rest.map(crate::model::Span::to_std) {
                    self.resting.insert(channel_id, now + rest);
                    if limited {
                        self.paces.pause(channel_id, rest, now);
                    }
                }
            }
            Err(error) => {
                let channel = self.channels.remove(&error.id());
                // Nobody is busy with its messages any more, so they are taken again.
                tracing::error!(%error, ?channel, "a delivery ended without a result");
                if let Some(channel) = channel {
                    self.resting.insert(channel, Instant::now() + AFTER_PANIC);
                }
            }
        }
    }

    /// Waits for what is on its way, but not beyond `deadline`.
    async fn drain(&mut self, deadline: Instant) {
        while let Ok(Some(landed)) = timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.landed(landed);
        }
        if !self.tasks.is_empty() {
            tracing::warn!(
                messages = self.tasks.len(),
                "stopped while messages were on their way; they will be sent again"
            );
            self.tasks.shutdown().await;
        }
    }
}
