//! What the handlers of the API work with.

use std::{ops::Deref, sync::Arc};

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    config::{Api, Notify as NotifyConfig},
    notify::Senders,
    rest::Forward,
    store::{Db, channels::Channels, secrets::ChannelKey},
};

/// What the handlers of the API work with; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<ApiParts>);

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
        Self(Arc::new(parts))
    }
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}
