//! Outbound messages: when the next attempt is ordered, and what an attempt's end means. An adapter makes exactly one attempt
//! for each order; only a channel on which repeating is harmless is tried again after an unknown outcome.

use sha2::{Digest, Sha256};

use crate::model::channel::Channel;
use crate::model::command::{Authority, Command, CommandBody, Refusal};
use crate::model::contact::{Contact, ContactState, Direction};
use crate::model::delivery::{AttemptResult, Delivery, DeliveryReport, DeliveryState, Origin};
use crate::model::event::{AssignedReason, EventBody, QueuedReason};
use crate::model::id::{AccountId, AdministrationId, ContactId, MessageId, OperatorId, QueueId};
use crate::model::input::DeliveryFacts;
use crate::plan::Queue;

use super::effects::{Applied, Effects};
use super::engine::{Engine, about};
use super::parameters::{ATTEMPT_TIMEOUT, RETRIES};
use super::timer::{Timer, delivery_deadline};

/// The code of an attempt whose end nobody reported.
const NO_REPORT: &str = "unknown";

/// Whether sending the same message twice does no harm: an email carries the same Message-ID each time.
fn is_repeatable(channel: &Channel) -> bool {
    channel.as_str() == Channel::EMAIL
}

/// Whether a report says more of a delivery than is known. One that is not open any more was settled before, or in this very
/// batch: then its stored state is the one before that.
fn is_news(report: &DeliveryReport, delivery: &Delivery, open: bool) -> bool {
    use DeliveryState::{Attempting, Sent, Unknown};
    if matches!(report.result, AttemptResult::Sent { .. }) {
        return is_news_that_it_went(report.attempt, delivery, open);
    }
    if report.attempt != 0 && report.attempt != delivery.attempts {
        return false;
    }
    match report.result {
        AttemptResult::Bounced { .. } => is_news_that_it_came_back(delivery, open),
        // the provider knows better than who said that it did not arrive
        AttemptResult::Delivered => open || matches!(delivery.state, Attempting | Sent | Unknown) || delivery.settled.is_some(),
        // what the provider says when it is asked about an attempt that nobody knew the end of
        AttemptResult::Permanent { .. } if !open => delivery.state == Unknown && report.attempt != 0,
        _ => open && delivery.state == Attempting && report.attempt != 0,
    }
}

/// Whether it is news that a message came back.
pub(super) fn is_news_that_it_came_back(delivery: &Delivery, open: bool) -> bool {
    use DeliveryState::{Attempting, Delivered, Sent, Unknown};
    open || matches!(delivery.state, Attempting | Sent | Delivered | Unknown)
}

/// Whether it is news that an attempt went well, however late it is told: one that was given up may have gone well after all, and then
/// the next need not be made. What a person asked for goes on whatever became of the attempts before: its number is above all of theirs.
fn is_news_that_it_went(attempt: u32, delivery: &Delivery, open: bool) -> bool {
    let is_older = attempt < delivery.attempts && delivery.attempts as usize <= RETRIES.len() + 1;
    if attempt == 0 || !(attempt == delivery.attempts || is_older) {
        return false;
    }
    let nobody_knew = is_older || delivery.failure.as_deref() == Some(NO_REPORT);
    match delivery.state {
        _ if open => true,
        DeliveryState::Unknown => true,
        DeliveryState::Failed => nobody_knew && delivery.settled.is_none(),
        _ => false,
    }
}

/// The contact that follows when a message fails at an input: as unguessable as the message's own id, and another for each failure, for
/// what followed the last one may be closed.
fn follow_on_id(message: MessageId, seq: i64) -> ContactId {
    let digest = Sha256::new().chain_update(message.0.to_be_bytes()).chain_update(seq.to_be_bytes()).finalize();
    ContactId(u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 digest has 32 bytes")))
}

/// What a follow-on contact needs to know of this one.
pub(super) fn origin_of(contact: &Contact) -> Origin {
    Origin {
        queue: contact.queue.clone(),
        owner: contact.last_owner,
        address: contact.address,
        citizen: contact.citizen,
        language: contact.language,
        abstaining: contact.abstaining().collect(),
        is_copy: false,
    }
}

impl Engine {
    /// An operator answered: the message goes out, or is delivered by being written where nothing carries it.
    ///
    /// `via`: another account of the administration, for a citizen who has left the contact's own channel.
    pub(super) fn send(
        &mut self,
        id: ContactId,
        message: MessageId,
        via: Option<&AccountId>,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let contact = &self.contacts[&id].contact;
        let (account, channel) = match via {
            Some(via) => (via.clone(), self.sending_account(via, &contact.administration)?),
            None => (contact.account.clone(), contact.channel.clone()),
        };
        let operator = contact.state.owner();
        let mut delivery = Delivery {
            message,
            administration: contact.administration.clone(),
            contact: id,
            conversation: contact.conversation,
            account,
            channel,
            state: DeliveryState::Queued,
            attempts: 0,
            due: self.now,
            failure: None,
            settled: None,
            origin: origin_of(contact),
        };
        self.tell(id, effects, EventBody::MessageQueued { message, operator });
        if delivery.channel.has_sender() {
            self.order_attempt(delivery, effects);
        } else {
            delivery.state = DeliveryState::Sent;
            self.tell(id, effects, EventBody::MessageSent { message, operator });
            effects.deliveries.insert(message, delivery);
        }
        Ok(())
    }

    /// The channel of an account of the administration that can carry a message.
    pub(super) fn sending_account(&self, account: &AccountId, administration: &AdministrationId) -> Result<Channel, Refusal> {
        let account = self.plan.accounts.get(account).ok_or(Refusal::NotFound)?;
        if account.administration != *administration {
            return Err(Refusal::OtherAdministration);
        }
        account.channel.has_sender().then(|| account.channel.clone()).ok_or(Refusal::NoReplyChannel)
    }

    /// Sends a copy that the citizen asked for. It belongs to a contact that may be closed and gone, so the command names all.
    pub(super) fn send_copy(&mut self, command: &Command, effects: &mut Effects) -> Result<Applied, Refusal> {
        let CommandBody::Copy { administration, contact, conversation, queue, account, message } = &command.body else {
            return Err(Refusal::Invalid);
        };
        let is_machinery = command.actor.operator.is_none() && command.actor.authority == Authority::Any;
        if !is_machinery || self.deliveries.contains_key(message) {
            return Err(Refusal::Invalid);
        }
        let channel = self.sending_account(account, administration)?;
        self.plan.queues.get(queue).filter(|queue| queue.administration == *administration).ok_or(Refusal::NotFound)?;
        let delivery = Delivery {
            message: *message,
            administration: administration.clone(),
            contact: *contact,
            conversation: *conversation,
            account: account.clone(),
            channel,
            state: DeliveryState::Queued,
            attempts: 0,
            due: self.now,
            failure: None,
            settled: None,
            origin: Origin {
                queue: queue.clone(),
                owner: None,
                address: None,
                citizen: None,
                language: None,
                abstaining: Vec::new(),
                is_copy: true,
            },
        };
        self.tell_delivery(&delivery, effects, EventBody::MessageQueued { message: *message, operator: None });
        self.order_attempt(delivery, effects);
        Ok(Applied::landed(*contact))
    }

    pub(super) fn order_attempt(&mut self, mut delivery: Delivery, effects: &mut Effects) {
        delivery.state = DeliveryState::Attempting;
        delivery.attempts += 1;
        delivery.due = self.now.plus(ATTEMPT_TIMEOUT);
        let body =
            EventBody::MessageAttempting { message: delivery.message, account: delivery.account.clone(), attempt: delivery.attempts };
        self.tell_delivery(&delivery, effects, body);
        self.keep_delivery(delivery, effects);
    }

    /// Keeps a delivery while it is open, forgets it when it is settled; its row changes either way.
    pub(super) fn keep_delivery(&mut self, delivery: Delivery, effects: &mut Effects) {
        self.timers.set(Timer::Delivery(delivery.message), delivery_deadline(&delivery));
        if delivery.state.is_open() {
            self.deliveries.insert(delivery.message, delivery.clone());
        } else {
            self.deliveries.remove(&delivery.message);
        }
        effects.deliveries.insert(delivery.message, delivery);
    }

    /// An event about a message whose contact may be closed and gone.
    pub(super) fn tell_delivery(&self, delivery: &Delivery, effects: &mut Effects, body: EventBody) {
        let known = self.contacts.get(&delivery.contact).map(|entry| about(&entry.contact));
        let about = known.or_else(|| {
            let (name, queue) = self.queue_of(delivery)?;
            Some(crate::model::event::About {
                contact: delivery.contact,
                conversation: delivery.conversation,
                administration: delivery.administration.clone(),
                office: queue.office.clone(),
                queue: name.clone(),
                channel: delivery.channel.clone(),
                mode: if delivery.channel.is_live() { crate::model::contact::Mode::Live } else { crate::model::contact::Mode::Deferrable },
                version: 0,
            })
        });
        effects.events.push((about, body));
    }

    /// The queue whose work a delivery is when its contact is gone: the contact's, or its account's if the plan has that no more.
    fn queue_of(&self, delivery: &Delivery) -> Option<(&QueueId, &Queue)> {
        let of_account = self.plan.accounts.get(&delivery.account).map(|account| &account.queue);
        let names = [Some(&delivery.origin.queue), of_account].into_iter().flatten();
        let mut known = names.filter_map(|name| self.plan.queues.get_key_value(name));
        known.find(|(_, queue)| queue.administration == delivery.administration)
    }

    fn watcher(&self, delivery: &Delivery) -> Option<OperatorId> {
        self.contacts.get(&delivery.contact).map_or(delivery.origin.owner, |entry| entry.contact.state.owner())
    }

    /// An adapter's report. Late and repeated ones are recorded in the input log and change nothing.
    pub(super) fn apply_delivery(&mut self, facts: &DeliveryFacts, effects: &mut Effects) -> Applied {
        let report = &facts.report;
        let open = self.deliveries.get(&report.message);
        let known = open.or(facts.stored.as_deref()).filter(|known| known.administration == facts.administration);
        let Some(delivery) = known.cloned() else { return Applied::refused(Refusal::NotFound) };
        if !is_news(report, &delivery, open.is_some()) {
            return Applied::refused(Refusal::WrongState);
        }
        let landed = delivery.contact;
        match &report.result {
            AttemptResult::Sent { .. } => self.settle_delivery(delivery, DeliveryState::Sent, effects),
            AttemptResult::Delivered => self.settle_delivery(delivery, DeliveryState::Delivered, effects),
            AttemptResult::Temporary { code } => self.retry_later(delivery, code, effects),
            AttemptResult::Permanent { code } => self.fail_delivery(delivery, DeliveryState::Failed, code, effects),
            AttemptResult::Bounced { code } => self.fail_delivery(delivery, DeliveryState::Bounced, code, effects),
            AttemptResult::Unknown => self.outcome_unknown(delivery, effects),
        }
        Applied::landed(landed)
    }

    fn settle_delivery(&mut self, mut delivery: Delivery, state: DeliveryState, effects: &mut Effects) {
        delivery.state = state;
        (delivery.failure, delivery.settled) = (None, None);
        let (message, operator) = (delivery.message, self.watcher(&delivery));
        let body = match state {
            DeliveryState::Delivered => EventBody::MessageDelivered { message, operator },
            _ => EventBody::MessageSent { message, operator },
        };
        self.tell_delivery(&delivery, effects, body);
        self.keep_delivery(delivery, effects);
    }

    fn retry_later(&mut self, mut delivery: Delivery, code: &str, effects: &mut Effects) {
        let Some(wait) = RETRIES.get(delivery.attempts.saturating_sub(1) as usize) else {
            return self.fail_delivery(delivery, DeliveryState::Failed, code, effects);
        };
        delivery.state = DeliveryState::Queued;
        delivery.due = self.now.plus(*wait);
        delivery.failure = Some(code.to_owned());
        let body = EventBody::MessageRetrying { message: delivery.message, retry_at: delivery.due, code: code.to_owned() };
        self.tell_delivery(&delivery, effects, body);
        self.keep_delivery(delivery, effects);
    }

    fn outcome_unknown(&mut self, delivery: Delivery, effects: &mut Effects) {
        if is_repeatable(&delivery.channel) {
            self.retry_later(delivery, NO_REPORT, effects);
        } else {
            self.fail_delivery(delivery, DeliveryState::Unknown, NO_REPORT, effects);
        }
    }

    /// Given up or come back: the operator is shown it, and a contact that nobody works on any more is brought back.
    pub(super) fn fail_delivery(&mut self, mut delivery: Delivery, state: DeliveryState, code: &str, effects: &mut Effects) {
        if (delivery.state, state) == (DeliveryState::Bounced, DeliveryState::Bounced) {
            return; // a second report on the same letter
        }
        (delivery.state, delivery.due) = (state, self.now);
        (delivery.failure, delivery.settled) = (Some(code.to_owned()), None);
        let bounced = state == DeliveryState::Bounced;
        let body =
            EventBody::MessageFailed { message: delivery.message, operator: self.watcher(&delivery), code: code.to_owned(), bounced };
        self.tell_delivery(&delivery, effects, body);
        self.keep_delivery(delivery.clone(), effects);
        match self.open_contact_of(&delivery).map(|contact| (contact.id, contact.state)) {
            Some((id, ContactState::Pending { .. })) => self.bring_back(id, AssignedReason::Resumed, QueuedReason::DeliveryFailed, effects),
            // put off in the belief that the citizen has the answer
            Some((id, ContactState::Deferred { .. })) => self.queue_again(id, QueuedReason::DeliveryFailed, effects),
            Some(_) => {}
            None if delivery.origin.is_copy => {}
            None => self.follow_failed(&delivery, effects),
        }
    }

    /// Where the message is somebody's work: the contact in which it was written or, when that is closed, the newest of its conversation.
    /// A copy is nobody's.
    fn open_contact_of(&self, delivery: &Delivery) -> Option<&Contact> {
        let written_in = self.contacts.get(&delivery.contact).map(|entry| &entry.contact).filter(|contact| !contact.state.is_final());
        let newest = || {
            let open = self.in_conversation(delivery.conversation).filter(|contact| !contact.state.is_final());
            open.filter(|contact| contact.administration == delivery.administration).max_by_key(|contact| (contact.opened_at, contact.id))
        };
        written_in.or_else(|| newest().filter(|_| !delivery.origin.is_copy))
    }

    /// A new contact in the conversation of a closed one whose answer never arrived: the citizen must not be lost.
    fn follow_failed(&mut self, delivery: &Delivery, effects: &mut Effects) {
        let id = follow_on_id(delivery.message, self.seq);
        let Some((name, queue)) = self.queue_of(delivery) else { return };
        if self.contacts.contains_key(&id) {
            return;
        }
        let contact = Contact {
            id,
            administration: delivery.administration.clone(),
            office: queue.office.clone(),
            queue: name.clone(),
            conversation: delivery.conversation,
            citizen: delivery.origin.citizen,
            citizen_level: None,
            address: delivery.origin.address,
            identity: crate::model::channel::IdentityLevel::Claimed,
            channel: delivery.channel.clone(),
            account: delivery.account.clone(),
            mode: crate::model::contact::Mode::Deferrable,
            not_admitted: None,
            direction: Direction::Outbound,
            opened_by: delivery.origin.owner,
            continues: Some(delivery.contact),
            language: delivery.origin.language,
            requirement: crate::model::requirement::Requirement::Anybody,
            filed_at: self.now,
            opened_at: self.now,
            queued_at: self.now,
            waited_us: 0,
            key: self.place_in(name, crate::plan::rule::TIER_DEFAULT, std::time::Duration::ZERO),
            first_response_at: None,
            state: ContactState::Queued,
            offers: 0,
            returns: 0,
            transfers: 0,
            exclusions: self.abstaining(delivery.conversation, Some(&delivery.origin)),
            wanted: None,
            preferred: delivery.origin.owner,
            case: None,
            outcome: None,
            last_owner: delivery.origin.owner,
            has_text: true,
            answerable: false,
            silence: None,
            version: 1,
        };
        self.open_contact(contact, None, effects);
    }

    /// The time of a delivery has come: the next attempt, or an attempt that nobody reported on.
    pub(super) fn delivery_due(&mut self, id: MessageId, effects: &mut Effects) {
        let Some(delivery) = self.deliveries.get(&id).cloned() else { return };
        match delivery.state {
            DeliveryState::Queued => self.order_attempt(delivery, effects),
            DeliveryState::Attempting => self.outcome_unknown(delivery, effects),
            _ => {}
        }
    }
}
