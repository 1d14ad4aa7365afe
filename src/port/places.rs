//! How many of something a key may have at once: connections of an address, files of a chat on their way.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

/// The places of each key, all keys having as many.
#[derive(Debug)]
pub struct Places<K> {
    most: usize,
    taken: Taken<K>,
}

/// A place that is taken; dropping it makes room.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    key: K,
    taken: Taken<K>,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// At most so many for each key.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place, if the key has one left.
    pub fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&key).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(key.clone(), count + 1);
        Some(Place { key, taken: Arc::clone(&self.taken) })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_places_and_gets_them_back() {
        let places = Places::new(2);
        let (first, second) = (places.take("a"), places.take("a"));
        assert!(first.is_some() && second.is_some() && places.take("a").is_none());
        assert!(places.take("b").is_some(), "another's");
        drop(first);
        assert!(places.take("a").is_some());
        drop(second);
        assert_eq!(places.taken.lock().unwrap().len(), 0, "who has none is forgotten");
    }
}
