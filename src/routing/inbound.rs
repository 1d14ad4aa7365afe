//! A citizen's message or leaving. What a message does in each state of its contact is one total table, [`landing`].

use crate::model::channel::IdentityLevel;
use crate::model::command::Refusal;
use crate::model::contact::{Contact, ContactState, Direction, Mode, NotAdmitted, Outcome, Resolution, StateName};
use crate::model::conversation::Automatic;
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::{AssignedReason, EventBody, QueuedReason};
use crate::model::id::{ContactId, ConversationId, OfficeId, OperatorId};
use crate::model::inbound::Signal;
use crate::model::input::{Classification, InboundFacts, Reference, SignalFacts};
use crate::model::operator::Operator;
use crate::model::requirement::Requirement;
use crate::plan::rule::TIER_DEFAULT;

use super::delivery::is_news_that_it_came_back;
use super::effects::{Applied, Effects};
use super::engine::Engine;

/// What a citizen's message does to the contact it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// It is added; nothing else changes.
    Append,
    /// It is added and the owner goes on: if ready with the contact, else it waits with the owner preferred.
    WakeOwner,
    /// It is added and the owner works on it again if they are there, ready or not; else it waits with the owner preferred.
    Reactivate,
    /// It is added; somebody who is standing there wakes a contact that was put off.
    WakeIfLive,
    /// The contact goes back to its old place.
    ComeBack,
    /// A new contact follows it in the same conversation.
    Follow,
}

/// The table. An abandoned contact is only found here within its grace.
pub(super) fn landing(state: StateName) -> Landing {
    match state {
        StateName::Queued | StateName::Offered | StateName::Active => Landing::Append,
        StateName::Pending => Landing::WakeOwner,
        StateName::WrapUp => Landing::Reactivate,
        StateName::Deferred => Landing::WakeIfLive,
        StateName::Abandoned => Landing::ComeBack,
        StateName::Closed => Landing::Follow,
    }
}

impl Engine {
    /// A message: joins the contact it belongs to, follows a closed one, or opens a new one.
    pub(super) fn apply_inbound(&mut self, facts: &InboundFacts, effects: &mut Effects) -> Applied {
        if !self.plan.accounts.contains_key(&facts.account) {
            return Applied::refused(Refusal::NotFound);
        }
        if let (Some(message), Some(reference)) = (facts.bounced, &facts.reference) {
            return self.apply_bounce(facts, message, reference, effects);
        }
        let found = self.contact_of(facts);
        let is_person = !matches!(facts.automatic, Some(Automatic::AutoReply | Automatic::Bounce | Automatic::Receipt | Automatic::Loop));
        match found {
            Some(id) if !is_person => self.append(id, facts, effects),
            Some(id) => self.land(id, facts, effects),
            None => self.open_from(facts, is_person, effects),
        }
    }

    /// The contact in memory that a message belongs to: named by its program, by a signed reference, or by its address.
    fn contact_of(&self, facts: &InboundFacts) -> Option<ContactId> {
        let ours = |contact: &&Contact| contact.administration == facts.administration;
        let named = facts.thread.iter().filter_map(|id| self.contacts.get(id)).map(|entry| &entry.contact).find(ours);
        let newest = |conversation: ConversationId| {
            self.in_conversation(conversation).filter(ours).max_by_key(|contact| (contact.opened_at, contact.id))
        };
        let referenced = || newest(facts.reference.as_ref()?.conversation);
        let by_address = || {
            // not by what intake found: of two messages in one batch it found nothing for either
            let address = facts.address.filter(|_| facts.channel.joins_by_address())?;
            let same = self
                .with_address(&facts.administration, address)
                .filter(|contact| contact.channel == facts.channel && contact.account == facts.account);
            let open = same.max_by_key(|contact| (contact.opened_at, contact.id));
            open.or_else(|| newest(facts.recent.as_ref()?.conversation))
        };
        named.or_else(referenced).or_else(by_address).map(|contact| contact.id)
    }

    /// Adds a message to a contact; who has the contact is told.
    fn append(&mut self, id: ContactId, facts: &InboundFacts, effects: &mut Effects) -> Applied {
        let contact = &self.contacts[&id].contact;
        let answered = contact.silence.is_some() && facts.automatic.is_none();
        if (facts.has_text && !contact.has_text) || (facts.answerable && !contact.answerable) || answered {
            self.change(id, effects, |contact| {
                contact.has_text |= facts.has_text;
                contact.answerable |= facts.answerable;
                if answered {
                    contact.silence = None;
                }
            });
        }
        let operator = self.contacts[&id].contact.state.holder().or(self.contacts[&id].contact.state.owner());
        self.tell(id, effects, EventBody::MessageReceived { message: facts.message, operator, automatic: facts.automatic });
        Applied::placed(&self.contacts[&id].contact, false)
    }

    fn land(&mut self, id: ContactId, facts: &InboundFacts, effects: &mut Effects) -> Applied {
        let contact = &self.contacts[&id].contact;
        let state = contact.state;
        let rule = landing(state.name());
        if rule == Landing::Follow {
            return self.open_from(facts, true, effects);
        }
        let is_live = contact.mode == Mode::Live;
        let applied = self.append(id, facts, effects);
        if is_live && facts.mode == Mode::Deferrable {
            if state.owner().is_none() {
                self.leave(id, state, effects);
                return applied;
            }
            if rule != Landing::Append {
                self.change(id, effects, |contact| contact.mode = Mode::Deferrable);
                self.tell(id, effects, EventBody::ContactDeferrable { not_admitted: None });
            }
        }
        match (rule, state) {
            (Landing::WakeOwner, _) => self.bring_back(id, AssignedReason::CitizenWrote, QueuedReason::CitizenWrote, effects),
            (Landing::Reactivate, _) => {
                self.go_on(id, Operator::is_present, AssignedReason::CitizenWrote, QueuedReason::CitizenWrote, effects);
            }
            (Landing::WakeIfLive, _) if is_live => self.queue_again(id, QueuedReason::CitizenWrote, effects),
            (Landing::ComeBack, _) => self.queue_again(id, QueuedReason::CameBack, effects),
            _ => {}
        }
        applied
    }

    /// Words left for later in a live contact: who is not served yet need not be stood there for.
    fn leave(&mut self, id: ContactId, state: ContactState, effects: &mut Effects) {
        match state {
            ContactState::Queued | ContactState::Offered { .. } | ContactState::Deferred { .. } => self.abandon(id, effects),
            ContactState::Abandoned { .. } => {
                self.change(id, effects, |contact| contact.mode = Mode::Deferrable);
                self.tell(id, effects, EventBody::ContactDeferrable { not_admitted: None });
                self.queue_again(id, QueuedReason::CameBack, effects);
            }
            _ => {}
        }
    }

    /// Opens a contact: in the conversation that the message belongs to, or in a new one. What no person wrote is recorded
    /// and closed at once.
    fn open_from(&mut self, facts: &InboundFacts, is_person: bool, effects: &mut Effects) -> Applied {
        if self.contacts.contains_key(&facts.new_contact) {
            return self.append(facts.new_contact, facts, effects);
        }
        let follows = facts.reference.as_ref().or(facts.recent.as_ref());
        let classification = match facts.classification.clone().or_else(|| self.classify(facts, follows)) {
            Some(classification) => classification,
            None => return Applied::refused(Refusal::NotFound),
        };
        let contact = self.new_contact(facts, follows, &classification);
        let Some(mut contact) = contact else { return Applied::refused(Refusal::NotFound) };
        let not_admitted = self.not_admitted(&contact);
        if not_admitted.is_some() {
            (contact.mode, contact.not_admitted) = (Mode::Deferrable, not_admitted);
        }
        let id = contact.id;
        self.open_contact(contact, classification.rule, effects);
        self.tell(id, effects, EventBody::MessageReceived { message: facts.message, operator: None, automatic: facts.automatic });
        if not_admitted.is_some() {
            self.tell(id, effects, EventBody::ContactDeferrable { not_admitted });
        }
        let applied = Applied { classification: Some(classification), ..Applied::placed(&self.contacts[&id].contact, follows.is_none()) };
        if !is_person {
            self.close(id, Outcome { topic: None, resolution: Resolution::NotARequest }, effects);
        }
        applied
    }

    /// A follow-on goes to the queue of what it follows; anything else where the rules say.
    fn classify(&self, facts: &InboundFacts, follows: Option<&Reference>) -> Option<Classification> {
        match follows.filter(|reference| self.plan.queues.contains_key(&reference.origin.queue)) {
            Some(reference) => Some(Classification {
                queue: reference.origin.queue.clone(),
                requirement: Requirement::Anybody,
                tier: TIER_DEFAULT,
                rule: None,
            }),
            None => self.plan.classify(facts),
        }
    }

    fn new_contact(&self, facts: &InboundFacts, follows: Option<&Reference>, classification: &Classification) -> Option<Contact> {
        let queue = self.plan.queues.get(&classification.queue)?;
        let origin = follows.map(|reference| &reference.origin);
        let conversation = follows.map_or(facts.new_conversation, |reference| reference.conversation);
        Some(Contact {
            id: facts.new_contact,
            administration: facts.administration.clone(),
            office: queue.office.clone(),
            queue: classification.queue.clone(),
            conversation,
            citizen: facts.citizen,
            citizen_level: facts.citizen_level,
            address: facts.address,
            identity: facts.identity,
            channel: facts.channel.clone(),
            account: facts.account.clone(),
            mode: facts.mode,
            not_admitted: None,
            direction: Direction::Inbound,
            opened_by: None,
            continues: follows.map(|reference| reference.contact),
            language: facts.language.or(origin.and_then(|origin| origin.language)),
            requirement: classification.requirement.clone(),
            filed_at: facts.filed_at,
            opened_at: self.now,
            queued_at: self.now,
            waited_us: 0,
            key: self.place_in(&classification.queue, classification.tier, std::time::Duration::ZERO),
            first_response_at: None,
            state: ContactState::Queued,
            offers: 0,
            returns: 0,
            transfers: 0,
            exclusions: self.abstaining(conversation, origin),
            wanted: None,
            preferred: self.preferred_operator(facts, &queue.office, origin.and_then(|origin| origin.owner)),
            case: None,
            outcome: None,
            last_owner: None,
            has_text: facts.has_text,
            answerable: facts.answerable,
            silence: None,
            version: 1,
        })
    }

    /// Who holds an open contact of the same citizen, then who had the contact it follows, then who helped last. Where a restricted
    /// office deals with the citizen, that shows in no other office: not even by who gets their next contact.
    fn preferred_operator(&self, facts: &InboundFacts, office: &OfficeId, follows: Option<OperatorId>) -> Option<OperatorId> {
        let may_show = |other: &OfficeId| other == office || !self.plan.is_restricted(&facts.administration, other);
        let siblings = self.of_same_citizen(facts).filter(|contact| may_show(&contact.office));
        let held = siblings.filter_map(|contact| Some((contact.opened_at, contact.id, contact.state.owner()?)));
        let helper = || facts.last_helper.filter(|_| facts.last_helper_office.as_ref().is_none_or(may_show));
        held.max().map(|(.., owner)| owner).or(follows).or_else(helper)
    }

    /// The contacts of whoever writes: by the same address, if it is one citizen's alone; by another address of theirs only where both
    /// were proved, for anybody can claim to be their neighbour.
    fn of_same_citizen(&self, facts: &InboundFacts) -> impl Iterator<Item = &Contact> {
        let proved = Some(IdentityLevel::Verified);
        let (address, is_proved) = (facts.address, facts.citizen_level >= proved);
        let known = facts.citizen.filter(|_| facts.citizen_level.is_some());
        let same = known.map(|citizen| self.with_citizen(&facts.administration, citizen));
        same.into_iter()
            .flatten()
            .filter(move |contact| (address.is_some() && contact.address == address) || (is_proved && contact.citizen_level >= proved))
    }

    /// Why a live contact may not wait in its queue as such: it is closed, or full. Deferrable ones always may.
    fn not_admitted(&self, contact: &Contact) -> Option<NotAdmitted> {
        if contact.mode == Mode::Deferrable {
            return None;
        }
        if self.closed_queues.contains(&contact.queue) {
            return Some(NotAdmitted::QueueClosed);
        }
        let waiting_max = self.plan.queues.get(&contact.queue).map_or(u32::MAX, |queue| queue.waiting_max);
        (self.demand.waiting_in(&contact.queue) >= waiting_max as usize).then_some(NotAdmitted::QueueFull)
    }

    /// A letter of ours came back: it is marked, and its contact is brought back to its owner. What came back of a copy is recorded only,
    /// and so is a second report on the same letter.
    fn apply_bounce(
        &mut self,
        facts: &InboundFacts,
        message: crate::model::id::MessageId,
        reference: &Reference,
        effects: &mut Effects,
    ) -> Applied {
        let newest = |engine: &Self| {
            let open = engine.in_conversation(reference.conversation);
            open.max_by_key(|contact| (contact.opened_at, contact.id)).map(|contact| contact.id)
        };
        let open = self.deliveries.get(&message);
        let is_ours = |stored: &&Delivery| {
            stored.message == message && stored.administration == facts.administration && stored.conversation == reference.conversation
        };
        let stored = facts.bounced_stored.as_deref().filter(is_ours);
        let is_news = open.or(stored).is_none_or(|delivery| is_news_that_it_came_back(delivery, open.is_some()));
        let (delivery, is_copy) = match (open, stored) {
            (Some(open), _) => (open.clone(), open.origin.is_copy),
            (None, Some(stored)) => {
                let contact = newest(self).unwrap_or(stored.contact);
                (Delivery { contact, ..stored.clone() }, stored.origin.is_copy)
            }
            // an input of an earlier release, for which nothing was looked up
            (None, None) => (self.delivery_by_reference(facts, message, reference, newest(self)), false),
        };
        if is_news {
            self.fail_delivery(delivery, DeliveryState::Bounced, "bounced", effects);
        }
        match newest(self) {
            Some(id) => self.append(id, facts, effects),
            None => self.open_from(facts, is_news && !is_copy, effects),
        }
    }

    /// What can be said of a sent message whose delivery is not known.
    fn delivery_by_reference(
        &self,
        facts: &InboundFacts,
        message: crate::model::id::MessageId,
        reference: &Reference,
        open: Option<ContactId>,
    ) -> Delivery {
        Delivery {
            message,
            administration: facts.administration.clone(),
            contact: open.unwrap_or(reference.contact),
            conversation: reference.conversation,
            account: facts.account.clone(),
            channel: facts.channel.clone(),
            state: DeliveryState::Sent,
            attempts: 0,
            due: self.now,
            failure: None,
            settled: None,
            origin: reference.origin.clone(),
        }
    }

    /// The citizen left: before being served it is abandoned, after it the operator wraps up.
    pub(super) fn apply_signal(&mut self, facts: &SignalFacts, effects: &mut Effects) -> Applied {
        let ours = |contact: &&Contact| contact.administration == facts.administration;
        let named = facts.thread.iter().filter_map(|id| self.contacts.get(id)).map(|entry| &entry.contact).find(ours);
        let in_chat = || {
            let open = self.in_conversation(facts.conversation?).filter(ours);
            open.max_by_key(|contact| (contact.opened_at, contact.id))
        };
        let Some(id) = named.or_else(in_chat).map(|contact| contact.id) else { return Applied::refused(Refusal::NotFound) };
        let contact = &self.contacts[&id].contact;
        if contact.mode == Mode::Deferrable {
            return Applied::refused(Refusal::WrongState);
        }
        match (&contact.state, facts.signal) {
            (ContactState::Queued | ContactState::Offered { .. } | ContactState::Deferred { .. }, Signal::Abandoned | Signal::Ended) => {
                self.abandon(id, effects);
            }
            (ContactState::Active { .. }, Signal::Abandoned | Signal::Ended) => self.wrap_up(id, effects),
            _ => return Applied::refused(Refusal::WrongState),
        }
        Applied::landed(id)
    }
}
