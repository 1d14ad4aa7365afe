//! Two lanes: live contacts use units, deferrable ones use desk slots. Neither takes from the other, so letters never block
//! somebody who is standing there.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::channel::Channel;
use crate::model::contact::{Contact, Mode};
use crate::model::id::ContactId;
use crate::model::operator::Capacity;

use super::parameters::live_cost;

/// What an operator holds now. Derived from contacts, never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Units of live contacts.
    pub live_units: u16,
    /// Desk slots taken.
    pub desk_slots: u16,
    /// Live contacts by what each costs.
    costs: BTreeMap<u16, u16>,
    /// Contacts by channel.
    channels: BTreeMap<Channel, u16>,
    /// Contacts that ring, are worked on or wrapped up.
    pub holding: BTreeSet<ContactId>,
}

/// An index for the two lanes.
pub(super) fn lane(mode: Mode) -> usize {
    match mode {
        Mode::Live => 0,
        Mode::Deferrable => 1,
    }
}

impl Load {
    /// Takes a contact on.
    pub(super) fn add(&mut self, contact: &Contact) {
        if !self.holding.insert(contact.id) {
            return;
        }
        *self.channels.entry(contact.channel.clone()).or_default() += 1;
        match contact.mode {
            Mode::Live => {
                let cost = live_cost(&contact.channel);
                self.live_units += cost;
                *self.costs.entry(cost).or_default() += 1;
            }
            Mode::Deferrable => self.desk_slots += 1,
        }
    }

    /// Lets a contact go.
    pub(super) fn remove(&mut self, contact: &Contact) {
        if !self.holding.remove(&contact.id) {
            return;
        }
        take_one(&mut self.channels, &contact.channel);
        match contact.mode {
            Mode::Live => {
                let cost = live_cost(&contact.channel);
                self.live_units -= cost;
                take_one(&mut self.costs, &cost);
            }
            Mode::Deferrable => self.desk_slots -= 1,
        }
    }

    /// Whether some of it is live and costs less than that.
    pub(super) fn has_cheaper_than(&self, cost: u16) -> bool {
        self.costs.first_key_value().is_some_and(|(least, _)| *least < cost)
    }

    /// Whether a contact of this kind still fits.
    pub(super) fn fits(&self, capacity: &Capacity, mode: Mode, channel: &Channel) -> bool {
        let below_cap = capacity.channels.get(channel).is_none_or(|cap| self.channels.get(channel).copied().unwrap_or(0) < u16::from(*cap));
        below_cap
            && match mode {
                Mode::Live => self.live_units.saturating_add(live_cost(channel)) <= capacity.live_units,
                Mode::Deferrable => self.desk_slots < u16::from(capacity.desk_slots),
            }
    }

    /// Whether anything at all could still fit into the lane.
    pub(super) fn has_room(&self, capacity: &Capacity, mode: Mode) -> bool {
        match mode {
            Mode::Live => self.live_units < capacity.live_units,
            Mode::Deferrable => self.desk_slots < u16::from(capacity.desk_slots),
        }
    }

    /// The band of used capacity: lower is freer. Deferrable work goes last to who is busy with live work.
    pub(super) fn band(&self, capacity: &Capacity, mode: Mode) -> u8 {
        let live = u8::try_from(u32::from(self.live_units) * 4 / u32::from(capacity.live_units.max(1))).unwrap_or(u8::MAX).min(7);
        match mode {
            Mode::Live => live,
            Mode::Deferrable => (if live > 0 { 8 } else { 0 }) + u8::try_from(self.desk_slots.min(7)).unwrap_or(7),
        }
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, u16>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
