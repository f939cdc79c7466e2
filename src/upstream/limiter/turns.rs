//! Who is served next, of many who wait.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
};

/// A queue for each caller, served in turns: one call of each that has any, and then around again.
///
/// A caller with a hundred calls waiting holds up another's first by one.
#[derive(Debug)]
pub(super) struct Turns<K, T> {
    /// What waits, by the number that it drew.
    queues: HashMap<K, BTreeMap<u64, T>>,
    /// The callers that have anything waiting, in the order of their turns.
    order: VecDeque<K>,
    drawn: u64,
    len: usize,
}

/// A place in the queue of a caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place<K> {
    caller: K,
    number: u64,
}

impl<K: Clone + Eq + Hash, T> Turns<K, T> {
    /// Returns turns for which nobody waits.
    pub(super) fn new() -> Self {
        Self {
            queues: HashMap::new(),
            order: VecDeque::new(),
            drawn: 0,
            len: 0,
        }
    }

    /// Returns how many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns of how many callers any wait.
    pub(super) fn callers(&self) -> usize {
        self.order.len()
    }

    /// Returns how many of those who wait would be served before one more of `caller`.
    pub(super) fn ahead_of(&self, caller: &K) -> usize {
        let own = self.queues.get(caller).map_or(0, BTreeMap::len);
        // Whoever has its turn before this caller is served once more than it by then.
        let mut rounds = own + 1;
        let mut ahead = own;
        for other in &self.order {
            if other == caller {
                rounds = own;
            } else {
                ahead += self.queues.get(other).map_or(0, BTreeMap::len).min(rounds);
            }
        }
        ahead
    }

    /// Lets `waiter` wait at the end of its caller's queue.
    pub(super) fn push(&mut self, caller: K, waiter: T) -> Place<K> {
        let number = self.drawn;
        self.drawn += 1;
        self.len += 1;
        let queue = self.queues.entry(caller.clone()).or_insert_with(|| {
            self.order.push_back(caller.clone());
            BTreeMap::new()
        });
        queue.insert(number, waiter);
        Place { caller, number }
    }

    /// Returns the one whose turn it is.
    pub(super) fn first(&self) -> Option<&T> {
        let queue = self.queues.get(self.order.front()?)?;
        queue.values().next()
    }

    /// Takes out the one whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let caller = self.order.pop_front()?;
        let queue = self.queues.get_mut(&caller)?;
        let (_, waiter) = queue.pop_first()?;
        self.len -= 1;
        if queue.is_empty() {
            self.queues.remove(&caller);
        } else {
            self.order.push_back(caller);
        }
        Some(waiter)
    }

    /// Takes out the one at `place`, unless that was done before.
    pub(super) fn remove(&mut self, place: &Place<K>) -> Option<T> {
        let queue = self.queues.get_mut(&place.caller)?;
        let waiter = queue.remove(&place.number)?;
        self.len -= 1;
        if queue.is_empty() {
            self.queues.remove(&place.caller);
            self.order.retain(|caller| *caller != place.caller);
        }
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn served(turns: &mut Turns<char, u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn callers_are_served_in_turns_and_each_in_its_own_order() {
        let mut turns = Turns::new();
        for (caller, call) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)] {
            turns.push(caller, call);
        }
        assert_eq!((turns.len(), turns.callers()), (6, 3));

        assert_eq!(served(&mut turns), [1, 4, 5, 2, 6, 3]);
        assert_eq!((turns.len(), turns.callers()), (0, 0));
    }

    #[test]
    fn whoever_leaves_is_not_served_and_leaves_nothing_behind() {
        let mut turns = Turns::new();
        let place = turns.push('a', 1);
        turns.push('b', 2);

        assert_eq!(turns.remove(&place), Some(1));
        assert_eq!(turns.remove(&place), None);
        assert_eq!(served(&mut turns), [2]);
        assert!(turns.queues.is_empty() && turns.order.is_empty());
    }

    proptest! {
        #[test]
        fn a_turn_comes_after_as_many_others_as_were_ahead(
            waiting in proptest::collection::vec((0usize..6, any::<bool>()), 0..80),
            caller in 0usize..7,
        ) {
            let mut turns = Turns::new();
            for (caller, is_served) in waiting {
                turns.push(caller, false);
                if is_served {
                    turns.pop();
                }
            }
            let ahead = turns.ahead_of(&caller);
            turns.push(caller, true);

            let before = std::iter::from_fn(|| turns.pop()).take_while(|is_it| !is_it);
            prop_assert_eq!(before.count(), ahead);
        }

        #[test]
        fn no_caller_waits_for_more_than_one_call_of_each_other(
            steps in proptest::collection::vec((0usize..5, any::<bool>()), 0..300),
        ) {
            let mut turns = Turns::new();
            // How often others were served since a caller that waits was.
            let mut since = [[0; 5]; 5];
            for (caller, is_push) in steps {
                if is_push {
                    if !turns.queues.contains_key(&caller) {
                        since[caller] = [0; 5];
                    }
                    turns.push(caller, caller);
                } else if let Some(served) = turns.pop() {
                    since[served] = [0; 5];
                    for waiting in turns.queues.keys().filter(|waiting| **waiting != served) {
                        since[*waiting][served] += 1;
                        prop_assert!(since[*waiting][served] <= 1);
                    }
                }
                prop_assert_eq!(turns.len(), turns.queues.values().map(BTreeMap::len).sum::<usize>());
            }
        }
    }
}
