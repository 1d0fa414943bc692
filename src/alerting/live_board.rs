//! Live rates on their way from the engine's task to the one that writes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::engine::ProjectRates;

/// Rates that changed and have not been written yet.
#[derive(Clone, Debug, Default)]
pub struct LiveBoard(Arc<Mutex<BTreeMap<Option<Uuid>, ProjectRates>>>);

impl LiveBoard {
    /// Takes everything that waits.
    #[must_use]
    pub fn take(&self) -> Vec<ProjectRates> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *board).into_values().collect()
    }

    /// Puts rates back that could not be written, where nothing newer has come meanwhile.
    pub fn put_back(&self, rates: Vec<ProjectRates>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for rates in rates {
            board.entry(rates.project_id).or_insert(rates);
        }
    }

    /// Puts newer rates in the place of those that wait.
    pub(super) fn put(&self, rates: Vec<ProjectRates>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.extend(rates.into_iter().map(|rates| (rates.project_id, rates)));
    }
}
