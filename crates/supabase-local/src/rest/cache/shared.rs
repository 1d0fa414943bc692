//! The cache that all requests share, and when it is read again.

use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgPool;
use tokio::sync::Mutex;

use super::{Cache, load::load};

/// The newest cache, with a number that grows at each reading.
#[derive(Debug)]
pub(in super::super) struct SharedCache {
    schemas: Vec<String>,
    current: RwLock<(u64, Arc<Cache>)>,
    /// Held while reading, so that many misses at once cause one reading.
    reading: Mutex<()>,
}

impl SharedCache {
    pub(in super::super) async fn start(
        pool: &PgPool,
        schemas: Vec<String>,
    ) -> Result<Self, sqlx::Error> {
        let cache = load(pool, &schemas).await?;
        let current = RwLock::new((1, Arc::new(cache)));
        Ok(Self { schemas, current, reading: Mutex::new(()) })
    }

    pub(in super::super) fn get(&self) -> (u64, Arc<Cache>) {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a cache that was read after the one with this number.
    pub(in super::super) async fn newer_than(
        &self,
        pool: &PgPool,
        seen: u64,
    ) -> Result<Arc<Cache>, sqlx::Error> {
        let _reading = self.reading.lock().await;
        let (number, cache) = self.get();
        if number > seen {
            return Ok(cache);
        }
        let cache = Arc::new(load(pool, &self.schemas).await?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = (number + 1, Arc::clone(&cache));
        Ok(cache)
    }
}
