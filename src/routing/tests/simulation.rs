//! A seeded simulation: random inputs, and after every step the engine rebuilt from its rows equals the live one, nobody
//! holds more than they may, and no contact waits that a free operator could take.

use std::sync::Arc;
use std::time::Duration;

use super::super::engine::Desk;
use super::super::parameters::{LIVE_OWNER_GONE, live_cost};
use super::super::timer::wanted_until;
use super::super::{Effects, Engine};
use super::world::{World, in_grace, name, operator, plan};
use crate::model::channel::IdentityLevel;
use crate::model::command::{CommandBody, RejectReason, TransferTarget};
use crate::model::contact::{CaseReference, Contact, ContactState, Mode, Outcome, PendingOn, Resolution};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{CitizenId, ContactId, MessageId, OfferId, OperatorId};
use crate::model::inbound::Signal;
use crate::model::input::Input;
use crate::model::operator::{OperatorProfile, PresenceState};
use crate::model::requirement::{Comparison, Requirement};
use crate::plan::{Plan, Policy, SilenceLimits};

/// SplitMix64: one seed, one run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize].clone())
    }
}

fn step(world: &mut World, random: &mut Random, number: u128) {
    let contacts: Vec<ContactId> = world.engine.contacts.keys().copied().collect();
    let who = operator(1 + u128::from(random.below(5)));
    let contact = random.pick(&contacts).unwrap_or(ContactId(1));
    let owner = world.engine.contacts.get(&contact).and_then(|entry| entry.contact.state.owner()).unwrap_or(who);
    let outcome = Outcome { topic: None, resolution: Resolution::Resolved };
    match random.below(34) {
        0..=5 => {
            let account = random.pick(&["posta", "telefono", "chat", "f24", "assistenti"]).expect("not empty");
            let mut facts = world.facts(number, account);
            facts.has_text = random.below(2) == 0;
            facts.address = Some(crate::model::id::AddressKey(u128::from(random.below(8))));
            facts.citizen = Some(CitizenId(u128::from(random.below(8))));
            facts.citizen_level = random.pick(&[None, Some(IdentityLevel::Claimed), Some(IdentityLevel::Verified)]).flatten();
            world.receive(facts);
        }
        6 if world.rows.contains_key(&contact) => {
            world.answer(number, contact);
        }
        7 => drop(world.signal(number, contact, if random.below(2) == 0 { Signal::Abandoned } else { Signal::Ended })),
        8..=11 => {
            let ringing: Vec<(OperatorId, OfferId)> = world
                .engine
                .contacts
                .values()
                .filter_map(|entry| match entry.contact.state {
                    ContactState::Offered { ordinal, operator, .. } => Some((operator, OfferId { contact: entry.contact.id, ordinal })),
                    _ => None,
                })
                .collect();
            if let Some((who, offer)) = random.pick(&ringing) {
                let body = match random.below(4) {
                    0 => CommandBody::Reject {
                        offer,
                        reason: if random.below(4) == 0 { RejectReason::Conflict } else { RejectReason::Busy },
                    },
                    _ => CommandBody::Accept { offer },
                };
                world.by(who, body).expect("it rings at them");
            }
        }
        12 => drop(world.by(owner, CommandBody::Touch { contact })),
        13 => drop(world.by(owner, CommandBody::Reply { contact, message: MessageId(number), account: None })),
        14 => {
            let back_after = (random.below(2) == 0).then(|| world.now.plus(Duration::from_secs(1 + random.below(5000))));
            let on = if random.below(2) == 0 { PendingOn::Citizen } else { PendingOn::Office };
            let _refused = world.by(owner, CommandBody::Pend { contact, on, back_after });
        }
        15 => drop(world.by(owner, CommandBody::Defer { contact, until: world.now.plus(Duration::from_secs(1 + random.below(5000))) })),
        16 | 17 => drop(world.by(owner, CommandBody::Close { contact, outcome })),
        18 => {
            let to = if random.below(2) == 0 {
                TransferTarget::Operator(who)
            } else {
                TransferTarget::Queue(name(random.pick(&["urp", "tributi", "sociali"]).expect("not empty")))
            };
            let reason = if random.below(4) == 0 { "conflict" } else { "competence" };
            let _refused = world.by(owner, CommandBody::Transfer { contact, to, reason: reason.into() });
        }
        19 => drop(world.supervisor(match random.below(3) {
            0 => CommandBody::Assign { contact, operator: who },
            1 => CommandBody::Return { contact },
            _ => CommandBody::Close { contact, outcome },
        })),
        20 => drop(world.by(who, CommandBody::Ready { operator: who })),
        21 => drop(world.by(who, CommandBody::Away { operator: who, reason: "lunch".into() })),
        22 => drop(match random.below(2) {
            0 => {
                let node = random.pick(&["desk-1", "desk-2"]).expect("not empty");
                world.by(who, CommandBody::Connect { operator: who, node: node.into(), country: None })
            }
            _ => world.by(who, CommandBody::Disconnect { operator: who, node: "desk-1".into(), signed_out: random.below(2) == 0 }),
        }),
        23 => {
            // settled ones too: their reports come when they like
            let open: Vec<(MessageId, u32)> = world.deliveries.values().map(|delivery| (delivery.message, delivery.attempts)).collect();
            if let Some((message, attempt)) = random.pick(&open) {
                let result = match random.below(6) {
                    4 => AttemptResult::Delivered,
                    5 => AttemptResult::Bounced { code: "5.1.1".into() },
                    0 => AttemptResult::Sent { provider_id: None },
                    1 => AttemptResult::Permanent { code: "550".into() },
                    2 => AttemptResult::Unknown,
                    _ => AttemptResult::Temporary { code: "connect".into() },
                };
                let older = u32::from(random.below(4) == 0);
                world.report(DeliveryReport { message, attempt: attempt.saturating_sub(older), result });
            }
        }
        24 => drop(world.by(who, CommandBody::Pull { contact })),
        25 => drop(world.by(owner, CommandBody::WrapUp { contact })),
        26 => drop(match random.below(2) {
            0 => world.by(owner, CommandBody::Resume { contact }),
            _ => world.supervisor(CommandBody::Resume { contact }),
        }),
        27 => {
            let body = CommandBody::PutOperator { operator: who, profile: draw_profile(random), enabled: random.below(8) > 0 };
            world.supervisor(body).expect("put");
        }
        28 => match random.below(4) {
            0 => world.supervisor(CommandBody::LoseNode { node: "desk-1".into() }).expect("lost"),
            1 => world.supervisor(CommandBody::CloseQueue { queue: name("urp") }).expect("closed"),
            2 => world.supervisor(CommandBody::OpenQueue { queue: name("urp") }).expect("opened"),
            _ => {
                world.rebuild();
                world.take_over();
            }
        },
        29 if random.below(2) == 0 => world.replan(|plan| draw_plan(plan, random)),
        30 => {
            let case = Some(CaseReference { number: "2026/1".into(), deadline: None });
            let _refused = world.supervisor(CommandBody::SetCase { contact, case });
        }
        // the next input comes before the clock
        31 => world.now = world.now.plus(Duration::from_secs(random.below(100))),
        _ => world.pass(random.below(2000)),
    }
}

fn draw_profile(random: &mut Random) -> OperatorProfile {
    let mut profile = OperatorProfile { administrations: [name("comune")].into(), ..OperatorProfile::default() };
    if random.below(2) == 0 {
        profile.skills.insert(name("tributi"), 1 + random.below(5) as u8);
    }
    if random.below(3) == 0 {
        profile.offices.insert(name(random.pick(&["urp", "sociali"]).expect("not empty")));
    }
    match random.below(6) {
        0 => profile.channels = [name("email"), name("webchat")].into(),
        1 => profile.queues = [name("tributi"), name("sociali")].into(),
        2 => profile.capacity.channels = [(name("phone"), 0)].into(),
        _ => {}
    }
    profile.capacity.live_units = random.pick(&[66, 100, 100, 200]).expect("not empty");
    profile.capacity.desk_slots = 1 + random.below(3) as u8;
    profile
}

fn draw_plan(plan: &mut Plan, random: &mut Random) {
    let offices = &mut plan.administrations.get_mut(&name("comune")).expect("in the plan").offices;
    offices.get_mut(&name("urp")).expect("in the plan").restricted = random.below(3) == 0;
    let queue = plan.queues.get_mut(&name("urp")).expect("in the plan");
    queue.policy = random.pick(&[Policy::BestFit, Policy::LongestIdle, Policy::LeastLoaded]).expect("not empty");
    queue.requirement = match random.below(3) {
        0 => Requirement::Skill(name("tributi"), Comparison::AtLeast, 2),
        _ => Requirement::Anybody,
    };
    queue.target = Duration::from_secs(600 * (1 + random.below(6)));
}

/// An engine made of what a store would hold is the engine that told it what to write.
fn check_rebuild(world: &World, seed: u64, step: u64) {
    let (now, mut kept, stored) = (world.now, world.engine.all_rows(), world.stored.rows(world.now));
    kept.contacts = in_grace(kept.contacts.iter(), now);
    assert_eq!(stored, kept, "seed {seed} step {step}: a row was not written");
    if world.engine.next_deadline().is_some_and(|at| at <= now) {
        return; // a reminder that is due is not set again
    }
    let again = Engine::rebuild(name("main"), Arc::clone(world.engine.plan()), now, stored);
    assert_eq!(again.digest(), world.engine.digest(), "seed {seed} step {step}: the rebuilt engine differs");
}

fn check_rules(world: &World, seed: u64, step: u64) {
    let engine = &world.engine;
    if engine.next_deadline().is_some_and(|at| at <= world.now) {
        return; // something happens first
    }
    for desk in engine.operators.values() {
        let held = engine.contacts.values().filter(|entry| entry.contact.state.holder() == Some(desk.operator.id)).count();
        assert_eq!(held, desk.load.holding.len(), "seed {seed} step {step}");
        let kept = desk.operator.reserved_for.is_some_and(|contact| engine.reserved.get(&contact) == Some(&desk.operator.id));
        assert_eq!(kept, desk.operator.reserved_for.is_some(), "seed {seed} step {step}");
    }
    for (id, entry) in &engine.contacts {
        check_owner(world, &entry.contact, seed, step);
        if entry.contact.state != ContactState::Queued {
            assert!(!engine.reserved.contains_key(id), "seed {seed} step {step}: somebody is kept free for {id}, which does not wait");
            continue;
        }
        if let Some(wanted) = entry.contact.wanted {
            let desk = &engine.operators[&wanted];
            let colleague = &desk.operator;
            let may_come =
                colleague.enabled && (entry.contact.mode == Mode::Deferrable || colleague.presence.state == PresenceState::Ready);
            assert!(may_come, "seed {seed} step {step}: {id} waits for {wanted} alone, who does not come");
            let until = wanted_until(engine.plan(), &entry.contact).expect("it is wanted");
            assert!(world.now < until, "seed {seed} step {step}: {id} waits for {wanted} alone after {until}");
            assert!(!engine.could_take_wanted(desk, &entry.contact), "seed {seed} step {step}: {id} waits though {wanted} is free");
            continue;
        }
        let class = entry.class.expect("queued contacts have a class");
        let fits = |desk: &&Desk| engine.demand.fits(class, desk.profile);
        for desk in engine.operators.values().filter(fits) {
            let who = desk.operator.id;
            assert!(!engine.could_take(desk, class, &entry.contact), "seed {seed} step {step}: {id} waits though {who} is free");
        }
        let kept = engine.reserved.get(id).map(|who| &engine.operators[who]);
        let could_be_kept = |desk: &&Desk| fits(desk) && engine.could_be_kept_for(desk, class, &entry.contact);
        assert!(kept.as_ref().is_none_or(could_be_kept), "seed {seed} step {step}: who is kept free for {id} cannot take it");
        let is_head = engine.demand.heads[class as usize] == entry.contact.key && entry.contact.mode == Mode::Live;
        if kept.is_none() && is_head {
            let cost = live_cost(&entry.contact.channel);
            let free = |desk: &&Desk| desk.operator.reserved_for.is_none() && desk.load.has_cheaper_than(cost);
            let somebody = engine.operators.values().filter(could_be_kept).find(free).map(|desk| desk.operator.id);
            assert_eq!(somebody, None, "seed {seed} step {step}: nobody is kept free for {id}");
        }
    }
}

/// Whoever has a contact may have it, and a citizen who stands there is not left with somebody who is gone.
fn check_owner(world: &World, contact: &Contact, seed: u64, step: u64) {
    let Some(who) = contact.state.owner().or(contact.state.holder()) else { return };
    let allowed = world.engine.check_allowed(who, contact);
    assert_eq!(allowed, Ok(()), "seed {seed} step {step}: {} is with {who}, who may not have it", contact.id);
    if matches!(contact.state, ContactState::Active { .. }) && contact.mode == Mode::Live {
        let lost_at = world.engine.operators[&who].operator.presence.lost_at;
        let is_gone = lost_at.is_some_and(|at| at.plus(LIVE_OWNER_GONE) <= world.now);
        assert!(!is_gone, "seed {seed} step {step}: {} is with {who}, who is gone", contact.id);
    }
}

#[test]
fn rebuilt_from_rows_gives_the_same_engine() {
    // a longer campaign: SPORTELLO_SEEDS=1000 cargo test --release --lib rebuilt
    let seeds = std::env::var("SPORTELLO_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let mut random = Random(seed);
        let mut world = World::with(|plan| {
            let silence = SilenceLimits { warn: Duration::from_secs(120), close: Duration::from_secs(240) };
            plan.queues.get_mut(&name("urp")).expect("in the plan").silence = Some(silence);
        });
        for number in 1..=5 {
            world.hire(number, |profile| {
                if number % 2 == 0 {
                    profile.skills.insert(name("tributi"), number as u8);
                }
                if number == 5 {
                    profile.offices.insert(name("sociali"));
                }
            });
        }
        for number in 0..250 {
            step(&mut world, &mut random, 1000 + number);
            check_rebuild(&world, seed, number as u64);
            check_rules(&world, seed, number as u64);
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let run = |seed| {
        let mut random = Random(seed);
        let mut world = World::new();
        for number in 1..=5 {
            world.hire(number, |_| {});
        }
        for number in 0..400 {
            step(&mut world, &mut random, 1000 + number);
        }
        (world.engine.digest(), serde_json::to_string(&world.events).expect("plain data"))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn a_take_over_gives_open_offers_time_and_expires_nothing_at_once() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    let rows = world.engine.all_rows();
    let later = world.now.plus(Duration::from_secs(600));
    let mut engine = Engine::rebuild(name("main"), Arc::new(plan()), world.now, rows);
    let mut effects = Effects::default();
    engine.apply(later, 100, &Input::LeaderStarted { epoch: 2, engine_version: 1, digest: String::new() }, &mut effects);
    engine.apply(later, 101, &Input::Timers, &mut effects);
    assert!(
        matches!(engine.contacts[&call].contact.state, ContactState::Offered { operator, deadline, .. } if operator == anna && deadline == later.plus(Duration::from_secs(10)))
    );
}
