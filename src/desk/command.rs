//! Commands of a console, by HTTP or by its socket: read, authorised, sent to the router, answered. One code path for both.

use std::sync::Arc;

use serde::Serialize;

use self::check::{SUBJECT_CHARACTERS_MAX, check};
pub use self::wish::{Answer, Wish};
use super::authorisation::Rights;
use super::counters::Counters;
use super::handle;
use super::problem::{Problem, refusal_code};
use super::session::Caller;
use super::{Shared, accounts};
use crate::model::address::Address;
use crate::model::channel::Channel;
use crate::model::command::{Actor, Authority, Command, CommandBody, Refusal, Reply, TransferTarget};
use crate::model::contact::{Contact, Mode, Outcome};
use crate::model::conversation::{Message, Party};
use crate::model::id::{AccountId, AdministrationId, ChatSessionId, CommandId, ContactId, MessageId, NoteId, OfferId, OperatorId, PoolId};
use crate::model::operator::Role;
use crate::port::clock::now;
use crate::port::commands::{CommandEnvelope, CommandText};
use crate::port::store::ContactSummary;
use crate::port::trace::TraceParent;

mod check;
mod wish;

/// The longest text message, in characters: what every provider takes as one message of several parts.
const TEXT_MESSAGE_CHARACTERS_MAX: usize = 1600;

/// A wish with the id that makes it safe to send twice.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Made by the client, or by the desk if it made none.
    pub id: CommandId,
    /// The version of the contact that the client saw.
    pub expected_version: Option<u32>,
    /// What.
    pub wish: Wish,
}

/// A command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Done {
    /// `applied` or `duplicate`.
    pub outcome: &'static str,
    /// The pool's sequence number of the command; absent for a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// The message that a reply made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// The note that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<NoteId>,
}

/// A command ready for the router.
struct Order {
    pool: PoolId,
    authority: Authority,
    body: CommandBody,
    text: Option<CommandText>,
    message: Option<MessageId>,
    note: Option<NoteId>,
}

impl Order {
    fn new(pool: PoolId, authority: Authority, body: CommandBody) -> Self {
        Self { pool, authority, body, text: None, message: None, note: None }
    }
}

/// Where a contact's commands go and how far the caller's word goes there.
struct Reach {
    pool: PoolId,
    authority: Authority,
}

/// Does what a console asks, if its caller may. The caller's rights are read anew for every command.
pub async fn perform(desk: &Shared, caller: &Arc<Caller>, asked: Asked) -> Result<Done, Problem> {
    let caller = desk.sessions.caller(&caller.credential, desk.options.session_recheck).await?;
    check(&asked.wish)?;
    let order = order(desk, &caller, &asked).await?;
    let command = Command {
        id: asked.id,
        actor: Actor { operator: Some(caller.operator()), authority: order.authority },
        expected_version: asked.expected_version,
        body: order.body,
    };
    Counters::count(&desk.counters.commands);
    let trace = TraceParent::start();
    tracing::debug!(operator = %caller.operator(), command = %command.id, trace_id = trace.trace_id(), "a console asks");
    let envelope = CommandEnvelope { command, text: order.text, traceparent: Some(trace.to_string()) };
    let answered = desk.commands.send(&order.pool, envelope).await.inspect_err(|_| Counters::count(&desk.counters.commands_unanswered));
    if asked.wish == Wish::Offline {
        match answered {
            Ok(_) => desk.presence.has_left(caller.operator()),
            // the console may close on this answer: the desk goes on telling
            Err(_) => desk.presence.sign_out(desk, caller.operator(), &order.pool),
        }
    }
    let reply = answered?;
    match reply {
        Reply::Applied { seq } => Ok(Done { outcome: "applied", seq: Some(seq), message: order.message, note: order.note }),
        Reply::Duplicate => Ok(Done { outcome: "duplicate", seq: None, message: order.message, note: order.note }),
        Reply::Refused { code } => {
            tracing::debug!(operator = %caller.operator(), code = %refusal_code(code), "the router refused a command");
            Err(code.into())
        }
    }
}

async fn order(desk: &Shared, caller: &Arc<Caller>, asked: &Asked) -> Result<Order, Problem> {
    let me = caller.operator();
    match &asked.wish {
        Wish::Ready | Wish::Away { .. } | Wish::Offline => presence(desk, caller, &asked.wish).await,
        Wish::CloseQueue { queue, notice } => {
            let pool = desk.rights(caller).await?.require_queue(queue)?;
            let mut order = Order::new(pool, Authority::Any, CommandBody::CloseQueue { queue: queue.clone() });
            order.text = notice.clone().map(CommandText::Text);
            Ok(order)
        }
        Wish::OpenQueue { queue } => {
            let pool = desk.rights(caller).await?.require_queue(queue)?;
            Ok(Order::new(pool, Authority::Any, CommandBody::OpenQueue { queue: queue.clone() }))
        }
        Wish::Accept { contact, ordinal } => {
            let reach = reach(desk, caller, *contact).await?;
            let offer = OfferId { contact: *contact, ordinal: *ordinal };
            Ok(Order::new(reach.pool, Authority::Own, CommandBody::Accept { offer }))
        }
        Wish::Reject { contact, ordinal, reason } => {
            let reach = reach(desk, caller, *contact).await?;
            let offer = OfferId { contact: *contact, ordinal: *ordinal };
            Ok(Order::new(reach.pool, Authority::Own, CommandBody::Reject { offer, reason: *reason }))
        }
        Wish::Transfer { contact, to, reason } => {
            let reach = reach(desk, caller, *contact).await?;
            known_target(&desk.rights(caller).await?, desk, to).await?;
            let body = CommandBody::Transfer { contact: *contact, to: to.clone(), reason: reason.clone() };
            Ok(Order::new(reach.pool, reach.authority, body))
        }
        Wish::Assign { contact, operator } => assign(desk, caller, *contact, *operator).await,
        Wish::Reply { contact, answer } => reply(desk, caller, asked.id, *contact, answer).await,
        Wish::Note { contact, text } => {
            let reach = reach(desk, caller, *contact).await?;
            let note = NoteId(desk.ids.make("note-by-command", &[&asked.id.0.to_be_bytes(), &me.0.to_be_bytes()]));
            let mut order = Order::new(reach.pool, reach.authority, CommandBody::Note { contact: *contact, note });
            (order.text, order.note) = (Some(CommandText::Text(text.clone())), Some(note));
            Ok(order)
        }
        wish => plain(desk, caller, wish).await,
    }
}

/// Commands that name one contact and nothing that must be looked up.
async fn plain(desk: &Shared, caller: &Arc<Caller>, wish: &Wish) -> Result<Order, Problem> {
    let (contact, body) = match wish.clone() {
        Wish::Touch { contact } => (contact, CommandBody::Touch { contact }),
        Wish::Pull { contact } => (contact, CommandBody::Pull { contact }),
        Wish::Resume { contact } => (contact, CommandBody::Resume { contact }),
        Wish::WrapUp { contact } => (contact, CommandBody::WrapUp { contact }),
        Wish::Return { contact } => (contact, CommandBody::Return { contact }),
        Wish::Pend { contact, on, back_after } => (contact, CommandBody::Pend { contact, on, back_after }),
        Wish::Defer { contact, until } => (contact, CommandBody::Defer { contact, until }),
        Wish::Close { contact, topic, resolution } => (contact, CommandBody::Close { contact, outcome: Outcome { topic, resolution } }),
        Wish::RetryMessage { contact, message } => (contact, CommandBody::RetryMessage { contact, message }),
        Wish::SettleMessage { contact, message, arrived } => (contact, CommandBody::SettleMessage { contact, message, arrived }),
        Wish::SetCase { contact, case } => (contact, CommandBody::SetCase { contact, case }),
        _ => return Err(Problem::invalid("this command is not one on a contact")),
    };
    let Reach { pool, authority } = reach(desk, caller, contact).await?;
    // A supervisor who pulls, touches or wraps up acts for themself: only the owner's word counts there.
    let own = matches!(body, CommandBody::Pull { .. } | CommandBody::Touch { .. });
    Ok(Order::new(pool, if own { Authority::Own } else { authority }, body))
}

/// Where the commands of a contact go, if the caller may know of it. What the live feed says they hold needs no question to
/// the store: that is the way of nearly every command.
async fn reach(desk: &Shared, caller: &Arc<Caller>, contact: ContactId) -> Result<Reach, Problem> {
    if caller.is_operator() && desk.hub.holder(&caller.login.pool, contact) == Some(caller.operator()) {
        return Ok(Reach { pool: caller.login.pool.clone(), authority: Authority::Own });
    }
    let rights = desk.rights(caller).await?;
    let summary = desk.store.contact(rights.administrations(), contact).await?.ok_or_else(Problem::not_found)?;
    let sight = rights.sight(&summary.contact).ok_or_else(Problem::not_found)?;
    let pool = pool_of(&rights, &summary.contact.administration)?;
    Ok(Reach { pool, authority: if sight.supervises { Authority::Any } else { Authority::Own } })
}

fn pool_of(rights: &Rights, administration: &AdministrationId) -> Result<PoolId, Problem> {
    rights.plan().administrations.get(administration).map(|body| body.pool.clone()).ok_or_else(Problem::not_found)
}

async fn assign(desk: &Shared, caller: &Arc<Caller>, contact: ContactId, operator: OperatorId) -> Result<Order, Problem> {
    let rights = desk.rights(caller).await?;
    rights.require(Role::Supervisor)?;
    let summary = desk.store.contact(rights.administrations(), contact).await?.ok_or_else(Problem::not_found)?;
    let sight = rights.sight(&summary.contact).ok_or_else(Problem::not_found)?;
    if !sight.supervises {
        return Err(Problem::forbidden());
    }
    let pool = pool_of(&rights, &summary.contact.administration)?;
    known_target(&rights, desk, &TransferTarget::Operator(operator)).await?;
    Ok(Order::new(pool, Authority::Any, CommandBody::Assign { contact, operator }))
}

/// A queue or colleague of administrations that the caller knows; anything else is as if it were not there.
async fn known_target(rights: &Rights, desk: &Shared, to: &TransferTarget) -> Result<(), Problem> {
    let mine = rights.administrations();
    let known = match to {
        TransferTarget::Queue(queue) => rights.plan().queues.get(queue).is_some_and(|queue| mine.contains(&queue.administration)),
        TransferTarget::Operator(operator) => {
            let people = desk.directory.people(&rights.caller().login.pool).await?;
            people
                .operators
                .get(operator)
                .is_some_and(|who| who.profile.administrations.iter().any(|administration| mine.contains(administration)))
        }
    };
    if known { Ok(()) } else { Err(Problem::not_found()) }
}

async fn presence(desk: &Shared, caller: &Arc<Caller>, wish: &Wish) -> Result<Order, Problem> {
    if !caller.is_operator() {
        return Err(Problem::forbidden());
    }
    let (operator, pool) = (caller.operator(), caller.login.pool.clone());
    let body = match wish {
        Wish::Ready => {
            desk.presence.wanted(desk, operator).await;
            CommandBody::Ready { operator }
        }
        Wish::Away { reason } => {
            desk.presence.wanted(desk, operator).await;
            CommandBody::Away { operator, reason: reason.clone() }
        }
        _ => {
            desk.presence.leaves(operator);
            CommandBody::Disconnect { operator, node: desk.options.node.clone(), signed_out: true }
        }
    };
    Ok(Order::new(pool, Authority::Own, body))
}

async fn reply(desk: &Shared, caller: &Arc<Caller>, id: CommandId, contact: ContactId, answer: &Answer) -> Result<Order, Problem> {
    let Reach { pool, authority } = reach(desk, caller, contact).await?;
    let rights = desk.rights(caller).await?;
    let ContactSummary { contact: row, subject, .. } =
        desk.store.contact(rights.administrations(), contact).await?.ok_or_else(Problem::not_found)?;
    // an answer goes to the citizen's address, with the subject, and to whom it is copied
    if !rights.sight(&row).is_some_and(|sight| sight.content) {
        return Err(Problem::no_right_to_content());
    }
    let attachments: Result<Vec<_>, _> =
        answer.attachments.iter().map(|given| handle::verify(&desk.ids, given, contact, &row.administration, now())).collect();
    let attachments = attachments.map_err(|error| Problem::conflict("bad_attachment", error.to_string()))?;
    let letter = after_the_chat(desk, &row).await?;
    let (account, to) = match letter {
        Some((account, to)) => (Some(account), Some(to)),
        None => (None, addressee(desk, &row).await?),
    };
    if to.is_none() && row.channel.has_sender() {
        return Err(Refusal::NoReplyChannel.into());
    }
    if let Some(to) = &to
        && row.channel.as_str() == Channel::SMS
    {
        may_text(desk, &row, to, answer).await?;
    }
    let message = MessageId(desk.ids.make("message-by-command", &[&id.0.to_be_bytes(), &caller.operator().0.to_be_bytes()]));
    let subject =
        answer.subject.clone().or_else(|| subject.filter(|_| row.channel.as_str() == Channel::EMAIL || account.is_some()).map(answered));
    let text = CommandText::Reply { text: answer.text.clone(), subject, to, cc: answer.cc.clone(), attachments };
    let mut order = Order::new(pool, authority, CommandBody::Reply { contact, message, account });
    (order.text, order.message) = (Some(text), Some(message));
    Ok(order)
}

/// A citizen who left words in a chat and has gone is answered by mail, at the address they gave: by which account, and whom.
async fn after_the_chat(desk: &Shared, contact: &Contact) -> Result<Option<(AccountId, Party)>, Problem> {
    if !contact.channel.is_session() || contact.mode == Mode::Live {
        return Ok(None);
    }
    let messages = desk.store.messages_of_contact(&contact.administration, contact.id).await?;
    let session = messages.iter().rev().find_map(|message| message.from.as_ref()?.address.parse::<ChatSessionId>().ok());
    let Some(session) = session else { return Ok(None) };
    let chat = desk.chats.chat(&contact.administration, session, now()).await?;
    let account = desk.current_plan().mail_account(&contact.administration, Some(&contact.queue));
    Ok(chat.and_then(|chat| Some((account?, Party { address: chat.email?, name: Some(chat.name) }))))
}

/// Whom a written answer goes to: who wrote last in the contact, else in the conversation. Nobody where an answer is not
/// carried by us.
async fn addressee(desk: &Shared, contact: &Contact) -> Result<Option<Party>, Problem> {
    if !contact.channel.has_sender() {
        return Ok(None);
    }
    let newest = |messages: Vec<Message>| {
        let written = messages.into_iter().filter(|message| message.is_answerable() && message.channel == contact.channel);
        written.filter(|message| message.from.is_some()).max_by_key(|message| message.at).and_then(|message| message.from)
    };
    let here = newest(desk.store.messages_of_contact(&contact.administration, contact.id).await?);
    if here.is_some() {
        return Ok(here);
    }
    let conversation = desk.store.conversation(&contact.administration, contact.conversation).await?;
    Ok(conversation.and_then(|view| newest(view.messages)))
}

/// Whether a text message can be sent to the address, and the citizen wants it.
async fn may_text(desk: &Shared, contact: &Contact, to: &Party, answer: &Answer) -> Result<(), Problem> {
    let address = Address::read(&to.address);
    if !address.can_be_answered() {
        return Err(Problem::conflict("unanswerable", "this came from a name, not from a number: no answer can be sent to it"));
    }
    if !answer.attachments.is_empty() {
        return Err(Problem::conflict("no_attachments", "a text message carries no files: write where they can be found"));
    }
    if answer.text.chars().count() > TEXT_MESSAGE_CHARACTERS_MAX {
        let detail = format!("a text message has at most {TEXT_MESSAGE_CHARACTERS_MAX} characters: write several");
        return Err(Problem::conflict("too_long", detail));
    }
    let key = desk.ids.address(&contact.administration, address.as_str());
    match desk.store.opted_out(&contact.administration, &contact.channel, key).await? {
        Some(_) => Err(Problem::conflict("opted_out", "the citizen asked for no more messages to this number: reach them another way")),
        None => Ok(()),
    }
}

/// The subject of an answer: one `Re:`, however often it went to and fro.
fn answered(subject: String) -> String {
    let marked = subject.get(..3).is_some_and(|mark| mark.eq_ignore_ascii_case("re:"));
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARACTERS_MAX - 4).collect();
    if marked { subject } else { format!("Re: {subject}") }
}

/// A command id of the desk's own, for clients that sent none.
pub fn fresh_id() -> CommandId {
    CommandId(accounts::random_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_answers() {
        for (subject, expected) in [("TARI", "Re: TARI"), ("RE: TARI", "RE: TARI"), ("è", "Re: è"), ("a\r\nBcc: x", "Re: aBcc: x")] {
            assert_eq!(answered(subject.into()), expected);
        }
    }
}
