//! How much is tried in one transaction, which has a limit on its time. Pure.
//!
//! What always tries the same amount fails again and again where the database has become too slow for
//! it, and never gets anything done; so the amount shrinks with each failure.

/// So many successes after a failure until a larger size is tried again: where the next size is too
/// large, its time limit is waited for in vain.
const CAUTION: u32 = 8;

/// The size of the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// As few as ever …
    least: u64,
    /// … and as many as ever.
    most: u64,
    /// As many as now.
    size: u64,
    /// Up to here it grows at once …
    ceiling: u64,
    /// … and beyond after so many successes.
    successes: u32,
}

impl BatchSize {
    /// At most so many, as long as all goes well.
    #[must_use]
    pub const fn new(most: u64) -> Self {
        Self { least: 1, most, size: most, ceiling: most, successes: 0 }
    }

    /// The same, but never fewer than so many, where fewer would not be quicker.
    #[must_use]
    pub fn at_least(self, least: u64) -> Self {
        Self { least: least.min(self.most), ..self }
    }

    /// How many at most now.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// How many of so many.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        usize::try_from(self.size).map_or(all, |size| size.min(all))
    }

    /// A batch was done.
    pub fn done(&mut self) {
        self.successes += 1;
        if self.successes >= CAUTION {
            (self.ceiling, self.successes) = ((self.ceiling * 2).min(self.most), 0);
        }
        self.size = (self.size * 2).min(self.ceiling);
    }

    /// So many could not be done in time, or for another reason that may pass.
    pub fn failed(&mut self, tried: u64) {
        let size = (tried.min(self.size) / 2).max(self.least);
        (self.size, self.ceiling, self.successes) = (size, size, 0);
    }

    /// One of them can never be done: the next are tried one by one.
    pub const fn refused(&mut self) {
        self.size = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 250;

    #[test]
    fn a_size_shrinks_to_one_and_grows_with_care() {
        let mut batch = BatchSize::new(MOST);
        let mut sizes = vec![batch.size()];
        for _ in 0..9 {
            batch.failed(batch.size());
            sizes.push(batch.size());
        }
        assert_eq!(sizes, [250, 125, 62, 31, 15, 7, 3, 1, 1, 1]);
        let mut successes = Vec::new();
        for _ in 0..8 {
            let size = batch.size();
            successes.push(
                (0..)
                    .take_while(|_| {
                        batch.done();
                        batch.size() == size
                    })
                    .count(),
            );
        }
        assert_eq!(successes, [7; 8], "the next size comes with the eighth success");
        assert_eq!((batch.of(1_000), batch.of(3)), (250, 3));
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut size = BatchSize::new(1_000).at_least(200);
        size.failed(10);
        assert_eq!(size.size(), 200);
        assert_eq!(BatchSize::new(7).at_least(200).size(), 7);
        let mut size = BatchSize::new(7).at_least(200);
        size.failed(7);
        assert_eq!(size.size(), 7);
    }

    #[test]
    fn after_one_that_is_refused_it_grows_at_once() {
        let mut batch = BatchSize::new(MOST);
        batch.refused();
        let mut sizes = Vec::new();
        for _ in 0..9 {
            sizes.push(batch.size());
            batch.done();
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 250]);
    }
}
