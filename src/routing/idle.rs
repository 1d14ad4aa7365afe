//! Operators with room, in the order in which they are asked: one ordered set for each profile and lane.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::OperatorId;

/// Place among the idle: band of used capacity, then longest since last given a contact.
pub(super) type IdleKey = (u8, i64, OperatorId);

/// Idle operators by lane and profile. Changed only by an operator's own events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Idle {
    lanes: [BTreeMap<u32, BTreeSet<IdleKey>>; 2],
}

impl Idle {
    /// Puts an operator in place.
    pub(super) fn insert(&mut self, lane: usize, profile: u32, key: IdleKey) {
        self.lanes[lane].entry(profile).or_default().insert(key);
    }

    /// Takes an operator out.
    pub(super) fn remove(&mut self, lane: usize, profile: u32, key: IdleKey) {
        if let Some(set) = self.lanes[lane].get_mut(&profile) {
            set.remove(&key);
            if set.is_empty() {
                self.lanes[lane].remove(&profile);
            }
        }
    }

    /// The idle operators of a profile from `from` on, freest first.
    pub(super) fn from(&self, lane: usize, profile: u32, from: IdleKey) -> impl Iterator<Item = &IdleKey> {
        self.lanes[lane].get(&profile).into_iter().flat_map(move |set| set.range(from..))
    }

    /// All keys of a lane, for the digest.
    pub(super) fn keys(&self, lane: usize) -> BTreeSet<IdleKey> {
        self.lanes[lane].values().flatten().copied().collect()
    }
}

/// Before every key of a band.
pub(super) fn start_of(band: u8) -> IdleKey {
    (band, i64::MIN, OperatorId(0))
}
