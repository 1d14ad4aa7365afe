//! Matching without scanning: a contact that waits looks at the freest operators of the profiles that fit; an operator who
//! is freed looks at the first keys of the classes that fit.

use crate::model::contact::{Contact, ContactState, Mode, Offer, OfferState, OrderKey};
use crate::model::event::{AssignedReason, EventBody};
use crate::model::id::{ContactId, OfferId, OperatorId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::plan::Policy;

use super::demand::NO_HEAD;
use super::effects::Effects;
use super::engine::{Desk, Engine, Entry};
use super::idle::start_of;
use super::lane::{Load, lane};
use super::lifecycle::{OFFER_TIMEOUT_DEFAULT, UNTOUCHED_DEFAULT, waited};
use super::parameters::{LIVE_COST_LEAST, live_cost};
use super::timer::promoted_at;

/// Bands of used capacity that differ: see `Load::band`.
const BANDS: u8 = 16;

impl Engine {
    /// Places what the input queued and fills whom it freed, until nothing moves. Waiting contacts first, in their order;
    /// then operators, who waited longest first.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.fewer_present) {
            // whoever is alone now may have what they were not to be asked for again
            let held = self.contacts.values().map(|entry| &entry.contact).filter(|contact| contact.state == ContactState::Queued);
            self.to_place.extend(held.filter(|contact| !contact.exclusions.is_empty()).map(|contact| contact.id));
        }
        while !self.to_place.is_empty() || !self.to_fill.is_empty() {
            let mut waiting: Vec<(OrderKey, ContactId)> =
                self.to_place.drain(..).filter_map(|id| self.contacts.get(&id).map(|entry| (entry.contact.key, id))).collect();
            waiting.sort_unstable();
            for (_, id) in waiting {
                self.place(id, effects);
            }
            self.reserve_for_heads(effects);
            let mut free: Vec<(i64, OperatorId)> = std::mem::take(&mut self.to_fill)
                .into_iter()
                .filter_map(|id| self.operators.get(&id).map(|desk| (desk.operator.last_assigned, id)))
                .collect();
            free.sort_unstable();
            for (_, id) in free {
                self.fill(id, effects);
            }
        }
        self.reserve_for_heads(effects);
    }

    /// Gives a waiting contact to the best operator with room, if there is one.
    fn place(&mut self, id: ContactId, effects: &mut Effects) {
        let Some(entry) = self.contacts.get(&id) else { return };
        if entry.contact.state != ContactState::Queued {
            return;
        }
        let contact = &entry.contact;
        let class = entry.class.expect("a queued contact has a class");
        let chosen = match contact.wanted {
            Some(wanted) => self.operators.get(&wanted).filter(|desk| self.could_take_wanted(desk, contact)).map(|desk| desk.operator.id),
            None => self.preferred(class, contact).or_else(|| self.choose(class, contact)),
        };
        match chosen {
            Some(operator) => self.give(id, operator, AssignedReason::Routed, effects),
            None => self.reserve_for(class, id, effects),
        }
    }

    /// The operator who holds the citizen's other contact or helped last, if they can take it now.
    fn preferred(&self, class: u32, contact: &Contact) -> Option<OperatorId> {
        let desk = self.operators.get(&contact.preferred?)?;
        (self.demand.fits(class, desk.profile) && self.could_take(desk, class, contact)).then_some(desk.operator.id)
    }

    /// The operator that the queue's policy names among all who could take the contact.
    fn choose(&self, class: u32, contact: &Contact) -> Option<OperatorId> {
        let index = lane(contact.mode);
        let mut best: Option<([i64; 4], OperatorId)> = None;
        let mut scored: Vec<(u16, [i64; 4], OperatorId)> = Vec::new();
        let class_data = &self.demand.classes[class as usize];
        for (profile, score) in &class_data.profiles {
            let flexibility = i64::from(self.demand.profiles[*profile as usize].flexibility);
            let mut band = 0;
            while band < BANDS {
                let next =
                    self.idle.from(index, *profile, start_of(band)).find(|(_, _, id)| self.could_take(&self.operators[id], class, contact));
                let Some((found, last, id)) = next else { break };
                let (found_rank, last) = (i64::from(*found), *last);
                let rank = match class_data.policy {
                    Policy::BestFit => [found_rank, flexibility, last, 0],
                    Policy::LongestIdle => [last, found_rank, 0, 0],
                    Policy::LeastLoaded | Policy::MostSkilled { .. } => [found_rank, last, 0, 0],
                };
                if let Policy::MostSkilled { .. } = class_data.policy {
                    scored.push((*score, rank, *id));
                } else if best.is_none_or(|(other, holder)| (rank, *id) < (other, holder)) {
                    best = Some((rank, *id));
                }
                // only the longest idle may sit in a later band: elsewhere the first band wins within a profile
                if class_data.policy != Policy::LongestIdle {
                    break;
                }
                band = found + 1;
            }
        }
        if let Policy::MostSkilled { tolerance } = class_data.policy {
            let top = scored.iter().map(|(score, ..)| *score).max()?;
            let good_enough = scored.into_iter().filter(|(score, ..)| score + u16::from(tolerance) >= top);
            return good_enough.map(|(_, rank, id)| (rank, id)).min().map(|(_, id)| id);
        }
        best.map(|(_, id)| id)
    }

    /// Whether an operator whose profile fits could take the contact now.
    pub(super) fn could_take(&self, desk: &Desk, class: u32, contact: &Contact) -> bool {
        let operator = &desk.operator;
        operator.is_ready()
            && desk.load.fits(&operator.profile.capacity, contact.mode, &contact.channel)
            && !self.is_held_back(desk, contact)
            && !self.is_excluded(operator, class, contact)
            && !self.is_reserved_for_earlier(operator, contact)
    }

    /// A contact transferred to one person asks for nothing but that they are there, have room, and still may have it.
    pub(super) fn could_take_wanted(&self, desk: &Desk, contact: &Contact) -> bool {
        desk.operator.is_ready()
            && desk.load.fits(&desk.operator.profile.capacity, contact.mode, &contact.channel)
            && self.check_allowed(desk.operator.id, contact).is_ok()
    }

    /// Deferrable work waits while an operator is busy with live work, until it is promoted.
    fn is_held_back(&self, desk: &Desk, contact: &Contact) -> bool {
        contact.mode == Mode::Deferrable && desk.load.live_units > 0 && self.now < promoted_at(&self.plan, contact)
    }

    /// Whether the contact is not to be offered to this operator now: a cool-off, void when nobody else is there, or a
    /// conflict, which is not.
    fn is_excluded(&self, operator: &Operator, class: u32, contact: &Contact) -> bool {
        let Some(exclusion) = contact.exclusions.iter().find(|exclusion| exclusion.operator == operator.id) else { return false };
        if self.now >= exclusion.until {
            return false;
        }
        exclusion.until == Timestamp::MAX || self.now < exclusion.alone_until || self.somebody_else_could(class, contact, operator.id)
    }

    /// Whether anybody else who is signed in could take the contact some time.
    fn somebody_else_could(&self, class: u32, contact: &Contact, operator: OperatorId) -> bool {
        self.demand.classes[class as usize].profiles.iter().any(|(profile, _)| {
            self.demand.profiles[*profile as usize].present.iter().any(|id| {
                *id != operator && !contact.exclusions.iter().any(|exclusion| exclusion.operator == *id && self.now < exclusion.until)
            })
        })
    }

    fn is_reserved_for_earlier(&self, operator: &Operator, contact: &Contact) -> bool {
        operator
            .reserved_for
            .filter(|reserved| *reserved != contact.id)
            .and_then(|reserved| self.contacts.get(&reserved))
            .is_some_and(|reserved| contact.mode == Mode::Live && contact.key > reserved.contact.key)
    }

    /// Keeps somebody free for the first contact of each live class that waits, where there is nobody yet. What costs least is fit in
    /// as soon as anything ends.
    fn reserve_for_heads(&mut self, effects: &mut Effects) {
        for class in 0..self.demand.heads.len() {
            let data = &self.demand.classes[class];
            if self.demand.heads[class] == NO_HEAD || data.mode() != Mode::Live || live_cost(data.channel()) == LIVE_COST_LEAST {
                continue;
            }
            let Some((_, head)) = data.waiting.first().copied() else { continue };
            self.reserve_for(u32::try_from(class).expect("fewer classes than contacts"), head, effects);
        }
    }

    /// Keeps one operator free for the first contact of a class that fits nobody: whoever has most room among those who hold
    /// cheaper live work. They take nothing later than it, so overtaking is bounded.
    fn reserve_for(&mut self, class: u32, id: ContactId, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        if contact.mode != Mode::Live || contact.wanted.is_some() || self.demand.heads[class as usize] != contact.key {
            return;
        }
        let cost = live_cost(&contact.channel);
        if self.reserved.contains_key(&id) {
            return;
        }
        let chosen = self.demand.classes[class as usize]
            .profiles
            .iter()
            .flat_map(|(profile, _)| self.demand.profiles[*profile as usize].present.iter())
            .map(|operator| &self.operators[operator])
            .filter(|desk| desk.operator.reserved_for.is_none() && desk.load.has_cheaper_than(cost))
            .filter(|desk| self.could_be_kept_for(desk, class, contact))
            .min_by_key(|desk| (desk.load.live_units, desk.operator.last_assigned, desk.operator.id))
            .map(|desk| desk.operator.id);
        if let Some(operator) = chosen {
            let desk = self.operators.get_mut(&operator).expect("chosen among the known");
            desk.operator.reserved_for = Some(id);
            desk.operator.version += 1;
            effects.operators.insert(operator);
            self.reserved.insert(id, operator);
        }
    }

    /// Whether an operator whose profile fits could take the contact if they held nothing else.
    pub(super) fn could_be_kept_for(&self, desk: &Desk, class: u32, contact: &Contact) -> bool {
        let capacity = &desk.operator.profile.capacity;
        desk.operator.is_ready()
            && Load::default().fits(capacity, contact.mode, &contact.channel)
            && !self.is_excluded(&desk.operator, class, contact)
    }

    /// Gives an operator the first contacts that fit, live ones before deferrable ones, until nothing fits.
    fn fill(&mut self, operator: OperatorId, effects: &mut Effects) {
        for mode in [Mode::Live, Mode::Deferrable] {
            while let Some(contact) = self.first_for(operator, mode) {
                self.give(contact, operator, AssignedReason::Routed, effects);
            }
        }
    }

    /// The first waiting contact of a lane that this operator could take now.
    fn first_for(&self, operator: OperatorId, mode: Mode) -> Option<ContactId> {
        let desk = self.operators.get(&operator)?;
        desk.idle[lane(mode)]?;
        let contact = |id: &ContactId| &self.contacts[id].contact;
        let mut best: Option<(OrderKey, ContactId)> =
            desk.wanted.iter().find(|(_, id)| contact(id).mode == mode && self.could_take_wanted(desk, contact(id))).copied();
        for class in &self.demand.profiles[desk.profile as usize].classes {
            let head = self.demand.heads[*class as usize];
            if head == NO_HEAD || best.is_some_and(|(key, _)| key <= head) {
                continue;
            }
            let data = &self.demand.classes[*class as usize];
            if data.mode() != mode || !desk.load.fits(&desk.operator.profile.capacity, mode, data.channel()) {
                continue;
            }
            let found = data
                .waiting
                .iter()
                .take_while(|(key, _)| best.is_none_or(|(other, _)| *key < other))
                .find(|(_, id)| self.could_take(desk, *class, contact(id)));
            if let Some(found) = found {
                best = Some(*found);
            }
        }
        best.map(|(_, id)| id)
    }

    /// Hands a queued contact to an operator: a live one rings, a deferrable one is assigned.
    pub(super) fn give(&mut self, id: ContactId, operator: OperatorId, reason: AssignedReason, effects: &mut Effects) {
        let (seq, now) = (self.seq, self.now);
        if let Some(desk) = self.operators.get_mut(&operator) {
            desk.operator.last_assigned = seq;
            desk.operator.version += 1;
            effects.operators.insert(operator);
        }
        let contact = &self.contacts[&id].contact;
        let queue = self.plan.queues.get(&contact.queue);
        if contact.mode == Mode::Live && reason == AssignedReason::Routed {
            let ordinal = contact.offers + 1;
            let deadline = now.plus(queue.map_or(OFFER_TIMEOUT_DEFAULT, |queue| queue.offer_timeout));
            self.change(id, effects, |contact| {
                contact.offers = ordinal;
                contact.state = ContactState::Offered { ordinal, operator, made_at: now, deadline };
            });
            let offer =
                Offer { id: OfferId { contact: id, ordinal }, operator, state: OfferState::Live, made_at: now, deadline, ended_at: None };
            effects.offers.insert(offer.id, offer);
            self.tell(id, effects, EventBody::OfferMade { ordinal, operator, deadline });
        } else {
            let untouched_for = queue.map_or(UNTOUCHED_DEFAULT, |queue| queue.untouched_for);
            let may_return = contact.mode == Mode::Deferrable && matches!(reason, AssignedReason::Routed | AssignedReason::Supervisor);
            let untouched_until = may_return.then(|| now.plus(untouched_for));
            self.change(id, effects, |contact| {
                if contact.state == ContactState::Queued {
                    contact.waited_us += waited(contact, now);
                }
                contact.state = ContactState::Active { operator, untouched_until };
                contact.last_owner = Some(operator);
                contact.wanted = None;
            });
            self.tell(id, effects, EventBody::ContactAssigned { operator, reason, untouched_until });
        }
    }

    /// Looks again at who is kept free for a contact, after either has changed. The contact is placed anew if they cannot be any more.
    pub(super) fn review_reservation(&mut self, id: ContactId, effects: &mut Effects) {
        let Some(desk) = self.reserved.get(&id).and_then(|holder| self.operators.get(holder)) else { return };
        let still_for = |entry: &Entry| {
            let contact = &entry.contact;
            let waits = contact.state == ContactState::Queued && contact.mode == Mode::Live && contact.wanted.is_none();
            let class = entry.class.filter(|class| waits && self.demand.fits(*class, desk.profile));
            class.is_some_and(|class| self.could_be_kept_for(desk, class, contact))
        };
        if !self.contacts.get(&id).is_some_and(still_for) {
            self.release_reservation(id, effects);
            self.to_place.push_back(id);
        }
    }

    /// Lets the operator go who was kept free for a contact that waits no more.
    pub(super) fn release_reservation(&mut self, id: ContactId, effects: &mut Effects) {
        if let Some(holder) = self.reserved.remove(&id)
            && let Some(desk) = self.operators.get_mut(&holder)
        {
            desk.operator.reserved_for = None;
            desk.operator.version += 1;
            effects.operators.insert(holder);
            self.to_fill.insert(holder);
        }
    }
}
