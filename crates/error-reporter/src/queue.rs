//! The hand-over from callers to the background: bounded, and without a lock that anybody waits for.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::event::Severity;

/// What the queue needs to know of what it holds.
pub(crate) trait Item {
    /// Which lane it belongs to.
    fn severity(&self) -> Severity;
    /// About how many bytes it keeps in memory.
    fn size(&self) -> usize;
}

/// Bounded in number and in bytes; when it is full, the oldest of the least severe goes.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// By severity, the least severe first.
    lanes: [ArrayQueue<T>; 3],
    items: AtomicUsize,
    bytes: AtomicUsize,
    max_items: usize,
    max_bytes: usize,
}

impl<T: Item> Queue<T> {
    pub(crate) fn new(max_items: usize, max_bytes: usize) -> Self {
        let max_items = max_items.max(1);
        let lanes = std::array::from_fn(|_| ArrayQueue::new(max_items));
        Self { lanes, items: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_items, max_bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.load(Ordering::Acquire)
    }

    /// Adds an item and hands what had to go, which may be the item itself, to `dropped`.
    ///
    /// Returns how many there are now.
    pub(crate) fn push(&self, item: T, mut dropped: impl FnMut(T)) -> usize {
        let (severity, size) = (item.severity(), item.size());
        loop {
            // The place is taken first, so that many callers at once do not exceed the bound.
            let items = self.items.fetch_add(1, Ordering::AcqRel) + 1;
            let bytes = self.bytes.fetch_add(size, Ordering::AcqRel) + size;
            let fits = items == 1 || (items <= self.max_items && bytes <= self.max_bytes);
            if fits {
                if let Err(item) = self.lane(severity).push(item) {
                    self.release(size);
                    dropped(item);
                }
                return items;
            }
            self.release(size);
            match self.evict(severity) {
                Some(victim) => dropped(victim),
                None => {
                    dropped(item);
                    return self.len();
                }
            }
        }
    }

    /// The oldest of the least severe, but nothing that is worse than `than`.
    fn evict(&self, than: Severity) -> Option<T> {
        Severity::ALL.into_iter().take_while(|severity| *severity <= than).find_map(|severity| {
            let victim = self.lane(severity).pop()?;
            self.release(victim.size());
            Some(victim)
        })
    }

    /// The worst first, and the oldest of those; at least one, whatever its size.
    pub(crate) fn take(&self, max_items: usize, max_bytes: usize) -> Vec<T> {
        let mut taken = Vec::new();
        let mut bytes = 0usize;
        for lane in self.lanes.iter().rev() {
            while taken.len() < max_items && bytes < max_bytes {
                let Some(item) = lane.pop() else { break };
                self.release(item.size());
                bytes = bytes.saturating_add(item.size());
                taken.push(item);
            }
        }
        taken
    }

    fn release(&self, size: usize) {
        self.items.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(size, Ordering::AcqRel);
    }

    fn lane(&self, severity: Severity) -> &ArrayQueue<T> {
        let [low, medium, high] = &self.lanes;
        match severity {
            Severity::Low => low,
            Severity::Medium => medium,
            Severity::High => high,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Event {
        severity: Severity,
        name: String,
        size: usize,
    }

    impl Item for Event {
        fn severity(&self) -> Severity {
            self.severity
        }

        fn size(&self) -> usize {
            self.size
        }
    }

    fn event(text: &str) -> Event {
        let [severity, _, size] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Event {
            severity: serde_json::from_value(severity.into()).unwrap(),
            name: text.rsplit_once(' ').unwrap().0.to_owned(),
            size: size.parse().unwrap(),
        }
    }

    #[test]
    fn drops_and_gives_as_the_shared_vectors_say() {
        #[derive(Deserialize)]
        struct Vector {
            about: String,
            max_items: usize,
            max_bytes: usize,
            push: Vec<String>,
            dropped: Vec<String>,
            take: (usize, usize),
            taken: Vec<String>,
        }
        let vectors = include_str!("../../../tests/vectors/reporter-queue.json");
        for vector in serde_json::from_str::<Vec<Vector>>(vectors).unwrap() {
            let queue = Queue::new(vector.max_items, vector.max_bytes);
            let mut dropped = Vec::new();
            for text in &vector.push {
                queue.push(event(text), |victim| dropped.push(victim.name));
            }
            assert_eq!(dropped, vector.dropped, "{}", vector.about);
            let taken = queue.take(vector.take.0, vector.take.1);
            let taken: Vec<_> = taken.into_iter().map(|event| event.name).collect();
            assert_eq!(taken, vector.taken, "{}", vector.about);
        }
    }

    #[test]
    fn many_callers_at_once_lose_nothing_and_keep_to_the_bound() {
        let queue = Queue::new(100, 10_000);
        let dropped = AtomicUsize::new(0);
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (queue, dropped) = (&queue, &dropped);
                scope.spawn(move || {
                    for number in 0..5_000 {
                        let severity = Severity::ALL[(thread + number) % 3];
                        queue.push(Event { severity, name: String::new(), size: 10 }, |_| {
                            dropped.fetch_add(1, Ordering::AcqRel);
                        });
                    }
                });
            }
            let (queue, taken) = (&queue, &taken);
            scope.spawn(move || {
                for _ in 0..200 {
                    taken.fetch_add(queue.take(50, 1000).len(), Ordering::AcqRel);
                    thread::yield_now();
                }
            });
        });
        assert!(queue.len() <= 100);
        let rest = queue.take(usize::MAX, usize::MAX).len();
        let counted = rest + taken.into_inner() + dropped.into_inner();
        assert_eq!((counted, queue.len()), (20_000, 0));
        assert_eq!(queue.bytes.into_inner(), 0);
    }
}
