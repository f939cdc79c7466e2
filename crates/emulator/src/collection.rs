//! Collection: the groups or the persons of a world, by id. Worlds share the items of the fixtures; a
//! collection holds only what was changed since.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::memory_budget::{Exhausted, MemoryBudget, Reservation};

/// Items by id, with the changes of one world.
#[derive(Debug)]
pub(super) struct Collection<T> {
    /// The items before any change.
    initial: Arc<HashMap<String, T>>,
    changes: BTreeMap<String, Change<T>>,
}

/// An item that was put, or the absence of an initial item that was removed.
#[derive(Debug)]
struct Change<T> {
    item: Option<T>,
    _reservation: Reservation,
}

/// An item whose memory is known.
pub(super) trait Item {
    /// Returns the memory of the item, in bytes.
    fn memory(&self) -> usize;
}

impl<T: Item> Collection<T> {
    /// Creates a collection without changes.
    pub(super) fn new(initial: Arc<HashMap<String, T>>) -> Self {
        Self {
            initial,
            changes: BTreeMap::new(),
        }
    }

    /// Returns the item with this id.
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        match self.changes.get(id) {
            Some(change) => change.item.as_ref(),
            None => self.initial.get(id),
        }
    }

    /// Adds or replaces an item. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// Fails if the budget is exhausted; the collection is then unchanged.
    pub(super) fn put(
        &mut self,
        id: &str,
        item: T,
        budget: &MemoryBudget,
    ) -> Result<bool, Exhausted> {
        let is_new = self.get(id).is_none();
        let memory = item.memory();
        self.change(id, Some(item), memory, budget)?;
        Ok(is_new)
    }

    /// Removes an item. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// Fails if the budget is exhausted, since the removal of an initial item takes memory; the
    /// collection is then unchanged.
    pub(super) fn remove(&mut self, id: &str, budget: &MemoryBudget) -> Result<bool, Exhausted> {
        if self.get(id).is_none() {
            return Ok(false);
        }
        if self.initial.contains_key(id) {
            self.change(id, None, 0, budget)?;
        } else {
            self.changes.remove(id);
        }
        Ok(true)
    }

    fn change(
        &mut self,
        id: &str,
        item: Option<T>,
        memory: usize,
        budget: &MemoryBudget,
    ) -> Result<(), Exhausted> {
        let change = Change {
            item,
            _reservation: budget.reserve(memory + id.len() + CHANGE_OVERHEAD)?,
        };
        self.changes.insert(id.to_owned(), change);
        Ok(())
    }

    /// Returns the first `limit` items that `is_listed` accepts, in the order of their ids, after the id
    /// `after`.
    pub(super) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        is_listed: impl Fn(&T) -> bool,
    ) -> Vec<(&str, &T)> {
        let mut page = BTreeMap::new();
        let ids = self.initial.keys().chain(self.changes.keys());
        for id in ids.filter(|id| after.is_none_or(|after| id.as_str() > after)) {
            if page.len() == limit && page.last_key_value().is_some_and(|(last, _)| id >= *last) {
                continue;
            }
            if let Some(item) = self.get(id).filter(|item| is_listed(item)) {
                page.insert(id, item);
            }
            if page.len() > limit {
                page.pop_last();
            }
        }
        page.into_iter()
            .map(|(id, item)| (id.as_str(), item))
            .collect()
    }
}

/// Memory of a change beside its item and id, in bytes.
const CHANGE_OVERHEAD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_hide_the_initial_items_and_not_those_of_others() {
        let initial: Arc<HashMap<_, _>> =
            Arc::new([("a".to_owned(), 1), ("b".to_owned(), 2)].into());
        let budget = MemoryBudget::new(10_000);
        let mut changed = Collection::new(Arc::clone(&initial));
        assert_eq!(changed.put("b", 20, &budget), Ok(false));
        assert_eq!(changed.put("c", 30, &budget), Ok(true));
        assert_eq!(changed.remove("a", &budget), Ok(true));
        assert_eq!(changed.remove("a", &budget), Ok(false));
        assert_eq!(all(&changed), [("b", &20), ("c", &30)]);
        assert_eq!(all(&Collection::new(initial)), [("a", &1), ("b", &2)]);
        assert_eq!(changed.put("a", 10, &budget), Ok(true));
        assert_eq!(changed.remove("c", &budget), Ok(true));
        assert_eq!(all(&changed), [("a", &10), ("b", &20)]);
    }

    #[test]
    fn pages_follow_the_order_of_the_ids() {
        let initial = (0..10).map(|number| (number.to_string(), number)).collect();
        let collection = Collection::<usize>::new(Arc::new(initial));
        let page = |after| -> Vec<usize> {
            let page = collection.page(after, 3, |number| number % 2 == 0);
            page.into_iter().map(|(_, number)| *number).collect()
        };
        assert_eq!(page(None), [0, 2, 4]);
        assert_eq!(page(Some("4")), [6, 8]);
        assert!(page(Some("8")).is_empty());
    }

    #[test]
    fn a_change_beyond_the_budget_changes_nothing() {
        let mut collection = Collection::new(Arc::new([("a".to_owned(), 1)].into()));
        let budget = MemoryBudget::new(200);
        assert!(collection.put("b", 2, &budget).is_ok());
        assert!(collection.put("c", 3, &budget).is_err());
        assert!(collection.remove("a", &budget).is_err());
        assert_eq!(all(&collection), [("a", &1), ("b", &2)]);
        assert_eq!(collection.remove("b", &budget), Ok(true));
        assert!(collection.put("c", 3, &budget).is_ok());
    }

    fn all(collection: &Collection<usize>) -> Vec<(&str, &usize)> {
        collection.page(None, usize::MAX, |_| true)
    }

    impl Item for usize {
        fn memory(&self) -> usize {
            8
        }
    }
}
