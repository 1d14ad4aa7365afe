//! Timers as data: what happens when, in one ordered set. Each entity has at most one, derived from its row, so a rebuilt
//! engine has the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::id::{ContactId, MessageId, OperatorId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::plan::{Plan, SilenceLimits};

use super::lifecycle::{OFFER_TIMEOUT_DEFAULT, UNTOUCHED_DEFAULT};
use super::parameters::{ABANDONED_GRACE, DEFERRABLE_OWNER_GONE, LIVE_OWNER_GONE, PROMOTION_DIVISOR};

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A contact's.
    Contact(ContactId),
    /// An operator's.
    Operator(OperatorId),
    /// An outbound message's.
    Delivery(MessageId),
}

/// All deadlines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timers {
    order: BTreeSet<(Timestamp, Timer)>,
    at: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets, moves or clears a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.at.insert(timer, at),
            None => self.at.remove(&timer),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.order.insert((at, timer));
        }
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// When a timer was due that has not been taken yet.
    pub(super) fn overdue(&self, timer: Timer, now: Timestamp) -> Option<Timestamp> {
        self.at.get(&timer).copied().filter(|at| *at <= now)
    }

    /// Takes the first timer due at `now`.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.remove(&(at, timer));
        self.at.remove(&timer);
        Some(timer)
    }

    /// Every deadline, for the digest.
    pub(super) fn all(&self) -> impl Iterator<Item = &(Timestamp, Timer)> {
        self.order.iter()
    }
}

/// When something happens to a contact by itself; only what comes after `now` counts where a time is a mere reminder.
pub(super) fn contact_deadline(plan: &Plan, contact: &Contact, now: Timestamp) -> Option<Timestamp> {
    match &contact.state {
        ContactState::Queued => {
            let exclusions = contact.exclusions.iter().flat_map(|exclusion| [exclusion.until, exclusion.alone_until]);
            let promotion = (contact.mode == Mode::Deferrable).then(|| promoted_at(plan, contact));
            let reminders = exclusions.chain(promotion).filter(|at| *at > now && *at < Timestamp::MAX);
            reminders.chain(wanted_until(plan, contact)).min()
        }
        ContactState::Offered { deadline, .. } => Some(*deadline),
        ContactState::Active { untouched_until, .. } => {
            let silent = silence_limits(plan, contact).zip(contact.silence);
            let silent = silent.map(|(limits, silence)| silence.since.plus(if silence.warned { limits.close } else { limits.warn }));
            [*untouched_until, silent].into_iter().flatten().min()
        }
        ContactState::Pending { back_after, .. } => *back_after,
        ContactState::WrapUp { until, .. } | ContactState::Deferred { until } => Some(*until),
        ContactState::Abandoned { at } => Some(at.plus(ABANDONED_GRACE)),
        ContactState::Closed { .. } => None,
    }
}

/// Until when a contact transferred to a colleague waits for them alone: a live one as long as it would ring, a deferrable one as
/// long as it could lie untouched on their desk.
pub(super) fn wanted_until(plan: &Plan, contact: &Contact) -> Option<Timestamp> {
    contact.wanted?;
    let queue = plan.queues.get(&contact.queue);
    let patience = match contact.mode {
        Mode::Live => queue.map_or(OFFER_TIMEOUT_DEFAULT, |queue| queue.offer_timeout),
        Mode::Deferrable => queue.map_or(UNTOUCHED_DEFAULT, |queue| queue.untouched_for),
    };
    Some(contact.queued_at.plus(patience))
}

/// How long the citizen of a live contact may be silent.
pub(super) fn silence_limits(plan: &Plan, contact: &Contact) -> Option<SilenceLimits> {
    plan.queues.get(&contact.queue).filter(|_| contact.mode == Mode::Live).and_then(|queue| queue.silence)
}

/// When a deferrable contact goes to operators who are busy with live ones too.
pub(super) fn promoted_at(plan: &Plan, contact: &Contact) -> Timestamp {
    let target = plan.queues.get(&contact.queue).map_or(std::time::Duration::ZERO, |queue| queue.target);
    contact.key.due.minus(target / PROMOTION_DIVISOR)
}

/// When a lost console's contacts go back.
pub(super) fn operator_deadline(operator: &Operator, now: Timestamp) -> Option<Timestamp> {
    let lost_at = operator.presence.lost_at?;
    [lost_at.plus(LIVE_OWNER_GONE), lost_at.plus(DEFERRABLE_OWNER_GONE)].into_iter().find(|at| *at > now)
}

/// When the next attempt is ordered, or the present one counts as of unknown outcome.
pub(super) fn delivery_deadline(delivery: &Delivery) -> Option<Timestamp> {
    matches!(delivery.state, DeliveryState::Queued | DeliveryState::Attempting).then_some(delivery.due)
}
