//! Memory budget: bounds what clients of the control API can store in all worlds together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A number of bytes that several owners share.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: Arc::default(),
            limit,
        }
    }

    /// Reserves bytes until the reservation is dropped.
    ///
    /// # Errors
    ///
    /// Fails if the budget has fewer bytes left.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        let reserved = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        match self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserved)
        {
            Ok(_) => Ok(Reservation {
                used: Arc::clone(&self.used),
                bytes,
            }),
            Err(_) => Err(Exhausted { limit: self.limit }),
        }
    }
}

/// Reserved bytes of a budget. Dropping it returns them.
#[derive(Debug)]
pub(super) struct Reservation {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The budget has too few bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {limit} bytes for groups, persons and faults of all worlds are used up")]
pub(super) struct Exhausted {
    limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_admits_its_limit_and_gets_back_what_is_dropped() {
        let budget = MemoryBudget::new(10);
        let first = budget.reserve(6).unwrap();
        assert_eq!(budget.reserve(5).unwrap_err(), Exhausted { limit: 10 });
        let second = budget.reserve(4).unwrap();
        assert!(budget.reserve(usize::MAX).is_err());
        drop((first, second));
        assert!(budget.reserve(10).is_ok());
    }
}
