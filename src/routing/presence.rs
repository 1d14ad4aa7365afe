//! Operators come and go: what they say, whether their console is there, and what becomes of what they hold.

use crate::model::command::Refusal;
use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::event::{EventBody, QueuedReason, ReleasedReason};
use crate::model::id::{ContactId, OperatorId};
use crate::model::operator::{Operator, OperatorProfile, Presence, PresenceState};

use super::effects::Effects;
use super::engine::Engine;
use super::parameters::{DEFERRABLE_OWNER_GONE, LIVE_OWNER_GONE};

impl Engine {
    /// A console turned up. What the operator said before still holds.
    pub(super) fn connect(&mut self, id: OperatorId, node: &str, country: Option<&String>, effects: &mut Effects) -> Result<(), Refusal> {
        let desk = self.operators.get(&id).ok_or(Refusal::NotFound)?;
        if !desk.operator.enabled {
            return Err(Refusal::OperatorNotAllowed);
        }
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            let presence = &mut operator.presence;
            if presence.node.is_none() {
                presence.since = now;
            }
            presence.node = Some(node.to_owned());
            presence.country = country.cloned();
            presence.lost_at = None;
        });
        self.tell_presence(id, effects);
        Ok(())
    }

    /// A console is gone. Signed out: at once; lost: its contacts wait a while for it to turn up again.
    pub(super) fn disconnect(&mut self, id: OperatorId, node: &str, signed_out: bool, effects: &mut Effects) -> Result<(), Refusal> {
        let desk = self.operators.get(&id).ok_or(Refusal::NotFound)?;
        if !signed_out && desk.operator.presence.node.as_deref() != Some(node) {
            return Ok(()); // it has turned up at another node meanwhile
        }
        self.lose(id, signed_out, effects);
        Ok(())
    }

    /// Every console of a desk node that is not heard of any more.
    pub(super) fn lose_node(&mut self, node: &str, effects: &mut Effects) {
        let lost: Vec<OperatorId> = self
            .operators
            .values()
            .filter(|desk| desk.operator.presence.node.as_deref() == Some(node) && desk.operator.presence.lost_at.is_none())
            .map(|desk| desk.operator.id)
            .collect();
        for id in lost {
            self.lose(id, false, effects);
        }
    }

    fn lose(&mut self, id: OperatorId, signed_out: bool, effects: &mut Effects) {
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            let presence = &mut operator.presence;
            if signed_out {
                presence.state = PresenceState::Offline;
                presence.since = now;
                presence.node = None;
            }
            presence.lost_at = presence.lost_at.or(Some(now));
        });
        self.revoke_offers(id, effects);
        if signed_out {
            self.want_no_more(id, |mode| mode == Mode::Live, effects);
        }
        self.tell_presence(id, effects);
    }

    /// The operator takes contacts from now on.
    pub(super) fn go_ready(&mut self, id: OperatorId, effects: &mut Effects) -> Result<(), Refusal> {
        let desk = self.operators.get(&id).ok_or(Refusal::NotFound)?;
        if !desk.operator.enabled {
            return Err(Refusal::OperatorNotAllowed);
        }
        if desk.operator.presence.node.is_none() || desk.operator.presence.lost_at.is_some() {
            return Err(Refusal::NotConnected);
        }
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            operator.misses = 0;
            if operator.presence.state != PresenceState::Ready {
                operator.presence.state = PresenceState::Ready;
                operator.presence.since = now;
            }
        });
        self.tell_presence(id, effects);
        Ok(())
    }

    /// The operator takes nothing from now on; what rings goes to others, what they work on stays.
    pub(super) fn go_away(&mut self, id: OperatorId, reason: &str, effects: &mut Effects) {
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            operator.misses = 0;
            operator.presence.state = PresenceState::Away { reason: reason.to_owned() };
            operator.presence.since = now;
        });
        self.revoke_offers(id, effects);
        self.want_no_more(id, |mode| mode == Mode::Live, effects);
        self.tell_presence(id, effects);
    }

    /// An operator is new or changed.
    pub(super) fn put_operator(
        &mut self,
        id: OperatorId,
        profile: &OperatorProfile,
        enabled: bool,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if profile.skills.values().any(|level| !(1..=10).contains(level)) {
            return Err(Refusal::Invalid);
        }
        if self.operators.contains_key(&id) {
            self.change_operator(id, effects, |operator| {
                operator.profile = profile.clone();
                operator.enabled = enabled;
            });
            self.revoke_offers(id, effects);
            if enabled {
                self.withdraw(|operator| operator == id, effects);
            } else {
                self.dismiss_operator(id, effects);
            }
        } else {
            self.admit_operator(Operator {
                id,
                pool: self.pool.clone(),
                profile: profile.clone(),
                enabled,
                presence: Presence { since: self.now, ..Presence::default() },
                misses: 0,
                last_assigned: 0,
                reserved_for: None,
                version: 1,
            });
            effects.operators.insert(id);
        }
        effects.events.push((None, EventBody::OperatorChanged { operator: id }));
        Ok(())
    }

    /// A disabled operator's contacts go back at once, pending ones too: nobody else would bring them back.
    fn dismiss_operator(&mut self, id: OperatorId, effects: &mut Effects) {
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            operator.presence = Presence { since: now, ..Presence::default() };
        });
        let owned: Vec<ContactId> =
            self.contacts.values().filter(|entry| entry.contact.state.owner() == Some(id)).map(|entry| entry.contact.id).collect();
        for contact in owned {
            self.release(contact, ReleasedReason::OwnerLost, QueuedReason::OwnerLost, effects);
        }
        self.want_no_more(id, |_| true, effects);
        self.tell_presence(id, effects);
    }

    /// What operators may not see any more is not theirs any more: by a change of theirs, or of the plan. What waits for them by name
    /// waits for anybody.
    pub(super) fn withdraw(&mut self, whose: impl Fn(OperatorId) -> bool, effects: &mut Effects) {
        let concerns = |contact: &Contact| contact.state.owner().or(contact.state.holder()).or(contact.wanted);
        let is_lost = |contact: &Contact| {
            let is_within_reach = |id| self.operators.get(&id).is_some_and(|desk| self.is_within_reach(&desk.operator, contact));
            concerns(contact).is_some_and(|id| whose(id) && !is_within_reach(id))
        };
        let lost: Vec<ContactId> =
            self.contacts.values().map(|entry| &entry.contact).filter(|contact| is_lost(contact)).map(|contact| contact.id).collect();
        for contact in lost {
            match self.contacts[&contact].contact.state {
                ContactState::Queued => self.wait_for_anybody(contact, effects),
                ContactState::Offered { .. } => self.revoke_offer(contact, effects),
                _ => self.release(contact, ReleasedReason::OwnerLost, QueuedReason::OwnerLost, effects),
            }
        }
    }

    /// Contacts transferred to an operator who will not take them wait for anybody who can: a live one as soon as that colleague
    /// takes a break or leaves, a deferrable one when they stay away. Whoever stays has the time that [`wanted_until`] gives.
    ///
    /// [`wanted_until`]: super::timer::wanted_until
    fn want_no_more(&mut self, id: OperatorId, whose: impl Fn(Mode) -> bool, effects: &mut Effects) {
        let wanted: Vec<ContactId> = self.operators[&id]
            .wanted
            .iter()
            .map(|(_, contact)| *contact)
            .filter(|contact| whose(self.contacts[contact].contact.mode))
            .collect();
        for contact in wanted {
            self.wait_for_anybody(contact, effects);
        }
    }

    /// What happens to a lost operator's contacts: live ones after a minute, deferrable ones after hours, pending ones when
    /// the citizen answers.
    pub(super) fn operator_due(&mut self, id: OperatorId, effects: &mut Effects) {
        let Some(lost_at) = self.operators.get(&id).and_then(|desk| desk.operator.presence.lost_at) else { return };
        let live_gone = self.now >= lost_at.plus(LIVE_OWNER_GONE);
        let all_gone = self.now >= lost_at.plus(DEFERRABLE_OWNER_GONE);
        let held: Vec<ContactId> = self.operators[&id]
            .load
            .holding
            .iter()
            .filter(|contact| {
                let contact = &self.contacts[contact].contact;
                contact.state.owner() == Some(id) && (all_gone || (live_gone && contact.mode == Mode::Live))
            })
            .copied()
            .collect();
        for contact in held {
            if matches!(self.contacts[&contact].contact.state, ContactState::WrapUp { .. }) {
                continue; // its own ceiling closes it
            }
            self.release(contact, ReleasedReason::OwnerLost, QueuedReason::OwnerLost, effects);
        }
        self.want_no_more(id, |mode| all_gone || (live_gone && mode == Mode::Live), effects);
        let was_here = self.operators[&id].operator.presence.state != PresenceState::Offline;
        let now = self.now;
        self.change_operator(id, effects, |operator| {
            let presence = &mut operator.presence;
            if was_here {
                presence.state = PresenceState::Offline;
                presence.since = now;
            }
            presence.node = None;
            if all_gone {
                presence.lost_at = None;
            }
        });
        if was_here {
            self.tell_presence(id, effects);
        }
    }

    fn revoke_offers(&mut self, id: OperatorId, effects: &mut Effects) {
        let ringing: Vec<ContactId> = self.operators[&id]
            .load
            .holding
            .iter()
            .filter(|contact| matches!(self.contacts[contact].contact.state, ContactState::Offered { .. }))
            .copied()
            .collect();
        for contact in ringing {
            self.revoke_offer(contact, effects);
        }
    }

    fn tell_presence(&self, id: OperatorId, effects: &mut Effects) {
        let operator = &self.operators[&id].operator;
        let connected = operator.presence.node.is_some() && operator.presence.lost_at.is_none();
        effects.events.push((None, EventBody::OperatorPresence { operator: id, presence: operator.presence.state.clone(), connected }));
    }
}
