//! What a sink has received: bounded, in order, and waited for.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// A sink remembers this many items; the oldest are forgotten first.
const KEPT: usize = 10_000;

#[derive(Debug)]
pub struct Inbox<T> {
    items: Mutex<Items<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Items<T> {
    all: VecDeque<T>,
    /// How many of `all`, from the back, nobody has taken with [`Inbox::next`].
    fresh: usize,
}

impl<T: Clone> Inbox<T> {
    pub fn new() -> Self {
        let items = Items { all: VecDeque::new(), fresh: 0 };
        Self { items: Mutex::new(items), arrived: Notify::new() }
    }

    pub fn put(&self, item: T) {
        let mut items = self.lock();
        if items.all.len() >= KEPT {
            items.all.pop_front();
        }
        items.all.push_back(item);
        items.fresh = (items.fresh + 1).min(items.all.len());
        drop(items);
        self.arrived.notify_waiters();
    }

    /// Takes the next item that nobody has taken, waiting at most `limit` for it.
    pub async fn next(&self, limit: Duration) -> Option<T> {
        let wait = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if let Some(item) = self.take() {
                    return item;
                }
                arrived.await;
            }
        };
        timeout(limit, wait).await.ok()
    }

    pub fn all(&self) -> Vec<T> {
        self.lock().all.iter().cloned().collect()
    }

    fn take(&self) -> Option<T> {
        let mut items = self.lock();
        let index = items.all.len().checked_sub(items.fresh)?;
        let item = items.all.get(index).cloned()?;
        items.fresh -= 1;
        Some(item)
    }

    fn lock(&self) -> MutexGuard<'_, Items<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
