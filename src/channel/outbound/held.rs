//! The orders of one account that came and are not acknowledged: which may begin, and up to which all have ended. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::port::broker::Incoming;

/// Orders in hand. An acknowledgement counts for all before it, so one that takes long holds up those of the others.
#[derive(Debug, Default)]
pub struct Held {
    /// All of them, oldest first.
    tags: VecDeque<u64>,
    waiting: VecDeque<Incoming>,
    under_way: HashMap<u64, Incoming>,
    done: HashSet<u64>,
}

impl Held {
    /// How many are not acknowledged.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// They came.
    pub fn take(&mut self, batch: Vec<Incoming>) {
        self.tags.extend(batch.iter().map(|incoming| incoming.tag));
        self.waiting.extend(batch);
    }

    /// The next that may begin: the same order a second time, byte for byte or by its id, only after the first.
    pub fn begin(&mut self) -> Option<Incoming> {
        let next = self.waiting.front()?;
        let is_same = |one: &Incoming| one.body == next.body || (one.id.is_some() && one.id == next.id);
        if self.under_way.values().any(is_same) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.under_way.insert(next.tag, next.clone());
        Some(next)
    }

    /// One ended. The tag up to which all may be acknowledged, if that is further than before.
    pub fn end(&mut self, tag: u64) -> Option<u64> {
        self.under_way.remove(&tag);
        self.done.insert(tag);
        let mut last = None;
        while self.tags.front().is_some_and(|first| self.done.remove(first)) {
            last = self.tags.pop_front();
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(tag: u64, id: Option<&str>, body: &'static str) -> Incoming {
        Incoming {
            tag,
            routing_key: String::new(),
            id: id.map(str::to_owned),
            body: body.into(),
            traceparent: None,
            reply_to: None,
            redelivered: false,
            death: None,
        }
    }

    #[test]
    fn orders_end_in_any_order_and_are_acknowledged_in_theirs() {
        let mut held = Held::default();
        held.take(vec![incoming(1, Some("a"), "uno"), incoming(2, Some("b"), "due")]);
        held.take(vec![incoming(5, Some("c"), "tre")]);
        let begun: Vec<u64> = std::iter::from_fn(|| held.begin()).map(|one| one.tag).collect();
        assert_eq!((begun, held.len()), (vec![1, 2, 5], 3));
        assert_eq!((held.end(2), held.end(1), held.len()), (None, Some(2), 1));
        assert_eq!((held.end(5), held.len()), (Some(5), 0));
    }

    #[test]
    fn the_same_order_begins_after_the_first_has_ended() {
        for (id, body) in [(Some("a"), "due"), (Some("b"), "uno")] {
            let mut held = Held::default();
            held.take(vec![incoming(1, Some("a"), "uno"), incoming(2, id, body), incoming(3, None, "tre"), incoming(4, None, "quattro")]);
            assert_eq!(held.begin().map(|one| one.tag), Some(1));
            assert!(held.begin().is_none(), "nor what stands behind it: the order stays");
            assert_eq!(held.end(1), Some(1));
            let begun: Vec<u64> = std::iter::from_fn(|| held.begin()).map(|one| one.tag).collect();
            assert_eq!(begun, [2, 3, 4]);
        }
    }
}
