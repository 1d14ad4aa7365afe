//! The table of what a citizen's message does in each state, row by row, and the ways of a contact that nobody serves.

use super::super::inbound::{Landing, landing};
use super::world::{World, is_live, name};
use crate::model::channel::{Channel, IdentityLevel};
use crate::model::command::CommandBody;
use crate::model::contact::{ContactState, Mode, NotAdmitted, Outcome, PendingOn, Resolution, StateName};
use crate::model::conversation::Automatic;
use crate::model::event::{AssignedReason, EventBody};
use crate::model::id::{AddressKey, CitizenId, ContactId, OperatorId, QueueId};
use crate::model::inbound::Signal;
use crate::model::input::Reference;
use crate::model::operator::OperatorProfile;
use crate::model::time::Timestamp;

#[test]
fn the_table_is_total() {
    let expected = [
        (StateName::Queued, Landing::Append),
        (StateName::Offered, Landing::Append),
        (StateName::Active, Landing::Append),
        (StateName::Pending, Landing::WakeOwner),
        (StateName::WrapUp, Landing::Reactivate),
        (StateName::Deferred, Landing::WakeIfLive),
        (StateName::Abandoned, Landing::ComeBack),
        (StateName::Closed, Landing::Follow),
    ];
    assert_eq!(StateName::ALL.map(|state| (state, landing(state))), expected);
}

/// Where its owner is when the citizen writes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owner {
    Ready,
    Away,
    SignedOut,
    Lost,
}

/// Brings a contact into a state, lets the citizen write, and returns where the message landed and the state after.
fn write_in(state: StateName, account: &str, owner: Owner, for_later: bool) -> (bool, StateName, World) {
    let mut world = World::new();
    let anna = (state != StateName::Queued && state != StateName::Abandoned).then(|| world.hire(1, |_| {}));
    let contact = world.arrive(10, account);
    if let (Some(_), true, false) = (anna, is_live(account), state == StateName::Offered) {
        world.accept(contact);
    }
    let by = |world: &mut World, body| world.by(anna.expect("hired"), body).expect("done");
    match state {
        StateName::Pending => by(&mut world, CommandBody::Pend { contact, on: PendingOn::Citizen, back_after: None }),
        StateName::WrapUp => by(&mut world, CommandBody::WrapUp { contact }),
        StateName::Deferred => by(&mut world, CommandBody::Defer { contact, until: Timestamp(900_000_000) }),
        StateName::Closed => {
            by(&mut world, CommandBody::Close { contact, outcome: Outcome { topic: None, resolution: Resolution::Resolved } })
        }
        StateName::Abandoned => {
            let mut facts = world.facts(20, account);
            facts.has_text = false;
            let silent = world.receive(facts);
            world.signal(30, silent, Signal::Abandoned).expect("abandoned");
            world.pass(5);
            let landed = write(&mut world, silent, for_later);
            return (landed == silent, world.state(silent).name(), world);
        }
        _ => {}
    }
    let gone = |signed_out| CommandBody::Disconnect { operator: OperatorId(1), node: "desk-1".into(), signed_out };
    match owner {
        Owner::Ready => {}
        Owner::Away => by(&mut world, CommandBody::Away { operator: OperatorId(1), reason: "lunch".into() }),
        Owner::SignedOut => by(&mut world, gone(true)),
        Owner::Lost => by(&mut world, gone(false)),
    }
    let landed = write(&mut world, contact, for_later);
    let after = world.state(landed).name();
    (landed == contact, after, world)
}

/// The citizen writes; for later: words in a live contact that nobody need be there for.
fn write(world: &mut World, contact: ContactId, for_later: bool) -> ContactId {
    if !for_later {
        return world.answer(11, contact);
    }
    let row = world.rows[&contact].clone();
    let mut facts = world.facts(11, row.account.as_str());
    (facts.address, facts.thread, facts.mode, facts.answerable) = (row.address, vec![contact], Mode::Deferrable, true);
    world.receive(facts)
}

#[test]
fn row_by_row() {
    use Owner::{Away, Lost, Ready, SignedOut};
    // state before, account, owner, for later → joins the same contact?, state after
    let rows = [
        (StateName::Queued, "telefono", Ready, false, true, StateName::Queued),
        (StateName::Offered, "telefono", Ready, false, true, StateName::Offered),
        (StateName::Active, "posta", Ready, false, true, StateName::Active),
        (StateName::Pending, "posta", Ready, false, true, StateName::Active),
        (StateName::Pending, "posta", Away, false, true, StateName::Queued),
        (StateName::WrapUp, "telefono", Ready, false, true, StateName::Active),
        (StateName::WrapUp, "telefono", Away, false, true, StateName::Active),
        (StateName::WrapUp, "telefono", SignedOut, false, true, StateName::Queued),
        (StateName::WrapUp, "telefono", Lost, false, true, StateName::Queued),
        (StateName::Deferred, "posta", Ready, false, true, StateName::Deferred),
        (StateName::Deferred, "telefono", Ready, false, true, StateName::Offered),
        (StateName::Abandoned, "telefono", Ready, false, true, StateName::Queued),
        (StateName::Closed, "posta", Ready, false, false, StateName::Active),
        (StateName::Queued, "chat", Ready, true, true, StateName::Queued),
        (StateName::Offered, "chat", Ready, true, true, StateName::Active),
        (StateName::Active, "chat", Ready, true, true, StateName::Active),
        (StateName::Pending, "chat", Ready, true, true, StateName::Active),
        (StateName::Pending, "chat", Away, true, true, StateName::Queued),
        (StateName::WrapUp, "chat", Ready, true, true, StateName::Active),
        (StateName::WrapUp, "chat", SignedOut, true, true, StateName::Queued),
        (StateName::Deferred, "chat", Ready, true, true, StateName::Active),
        (StateName::Abandoned, "chat", Ready, true, true, StateName::Queued),
    ];
    for (before, account, owner, for_later, joins, after) in rows {
        let (joined, state, world) = write_in(before, account, owner, for_later);
        assert_eq!((joined, state), (joins, after), "{before} {account} {owner:?} for later={for_later}");
        if for_later && before != StateName::Active {
            let contact = if before == StateName::Abandoned { ContactId(20) } else { ContactId(10) };
            assert_eq!(world.rows[&contact].mode, Mode::Deferrable, "{before} {owner:?}: nobody is standing there");
        }
        if before == StateName::Closed {
            assert_eq!(world.rows[&ContactId(11)].continues, Some(ContactId(10)));
            assert_eq!(world.rows[&ContactId(11)].conversation, world.rows[&ContactId(10)].conversation);
        }
        if before == StateName::Pending && owner == Away {
            assert!(world.rows[&ContactId(10)].preferred.is_some());
        }
    }
}

#[test]
fn an_abandoned_chat_with_text_and_address_becomes_work_that_can_wait() {
    let mut world = World::new();
    let nobody = world.arrive(9, "chat");
    world.signal(19, nobody, Signal::Abandoned).expect("left");
    assert_eq!(world.state(nobody).name(), StateName::Abandoned, "a chat's own address ends with it");
    let mut facts = world.facts(10, "chat");
    facts.answerable = true;
    let chat = world.receive(facts);
    world.signal(20, chat, Signal::Abandoned).expect("left");
    assert_eq!((world.state(chat).name(), world.rows[&chat].mode), (StateName::Queued, Mode::Deferrable));
    let anna = world.hire(1, |_| {});
    assert_eq!(world.owner(chat), Some(anna));
}

#[test]
fn an_abandoned_call_is_forgotten_after_its_grace() {
    let mut world = World::new();
    let mut facts = world.facts(10, "telefono");
    facts.has_text = false;
    let call = world.receive(facts);
    world.signal(20, call, Signal::Abandoned).expect("hung up");
    world.pass(601);
    assert_eq!(world.engine.contact_count(), 0);
    let again = world.answer(11, call);
    assert_ne!(again, call, "after the grace a new contact follows");
}

#[test]
fn what_no_person_wrote_is_recorded_and_never_work() {
    for automatic in [Automatic::AutoReply, Automatic::Loop, Automatic::Receipt, Automatic::Bounce] {
        let mut world = World::new();
        world.hire(1, |_| {});
        let mut facts = world.facts(10, "posta");
        facts.automatic = Some(automatic);
        let contact = world.receive(facts);
        assert_eq!(world.state(contact).name(), StateName::Closed, "{automatic:?}");
        assert_eq!(world.rows[&contact].outcome.as_ref().map(|outcome| outcome.resolution), Some(Resolution::NotARequest));
    }
    let mut world = World::new();
    let mut facts = world.facts(10, "posta");
    facts.automatic = Some(Automatic::List);
    assert_eq!(world.receive(facts), ContactId(10));
    assert_eq!(world.state(ContactId(10)).name(), StateName::Queued);
}

#[test]
fn an_auto_reply_does_not_wake_a_pending_contact() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Pend { contact: letter, on: PendingOn::Citizen, back_after: None }).expect("pending");
    let mut facts = world.facts(11, "posta");
    facts.automatic = Some(Automatic::AutoReply);
    facts.thread = vec![letter];
    assert_eq!(world.receive(facts), letter);
    assert_eq!(world.state(letter).name(), StateName::Pending);
}

#[test]
fn a_bounce_brings_the_contact_back_to_its_owner() {
    for end in [StateName::Pending, StateName::Deferred, StateName::Closed] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let letter = world.arrive(10, "posta");
        world.by(anna, CommandBody::Reply { contact: letter, message: crate::model::id::MessageId(500), account: None }).expect("answered");
        let body = match end {
            StateName::Closed => CommandBody::Close { contact: letter, outcome: Outcome { topic: None, resolution: Resolution::Resolved } },
            StateName::Deferred => CommandBody::Defer { contact: letter, until: world.now.plus(std::time::Duration::from_hours(720)) },
            _ => CommandBody::Pend { contact: letter, on: PendingOn::Citizen, back_after: None },
        };
        world.by(anna, body).expect("done");
        let row = world.rows[&letter].clone();
        let mut facts = world.facts(11, "posta");
        facts.automatic = Some(Automatic::Bounce);
        facts.bounced = Some(crate::model::id::MessageId(500));
        facts.address = None;
        facts.reference = Some(Reference {
            conversation: row.conversation,
            contact: letter,
            at: row.queued_at,
            origin: super::super::delivery::origin_of(&row),
        });
        let landed = world.receive(facts);
        assert_eq!(landed == letter, end != StateName::Closed, "{end:?}");
        assert!(matches!(world.state(landed), ContactState::Active { operator, .. } if operator == anna), "{end:?}");
        assert!(world.has("message.failed"));
    }
}

/// A letter of the citizen's that was answered and closed, and a bounce of `message` with what is stored of it.
fn bounced(world: &mut World, number: u128, letter: ContactId, message: crate::model::id::MessageId) -> ContactId {
    let row = world.rows[&letter].clone();
    let mut facts = world.facts(number, "posta");
    (facts.automatic, facts.bounced, facts.address) = (Some(Automatic::Bounce), Some(message), None);
    facts.bounced_stored = world.deliveries.get(&message).cloned().map(Box::new);
    let origin = super::super::delivery::origin_of(&row);
    facts.reference = Some(Reference { conversation: row.conversation, contact: letter, at: row.queued_at, origin });
    world.receive(facts)
}

fn open_contacts(world: &World) -> usize {
    world.rows.values().filter(|row| !row.state.is_final()).count()
}

/// Nobody has to work on a copy that the citizen asked for, whether it was refused at once or came back later.
#[test]
fn a_copy_that_comes_back_is_recorded_and_opens_no_work() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    let message = crate::model::id::MessageId(900);
    world
        .by(anna, CommandBody::Close { contact: letter, outcome: Outcome { topic: None, resolution: Resolution::Resolved } })
        .expect("closed");
    let machinery = crate::model::command::Actor { operator: None, authority: crate::model::command::Authority::Any };
    let copy = CommandBody::Copy {
        administration: name("comune"),
        contact: letter,
        conversation: world.rows[&letter].conversation,
        queue: name("urp"),
        account: name("posta"),
        message,
    };
    world.command(machinery, copy).expect("sent");
    let result = crate::model::delivery::AttemptResult::Sent { provider_id: None };
    world.report(crate::model::delivery::DeliveryReport { message, attempt: 1, result });
    world.rebuild();
    let landed = bounced(&mut world, 11, letter, message);
    assert_eq!(world.deliveries[&message].state, crate::model::delivery::DeliveryState::Bounced);
    assert_eq!((world.state(landed).name(), open_contacts(&world)), (StateName::Closed, 0));
}

/// The second report on a letter that came back is recorded, and no second work.
#[test]
fn a_letter_comes_back_once() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    let message = crate::model::id::MessageId(500);
    let closed = || Outcome { topic: None, resolution: Resolution::Resolved };
    world.by(anna, CommandBody::Reply { contact: letter, message, account: None }).expect("answered");
    let result = crate::model::delivery::AttemptResult::Sent { provider_id: None };
    world.report(crate::model::delivery::DeliveryReport { message, attempt: 1, result });
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    world.rebuild();
    let follow_on = bounced(&mut world, 11, letter, message);
    assert!(matches!(world.state(follow_on), ContactState::Active { operator, .. } if operator == anna));
    world.by(anna, CommandBody::Close { contact: follow_on, outcome: closed() }).expect("closed");
    let told = |world: &World| world.events.iter().filter(|body| body.name() == "message.failed").count();
    assert_eq!((told(&world), open_contacts(&world)), (1, 0));
    world.rebuild();
    bounced(&mut world, 12, letter, message);
    assert_eq!((told(&world), open_contacts(&world)), (1, 0));
}

#[test]
fn a_closed_queue_admits_live_contacts_as_letters() {
    let mut world = World::new();
    world.supervisor(CommandBody::CloseQueue { queue: name("urp") }).expect("closed");
    let call = world.arrive(10, "telefono");
    assert_eq!((world.rows[&call].mode, world.rows[&call].not_admitted), (Mode::Deferrable, Some(NotAdmitted::QueueClosed)));
    assert!(world.has("contact.deferrable"));
}

/// A burst: each of 200 operators takes one call at a time, the queue takes 200, and nobody has answered yet. The next call never
/// rings: it is given, as a letter is, to the first who is free of calls, and its row and its event say why.
#[test]
fn the_call_beyond_a_full_queue_is_given_as_a_letter_is() {
    let mut world = World::with(|plan| plan.queues.get_mut(&name::<QueueId>("urp")).expect("a queue").waiting_max = 200);
    for number in 1..=200 {
        world.hire(number, |_| {});
    }
    let calls: Vec<ContactId> = (1_000..1_400).map(|number| world.arrive(number, "telefono")).collect();
    let count = |state: StateName| calls.iter().filter(|call| world.state(**call).name() == state).count();
    assert_eq!((count(StateName::Offered), count(StateName::Queued)), (200, 200));
    assert!(calls.iter().all(|call| world.rows[call].mode == Mode::Live && world.rows[call].not_admitted.is_none()));
    assert!(!world.has("contact.deferrable") && !world.has("contact.assigned"));
    let next = world.arrive(1_400, "telefono");
    let row = &world.rows[&next];
    assert_eq!((row.mode, row.not_admitted, row.state.name()), (Mode::Deferrable, Some(NotAdmitted::QueueFull), StateName::Queued));
    assert!(world.events.contains(&EventBody::ContactDeferrable { not_admitted: Some(NotAdmitted::QueueFull) }));
    world.rebuild();
    while let Some(call) = calls.iter().copied().find(|call| world.offered_to(*call).is_some()) {
        let who = world.accept(call);
        let outcome = Outcome { topic: None, resolution: Resolution::Resolved };
        world.by(who, CommandBody::Close { contact: call, outcome }).expect("closed");
    }
    let row = &world.rows[&next];
    assert_eq!((row.state.name(), row.offers, row.not_admitted), (StateName::Active, 0, Some(NotAdmitted::QueueFull)), "it never rang");
    let assigned = |body: &&EventBody| matches!(body, EventBody::ContactAssigned { reason: AssignedReason::Routed, .. });
    assert_eq!(world.events.iter().filter(assigned).count(), 1);
}

/// Who says that it can wait is not refused anything.
#[test]
fn a_letter_is_admitted_however_full_the_queue_is() {
    let mut world = World::with(|plan| plan.queues.get_mut(&name::<QueueId>("urp")).expect("a queue").waiting_max = 1);
    for number in 10..13 {
        let letter = world.arrive(number, "posta");
        assert_eq!((world.rows[&letter].mode, world.rows[&letter].not_admitted), (Mode::Deferrable, None));
    }
}

/// An open letter of a citizen that anna holds in one office, then a call to another: whether it rings at anna first. Bruno is there for
/// both, and has been free for longer.
#[test]
fn the_holder_of_another_contact_of_the_citizen_comes_first() {
    use IdentityLevel::{Claimed, Spid, Verified};
    struct Row {
        what: &'static str,
        /// Address, citizen and how sure it is, of the letter and of the call.
        letter: (u128, u128, Option<IdentityLevel>),
        call: (u128, u128, Option<IdentityLevel>),
        /// Whose letter and whose call.
        accounts: (&'static str, &'static str),
        anna: bool,
    }
    let row = |what, letter, call, anna| Row { what, letter, call, accounts: ("posta", "telefono"), anna };
    let of_office =
        |what, letter, call, anna| Row { accounts: (letter, call), ..row(what, (1, 7, Some(Verified)), (2, 7, Some(Verified)), anna) };
    let table = [
        row("the same address", (1, 7, Some(Claimed)), (1, 7, Some(Claimed)), true),
        row("a shared address, now", (1, 7, Some(Claimed)), (1, 7, None), false),
        row("a shared address, then", (1, 7, None), (1, 7, Some(Claimed)), false),
        row("another address, both proved", (1, 7, Some(Verified)), (2, 7, Some(Spid)), true),
        row("another address that is only claimed", (1, 7, Some(Spid)), (2, 7, Some(Claimed)), false),
        row("another address, the letter's only claimed", (1, 7, Some(Claimed)), (2, 7, Some(Spid)), false),
        row("another address that is shared", (1, 7, Some(Spid)), (2, 7, None), false),
        row("another citizen", (1, 7, Some(Spid)), (2, 8, Some(Spid)), false),
        of_office("a restricted office's letter does not show elsewhere", "assistenti", "telefono", false),
        of_office("but it does within the office", "assistenti", "assistenti", true),
        of_office("an open office's letter shows in a restricted one, where she is a member", "posta", "assistenti", true),
    ];
    for Row { what, letter, call, accounts, anna } in table {
        let mut world = World::new();
        let member = |profile: &mut OperatorProfile| profile.offices = [name("sociali")].into();
        let who = world.hire(1, member);
        let arrive = |world: &mut World, number: u128, account: &str, mode: Mode, (address, citizen, level)| {
            let mut facts = world.facts(number, account);
            (facts.address, facts.citizen, facts.citizen_level) = (Some(AddressKey(address)), Some(CitizenId(citizen)), level);
            facts.mode = mode;
            world.receive(facts)
        };
        let first = arrive(&mut world, 10, accounts.0, Mode::Deferrable, letter);
        assert_eq!(world.owner(first), Some(who), "{what}");
        world.by(who, CommandBody::Touch { contact: first }).expect("touched");
        world.hire(2, member);
        let second = arrive(&mut world, 11, accounts.1, Mode::Live, call);
        assert_eq!(world.offered_to(second) == Some(who), anna, "{what}");
        assert!(world.offered_to(second).is_some(), "{what}");
        world.rebuild();
        let third = arrive(&mut world, 12, accounts.1, Mode::Live, call);
        assert_eq!(world.rows[&third].preferred, world.rows[&second].preferred, "{what}: a rebuilt engine knows the same");
    }
}

/// Who helped last in a restricted office is not asked first elsewhere: it would show that the office knows the citizen.
#[test]
fn help_of_a_restricted_office_does_not_show_elsewhere() {
    for (office, account, preferred) in
        [(Some("urp"), "posta", true), (Some("sociali"), "posta", false), (Some("sociali"), "assistenti", true), (None, "posta", true)]
    {
        let mut world = World::new();
        let mut facts = world.facts(10, account);
        (facts.last_helper, facts.last_helper_office) = (Some(OperatorId(1)), office.map(name));
        let contact = world.receive(facts);
        assert_eq!(world.rows[&contact].preferred.is_some(), preferred, "{office:?} {account}");
    }
}

/// A text message belongs to the open contact of its number and account: also of two in one batch, for which intake found nothing.
#[test]
fn text_messages_of_one_number_are_one_contact() {
    let mut world = World::new();
    let mut text = |number: u128, account: &str, address: u128| {
        let mut facts = world.facts(number, account);
        (facts.channel, facts.mode, facts.address) = (Channel::sms(), Mode::Deferrable, Some(AddressKey(address)));
        world.receive(facts)
    };
    let first = text(10, "posta", 1);
    let second = text(11, "posta", 1);
    let of_another = text(12, "posta", 2);
    let to_another = text(13, "telefono", 1);
    assert_eq!(first, second);
    assert!(first != of_another && first != to_another && of_another != to_another);
    assert_eq!(world.rows.len(), 3);
    let letter = |number| {
        let mut facts = world.facts(number, "posta");
        facts.address = Some(AddressKey(3));
        facts
    };
    let letters = [letter(14), letter(15)];
    let [one, other] = letters.map(|facts| world.receive(facts));
    assert_ne!(one, other, "letters join by reference only");
}

/// After its end a conversation goes on in a contact that follows, as long as intake says it is recent.
#[test]
fn a_text_message_follows_the_last_conversation() {
    for is_recent in [true, false] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let mut facts = world.facts(10, "posta");
        facts.channel = Channel::sms();
        let first = world.receive(facts.clone());
        let open = world.rows[&first].clone();
        let outcome = Outcome { topic: None, resolution: Resolution::Resolved };
        world.by(anna, CommandBody::Close { contact: first, outcome }).expect("closed");
        let recent = Reference {
            conversation: open.conversation,
            contact: first,
            at: open.queued_at,
            origin: super::super::delivery::origin_of(&world.rows[&first]),
        };
        let address = facts.address;
        facts = world.facts(11, "posta");
        (facts.channel, facts.address, facts.recent) = (Channel::sms(), address, is_recent.then_some(recent));
        let next = world.receive(facts);
        assert_ne!(next, first);
        let row = &world.rows[&next];
        assert_eq!(row.conversation == open.conversation, is_recent);
        assert_eq!(row.continues == Some(first), is_recent);
    }
}
