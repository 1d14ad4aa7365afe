//! Commands: what operators and supervisors ask for. The desk has checked role and scope; here ownership, state and version
//! are checked, and a refusal changes nothing.

use std::time::Duration;

use crate::model::command::{Authority, Command, CommandBody, Refusal, RejectReason, TransferTarget};
use crate::model::contact::{Contact, ContactState, Mode, Outcome, PendingOn, StateName};
use crate::model::delivery::Delivery;
use crate::model::event::{AssignedReason, EventBody, QueuedReason, ReleasedReason};
use crate::model::id::{ContactId, OfferId, OperatorId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;

use super::effects::{Applied, Effects};
use super::engine::Engine;
use super::lifecycle::waited;

/// The longest code of a reason.
const REASON_MAX: usize = 64;
/// The reason of a transfer that says that its owner must abstain: from the whole conversation, like a conflict over an offer.
const CONFLICT: &str = "conflict";
/// The longest protocol number.
const CASE_NUMBER_MAX: usize = 128;

impl Engine {
    /// One command.
    ///
    /// `stored`: the delivery of the message that it names, for one that the engine has forgotten.
    pub(super) fn apply_command(&mut self, command: &Command, stored: Option<&Delivery>, effects: &mut Effects) -> Applied {
        match self.obey(command, stored, effects) {
            Ok(applied) => applied,
            Err(code) => Applied::refused(code),
        }
    }

    fn obey(&mut self, command: &Command, stored: Option<&Delivery>, effects: &mut Effects) -> Result<Applied, Refusal> {
        check_actor(command)?;
        match &command.body {
            CommandBody::Connect { operator, node, country } => self.connect(*operator, node, country.as_ref(), effects)?,
            CommandBody::Disconnect { operator, node, signed_out } => self.disconnect(*operator, node, *signed_out, effects)?,
            CommandBody::Ready { operator } => self.go_ready(*operator, effects)?,
            CommandBody::Away { operator, reason } => {
                check_code(reason)?;
                self.operators.get(operator).ok_or(Refusal::NotFound)?;
                self.go_away(*operator, reason, effects);
            }
            CommandBody::PutOperator { operator, profile, enabled } => self.put_operator(*operator, profile, *enabled, effects)?,
            CommandBody::LoseNode { node } => self.lose_node(node, effects),
            CommandBody::ApplyPlan { version } => self.apply_plan(*version, effects)?,
            CommandBody::CloseQueue { queue } => self.set_queue(queue, true, effects)?,
            CommandBody::OpenQueue { queue } => self.set_queue(queue, false, effects)?,
            CommandBody::RetryMessage { .. } | CommandBody::SettleMessage { .. } => {
                return self.obey_about_message(command, stored, effects);
            }
            _ => return self.obey_about_contact(command, effects),
        }
        Ok(Applied::done())
    }

    fn obey_about_contact(&mut self, command: &Command, effects: &mut Effects) -> Result<Applied, Refusal> {
        match &command.body {
            CommandBody::Accept { offer } => self.accept(command, *offer, effects),
            CommandBody::Reject { offer, reason } => self.reject(command, *offer, *reason, effects),
            CommandBody::Touch { contact } => self.touch(command, *contact, effects),
            CommandBody::Pull { contact } => self.pull(command, *contact, effects),
            CommandBody::Reply { contact, message, account } => {
                let known = self.check_owner(command, *contact, &[StateName::Active, StateName::Pending, StateName::WrapUp])?;
                if let Some(account) = account {
                    self.sending_account(account, &known.administration)?;
                }
                let now = self.now;
                self.change(*contact, effects, |contact| {
                    contact.first_response_at = contact.first_response_at.or(Some(now));
                    clear_untouched(contact);
                });
                self.send(*contact, *message, account.as_ref(), effects)?;
                self.await_citizen(*contact, effects);
                Ok(Applied::placed(self.contact(*contact)?, false))
            }
            CommandBody::Copy { .. } => self.send_copy(command, effects),
            CommandBody::Note { contact, note } => {
                let known = self.check_owner(command, *contact, &StateName::ALL)?;
                let operator = command.actor.operator.or(known.state.owner()).ok_or(Refusal::Invalid)?;
                self.change(*contact, effects, clear_untouched);
                self.tell(*contact, effects, EventBody::NoteAdded { note: *note, operator });
                Ok(Applied::placed(self.contact(*contact)?, false))
            }
            CommandBody::Pend { contact, on, back_after } => self.pend(command, *contact, *on, *back_after, effects),
            CommandBody::Resume { contact } => self.resume(command, *contact, effects),
            CommandBody::Defer { contact, until } => self.defer(command, *contact, *until, effects),
            CommandBody::WrapUp { contact } => {
                let known = self.check_owner(command, *contact, &[StateName::Active])?;
                if known.mode == Mode::Deferrable {
                    return Err(Refusal::WrongState);
                }
                self.wrap_up(*contact, effects);
                Ok(Applied::landed(*contact))
            }
            CommandBody::Close { contact, outcome } => self.finish(command, *contact, outcome, effects),
            CommandBody::Transfer { contact, to, reason } => self.transfer(command, *contact, to, reason, effects),
            CommandBody::Return { contact } => self.give_back(command, *contact, effects),
            CommandBody::Assign { contact, operator } => self.assign(command, *contact, *operator, effects),
            CommandBody::SetCase { contact, case } => {
                self.check_owner(command, *contact, &StateName::ALL)?;
                if case.as_ref().is_some_and(|case| case.number.is_empty() || case.number.len() > CASE_NUMBER_MAX) {
                    return Err(Refusal::Invalid);
                }
                self.change(*contact, effects, |contact| contact.case = case.clone());
                self.tell(*contact, effects, EventBody::ContactCase);
                Ok(Applied::landed(*contact))
            }
            _ => Err(Refusal::Invalid),
        }
    }

    // ── checks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The contact, if it is as the sender saw it and in one of `states`.
    fn check(&self, command: &Command, id: ContactId, states: &[StateName]) -> Result<&Contact, Refusal> {
        let contact = self.contact(id)?;
        if command.expected_version.is_some_and(|version| version != contact.version) {
            return Err(Refusal::VersionChanged);
        }
        if contact.state.is_final() || !states.contains(&contact.state.name()) {
            return Err(Refusal::WrongState);
        }
        Ok(contact)
    }

    /// The same, and it belongs to the sender or the sender may act on any. A stranger learns that before the state.
    pub(super) fn check_owner(&self, command: &Command, id: ContactId, states: &[StateName]) -> Result<&Contact, Refusal> {
        let contact = self.contact(id)?;
        let is_owner = command.actor.operator.is_some() && contact.state.owner() == command.actor.operator;
        if !is_owner && command.actor.authority < Authority::Any {
            return Err(Refusal::NotOwner);
        }
        self.check(command, id, states)
    }

    /// Whether an operator may have a contact at all: administration, restricted office, enabled. Skills are the router's
    /// business, not a person's.
    pub(super) fn check_allowed(&self, operator: OperatorId, contact: &Contact) -> Result<(), Refusal> {
        let desk = self.operators.get(&operator).ok_or(Refusal::NotFound)?;
        let must_abstain = contact.abstaining().any(|who| who == operator);
        (self.is_within_reach(&desk.operator, contact) && !must_abstain).then_some(()).ok_or(Refusal::OperatorNotAllowed)
    }

    /// Whether an operator may see the contacts of its administration and office.
    pub(super) fn is_within_reach(&self, operator: &Operator, contact: &Contact) -> bool {
        let restricted = self.plan.is_restricted(&contact.administration, &contact.office);
        operator.enabled
            && operator.profile.administrations.contains(&contact.administration)
            && (!restricted || operator.profile.offices.contains(&contact.office))
    }

    // ── offers ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The live offer, if it rings at the sender. A late answer is told how the offer ended.
    fn check_offer(&self, command: &Command, offer: OfferId) -> Result<OperatorId, Refusal> {
        let sender = command.actor.operator.ok_or(Refusal::Invalid)?;
        let contact = self.contact(offer.contact).map_err(|_| Refusal::OfferEnded)?;
        match contact.state {
            ContactState::Offered { ordinal, operator, .. } if ordinal == offer.ordinal => {
                if operator == sender {
                    Ok(sender)
                } else {
                    Err(Refusal::NotFound)
                }
            }
            _ if offer.ordinal > contact.offers || offer.ordinal == 0 => Err(Refusal::NotFound),
            ContactState::Active { operator, .. } if operator == sender && offer.ordinal == contact.offers => Err(Refusal::OfferEnded),
            _ if contact.exclusions.iter().any(|exclusion| exclusion.operator == sender) => Err(Refusal::OfferExpired),
            _ => Err(Refusal::OfferRevoked),
        }
    }

    fn accept(&mut self, command: &Command, offer: OfferId, effects: &mut Effects) -> Result<Applied, Refusal> {
        let operator = self.check_offer(command, offer)?;
        self.accept_offer(offer.contact, offer.ordinal, operator, effects);
        Ok(Applied::landed(offer.contact))
    }

    fn reject(&mut self, command: &Command, offer: OfferId, reason: RejectReason, effects: &mut Effects) -> Result<Applied, Refusal> {
        let operator = self.check_offer(command, offer)?;
        self.reject_offer(offer.contact, offer.ordinal, operator, reason, effects);
        Ok(Applied::landed(offer.contact))
    }

    // ── work ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn touch(&mut self, command: &Command, id: ContactId, effects: &mut Effects) -> Result<Applied, Refusal> {
        let contact = self.check_owner(command, id, &[StateName::Active])?;
        if let ContactState::Active { operator, untouched_until: Some(_) } = contact.state {
            self.change(id, effects, clear_untouched);
            self.tell(id, effects, EventBody::ContactTouched { operator });
        }
        Ok(Applied::landed(id))
    }

    /// Out of turn, by whoever may have it: what waits, or what rings at nobody else.
    fn pull(&mut self, command: &Command, id: ContactId, effects: &mut Effects) -> Result<Applied, Refusal> {
        let operator = command.actor.operator.ok_or(Refusal::Invalid)?;
        let contact = self.check(command, id, &[StateName::Queued, StateName::Deferred])?;
        if contact.wanted.is_some_and(|wanted| wanted != operator) && command.actor.authority < Authority::Any {
            return Err(Refusal::NotOwner);
        }
        self.check_allowed(operator, contact)?;
        if !self.operators[&operator].operator.is_present() {
            return Err(Refusal::NotConnected);
        }
        self.give(id, operator, AssignedReason::Pulled, effects);
        Ok(Applied::landed(id))
    }

    fn pend(
        &mut self,
        command: &Command,
        id: ContactId,
        on: PendingOn,
        back_after: Option<Timestamp>,
        effects: &mut Effects,
    ) -> Result<Applied, Refusal> {
        let contact = self.check_owner(command, id, &[StateName::Active, StateName::Pending, StateName::WrapUp])?;
        let operator = contact.state.owner().ok_or(Refusal::WrongState)?;
        if back_after.is_some_and(|at| at <= self.now || at > Timestamp::MAX) {
            return Err(Refusal::Invalid);
        }
        let since = self.now;
        self.change(id, effects, |contact| contact.state = ContactState::Pending { operator, on, since, back_after });
        self.tell(id, effects, EventBody::ContactPending { operator, on });
        Ok(Applied::landed(id))
    }

    fn resume(&mut self, command: &Command, id: ContactId, effects: &mut Effects) -> Result<Applied, Refusal> {
        let contact = self.check_owner(command, id, &[StateName::Pending, StateName::WrapUp])?;
        let owner = contact.state.owner().ok_or(Refusal::WrongState)?;
        let is_own = command.actor.operator == Some(owner);
        if is_own && !self.operators.get(&owner).is_some_and(|desk| desk.operator.has_console()) {
            return Err(Refusal::NotConnected);
        }
        // whoever takes up their own does work, whether they have said so or not
        let is_there = |operator: &Operator| is_own || operator.is_present();
        self.go_on(id, is_there, AssignedReason::Resumed, QueuedReason::Due, effects);
        Ok(Applied::landed(id))
    }

    fn defer(&mut self, command: &Command, id: ContactId, until: Timestamp, effects: &mut Effects) -> Result<Applied, Refusal> {
        let waiting =
            matches!(self.contact(id)?.state, ContactState::Queued | ContactState::Offered { .. } | ContactState::Deferred { .. });
        if waiting && command.actor.authority < Authority::Any {
            return Err(Refusal::NotOwner);
        }
        if waiting {
            self.check(command, id, &[StateName::Queued, StateName::Offered, StateName::Deferred])?;
        } else {
            self.check_owner(command, id, &[StateName::Active, StateName::Pending])?;
        }
        if until <= self.now || until > Timestamp::MAX {
            return Err(Refusal::Invalid);
        }
        self.rescind_offer(id, effects);
        self.change(id, effects, |contact| {
            contact.preferred = contact.state.owner().or(contact.wanted.take()).or(contact.preferred);
            contact.state = ContactState::Deferred { until };
        });
        self.tell(id, effects, EventBody::ContactDeferred { until });
        Ok(Applied::landed(id))
    }

    fn finish(&mut self, command: &Command, id: ContactId, outcome: &Outcome, effects: &mut Effects) -> Result<Applied, Refusal> {
        let contact = self.contact(id)?;
        if contact.state.owner().is_none() && command.actor.authority < Authority::Any {
            return Err(Refusal::NotOwner);
        }
        let contact = self.check_owner(command, id, &StateName::ALL)?;
        let known = |topic: &crate::model::id::TopicId| {
            self.plan.administrations.get(&contact.administration).is_some_and(|administration| administration.topics.contains_key(topic))
        };
        if outcome.topic.as_ref().is_some_and(|topic| !known(topic)) {
            return Err(Refusal::Invalid);
        }
        self.close(id, outcome.clone(), effects);
        Ok(Applied::landed(id))
    }

    /// Back to the queue in its place; the giver is not asked again for a while.
    fn give_back(&mut self, command: &Command, id: ContactId, effects: &mut Effects) -> Result<Applied, Refusal> {
        let contact = self.check_owner(
            command,
            id,
            &[StateName::Active, StateName::Pending, StateName::WrapUp, StateName::Deferred, StateName::Offered],
        )?;
        match contact.state {
            ContactState::Offered { .. } => self.revoke_offer(id, effects),
            ContactState::Deferred { .. } => self.queue_again(id, QueuedReason::Returned, effects),
            _ => {
                if let Some(owner) = contact.state.owner() {
                    self.exclude(id, owner, false, effects);
                }
                self.release(id, ReleasedReason::Returned, QueuedReason::Returned, effects);
            }
        }
        Ok(Applied::landed(id))
    }

    /// A supervisor gives a contact to an operator, wherever it is: an absent one's to another.
    fn assign(&mut self, command: &Command, id: ContactId, operator: OperatorId, effects: &mut Effects) -> Result<Applied, Refusal> {
        if command.actor.authority < Authority::Any {
            return Err(Refusal::NotOwner);
        }
        let contact = self.check(command, id, &StateName::ALL)?;
        self.check_allowed(operator, contact)?;
        if contact.mode == Mode::Live && !self.operators[&operator].operator.is_present() {
            return Err(Refusal::OperatorNotReady);
        }
        if let Some(owner) = contact.state.owner() {
            if owner == operator {
                return Err(Refusal::WrongState);
            }
            self.tell(id, effects, EventBody::ContactReleased { operator: owner, reason: ReleasedReason::Reassigned });
        }
        self.rescind_offer(id, effects);
        self.give(id, operator, AssignedReason::Supervisor, effects);
        Ok(Applied::landed(id))
    }

    /// To another queue or a colleague. What it waited counts, up to the new queue's target; what it was served does not.
    fn transfer(
        &mut self,
        command: &Command,
        id: ContactId,
        to: &TransferTarget,
        reason: &str,
        effects: &mut Effects,
    ) -> Result<Applied, Refusal> {
        check_code(reason)?;
        let contact = self.check_owner(command, id, &StateName::ALL)?;
        let (from_queue, sender, tier) = (contact.queue.clone(), contact.state.owner(), contact.key.tier);
        let waiting_us =
            if matches!(contact.state, ContactState::Queued | ContactState::Offered { .. }) { waited(contact, self.now) } else { 0 };
        let credit = Duration::from_micros(u64::try_from(contact.waited_us.saturating_add(waiting_us)).unwrap_or(0));
        let (queue, wanted) = match to {
            TransferTarget::Queue(queue) => {
                let target = self.plan.queues.get(queue).ok_or(Refusal::NotFound)?;
                if target.administration != contact.administration {
                    return Err(Refusal::OtherAdministration);
                }
                (queue.clone(), None)
            }
            TransferTarget::Operator(operator) => {
                self.check_allowed(*operator, contact)?;
                if sender == Some(*operator) {
                    return Err(Refusal::Invalid);
                }
                if contact.mode == Mode::Live && !self.operators[operator].operator.is_ready() {
                    return Err(Refusal::OperatorNotReady);
                }
                (from_queue.clone(), Some(*operator))
            }
        };
        let office = self.plan.queues.get(&queue).map(|queue| queue.office.clone());
        self.rescind_offer(id, effects);
        match sender {
            Some(sender) if reason == CONFLICT => self.abstain(id, sender, effects),
            Some(sender) => self.exclude(id, sender, false, effects),
            None => {}
        }
        let key = self.place_in(&queue, tier, credit);
        let now = self.now;
        self.change(id, effects, |contact| {
            // it begins to wait anew: the colleague's time to take it counts from here
            (contact.waited_us, contact.queued_at) = (contact.waited_us.saturating_add(waiting_us), now);
            contact.queue = queue;
            contact.office = office.unwrap_or_else(|| contact.office.clone());
            contact.requirement =
                if wanted.is_some() { contact.requirement.clone() } else { crate::model::requirement::Requirement::Anybody };
            contact.key = key;
            contact.wanted = wanted;
            contact.preferred = None;
            contact.transfers += 1;
        });
        let told = EventBody::ContactTransferred { operator: sender, from_queue, to: to.clone(), reason: reason.to_owned() };
        self.tell(id, effects, told);
        self.queue_again(id, QueuedReason::Transferred, effects);
        Ok(Applied::landed(id))
    }

    fn set_queue(&mut self, queue: &crate::model::id::QueueId, closed: bool, effects: &mut Effects) -> Result<(), Refusal> {
        let administration = self.plan.queues.get(queue).ok_or(Refusal::NotFound)?.administration.clone();
        let body = if closed {
            self.closed_queues.insert(queue.clone());
            EventBody::QueueClosed { queue: queue.clone(), administration }
        } else {
            self.closed_queues.remove(queue);
            EventBody::QueueOpened { queue: queue.clone(), administration }
        };
        effects.queues.insert(queue.clone());
        effects.events.push((None, body));
        Ok(())
    }
}

/// What an operator says of themself is theirs to say, or their supervisor's or the machinery's; what concerns everybody is not an
/// operator's at all. Commands on a contact look at whose it is.
fn check_actor(command: &Command) -> Result<(), Refusal> {
    let may_for_all = command.actor.authority == Authority::Any;
    let may = match &command.body {
        CommandBody::Connect { operator, .. }
        | CommandBody::Disconnect { operator, .. }
        | CommandBody::Ready { operator }
        | CommandBody::Away { operator, .. } => may_for_all || command.actor.operator == Some(*operator),
        CommandBody::PutOperator { .. }
        | CommandBody::LoseNode { .. }
        | CommandBody::ApplyPlan { .. }
        | CommandBody::CloseQueue { .. }
        | CommandBody::OpenQueue { .. } => may_for_all,
        _ => true,
    };
    may.then_some(()).ok_or(Refusal::NotOwner)
}

fn clear_untouched(contact: &mut Contact) {
    if let ContactState::Active { untouched_until, .. } = &mut contact.state {
        *untouched_until = None;
    }
}

fn check_code(reason: &str) -> Result<(), Refusal> {
    let is_code =
        !reason.is_empty() && reason.len() <= REASON_MAX && reason.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    is_code.then_some(()).ok_or(Refusal::Invalid)
}
