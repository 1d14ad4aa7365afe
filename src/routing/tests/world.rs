//! A small municipality for the engine's tests: a plan, operators, and short ways to say what happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::channel::{Channel, IdentityLevel};
use crate::model::command::{Actor, Authority, Command, CommandBody, Refusal};
use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::delivery::{Delivery, DeliveryReport};
use crate::model::event::{About, EventBody};
use crate::model::id::*;
use crate::model::inbound::Signal;
use crate::model::input::{AboutMessage, DeliveryFacts, InboundFacts, Input, Reference, SignalFacts};
use crate::model::operator::{Operator, OperatorProfile};
use crate::model::requirement::{Comparison, Requirement};
use crate::model::time::Timestamp;
use crate::plan::{Account, Administration, Office, Plan, Policy, Queue};
use crate::routing::parameters::ABANDONED_GRACE;
use crate::routing::{Applied, Effects, Engine, Rows};

pub(super) fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a name")
}

pub(super) fn plan() -> Plan {
    let mut plan = Plan { version: 1, ..Plan::default() };
    let body: AdministrationId = name("comune");
    plan.pools.insert(name("main"));
    let office = |restricted| Office { name: "Ufficio".into(), restricted };
    plan.administrations.insert(
        body.clone(),
        Administration {
            name: "Comune".into(),
            pool: name("main"),
            domains: Default::default(),
            languages: vec![],
            retention: None,
            offices: [(name("urp"), office(false)), (name("sociali"), office(true))].into(),
            topics: [(name("tari"), "TARI".into())].into(),
            rules: vec![],
        },
    );
    for (id, office, skill, policy) in [
        ("urp", "urp", None, Policy::BestFit),
        ("tributi", "urp", Some("tributi"), Policy::BestFit),
        ("sociali", "sociali", None, Policy::LongestIdle),
    ] {
        let requirement = skill.map_or(Requirement::Anybody, |skill| Requirement::Skill(name(skill), Comparison::AtLeast, 2));
        plan.queues.insert(
            name(id),
            Queue {
                administration: body.clone(),
                office: name(office),
                name: id.into(),
                requirement,
                match_language: false,
                policy,
                target: Duration::from_secs(3600),
                head_start: Duration::ZERO,
                offer_timeout: Duration::from_secs(20),
                untouched_for: Duration::from_secs(1800),
                wrap_up: Duration::from_secs(120),
                cool_off: Duration::from_secs(120),
                returns_max: 3,
                waiting_max: 1000,
                silence: None,
                abandon_after: Duration::from_secs(120),
            },
        );
    }
    for (id, channel, queue) in [
        ("posta", "email", "urp"),
        ("telefono", "phone", "urp"),
        ("chat", "webchat", "urp"),
        ("numero", "sms", "urp"),
        ("f24", "email", "tributi"),
        ("assistenti", "phone", "sociali"),
    ] {
        plan.accounts.insert(
            name(id),
            Account { administration: body.clone(), channel: name(channel), address: None, display_name: None, queue: name(queue) },
        );
    }
    plan.skills.insert(name("tributi"), "Tributi".into());
    plan
}

pub(super) struct World {
    pub engine: Engine,
    pub now: Timestamp,
    pub seq: i64,
    pub events: Vec<EventBody>,
    /// What each of the events is about.
    pub abouts: Vec<Option<About>>,
    pub rows: BTreeMap<ContactId, Contact>,
    pub deliveries: BTreeMap<MessageId, Delivery>,
    pub stored: Stored,
}

/// What a store would hold of the rows that the engine told it to write: what is done is not loaded again.
#[derive(Default)]
pub(super) struct Stored {
    contacts: BTreeMap<ContactId, Contact>,
    operators: BTreeMap<OperatorId, Operator>,
    deliveries: BTreeMap<MessageId, Delivery>,
    queues: BTreeMap<QueueId, bool>,
}

impl Stored {
    fn write(&mut self, rows: &Rows) {
        self.contacts.extend(rows.contacts.iter().map(|contact| (contact.id, contact.clone())));
        self.contacts.retain(|_, contact| !matches!(contact.state, ContactState::Closed { .. }));
        self.operators.extend(rows.operators.iter().map(|operator| (operator.id, operator.clone())));
        self.deliveries.extend(rows.deliveries.iter().map(|delivery| (delivery.message, delivery.clone())));
        self.deliveries.retain(|_, delivery| delivery.state.is_open());
        self.queues.extend(rows.queues.iter().cloned());
        self.queues.retain(|_, closed| *closed);
    }

    /// What a new leader loads at `now`.
    pub(super) fn rows(&self, now: Timestamp) -> Rows {
        Rows {
            contacts: in_grace(self.contacts.values(), now),
            offers: Vec::new(),
            operators: self.operators.values().cloned().collect(),
            deliveries: self.deliveries.values().cloned().collect(),
            queues: self.queues.iter().map(|(queue, closed)| (queue.clone(), *closed)).collect(),
        }
    }
}

/// Without the abandoned ones whose grace is over.
pub(super) fn in_grace<'a>(contacts: impl Iterator<Item = &'a Contact>, now: Timestamp) -> Vec<Contact> {
    let is_over = |contact: &&Contact| matches!(contact.state, ContactState::Abandoned { at } if at.plus(ABANDONED_GRACE) <= now);
    contacts.filter(|contact| !is_over(contact)).cloned().collect()
}

pub(super) fn operator(number: u128) -> OperatorId {
    OperatorId(number)
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Under a plan that differs from the usual one.
    pub(super) fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = plan();
        change(&mut plan);
        let engine = Engine::rebuild(name("main"), Arc::new(plan), Timestamp(0), Rows::default());
        Self {
            engine,
            now: Timestamp(0),
            seq: 0,
            events: Vec::new(),
            abouts: Vec::new(),
            rows: Default::default(),
            deliveries: Default::default(),
            stored: Stored::default(),
        }
    }

    pub(super) fn input(&mut self, input: Input) -> Applied {
        let mut effects = Effects::default();
        self.seq += 1;
        let applied = self.engine.apply(self.now, self.seq, &input, &mut effects);
        self.seq += effects.events.len() as i64;
        let rows = self.engine.rows(&effects);
        self.stored.write(&rows);
        self.rows.extend(rows.contacts.into_iter().map(|contact| (contact.id, contact)));
        self.deliveries.extend(rows.deliveries.into_iter().map(|delivery| (delivery.message, delivery)));
        for (about, body) in effects.events {
            self.abouts.push(about);
            self.events.push(body);
        }
        applied
    }

    /// An adapter of the municipality's reports on a message; intake adds what is stored.
    pub(super) fn report(&mut self, report: DeliveryReport) -> Applied {
        let stored = self.deliveries.get(&report.message).cloned().map(Box::new);
        self.input(Input::Delivery(Box::new(DeliveryFacts { administration: name("comune"), report, stored })))
    }

    /// Lets time pass and everything due in it happen, at its time.
    pub(super) fn pass(&mut self, seconds: u64) {
        let until = self.now.plus(Duration::from_secs(seconds));
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Timers);
        }
        self.now = until;
    }

    /// The engine is made again from its rows, as the next leader does.
    pub(super) fn rebuild(&mut self) {
        let (plan, rows) = (Arc::clone(self.engine.plan()), self.stored.rows(self.now));
        self.engine = Engine::rebuild(name("main"), plan, self.now, rows);
    }

    /// Puts a plan in force that differs from the present one.
    pub(super) fn replan(&mut self, change: impl FnOnce(&mut Plan)) {
        let mut plan = Plan::clone(self.engine.plan());
        plan.version += 1;
        change(&mut plan);
        let version = plan.version;
        self.engine.offer_plan(Arc::new(plan));
        self.supervisor(CommandBody::ApplyPlan { version }).expect("applied");
    }

    /// Another process leads from now on.
    pub(super) fn take_over(&mut self) {
        self.input(Input::LeaderStarted { epoch: 2, engine_version: crate::routing::ENGINE_VERSION, digest: self.engine.digest() });
    }

    pub(super) fn command(&mut self, actor: Actor, body: CommandBody) -> Result<(), Refusal> {
        let id = CommandId(self.seq as u128);
        let command = Command { id, actor, expected_version: None, body };
        let input = match command.body.message() {
            Some((_, message)) => {
                let stored = self.deliveries.get(&message).cloned();
                Input::AboutMessage(Box::new(AboutMessage { command, stored }))
            }
            None => Input::Command(Box::new(command)),
        };
        self.input(input).result
    }

    pub(super) fn by(&mut self, who: OperatorId, body: CommandBody) -> Result<(), Refusal> {
        self.command(Actor { operator: Some(who), authority: Authority::Own }, body)
    }

    pub(super) fn supervisor(&mut self, body: CommandBody) -> Result<(), Refusal> {
        self.command(Actor { operator: Some(operator(999)), authority: Authority::Any }, body)
    }

    /// An operator who works for the municipality, connected and ready.
    pub(super) fn hire(&mut self, number: u128, change: impl FnOnce(&mut OperatorProfile)) -> OperatorId {
        let who = operator(number);
        let mut profile = OperatorProfile { administrations: [name("comune")].into(), ..OperatorProfile::default() };
        change(&mut profile);
        self.supervisor(CommandBody::PutOperator { operator: who, profile, enabled: true }).expect("hired");
        self.by(who, CommandBody::Connect { operator: who, node: "desk-1".into(), country: Some("IT".into()) }).expect("connected");
        self.by(who, CommandBody::Ready { operator: who }).expect("ready");
        who
    }

    pub(super) fn facts(&self, number: u128, account: &str) -> InboundFacts {
        let account: AccountId = name(account);
        let channel = self.engine.plan().accounts[&account].channel.clone();
        InboundFacts {
            input: InputId(number),
            message: MessageId(number),
            new_contact: ContactId(number),
            new_conversation: ConversationId(number),
            administration: name("comune"),
            mode: if channel.is_live() { Mode::Live } else { Mode::Deferrable },
            channel,
            account,
            filed_at: self.now,
            address: Some(AddressKey(number)),
            citizen: None,
            citizen_level: None,
            identity: IdentityLevel::Claimed,
            language: None,
            reference: None,
            thread: vec![ContactId(number)],
            recent: None,
            last_helper: None,
            last_helper_office: None,
            automatic: None,
            bounced: None,
            bounced_stored: None,
            has_text: true,
            answerable: false,
            classification: None,
            text: None,
        }
    }

    pub(super) fn arrive(&mut self, number: u128, account: &str) -> ContactId {
        let facts = self.facts(number, account);
        self.receive(facts)
    }

    pub(super) fn receive(&mut self, facts: InboundFacts) -> ContactId {
        self.input(Input::Inbound(Box::new(facts))).landed.expect("landed in a contact")
    }

    /// A message that continues the conversation of `contact`, as our signed reference shows.
    pub(super) fn answer(&mut self, number: u128, contact: ContactId) -> ContactId {
        let row = self.rows[&contact].clone();
        let mut facts = self.facts(number, row.account.as_str());
        facts.address = row.address;
        facts.reference =
            Some(Reference { conversation: row.conversation, contact, at: row.queued_at, origin: super::super::delivery::origin_of(&row) });
        self.receive(facts)
    }

    pub(super) fn signal(&mut self, number: u128, contact: ContactId, signal: Signal) -> Result<(), Refusal> {
        let facts =
            SignalFacts { input: InputId(number), administration: name("comune"), thread: vec![contact], conversation: None, signal };
        self.input(Input::Signal(Box::new(facts))).result
    }

    pub(super) fn state(&self, contact: ContactId) -> ContactState {
        self.rows[&contact].state
    }

    pub(super) fn offered_to(&self, contact: ContactId) -> Option<OperatorId> {
        match self.state(contact) {
            ContactState::Offered { operator, .. } => Some(operator),
            _ => None,
        }
    }

    pub(super) fn accept(&mut self, contact: ContactId) -> OperatorId {
        let ContactState::Offered { ordinal, operator, .. } = self.state(contact) else {
            panic!("{contact} does not ring: {:?}", self.state(contact))
        };
        self.by(operator, CommandBody::Accept { offer: OfferId { contact, ordinal } }).expect("accepted");
        operator
    }

    pub(super) fn owner(&self, contact: ContactId) -> Option<OperatorId> {
        self.state(contact).owner()
    }

    /// Who is kept free for it.
    pub(super) fn kept_for(&self, contact: ContactId) -> Option<OperatorId> {
        self.engine.reserved.get(&contact).copied()
    }

    pub(super) fn has(&self, event: &str) -> bool {
        self.events.iter().any(|body| body.name() == event)
    }
}

/// The channel of an account in the test plan.
pub(super) fn is_live(account: &str) -> bool {
    Channel::new(plan().accounts[&name::<AccountId>(account)].channel.as_str()).expect("a channel").is_live()
}
