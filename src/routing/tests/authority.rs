//! Who may what with a contact, as the engine sees it: the desk has looked at role and scope, but its word is not all there is.

use super::world::{World, name, operator};
use crate::model::command::{CommandBody, Refusal, RejectReason, TransferTarget};
use crate::model::contact::{CaseReference, Outcome, PendingOn, Resolution, StateName};
use crate::model::delivery::AttemptResult;
use crate::model::id::{ContactId, ConversationId, MessageId, NoteId, OfferId, OperatorId};
use crate::model::operator::OperatorProfile;

const ANNA: OperatorId = OperatorId(1);
const BRUNO: OperatorId = OperatorId(2);
/// How many kinds of commands there are: a new one needs a number below and a row in the table.
const KINDS: usize = 27;

fn kind(body: &CommandBody) -> usize {
    match body {
        CommandBody::Connect { .. } => 0,
        CommandBody::Disconnect { .. } => 1,
        CommandBody::Ready { .. } => 2,
        CommandBody::Away { .. } => 3,
        CommandBody::Accept { .. } => 4,
        CommandBody::Reject { .. } => 5,
        CommandBody::Touch { .. } => 6,
        CommandBody::Pull { .. } => 7,
        CommandBody::Reply { .. } => 8,
        CommandBody::Copy { .. } => 9,
        CommandBody::Note { .. } => 10,
        CommandBody::Pend { .. } => 11,
        CommandBody::Resume { .. } => 12,
        CommandBody::Defer { .. } => 13,
        CommandBody::WrapUp { .. } => 14,
        CommandBody::Close { .. } => 15,
        CommandBody::Transfer { .. } => 16,
        CommandBody::Return { .. } => 17,
        CommandBody::Assign { .. } => 18,
        CommandBody::RetryMessage { .. } => 19,
        CommandBody::SetCase { .. } => 20,
        CommandBody::CloseQueue { .. } => 21,
        CommandBody::OpenQueue { .. } => 22,
        CommandBody::PutOperator { .. } => 23,
        CommandBody::ApplyPlan { .. } => 24,
        CommandBody::LoseNode { .. } => 25,
        CommandBody::SettleMessage { .. } => 26,
    }
}

/// In which state a contact must be for the command to make sense.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Rings,
    Active,
    Pending,
    /// With a message of hers that failed.
    Failed,
    /// With a message of hers of which nobody knows the end.
    Unknown,
    /// Waits, transferred to her by name.
    Wanted,
}

/// A contact of anna's in a state, and bruno, who does the same work in the same administration.
fn world_with(before: Before) -> (World, ContactId) {
    let mut world = World::new();
    world.hire(1, |_| {});
    let account = match before {
        Before::Failed => "posta",
        Before::Unknown => "numero",
        _ => "telefono",
    };
    let contact = world.arrive(10, account);
    if account == "telefono" && before != Before::Rings {
        world.accept(contact);
    }
    match before {
        Before::Rings | Before::Active => {}
        Before::Pending => {
            world.by(ANNA, CommandBody::Pend { contact, on: PendingOn::Citizen, back_after: None }).expect("pending");
        }
        Before::Failed | Before::Unknown => {
            world.by(ANNA, CommandBody::Reply { contact, message: MessageId(500), account: None }).expect("answered");
            let result = match before {
                Before::Failed => AttemptResult::Permanent { code: "550".into() },
                _ => AttemptResult::Unknown,
            };
            world.report(crate::model::delivery::DeliveryReport { message: MessageId(500), attempt: 1, result });
        }
        Before::Wanted => {
            let busy = world.arrive(11, "telefono");
            world.hire(3, |_| {});
            world.accept(busy);
            world
                .by(ANNA, CommandBody::Transfer { contact, to: TransferTarget::Operator(OperatorId(3)), reason: "other".into() })
                .expect("sent");
            assert_eq!(world.rows[&contact].wanted, Some(OperatorId(3)));
        }
    }
    world.hire(2, |_| {});
    (world, contact)
}

/// What can be asked of a contact in each state, and what concerns anna or everybody.
fn table(contact: ContactId, now: crate::model::time::Timestamp) -> Vec<(Before, CommandBody, Refusal)> {
    use Refusal::{Invalid, NotFound, NotOwner};
    let offer = OfferId { contact, ordinal: 1 };
    let outcome = || Outcome { topic: None, resolution: Resolution::Resolved };
    let until = now.plus(std::time::Duration::from_secs(60));
    let copy = CommandBody::Copy {
        administration: name("comune"),
        contact,
        conversation: ConversationId(10),
        queue: name("urp"),
        account: name("posta"),
        message: MessageId(900),
    };
    let number = Some(CaseReference { number: "2026/1".into(), deadline: None });
    vec![
        (Before::Active, CommandBody::Connect { operator: ANNA, node: "desk-9".into(), country: None }, NotOwner),
        (Before::Active, CommandBody::Disconnect { operator: ANNA, node: "desk-1".into(), signed_out: true }, NotOwner),
        (Before::Active, CommandBody::Ready { operator: ANNA }, NotOwner),
        (Before::Active, CommandBody::Away { operator: ANNA, reason: "lunch".into() }, NotOwner),
        (Before::Rings, CommandBody::Accept { offer }, NotFound),
        (Before::Rings, CommandBody::Reject { offer, reason: RejectReason::Busy }, NotFound),
        (Before::Active, CommandBody::Touch { contact }, NotOwner),
        (Before::Wanted, CommandBody::Pull { contact }, NotOwner),
        (Before::Active, CommandBody::Reply { contact, message: MessageId(900), account: None }, NotOwner),
        (Before::Active, copy, Invalid),
        (Before::Active, CommandBody::Note { contact, note: NoteId(900) }, NotOwner),
        (Before::Active, CommandBody::Pend { contact, on: PendingOn::Office, back_after: None }, NotOwner),
        (Before::Pending, CommandBody::Resume { contact }, NotOwner),
        (Before::Active, CommandBody::Defer { contact, until }, NotOwner),
        (Before::Rings, CommandBody::Defer { contact, until }, NotOwner),
        (Before::Active, CommandBody::WrapUp { contact }, NotOwner),
        (Before::Active, CommandBody::Close { contact, outcome: outcome() }, NotOwner),
        (Before::Wanted, CommandBody::Close { contact, outcome: outcome() }, NotOwner),
        (Before::Active, CommandBody::Transfer { contact, to: TransferTarget::Queue(name("tributi")), reason: "other".into() }, NotOwner),
        (Before::Active, CommandBody::Transfer { contact, to: TransferTarget::Operator(BRUNO), reason: "other".into() }, NotOwner),
        (Before::Active, CommandBody::Return { contact }, NotOwner),
        (Before::Rings, CommandBody::Return { contact }, NotOwner),
        (Before::Active, CommandBody::Assign { contact, operator: BRUNO }, NotOwner),
        (Before::Failed, CommandBody::RetryMessage { contact, message: MessageId(500) }, NotOwner),
        (Before::Unknown, CommandBody::SettleMessage { contact, message: MessageId(500), arrived: true }, NotOwner),
        (Before::Unknown, CommandBody::SettleMessage { contact, message: MessageId(500), arrived: false }, NotOwner),
        (Before::Active, CommandBody::SetCase { contact, case: number }, NotOwner),
        (Before::Active, CommandBody::CloseQueue { queue: name("urp") }, NotOwner),
        (Before::Active, CommandBody::OpenQueue { queue: name("urp") }, NotOwner),
        (Before::Active, CommandBody::PutOperator { operator: ANNA, profile: OperatorProfile::default(), enabled: false }, NotOwner),
        (Before::Active, CommandBody::ApplyPlan { version: 2 }, NotOwner),
        (Before::Active, CommandBody::LoseNode { node: "desk-1".into() }, NotOwner),
    ]
}

/// A colleague is refused, nothing changes and nothing is told; whose it is, or a supervisor, or the machinery, is not refused for the
/// same command: so it is the person that was refused.
#[test]
fn a_colleague_is_refused_everything_that_is_not_theirs() {
    let (sample, contact) = world_with(Before::Active);
    let table = table(contact, sample.now);
    let tried: std::collections::BTreeSet<usize> = table.iter().map(|(_, body, _)| kind(body)).collect();
    assert_eq!(tried, (0..KINDS).collect(), "every kind of command has a row");
    for (before, body, refusal) in table {
        let (mut world, _) = world_with(before);
        let (digest, events) = (world.engine.digest(), world.events.len());
        assert_eq!(world.by(BRUNO, body.clone()), Err(refusal), "{before:?} {body:?}");
        assert_eq!((world.engine.digest(), world.events.len()), (digest, events), "{before:?} {body:?}: nothing happened");
        if matches!(body, CommandBody::ApplyPlan { .. }) {
            world.engine.offer_plan(std::sync::Arc::new(crate::plan::Plan { version: 2, ..super::world::plan() }));
        }
        let may = match body {
            CommandBody::Pull { .. } => world.by(operator(3), body.clone()),
            CommandBody::Copy { .. } => {
                let machinery = crate::model::command::Actor { operator: None, authority: crate::model::command::Authority::Any };
                world.command(machinery, body.clone())
            }
            CommandBody::Accept { .. } | CommandBody::Reject { .. } => world.by(ANNA, body.clone()),
            _ => world.supervisor(body.clone()),
        };
        assert_eq!(may, Ok(()), "{before:?} {body:?}: whoever may");
    }
}

/// What waits for anybody is anybody's to take, but not who may not have it.
#[test]
fn what_waits_may_be_taken_by_whoever_may_have_it() {
    let mut world = World::new();
    let letters = [world.arrive(10, "posta"), world.arrive(11, "assistenti")];
    let full = |profile: &mut OperatorProfile| profile.capacity.desk_slots = 0;
    let anna = world.hire(1, full);
    assert_eq!(world.by(anna, CommandBody::Pull { contact: letters[0] }), Ok(()));
    assert_eq!(world.by(anna, CommandBody::Pull { contact: letters[1] }), Err(Refusal::OperatorNotAllowed), "a restricted office's");
    assert_eq!(world.state(letters[1]).name(), StateName::Queued);
}
