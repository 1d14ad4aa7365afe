//! The engine's state, its entry points, and how it is rebuilt from rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::command::Refusal;
use crate::model::contact::{Contact, ContactState, Mode, Offer, OfferState, OrderKey};
use crate::model::delivery::Delivery;
use crate::model::event::{About, EventBody};
use crate::model::id::{
    AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, MessageId, OfferId, OperatorId, PoolId, QueueId,
};
use crate::model::input::Input;
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::plan::Plan;

use super::demand::Demand;
use super::effects::{Applied, Effects};
use super::idle::{Idle, IdleKey};
use super::lane::Load;
use super::parameters::TAKE_OVER_GRACE;
use super::timer::{Timer, Timers, contact_deadline, delivery_deadline, operator_deadline};

/// The rows an engine is rebuilt from, and the last rows of what a batch changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Contacts that are not final, and abandoned ones in their grace. Out of a batch: final ones too.
    pub contacts: Vec<Contact>,
    /// Offers that changed. Not needed to rebuild: a live offer is its contact's state.
    pub offers: Vec<Offer>,
    /// Operators.
    pub operators: Vec<Operator>,
    /// Deliveries that are open. Out of a batch: settled ones too.
    pub deliveries: Vec<Delivery>,
    /// Queues and whether each admits live contacts: `true` is closed.
    pub queues: Vec<(QueueId, bool)>,
}

/// A contact in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub contact: Contact,
    /// Its class; none for a contact in its grace after it was abandoned.
    pub class: Option<u32>,
}

/// An operator in memory.
#[derive(Debug)]
pub(super) struct Desk {
    pub operator: Operator,
    pub profile: u32,
    pub load: Load,
    /// Where they stand among the idle, by lane.
    pub idle: [Option<IdleKey>; 2],
    /// Contacts that wait for nobody but them, in order.
    pub wanted: BTreeSet<(OrderKey, ContactId)>,
}

/// Decides which operator gets which contact. See the module.
pub struct Engine {
    pub(super) pool: PoolId,
    pub(super) plan: Arc<Plan>,
    next_plan: Option<Arc<Plan>>,
    pub(super) now: Timestamp,
    pub(super) seq: i64,
    pub(super) contacts: BTreeMap<ContactId, Entry>,
    pub(super) operators: BTreeMap<OperatorId, Desk>,
    pub(super) deliveries: BTreeMap<MessageId, Delivery>,
    pub(super) closed_queues: BTreeSet<QueueId>,
    pub(super) demand: Demand,
    pub(super) idle: Idle,
    pub(super) timers: Timers,
    /// Whom an operator is kept free for, the other way round. Derived from operators.
    pub(super) reserved: BTreeMap<ContactId, OperatorId>,
    pub(super) by_conversation: BTreeMap<ConversationId, BTreeSet<ContactId>>,
    pub(super) by_address: BTreeMap<(AdministrationId, AddressKey), BTreeSet<ContactId>>,
    /// Contacts whose address is one citizen's alone, by that citizen.
    pub(super) by_citizen: BTreeMap<(AdministrationId, CitizenId), BTreeSet<ContactId>>,
    /// Contacts to be placed and operators to be filled once the present input is done.
    pub(super) to_place: VecDeque<ContactId>,
    pub(super) to_fill: BTreeSet<OperatorId>,
    /// Whether somebody left in the present input, or can do less.
    pub(super) fewer_present: bool,
}

impl Engine {
    /// An engine for `pool` under `plan`, as its rows say it was at `now`.
    pub fn rebuild(pool: PoolId, plan: Arc<Plan>, now: Timestamp, rows: Rows) -> Self {
        let mut engine = Self {
            pool,
            plan,
            next_plan: None,
            now,
            seq: 0,
            contacts: BTreeMap::new(),
            operators: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            closed_queues: rows.queues.into_iter().filter(|(_, closed)| *closed).map(|(queue, _)| queue).collect(),
            demand: Demand::default(),
            idle: Idle::default(),
            timers: Timers::default(),
            reserved: BTreeMap::new(),
            by_conversation: BTreeMap::new(),
            by_address: BTreeMap::new(),
            by_citizen: BTreeMap::new(),
            to_place: VecDeque::new(),
            to_fill: BTreeSet::new(),
            fewer_present: false,
        };
        for operator in rows.operators {
            engine.admit_operator(operator);
        }
        for contact in rows.contacts {
            engine.admit_contact(contact);
        }
        for delivery in rows.deliveries {
            engine.timers.set(Timer::Delivery(delivery.message), delivery_deadline(&delivery));
            engine.deliveries.insert(delivery.message, delivery);
        }
        engine
    }

    /// The plan decisions are made under.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Hands over the plan that the next [`crate::model::command::CommandBody::ApplyPlan`] of its version puts in force.
    pub fn offer_plan(&mut self, plan: Arc<Plan>) {
        self.next_plan = Some(plan);
    }

    /// When [`Input::Timers`] is due; none: nothing is waited for.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first()
    }

    /// Takes one input, numbered `seq` by the driver, at `now`: neither ever goes back. Total: every input is legal in every
    /// state, and a refused one changes nothing.
    pub fn apply(&mut self, now: Timestamp, seq: i64, input: &Input, effects: &mut Effects) -> Applied {
        assert!(now >= self.now, "the pool's time goes back from {} to {now}", self.now);
        self.now = now;
        self.seq = seq;
        let applied = match input {
            Input::Inbound(facts) => self.apply_inbound(facts, effects),
            Input::Signal(facts) => self.apply_signal(facts, effects),
            Input::Delivery(facts) => self.apply_delivery(facts, effects),
            Input::Command(command) => self.apply_command(command, None, effects),
            Input::AboutMessage(facts) => self.apply_command(&facts.command, facts.stored.as_ref(), effects),
            Input::Timers => self.expire(effects),
            Input::LeaderStarted { epoch, .. } => self.start_leading(*epoch, effects),
        };
        self.settle(effects);
        applied
    }

    /// The last rows of everything that changed since the effects were new.
    pub fn rows(&self, effects: &Effects) -> Rows {
        let open = effects.contacts.iter().filter_map(|id| self.contacts.get(id)).map(|entry| entry.contact.clone());
        Rows {
            contacts: effects
                .finished
                .iter()
                .filter(|(id, _)| !self.contacts.contains_key(id))
                .map(|(_, contact)| contact.clone())
                .chain(open)
                .collect(),
            offers: effects.offers.values().copied().collect(),
            operators: effects.operators.iter().filter_map(|id| self.operators.get(id)).map(|desk| desk.operator.clone()).collect(),
            deliveries: effects.deliveries.values().cloned().collect(),
            queues: effects.queues.iter().map(|queue| (queue.clone(), self.closed_queues.contains(queue))).collect(),
        }
    }

    /// Everything the engine keeps, as rows: what a snapshot of the store must equal.
    pub fn all_rows(&self) -> Rows {
        Rows {
            contacts: self.contacts.values().map(|entry| entry.contact.clone()).collect(),
            offers: Vec::new(),
            operators: self.operators.values().map(|desk| desk.operator.clone()).collect(),
            deliveries: self.deliveries.values().cloned().collect(),
            queues: self.closed_queues.iter().map(|queue| (queue.clone(), true)).collect(),
        }
    }

    /// A contact it keeps, or has let go in this batch.
    pub fn known_contact<'a>(&'a self, id: ContactId, effects: &'a Effects) -> Option<&'a Contact> {
        self.contacts.get(&id).map(|entry| &entry.contact).or_else(|| effects.finished.get(&id))
    }

    /// How many contacts it keeps.
    pub fn contact_count(&self) -> usize {
        self.contacts.len()
    }

    // ── contacts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Puts a contact into memory and every index. It is not placed yet.
    pub(super) fn admit_contact(&mut self, contact: Contact) {
        self.by_conversation.entry(contact.conversation).or_default().insert(contact.id);
        if let Some(address) = contact.address {
            self.by_address.entry((contact.administration.clone(), address)).or_default().insert(contact.id);
        }
        if let Some(citizen) = identified(&contact) {
            self.by_citizen.entry((contact.administration.clone(), citizen)).or_default().insert(contact.id);
        }
        let class = (!contact.state.is_final()).then(|| self.demand.class(&self.plan, &contact));
        if let Some(class) = class {
            self.demand.open(class);
        }
        let id = contact.id;
        self.contacts.insert(id, Entry { contact, class });
        self.enter_state(id);
    }

    /// Takes a contact out of memory and every index.
    pub(super) fn dismiss_contact(&mut self, id: ContactId, effects: &mut Effects) {
        self.leave_state(id);
        self.release_reservation(id, effects);
        let Some(entry) = self.contacts.remove(&id) else { return };
        if let Some(class) = entry.class {
            self.demand.shut(class);
        }
        let contact = entry.contact;
        remove_from(&mut self.by_conversation, &contact.conversation, id);
        if let Some(address) = contact.address {
            remove_from(&mut self.by_address, &(contact.administration.clone(), address), id);
        }
        if let Some(citizen) = identified(&contact) {
            remove_from(&mut self.by_citizen, &(contact.administration.clone(), citizen), id);
        }
        self.timers.set(Timer::Contact(id), None);
        effects.finished.insert(id, contact);
    }

    /// Changes a contact: out of the indexes of its old state, into those of the new one; its version grows. One that waits before and
    /// after is looked at again: a reminder of its own that fell due at this very time is set no more.
    pub(super) fn change(&mut self, id: ContactId, effects: &mut Effects, change: impl FnOnce(&mut Contact)) {
        self.leave_state(id);
        let entry = self.contacts.get_mut(&id).expect("only known contacts are changed");
        let waited = entry.contact.state == ContactState::Queued;
        change(&mut entry.contact);
        if !matches!(entry.contact.state, ContactState::Active { .. }) {
            entry.contact.silence = None;
        }
        entry.contact.version += 1;
        self.reclass(id);
        self.enter_state(id);
        self.review_reservation(id, effects);
        if waited && self.contacts[&id].contact.state == ContactState::Queued {
            self.to_place.push_back(id);
        }
        effects.contacts.insert(id);
    }

    /// Gives a contact the class of what it asks for now.
    fn reclass(&mut self, id: ContactId) {
        let entry = self.contacts.get(&id).expect("a known contact");
        let before = entry.class;
        let class = (!entry.contact.state.is_final()).then(|| self.demand.class(&self.plan, &entry.contact));
        if before == class {
            return;
        }
        if let Some(class) = class {
            self.demand.open(class);
        }
        if let Some(before) = before {
            self.demand.shut(before);
        }
        self.contacts.get_mut(&id).expect("a known contact").class = class;
    }

    fn enter_state(&mut self, id: ContactId) {
        let entry = self.contacts.get(&id).expect("a known contact");
        let contact = &entry.contact;
        self.timers.set(Timer::Contact(id), contact_deadline(&self.plan, contact, self.now));
        if let Some(holder) = contact.state.holder()
            && let Some(desk) = self.operators.get_mut(&holder)
        {
            desk.load.add(contact);
            self.place_idle(holder);
        } else if contact.state == ContactState::Queued {
            match contact.wanted {
                Some(wanted) => {
                    if let Some(desk) = self.operators.get_mut(&wanted) {
                        desk.wanted.insert((contact.key, id));
                    }
                }
                None => self.demand.wait(entry.class.expect("an open contact has a class"), contact.key, id),
            }
        }
    }

    fn leave_state(&mut self, id: ContactId) {
        let Some(entry) = self.contacts.get(&id) else { return };
        let contact = &entry.contact;
        if let Some(holder) = contact.state.holder()
            && let Some(desk) = self.operators.get_mut(&holder)
        {
            desk.load.remove(contact);
            self.to_fill.insert(holder);
            self.place_idle(holder);
        } else if contact.state == ContactState::Queued {
            match contact.wanted {
                Some(wanted) => {
                    if let Some(desk) = self.operators.get_mut(&wanted) {
                        desk.wanted.remove(&(contact.key, id));
                    }
                }
                None => self.demand.unwait(entry.class.expect("an open contact has a class"), contact.key, id),
            }
        }
    }

    /// The open contacts of a conversation, in the order of their ids.
    pub(super) fn in_conversation(&self, conversation: ConversationId) -> impl Iterator<Item = &Contact> {
        self.by_conversation.get(&conversation).into_iter().flatten().filter_map(|id| self.contacts.get(id)).map(|entry| &entry.contact)
    }

    /// The contacts with an address of the administration.
    pub(super) fn with_address(&self, administration: &AdministrationId, address: AddressKey) -> impl Iterator<Item = &Contact> {
        self.by_address
            .get(&(administration.clone(), address))
            .into_iter()
            .flatten()
            .filter_map(|id| self.contacts.get(id))
            .map(|entry| &entry.contact)
    }

    /// The contacts of a citizen of the administration, of those whose address is theirs alone.
    pub(super) fn with_citizen(&self, administration: &AdministrationId, citizen: CitizenId) -> impl Iterator<Item = &Contact> {
        self.by_citizen
            .get(&(administration.clone(), citizen))
            .into_iter()
            .flatten()
            .filter_map(|id| self.contacts.get(id))
            .map(|entry| &entry.contact)
    }

    /// A contact in memory.
    pub(super) fn contact(&self, id: ContactId) -> Result<&Contact, Refusal> {
        self.contacts.get(&id).map(|entry| &entry.contact).ok_or(Refusal::NotFound)
    }

    /// An event about a contact, with the contact as it is now.
    pub(super) fn tell(&self, id: ContactId, effects: &mut Effects, body: EventBody) {
        let about = self.contacts.get(&id).map(|entry| &entry.contact).or_else(|| effects.finished.get(&id)).map(about);
        effects.events.push((about, body));
    }

    // ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Puts an operator into memory and every index.
    pub(super) fn admit_operator(&mut self, operator: Operator) {
        let id = operator.id;
        let profile = self.demand.profile(&operator);
        self.timers.set(Timer::Operator(id), operator_deadline(&operator, self.now));
        if let Some(contact) = operator.reserved_for {
            self.reserved.insert(contact, id);
        }
        let desk = Desk { operator, profile, load: Load::default(), idle: [None, None], wanted: BTreeSet::new() };
        self.operators.insert(id, desk);
        self.place_idle(id);
    }

    /// Changes an operator; their version grows, and they are filled again once the input is done.
    pub(super) fn change_operator(&mut self, id: OperatorId, effects: &mut Effects, change: impl FnOnce(&mut Operator)) {
        let (before, lost_before) = {
            let desk = self.operators.get_mut(&id).expect("only known operators are changed");
            let lost_before = desk.operator.presence.lost_at;
            change(&mut desk.operator);
            desk.operator.version += 1;
            (desk.profile, lost_before)
        };
        let desk = self.operators.get(&id).expect("a known operator");
        let profile = self.demand.profile(&desk.operator);
        if profile != before {
            self.leave_idle(id);
            self.fewer_present |= self.demand.profiles[before as usize].present.remove(&id);
            self.operators.get_mut(&id).expect("a known operator").profile = profile;
        }
        let operator = &self.operators[&id].operator;
        // what fell due and has not happened yet is not put off by another input that comes first
        let overdue = self.timers.overdue(Timer::Operator(id), self.now).filter(|_| operator.presence.lost_at == lost_before);
        self.timers.set(Timer::Operator(id), overdue.or_else(|| operator_deadline(operator, self.now)));
        let kept_for = operator.reserved_for;
        self.place_idle(id);
        self.to_fill.insert(id);
        effects.operators.insert(id);
        if let Some(contact) = kept_for {
            self.review_reservation(contact, effects);
        }
    }

    fn leave_idle(&mut self, id: OperatorId) {
        let Some(desk) = self.operators.get_mut(&id) else { return };
        for lane in 0..2 {
            if let Some(key) = desk.idle[lane].take() {
                self.idle.remove(lane, desk.profile, key);
            }
        }
    }

    /// Puts an operator where they belong among the idle, and among the present.
    pub(super) fn place_idle(&mut self, id: OperatorId) {
        self.leave_idle(id);
        let Some(desk) = self.operators.get_mut(&id) else { return };
        let present = &mut self.demand.profiles[desk.profile as usize].present;
        if desk.operator.is_present() {
            present.insert(id);
        } else {
            self.fewer_present |= present.remove(&id);
        }
        if !desk.operator.is_ready() {
            return;
        }
        let capacity = &desk.operator.profile.capacity;
        for (lane, mode) in [(0, Mode::Live), (1, Mode::Deferrable)] {
            if desk.load.has_room(capacity, mode) {
                let key = (desk.load.band(capacity, mode), desk.operator.last_assigned, id);
                self.idle.insert(lane, desk.profile, key);
                desk.idle[lane] = Some(key);
            }
        }
    }

    // ── the pool ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Everything due at `now` happens.
    fn expire(&mut self, effects: &mut Effects) -> Applied {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Contact(id) => self.contact_due(id, effects),
                Timer::Operator(id) => self.operator_due(id, effects),
                Timer::Delivery(id) => self.delivery_due(id, effects),
            }
            self.settle(effects);
        }
        Applied::done()
    }

    /// A new leader: nothing that fell due while nobody led expires at once, and everybody who is free is filled.
    fn start_leading(&mut self, epoch: i64, effects: &mut Effects) -> Applied {
        effects.events.push((None, EventBody::PoolLed { epoch }));
        let grace = self.now.plus(TAKE_OVER_GRACE);
        let late: Vec<ContactId> =
            self.contacts.iter().filter(|(_, entry)| is_late(&entry.contact.state, grace)).map(|(id, _)| *id).collect();
        for id in late {
            self.change(id, effects, |contact| extend(&mut contact.state, grace));
            if let ContactState::Offered { ordinal, operator, made_at, deadline } = self.contacts[&id].contact.state {
                let offer =
                    Offer { id: OfferId { contact: id, ordinal }, operator, state: OfferState::Live, made_at, deadline, ended_at: None };
                effects.offers.insert(offer.id, offer);
            }
        }
        // the answer of a citizen may be waiting with the broker: their clock begins again
        let silent: Vec<ContactId> = self.contacts.iter().filter(|(_, entry)| entry.contact.silence.is_some()).map(|(id, _)| *id).collect();
        for id in silent {
            let now = self.now;
            self.change(id, effects, |contact| {
                if let Some(silence) = &mut contact.silence {
                    silence.since = now;
                }
            });
        }
        let lost: Vec<OperatorId> = self
            .operators
            .values()
            .filter(|desk| desk.operator.presence.lost_at.is_some_and(|at| at < self.now))
            .map(|desk| desk.operator.id)
            .collect();
        for id in lost {
            let now = self.now;
            self.change_operator(id, effects, |operator| operator.presence.lost_at = Some(now));
        }
        self.to_fill.extend(self.operators.keys().copied().collect::<Vec<_>>());
        Applied::done()
    }

    /// Puts the offered plan in force and every contact and operator into its class and profile under it.
    pub(super) fn apply_plan(&mut self, version: i64, effects: &mut Effects) -> Result<(), Refusal> {
        let plan = self.next_plan.take().filter(|plan| plan.version == version).ok_or(Refusal::Invalid)?;
        let rows = self.all_rows();
        let mut again = Self::rebuild(self.pool.clone(), plan, self.now, rows);
        again.seq = self.seq;
        for (at, timer) in self.timers.all().take_while(|(at, _)| *at <= self.now) {
            if matches!(timer, Timer::Operator(_)) {
                again.timers.set(*timer, Some(*at));
            }
        }
        *self = again;
        for contact in self.reserved.keys().copied().collect::<Vec<_>>() {
            self.review_reservation(contact, effects);
        }
        self.to_place
            .extend(self.contacts.values().filter(|entry| entry.contact.state == ContactState::Queued).map(|entry| entry.contact.id));
        self.to_fill.extend(self.operators.keys().copied().collect::<Vec<_>>());
        effects.events.push((None, EventBody::PlanApplied { version }));
        self.withdraw(|_| true, effects);
        Ok(())
    }
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<ContactId>>, key: &K, id: ContactId) {
    if let Some(set) = index.get_mut(key) {
        set.remove(&id);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

/// The citizen whom a contact's address identifies: one from which several write identifies nobody.
fn identified(contact: &Contact) -> Option<CitizenId> {
    contact.citizen.filter(|_| contact.citizen_level.is_some())
}

/// The contact as events show it.
pub(super) fn about(contact: &Contact) -> About {
    About {
        contact: contact.id,
        conversation: contact.conversation,
        administration: contact.administration.clone(),
        office: contact.office.clone(),
        queue: contact.queue.clone(),
        channel: contact.channel.clone(),
        mode: contact.mode,
        version: contact.version,
    }
}

fn is_late(state: &ContactState, grace: Timestamp) -> bool {
    match state {
        ContactState::Offered { deadline, .. } => *deadline < grace,
        ContactState::Active { untouched_until: Some(until), .. } | ContactState::WrapUp { until, .. } => *until < grace,
        _ => false,
    }
}

fn extend(state: &mut ContactState, grace: Timestamp) {
    match state {
        ContactState::Offered { deadline: until, .. }
        | ContactState::Active { untouched_until: Some(until), .. }
        | ContactState::WrapUp { until, .. } => {
            *until = (*until).max(grace);
        }
        _ => {}
    }
}
