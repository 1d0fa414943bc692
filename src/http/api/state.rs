//! What the handlers of the API work with.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::Problem;

use crate::{
    clock::Clock,
    config::{Api, Notify as NotifyConfig},
    notify::Senders,
    rest::Forward,
    store::{Db, channels::Channels, secrets::ChannelKey},
};

/// Looks at history at one time; each holds a connection for seconds.
const AT_ONCE: usize = 2;
/// How long one may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// What the handlers of the API work with; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    parts: ApiParts,
    history: Semaphore,
}

/// The parts of an [`ApiState`].
pub struct ApiParts {
    /// PostgREST, by the caller's token.
    pub rest: Forward,
    /// The database, with the daemon's own rights: never answer from it what the caller's own token
    /// was not seen to allow.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Origins and limits.
    pub config: Api,
    /// How messages get out, and where the dashboard is.
    pub notify: NotifyConfig,
    /// Encrypts the channels' secrets, where a key is configured.
    pub channel_key: Option<ChannelKey>,
    /// The channels, with their secrets.
    pub channels: Arc<Channels>,
    /// The ways out for messages.
    pub senders: Senders,
    /// Wakes the dispatcher after something was put into the outbox.
    pub wake: Arc<Notify>,
}

impl ApiState {
    /// A state of these parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(Inner { parts, history: Semaphore::new(AT_ONCE) }))
    }

    /// The turn of a handler that looks through stored history, for as long as it is held.
    ///
    /// # Errors
    /// 503 where others take too long.
    pub(super) async fn history_turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match timeout(TURN, self.0.history.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Problem::unavailable(
                "other previews and explanations are under way; try again soon",
            )),
        }
    }
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}
