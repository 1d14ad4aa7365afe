//! Contacts and offers: what events and the store's counts say of them, per queue and channel.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::family::{Families, Labels};
use super::{Metrics, lock};
use crate::model::channel::Channel;
use crate::model::contact::{Mode, NotAdmitted, Resolution, StateName};
use crate::model::event::{About, AssignedReason, Event, EventBody, QueuedReason};
use crate::model::id::{AdministrationId, ContactId, PoolId, QueueId};
use crate::model::time::Timestamp;
use crate::port::store::ContactCount;

/// Somebody stands there: what matters is within seconds, and nothing good happens after ten minutes.
const LIVE_SECONDS: [f64; 11] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];
/// Letters: minutes to days. With the buckets of live contacts every one of them would be in `+Inf`.
const DEFERRABLE_SECONDS: [f64; 11] = [1.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 28_800.0, 86_400.0, 172_800.0, 432_000.0, 2_592_000.0];
/// Beyond this many waiting contacts the waits of further ones are not measured. They are still counted.
const TRACKED_MAX: usize = 1_000_000;

const QUEUE: Labels = &["administration", "queue", "channel"];
const RESOLUTION: Labels = &["administration", "queue", "channel", "resolution"];
const SHORT: Labels = &["administration", "queue", "channel", "short"];
const REASON: Labels = &["administration", "queue", "channel", "reason"];
const OUTCOME: Labels = &["administration", "queue", "channel", "outcome"];
const POOL: Labels = &["pool", "administration", "queue", "channel"];
const STATE: Labels = &["pool", "administration", "queue", "channel", "state"];

const OFFERS: [&str; 6] = ["made", "accepted", "rejected", "expired", "revoked", "rescinded"];

pub(super) struct ContactMetrics {
    counters: Counters,
    waits_of: Waits,
    messages: IntCounterVec,
    contacts: IntGaugeVec,
    oldest_wait: IntGaugeVec,
    handles: RwLock<HashMap<QueueId, HashMap<Channel, Arc<Handles>>>>,
    waiting: Mutex<HashMap<ContactId, Wait>>,
    shown: Mutex<HashMap<PoolId, HashSet<Shown>>>,
}

struct Counters {
    received: IntCounterVec,
    not_admitted: IntCounterVec,
    routed: IntCounterVec,
    escalated: IntCounterVec,
    transferred: IntCounterVec,
    closed: IntCounterVec,
    abandoned: IntCounterVec,
    returned: IntCounterVec,
    offers: IntCounterVec,
}

struct Waits {
    to_offer: HistogramVec,
    to_accept: HistogramVec,
    to_assign: HistogramVec,
}

/// Everything that is counted per queue and channel, resolved once.
struct Handles {
    received: IntCounter,
    not_admitted: [IntCounter; 2],
    routed: IntCounter,
    escalated: IntCounter,
    transferred: IntCounter,
    closed: [IntCounter; 7],
    abandoned: [IntCounter; 2],
    returned: [IntCounter; 12],
    offers: [IntCounter; 6],
    to_offer: Histogram,
    to_accept: Histogram,
    to_assign: Histogram,
}

/// Since when a contact waits, and rings.
#[derive(Clone, Copy)]
struct Wait {
    queued_at: Timestamp,
    offered_at: Option<Timestamp>,
}

/// The labels of a gauge that was set, so that it can be set to zero when its contacts are gone.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shown {
    administration: AdministrationId,
    queue: QueueId,
    channel: Channel,
    state: StateName,
}

impl Counters {
    fn new(families: &mut Families) -> Self {
        let mut counter = |name, labels, help| families.counter(name, labels, help);
        Self {
            received: counter("sportello_contacts_received_total", QUEUE, "Contacts opened."),
            not_admitted: counter(
                "sportello_contacts_not_admitted_total",
                REASON,
                "Live contacts not admitted as such, so that they wait like letters and do not ring: their queue is closed, or full.",
            ),
            routed: counter(
                "sportello_contacts_routed_total",
                QUEUE,
                "Contacts accepted by, or assigned to, the operator whom the router chose.",
            ),
            escalated: counter(
                "sportello_contacts_escalated_total",
                QUEUE,
                "Contacts that came back so often that a supervisor was called.",
            ),
            transferred: counter("sportello_contacts_transferred_total", QUEUE, "Contacts sent to another queue or colleague."),
            closed: counter("sportello_contacts_closed_total", RESOLUTION, "Contacts closed, by how they ended."),
            abandoned: counter(
                "sportello_contacts_abandoned_total",
                SHORT,
                "Live contacts whose citizen left before being served; short is true within the first ten seconds.",
            ),
            returned: counter("sportello_contacts_returned_total", REASON, "Contacts queued again, by why."),
            offers: counter("sportello_offers_total", OUTCOME, "Offers made, and how they ended."),
        }
    }
}

impl Waits {
    fn new(families: &mut Families) -> Self {
        Self {
            to_offer: families.histogram(
                "sportello_live_time_to_offer_seconds",
                QUEUE,
                &LIVE_SECONDS,
                "From being queued to ringing, live contacts.",
            ),
            to_accept: families.histogram(
                "sportello_live_time_to_accept_seconds",
                QUEUE,
                &LIVE_SECONDS,
                "From ringing to being accepted, live contacts.",
            ),
            to_assign: families.histogram(
                "sportello_deferrable_time_to_assign_seconds",
                QUEUE,
                &DEFERRABLE_SECONDS,
                "From being queued to being assigned, deferrable contacts.",
            ),
        }
    }
}

impl ContactMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        Self {
            counters: Counters::new(families),
            waits_of: Waits::new(families),
            messages: families.counter(
                "sportello_messages_total",
                &["channel", "outcome"],
                "Messages received from citizens, and what became of those sent to them.",
            ),
            contacts: families.gauge("sportello_contacts", STATE, "Contacts by state; queued ones wait."),
            oldest_wait: families.gauge(
                "sportello_contacts_oldest_wait_seconds",
                POOL,
                "How long the oldest waiting contact has been waiting.",
            ),
            handles: RwLock::default(),
            waiting: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    fn handles(&self, about: &About) -> Arc<Handles> {
        let known = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = known.get(&about.queue).and_then(|channels| channels.get(&about.channel)) {
            return handles.clone();
        }
        drop(known);
        let made = Arc::new(self.resolve(about));
        let mut known = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(about.queue.clone()).or_default().entry(about.channel.clone()).or_insert(made).clone()
    }

    fn resolve(&self, about: &About) -> Handles {
        let labels = [about.administration.as_str(), about.queue.as_str(), about.channel.as_str()];
        let with = |family: &IntCounterVec, last: &str| family.with_label_values(&[labels[0], labels[1], labels[2], last]);
        let counters = &self.counters;
        Handles {
            received: counters.received.with_label_values(&labels),
            not_admitted: ["closed", "full"].map(|reason| with(&counters.not_admitted, reason)),
            routed: counters.routed.with_label_values(&labels),
            escalated: counters.escalated.with_label_values(&labels),
            transferred: counters.transferred.with_label_values(&labels),
            closed: RESOLUTIONS.map(|name| with(&counters.closed, name)),
            abandoned: ["false", "true"].map(|short| with(&counters.abandoned, short)),
            returned: RETURNS.map(|(_, name)| with(&counters.returned, name)),
            offers: OFFERS.map(|outcome| with(&counters.offers, outcome)),
            to_offer: self.waits_of.to_offer.with_label_values(&labels),
            to_accept: self.waits_of.to_accept.with_label_values(&labels),
            to_assign: self.waits_of.to_assign.with_label_values(&labels),
        }
    }

    pub(super) fn event(&self, event: &Event) {
        self.message_event(event);
        let Some(about) = &event.about else { return };
        let handles = self.handles(about);
        match &event.body {
            EventBody::ContactReceived { .. } => handles.received.inc(),
            EventBody::ContactDeferrable { not_admitted: Some(reason) } => {
                handles.not_admitted[usize::from(*reason == NotAdmitted::QueueFull)].inc();
            }
            EventBody::ContactQueued { reason, .. } => self.queued(event, about, &handles, *reason),
            EventBody::OfferMade { .. } => self.offered(event, about, &handles),
            EventBody::OfferAccepted { .. } => self.accepted(event, about, &handles),
            EventBody::OfferRejected { .. } => handles.offers[2].inc(),
            EventBody::OfferExpired { .. } => handles.offers[3].inc(),
            EventBody::OfferRevoked { .. } => handles.offers[4].inc(),
            EventBody::OfferRescinded { .. } => handles.offers[5].inc(),
            EventBody::ContactAssigned { reason, .. } => self.assigned(event, about, &handles, *reason),
            EventBody::ContactEscalated { .. } => handles.escalated.inc(),
            EventBody::ContactTransferred { .. } => handles.transferred.inc(),
            EventBody::ContactDeferred { .. } => drop(self.stops_waiting(about.contact)),
            EventBody::ContactClosed { outcome, .. } => {
                self.stops_waiting(about.contact);
                handles.closed[resolution_index(outcome.resolution)].inc();
            }
            EventBody::ContactAbandoned { short } => {
                self.stops_waiting(about.contact);
                handles.abandoned[usize::from(*short)].inc();
            }
            _ => {}
        }
    }

    fn queued(&self, event: &Event, about: &About, handles: &Handles, reason: QueuedReason) {
        if let Some(index) = RETURNS.iter().position(|(known, _)| *known == reason) {
            handles.returned[index].inc();
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < TRACKED_MAX || waiting.contains_key(&about.contact) {
            waiting.insert(about.contact, Wait { queued_at: event.at, offered_at: None });
        }
    }

    fn offered(&self, event: &Event, about: &About, handles: &Handles) {
        handles.offers[0].inc();
        if let Some(wait) = lock(&self.waiting).get_mut(&about.contact) {
            wait.offered_at = Some(event.at);
            handles.to_offer.observe(event.at.since(wait.queued_at).as_secs_f64());
        }
    }

    fn accepted(&self, event: &Event, about: &About, handles: &Handles) {
        handles.offers[1].inc();
        handles.routed.inc();
        if let Some(offered_at) = self.stops_waiting(about.contact).and_then(|wait| wait.offered_at) {
            handles.to_accept.observe(event.at.since(offered_at).as_secs_f64());
        }
    }

    fn assigned(&self, event: &Event, about: &About, handles: &Handles, reason: AssignedReason) {
        if reason == AssignedReason::Routed {
            handles.routed.inc();
        }
        if let (Some(wait), Mode::Deferrable) = (self.stops_waiting(about.contact), about.mode) {
            handles.to_assign.observe(event.at.since(wait.queued_at).as_secs_f64());
        }
    }

    fn stops_waiting(&self, contact: ContactId) -> Option<Wait> {
        lock(&self.waiting).remove(&contact)
    }

    /// Waits of contacts whose end will not be seen here. Those of other pools are lost with them: a few are not measured.
    pub(super) fn forget_waits(&self) {
        lock(&self.waiting).clear();
    }

    fn message_event(&self, event: &Event) {
        let outcome = match &event.body {
            EventBody::MessageReceived { automatic: None, .. } => "received",
            EventBody::MessageReceived { .. } => "received_automatic",
            EventBody::MessageQueued { .. } => "queued",
            EventBody::MessageSent { .. } => "sent",
            EventBody::MessageDelivered { .. } => "delivered",
            EventBody::MessageRetrying { .. } => "retrying",
            EventBody::MessageFailed { bounced: true, .. } => "bounced",
            EventBody::MessageFailed { .. } => "failed",
            EventBody::MessageSettled { .. } => "settled",
            _ => return,
        };
        let channel = event.about.as_ref().map_or("unknown", |about| about.channel.as_str());
        self.messages.with_label_values(&[channel, outcome]).inc();
    }

    fn show(&self, pool: &PoolId, shown: &Shown, count: i64, oldest_wait_seconds: i64) {
        let labels = [pool.as_str(), shown.administration.as_str(), shown.queue.as_str(), shown.channel.as_str()];
        self.contacts.with_label_values(&[labels[0], labels[1], labels[2], labels[3], shown.state.as_str()]).set(count);
        if shown.state == StateName::Queued {
            self.oldest_wait.with_label_values(&labels).set(oldest_wait_seconds);
        }
    }
}

impl Metrics {
    /// The store's counts of a pool's contacts ([`crate::port::store::Store::contact_counts`]): replaces what was shown of
    /// the pool.
    pub fn contact_counts(&self, pool: &PoolId, counts: &[ContactCount], now: Timestamp) {
        let mut totals: HashMap<Shown, (i64, Timestamp)> = HashMap::new();
        for count in counts {
            // An office is not a label: its counts are one figure of the queue.
            let (administration, queue) = (count.administration.clone(), count.queue.clone());
            let shown = Shown { administration, queue, channel: count.channel.clone(), state: count.state };
            let total = totals.entry(shown).or_insert((0, count.oldest));
            *total = (total.0 + count.count, total.1.min(count.oldest));
        }
        for (shown, (count, oldest)) in &totals {
            self.contacts.show(pool, shown, *count, i64::try_from(now.since(*oldest).as_secs()).unwrap_or(i64::MAX));
        }
        let shown: HashSet<Shown> = totals.into_keys().collect();
        let before = lock(&self.contacts.shown).insert(pool.clone(), shown.clone()).unwrap_or_default();
        // To zero rather than away: a series that ends cannot be told from one that nobody scraped.
        before.difference(&shown).for_each(|gone| self.contacts.show(pool, gone, 0, 0));
    }
}

const RESOLUTIONS: [&str; 7] = ["resolved", "handed_over", "no_answer", "not_a_request", "duplicate", "not_given", "citizen_silent"];

fn resolution_index(resolution: Resolution) -> usize {
    match resolution {
        Resolution::Resolved => 0,
        Resolution::HandedOver => 1,
        Resolution::NoAnswer => 2,
        Resolution::NotARequest => 3,
        Resolution::Duplicate => 4,
        Resolution::NotGiven => 5,
        Resolution::CitizenSilent => 6,
    }
}

/// Every reason but `New`.
const RETURNS: [(QueuedReason, &str); 12] = [
    (QueuedReason::Rejected, "rejected"),
    (QueuedReason::Expired, "expired"),
    (QueuedReason::Revoked, "revoked"),
    (QueuedReason::Untouched, "untouched"),
    (QueuedReason::OwnerLost, "owner_lost"),
    (QueuedReason::Returned, "returned"),
    (QueuedReason::Transferred, "transferred"),
    (QueuedReason::NotTaken, "not_taken"),
    (QueuedReason::Due, "due"),
    (QueuedReason::CitizenWrote, "citizen_wrote"),
    (QueuedReason::CameBack, "came_back"),
    (QueuedReason::DeliveryFailed, "delivery_failed"),
];
