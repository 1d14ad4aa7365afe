//! The contact's way through its states: opened, queued, offered, returned, closed. Each transition is one method.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::command::RejectReason;
use crate::model::contact::{Contact, ContactState, Exclusion, Mode, Offer, OfferState, OrderKey, Outcome, Resolution, Silence};
use crate::model::delivery::Origin;
use crate::model::event::{AssignedReason, EventBody, QueuedReason, ReleasedReason};
use crate::model::id::{ContactId, ConversationId, OfferId, OperatorId, QueueId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;

use super::effects::Effects;
use super::engine::Engine;
use super::parameters::{COOL_OFF_ALONE, MISSES_MAX};
use super::timer::wanted_until;

/// For a queue that the plan does not know any more.
pub(super) const OFFER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(20);
/// For a queue that the plan does not know any more.
pub(super) const UNTOUCHED_DEFAULT: Duration = Duration::from_secs(1800);
const TARGET_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const WRAP_UP_DEFAULT: Duration = Duration::from_secs(120);
const COOL_OFF_DEFAULT: Duration = Duration::from_secs(120);
const RETURNS_MAX_DEFAULT: u32 = 5;

/// Microseconds a contact has waited since it was last queued.
pub(super) fn waited(contact: &Contact, now: Timestamp) -> i64 {
    i64::try_from(now.since(contact.queued_at).as_micros()).unwrap_or(i64::MAX)
}

/// Whether somebody can still answer a citizen who has left: they said something, and where to answer. The address of a chat is
/// its session, which ends with it.
pub(super) fn is_work_without_the_citizen(contact: &Contact) -> bool {
    contact.has_text && (contact.answerable || (contact.address.is_some() && !contact.channel.is_session()))
}

impl Engine {
    /// The place of a contact that is queued now: due after the queue's target, less `credit` for time it waited before.
    pub(super) fn place_in(&self, queue: &QueueId, tier: u8, credit: Duration) -> OrderKey {
        let (target, head_start) =
            self.plan.queues.get(queue).map_or((TARGET_DEFAULT, Duration::ZERO), |queue| (queue.target, queue.head_start));
        OrderKey { tier, due: self.now.plus(target).minus(credit.min(target)).minus(head_start), seq: self.seq }
    }

    /// Opens a contact in the state it has and, if that is `Queued`, has it placed.
    pub(super) fn open_contact(&mut self, contact: Contact, rule: Option<u32>, effects: &mut Effects) {
        let (id, state) = (contact.id, contact.state);
        let received = EventBody::ContactReceived {
            direction: contact.direction,
            account: contact.account.clone(),
            continues: contact.continues,
            rule,
            filed_at: contact.filed_at,
        };
        self.admit_contact(contact);
        effects.contacts.insert(id);
        self.tell(id, effects, received);
        if state == ContactState::Queued {
            self.announce_queued(id, QueuedReason::New, effects);
        }
    }

    /// Says that a contact waits, and has it placed.
    fn announce_queued(&mut self, id: ContactId, reason: QueuedReason, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        let head_start = self.plan.queues.get(&contact.queue).map_or(Duration::ZERO, |queue| queue.head_start);
        let due = contact.key.due.plus(head_start);
        self.tell(id, effects, EventBody::ContactQueued { due, reason });
        self.to_place.push_back(id);
    }

    /// Back to the queue, in its place.
    pub(super) fn queue_again(&mut self, id: ContactId, reason: QueuedReason, effects: &mut Effects) {
        let now = self.now;
        self.change(id, effects, |contact| {
            // a contact that only rang has been waiting all the time
            if !matches!(contact.state, ContactState::Offered { .. } | ContactState::Queued) {
                contact.queued_at = now;
            }
            contact.state = ContactState::Queued;
            contact.exclusions.retain(|exclusion| exclusion.until > now);
        });
        self.announce_queued(id, reason, effects);
    }

    /// A contact that waited for the colleague it was transferred to waits for anybody from now on, with its place kept. The
    /// colleague still comes first, should they be free then.
    pub(super) fn wait_for_anybody(&mut self, id: ContactId, effects: &mut Effects) {
        self.change(id, effects, |contact| contact.preferred = contact.wanted.take());
        self.announce_queued(id, QueuedReason::NotTaken, effects);
    }

    /// To the queue in a new place: what counts now is when it must be looked at from now on.
    pub(super) fn queue_anew(&mut self, id: ContactId, preferred: Option<OperatorId>, reason: QueuedReason, effects: &mut Effects) {
        let key = {
            let contact = &self.contacts[&id].contact;
            self.place_in(&contact.queue, contact.key.tier, Duration::ZERO)
        };
        self.change(id, effects, |contact| {
            contact.key = key;
            contact.preferred = preferred;
        });
        self.queue_again(id, reason, effects);
    }

    /// A contact came back to its queue unserved; the supervisor is called once it has done so too often.
    fn count_return(&mut self, id: ContactId, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        let returns = contact.returns + 1;
        let returns_max = self.plan.queues.get(&contact.queue).map_or(RETURNS_MAX_DEFAULT, |queue| queue.returns_max);
        self.change(id, effects, |contact| contact.returns = returns);
        if returns == returns_max.saturating_add(1) {
            self.tell(id, effects, EventBody::ContactEscalated { returns });
        }
    }

    /// Not again to this operator for the queue's cool-off; a conflict of interest lasts for the whole conversation.
    pub(super) fn exclude(&mut self, id: ContactId, operator: OperatorId, forever: bool, effects: &mut Effects) {
        let now = self.now;
        let cool_off = self.plan.queues.get(&self.contacts[&id].contact.queue).map_or(COOL_OFF_DEFAULT, |queue| queue.cool_off);
        let (until, alone_until) =
            if forever { (Timestamp::MAX, Timestamp::MAX) } else { (now.plus(cool_off), now.plus(COOL_OFF_ALONE.min(cool_off))) };
        self.change(id, effects, |contact| {
            let lasting = contact.exclusions.iter().any(|exclusion| exclusion.operator == operator && exclusion.until == Timestamp::MAX);
            if !lasting {
                contact.exclusions.retain(|exclusion| exclusion.operator != operator);
                contact.exclusions.push(Exclusion { operator, until, alone_until });
            }
        });
    }

    /// An operator must abstain from the whole conversation: what they have of it, and what waits for them by name, goes to others. The
    /// contact in which they say so is the caller's to move.
    pub(super) fn abstain(&mut self, id: ContactId, operator: OperatorId, effects: &mut Effects) {
        let conversation = self.contacts[&id].contact.conversation;
        let open: Vec<ContactId> = self.in_conversation(conversation).map(|contact| contact.id).collect();
        for sibling in open {
            self.exclude(sibling, operator, true, effects);
            let contact = &self.contacts[&sibling].contact;
            match contact.state {
                _ if sibling == id => {}
                ContactState::Offered { operator: rings_at, .. } if rings_at == operator => self.revoke_offer(sibling, effects),
                ContactState::Queued if contact.wanted == Some(operator) => self.wait_for_anybody(sibling, effects),
                state if state.owner() == Some(operator) => {
                    self.release(sibling, ReleasedReason::Returned, QueuedReason::Returned, effects);
                }
                _ => {}
            }
        }
    }

    /// Who must abstain from a conversation, as its open contacts know and as what is followed knew.
    pub(super) fn abstaining(&self, conversation: ConversationId, followed: Option<&Origin>) -> Vec<Exclusion> {
        let known = self.in_conversation(conversation).flat_map(Contact::abstaining);
        let before = followed.into_iter().flat_map(|origin| origin.abstaining.iter().copied());
        let lasting: BTreeSet<OperatorId> = known.chain(before).collect();
        let forever = |operator| Exclusion { operator, until: Timestamp::MAX, alone_until: Timestamp::MAX };
        lasting.into_iter().map(forever).collect()
    }

    // ── offers ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Records how the live offer of a contact ended. The contact's state is the caller's to change.
    pub(super) fn end_offer(&self, id: ContactId, state: OfferState, effects: &mut Effects) {
        if let ContactState::Offered { ordinal, operator, made_at, deadline } = self.contacts[&id].contact.state {
            let offer = Offer { id: OfferId { contact: id, ordinal }, operator, state, made_at, deadline, ended_at: Some(self.now) };
            effects.offers.insert(offer.id, offer);
        }
    }

    /// The operator took it.
    pub(super) fn accept_offer(&mut self, id: ContactId, ordinal: u32, operator: OperatorId, effects: &mut Effects) {
        self.end_offer(id, OfferState::Accepted, effects);
        let now = self.now;
        self.change(id, effects, |contact| {
            contact.waited_us += waited(contact, now);
            contact.state = ContactState::Active { operator, untouched_until: None };
            contact.last_owner = Some(operator);
            contact.wanted = None;
        });
        if self.operators.get(&operator).is_some_and(|desk| desk.operator.misses > 0) {
            self.change_operator(operator, effects, |operator| operator.misses = 0);
        }
        self.tell(id, effects, EventBody::OfferAccepted { ordinal, operator });
    }

    /// The operator refused it.
    pub(super) fn reject_offer(&mut self, id: ContactId, ordinal: u32, operator: OperatorId, reason: RejectReason, effects: &mut Effects) {
        self.end_offer(id, OfferState::Rejected, effects);
        self.tell(id, effects, EventBody::OfferRejected { ordinal, operator, reason });
        self.change(id, effects, |contact| contact.wanted = None);
        if reason == RejectReason::Conflict {
            self.abstain(id, operator, effects);
        } else {
            self.exclude(id, operator, false, effects);
        }
        self.queue_again(id, QueuedReason::Rejected, effects);
        if self.operators.get(&operator).is_some_and(|desk| desk.operator.misses > 0) {
            self.change_operator(operator, effects, |operator| operator.misses = 0);
        }
    }

    /// Nobody answered: two in a row, and the operator counts as away.
    fn expire_offer(&mut self, id: ContactId, ordinal: u32, operator: OperatorId, effects: &mut Effects) {
        self.end_offer(id, OfferState::Expired, effects);
        self.tell(id, effects, EventBody::OfferExpired { ordinal, operator });
        self.change(id, effects, |contact| contact.wanted = None);
        self.exclude(id, operator, false, effects);
        self.count_return(id, effects);
        self.queue_again(id, QueuedReason::Expired, effects);
        if self.operators.contains_key(&operator) {
            self.change_operator(operator, effects, |operator| operator.misses = operator.misses.saturating_add(1));
            if self.operators[&operator].operator.misses >= MISSES_MAX {
                self.go_away(operator, "missed", effects);
            }
        }
    }

    /// Takes an offer back: the operator left, or may not have it any more. No miss.
    pub(super) fn revoke_offer(&mut self, id: ContactId, effects: &mut Effects) {
        if let ContactState::Offered { ordinal, operator, .. } = self.contacts[&id].contact.state {
            self.end_offer(id, OfferState::Revoked, effects);
            self.tell(id, effects, EventBody::OfferRevoked { ordinal, operator });
            self.change(id, effects, |contact| contact.wanted = None);
            self.queue_again(id, QueuedReason::Revoked, effects);
        }
    }

    /// An offer is void because the contact goes elsewhere; the caller changes the state.
    pub(super) fn rescind_offer(&mut self, id: ContactId, effects: &mut Effects) {
        if let ContactState::Offered { ordinal, operator, .. } = self.contacts[&id].contact.state {
            self.end_offer(id, OfferState::Rescinded, effects);
            self.tell(id, effects, EventBody::OfferRescinded { ordinal, operator });
        }
    }

    // ── owners ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes a contact from its owner, back to its queue in its place.
    pub(super) fn release(&mut self, id: ContactId, released: ReleasedReason, queued: QueuedReason, effects: &mut Effects) {
        let Some(operator) = self.contacts[&id].contact.state.owner() else { return };
        self.tell(id, effects, EventBody::ContactReleased { operator, reason: released });
        self.change(id, effects, |contact| contact.wanted = None);
        self.count_return(id, effects);
        self.queue_again(id, queued, effects);
    }

    /// The owner has not looked at it: somebody else comes first now, whoever helped before.
    fn take_from_idle_hands(&mut self, id: ContactId, operator: OperatorId, effects: &mut Effects) {
        self.exclude(id, operator, false, effects);
        self.change(id, effects, |contact| contact.preferred = contact.preferred.filter(|preferred| *preferred != operator));
        self.release(id, ReleasedReason::Untouched, QueuedReason::Untouched, effects);
    }

    /// A pending contact's time has come: its owner goes on if ready, else it waits with the owner preferred.
    pub(super) fn bring_back(&mut self, id: ContactId, assigned: AssignedReason, queued: QueuedReason, effects: &mut Effects) {
        self.go_on(id, Operator::is_ready, assigned, queued, effects);
    }

    /// The owner works on it again if they are there, as `is_there` has it, and still may; else it waits with the owner preferred.
    pub(super) fn go_on(
        &mut self,
        id: ContactId,
        is_there: impl Fn(&Operator) -> bool,
        assigned: AssignedReason,
        queued: QueuedReason,
        effects: &mut Effects,
    ) {
        let contact = &self.contacts[&id].contact;
        let Some(operator) = contact.state.owner() else { return };
        let may = self.check_allowed(operator, contact).is_ok();
        if may && self.operators.get(&operator).is_some_and(|desk| is_there(&desk.operator)) {
            self.change(id, effects, |contact| contact.state = ContactState::Active { operator, untouched_until: None });
            self.tell(id, effects, EventBody::ContactAssigned { operator, reason: assigned, untouched_until: None });
        } else {
            self.queue_anew(id, may.then_some(operator), queued, effects);
        }
    }

    /// The talk is over, the work is not.
    pub(super) fn wrap_up(&mut self, id: ContactId, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        let Some(operator) = contact.state.owner() else { return };
        let until = self.now.plus(self.plan.queues.get(&contact.queue).map_or(WRAP_UP_DEFAULT, |queue| queue.wrap_up));
        self.change(id, effects, |contact| contact.state = ContactState::WrapUp { operator, until });
        self.tell(id, effects, EventBody::ContactWrapUp { operator, until });
    }

    /// Done. Final.
    pub(super) fn close(&mut self, id: ContactId, outcome: Outcome, effects: &mut Effects) {
        let operator = self.contacts[&id].contact.state.owner();
        self.rescind_offer(id, effects);
        let now = self.now;
        let recorded = outcome.clone();
        self.change(id, effects, |contact| {
            contact.state = ContactState::Closed { at: now };
            contact.outcome = Some(recorded);
            contact.wanted = None;
        });
        self.dismiss_contact(id, effects);
        self.tell(id, effects, EventBody::ContactClosed { operator, outcome });
    }

    /// The citizen left before being served. With words and an address it becomes work that can wait.
    pub(super) fn abandon(&mut self, id: ContactId, effects: &mut Effects) {
        self.rescind_offer(id, effects);
        let now = self.now;
        let contact = &self.contacts[&id].contact;
        let short = now.since(contact.opened_at) < super::parameters::SHORT_ABANDON;
        if is_work_without_the_citizen(contact) {
            self.change(id, effects, |contact| {
                contact.mode = Mode::Deferrable;
                contact.state = ContactState::Queued;
            });
            self.tell(id, effects, EventBody::ContactDeferrable { not_admitted: None });
            self.queue_again(id, QueuedReason::Returned, effects);
        } else {
            self.change(id, effects, |contact| {
                contact.state = ContactState::Abandoned { at: now };
                contact.preferred = contact.wanted.take().or(contact.preferred);
            });
            self.tell(id, effects, EventBody::ContactAbandoned { short });
        }
    }

    /// The citizen owes an answer from now on.
    pub(super) fn await_citizen(&mut self, id: ContactId, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        if matches!(contact.state, ContactState::Active { .. }) && super::timer::silence_limits(&self.plan, contact).is_some() {
            let since = self.now;
            self.change(id, effects, |contact| contact.silence = Some(Silence { since, warned: false }));
        }
    }

    /// A silent citizen is asked once, then the contact closes.
    fn silence_due(&mut self, id: ContactId, operator: OperatorId, effects: &mut Effects) {
        let contact = &self.contacts[&id].contact;
        let Some((limits, silence)) = super::timer::silence_limits(&self.plan, contact).zip(contact.silence) else { return };
        let closes_at = silence.since.plus(limits.close);
        if self.now >= closes_at {
            self.close(id, Outcome { topic: None, resolution: Resolution::CitizenSilent }, effects);
        } else {
            self.change(id, effects, |contact| contact.silence = Some(Silence { warned: true, ..silence }));
            self.tell(id, effects, EventBody::ContactSilent { operator, closes_at });
        }
    }

    /// What happens to a contact when its deadline passes.
    pub(super) fn contact_due(&mut self, id: ContactId, effects: &mut Effects) {
        let Some(entry) = self.contacts.get(&id) else { return };
        match entry.contact.state {
            ContactState::Queued if wanted_until(&self.plan, &entry.contact).is_some_and(|until| until <= self.now) => {
                self.wait_for_anybody(id, effects);
            }
            ContactState::Queued => {
                let at = super::timer::contact_deadline(&self.plan, &entry.contact, self.now);
                self.timers.set(super::timer::Timer::Contact(id), at);
                self.to_place.push_back(id);
            }
            ContactState::Offered { ordinal, operator, .. } => self.expire_offer(id, ordinal, operator, effects),
            ContactState::Active { untouched_until, operator } if untouched_until.is_none_or(|until| until > self.now) => {
                self.silence_due(id, operator, effects);
            }
            ContactState::Active { operator, .. } => self.take_from_idle_hands(id, operator, effects),
            ContactState::Pending { .. } => self.bring_back(id, AssignedReason::Resumed, QueuedReason::Due, effects),
            ContactState::WrapUp { .. } => self.close(id, Outcome { topic: None, resolution: Resolution::NotGiven }, effects),
            ContactState::Deferred { .. } => self.queue_again(id, QueuedReason::Due, effects),
            ContactState::Abandoned { .. } => {
                effects.contacts.insert(id);
                self.dismiss_contact(id, effects);
            }
            ContactState::Closed { .. } => {}
        }
    }
}
