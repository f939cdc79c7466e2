//! Fair queue: serves callers round-robin, and the items of each caller first in, first out.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
};

/// A round-robin queue with a sub-queue per caller.
///
/// A caller with a hundred items waiting delays the first item of another caller by one.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    /// The items of each caller, by the number of their ticket.
    by_caller: HashMap<K, BTreeMap<u64, T>>,
    /// The callers with items, in the order in which they are served.
    order: VecDeque<K>,
    next_number: u64,
    len: usize,
}

/// Identifies an item in the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ticket<K> {
    caller: K,
    number: u64,
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    /// Creates an empty queue.
    pub(super) fn new() -> Self {
        Self {
            by_caller: HashMap::new(),
            order: VecDeque::new(),
            next_number: 0,
            len: 0,
        }
    }

    /// Returns the number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of callers with items.
    pub(super) fn callers(&self) -> usize {
        self.order.len()
    }

    /// Returns each caller with items: the number of its items, and the one that is served first.
    pub(super) fn by_caller(&self) -> impl Iterator<Item = (&K, usize, &T)> {
        self.by_caller
            .iter()
            .filter_map(|(caller, queue)| Some((caller, queue.len(), queue.values().next()?)))
    }

    /// Returns how many items would be served before another item of `caller`.
    pub(super) fn position(&self, caller: &K) -> usize {
        let own = self.by_caller.get(caller).map_or(0, BTreeMap::len);
        // A caller that is served earlier in the round is served once more by then.
        let mut rounds = own + 1;
        let mut ahead = own;
        for other in &self.order {
            if other == caller {
                rounds = own;
            } else {
                ahead += self
                    .by_caller
                    .get(other)
                    .map_or(0, BTreeMap::len)
                    .min(rounds);
            }
        }
        ahead
    }

    /// Adds `item` at the end of its caller's sub-queue.
    pub(super) fn push(&mut self, caller: K, item: T) -> Ticket<K> {
        let number = self.next_number;
        self.next_number += 1;
        self.len += 1;
        let queue = self.by_caller.entry(caller.clone()).or_insert_with(|| {
            self.order.push_back(caller.clone());
            BTreeMap::new()
        });
        queue.insert(number, item);
        Ticket { caller, number }
    }

    /// Returns the item that is served next.
    pub(super) fn first(&self) -> Option<&T> {
        let queue = self.by_caller.get(self.order.front()?)?;
        queue.values().next()
    }

    /// Removes and returns the item that is served next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let caller = self.order.pop_front()?;
        let queue = self.by_caller.get_mut(&caller)?;
        let (_, item) = queue.pop_first()?;
        self.len -= 1;
        if queue.is_empty() {
            self.by_caller.remove(&caller);
        } else {
            self.order.push_back(caller);
        }
        Some(item)
    }

    /// Removes and returns the item of `ticket`, unless it has left the queue.
    pub(super) fn remove(&mut self, ticket: &Ticket<K>) -> Option<T> {
        let queue = self.by_caller.get_mut(&ticket.caller)?;
        let item = queue.remove(&ticket.number)?;
        self.len -= 1;
        if queue.is_empty() {
            self.by_caller.remove(&ticket.caller);
            self.order.retain(|caller| *caller != ticket.caller);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn served(queue: &mut FairQueue<char, u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn callers_are_served_round_robin_and_each_first_in_first_out() {
        let mut queue = FairQueue::new();
        for (caller, call) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)] {
            queue.push(caller, call);
        }
        assert_eq!((queue.len(), queue.callers()), (6, 3));

        assert_eq!(served(&mut queue), [1, 4, 5, 2, 6, 3]);
        assert_eq!((queue.len(), queue.callers()), (0, 0));
    }

    #[test]
    fn a_removed_item_is_not_served_and_leaves_no_state_behind() {
        let mut queue = FairQueue::new();
        let ticket = queue.push('a', 1);
        queue.push('b', 2);

        assert_eq!(queue.remove(&ticket), Some(1));
        assert_eq!(queue.remove(&ticket), None);
        assert_eq!(served(&mut queue), [2]);
        assert!(queue.by_caller.is_empty() && queue.order.is_empty());
    }

    proptest! {
        #[test]
        fn an_item_is_served_after_as_many_others_as_its_position(
            waiting in proptest::collection::vec((0usize..6, any::<bool>()), 0..80),
            caller in 0usize..7,
        ) {
            let mut queue = FairQueue::new();
            for (caller, is_served) in waiting {
                queue.push(caller, false);
                if is_served {
                    queue.pop();
                }
            }
            let ahead = queue.position(&caller);
            queue.push(caller, true);

            let before = std::iter::from_fn(|| queue.pop()).take_while(|is_it| !is_it);
            prop_assert_eq!(before.count(), ahead);
        }

        #[test]
        fn a_caller_waits_for_at_most_one_item_of_each_other_caller(
            steps in proptest::collection::vec((0usize..5, any::<bool>()), 0..300),
        ) {
            let mut queue = FairQueue::new();
            // How often each other caller was served since a waiting caller was.
            let mut since = [[0; 5]; 5];
            for (caller, is_push) in steps {
                if is_push {
                    if !queue.by_caller.contains_key(&caller) {
                        since[caller] = [0; 5];
                    }
                    queue.push(caller, caller);
                } else if let Some(served) = queue.pop() {
                    since[served] = [0; 5];
                    for waiting in queue.by_caller.keys().filter(|waiting| **waiting != served) {
                        since[*waiting][served] += 1;
                        prop_assert!(since[*waiting][served] <= 1);
                    }
                }
                prop_assert_eq!(queue.len(), queue.by_caller.values().map(BTreeMap::len).sum::<usize>());
            }
        }
    }
}
