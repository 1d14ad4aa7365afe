//! What time does to chats: a citizen without a connection is gone after the queue's time, an end that did not get through is said
//! again, transcripts go out, old chats are forgotten. Each node says which chats it has connections of; one node at a time looks
//! after the rest, and judges nobody absent before every node could have said so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::access::Visitor;
use super::limits::{PRESENT_EVERY, PRESENT_FOR};
use super::publish::{conversation_of, ended, signal};
use super::transcript;
use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::id::{AdministrationId, ChatSessionId, ConversationId};
use crate::model::inbound::Signal;
use crate::model::time::Timestamp;
use crate::port::chat::{ChatChange, ChatSession};
use crate::port::clock::now;
use crate::port::store::StoreError;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// How long the right to look after chats lasts.
const LEASE: Duration = Duration::from_secs(15);
/// Chats looked at in one go.
const AT_ONCE: u32 = 200;
/// How often old chats are forgotten and what is as good as never seen is dropped.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How long the database must have answered before anybody is taken for gone: every node has said by then whom it has, and browsers
/// whose node went have come back, which they do within half a minute.
const STEADY_FOR: Duration = PRESENT_FOR.saturating_add(Duration::from_secs(30));
/// A longer silence between two answers is a break, though nothing failed: the database hung, or this machine slept.
const BREAK: Duration = PRESENT_EVERY;

/// Since when the database has answered without a break.
#[derive(Debug, Default)]
pub struct Steady(Mutex<Option<Since>>);

#[derive(Debug, Clone, Copy)]
struct Since {
    began: Instant,
    last: Instant,
    /// A machine that slept shows it here only.
    last_at: Timestamp,
}

impl Steady {
    /// It answered.
    fn answered(&self, clock: Instant, at: Timestamp) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = since.filter(|since| clock - since.last <= BREAK && at.since(since.last_at) <= BREAK);
        *since = Some(Since { began: goes_on.map_or(clock, |since| since.began), last: clock, last_at: at });
    }

    /// It did not.
    fn failed(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether what it does not say of a chat means something.
    fn is_long(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.last - since.began >= STEADY_FOR)
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Until the channel stops.
pub async fn run(chat: Shared) {
    let mut rounds = BTreeMap::<AdministrationId, Round>::new();
    let (mut look, mut forget) = (every(EVERY), every(FORGET_EVERY));
    loop {
        tokio::select! {
            () = chat.shutdown.cancelled() => break,
            _ = look.tick() => if may_look(&chat).await {
                for administration in administrations(&chat) {
                    let round = rounds.entry(administration.clone()).or_default();
                    look_after(&chat, &administration, round, chat.steady.is_long()).await;
                }
            },
            _ = forget.tick() => {
                chat.measures.prune();
                for administration in administrations(&chat) {
                    if let Err(error) = chat.chats.forget_chats(&administration, now()).await {
                        tracing::warn!(%administration, %error, "old chats are not forgotten yet");
                    }
                }
            }
        }
    }
    let _lost = chat.leases.let_go("webchat", &chat.options.node).await;
}

/// Says that this node is there and which chats it has connections of, however long a look takes, until the channel stops.
pub async fn say(chat: Shared) {
    let (mut here, mut present) = (every(EVERY), every(PRESENT_EVERY));
    loop {
        tokio::select! {
            () = chat.shutdown.cancelled() => return,
            _ = present.tick() => say_present(&chat).await,
            _ = here.tick() => match chat.store.node_seen(&chat.options.node).await {
                Ok(()) => chat.steady.answered(Instant::now(), now()),
                Err(error) => {
                    chat.steady.failed();
                    tracing::warn!(node = %chat.options.node, %error, "node {} could not say that it is there", chat.options.node);
                }
            },
        }
    }
}

fn administrations(chat: &Shared) -> BTreeSet<AdministrationId> {
    let plan = chat.current_plan();
    plan.accounts.values().filter(|account| account.channel.is_session()).map(|account| account.administration.clone()).collect()
}

async fn may_look(chat: &Shared) -> bool {
    match chat.leases.hold("webchat", &chat.options.node, LEASE).await {
        Ok(is_held) => {
            chat.steady.answered(Instant::now(), now());
            is_held
        }
        Err(_) => {
            chat.steady.failed();
            false
        }
    }
}

/// Says which chats have a connection here.
async fn say_present(chat: &Shared) {
    let until = now().plus(PRESENT_FOR);
    chat.said_until.fetch_max(until.0, Ordering::Relaxed);
    let mut here: BTreeMap<AdministrationId, Vec<ChatSessionId>> = BTreeMap::new();
    for (administration, session) in chat.hub.present() {
        here.entry(administration).or_default().push(session);
    }
    for (administration, sessions) in here {
        for some in sessions.chunks(500) {
            if let Err(error) = chat.chats.chats_present(&administration, some, until).await {
                chat.steady.failed();
                tracing::warn!(%administration, %error, "it could not be said which chats are connected");
            }
        }
    }
}

/// How far the looks at an administration's chats have come. Each goes on where the one before ended, and the next round begins
/// behind the last: whether a chat is due only its contact says, so those that are not stand among the others.
#[derive(Default)]
struct Round {
    ended: Option<ChatSession>,
    absent: Option<ChatSession>,
    wanted: Option<ChatSession>,
    /// Chats whose queue gives them more time, with when it is over.
    later: HashMap<ChatSessionId, Timestamp>,
}

/// Where the next look goes on: behind these chats, or, if they were the last, at the beginning.
fn behind(chats: &[ChatSession]) -> Option<ChatSession> {
    chats.last().filter(|_| chats.len() >= AT_ONCE as usize).cloned()
}

/// One look at an administration's chats. Nobody is taken for gone unless `is_steady`: the database may not have heard of them yet.
async fn look_after(chat: &Shared, administration: &AdministrationId, round: &mut Round, is_steady: bool) {
    if let Err(error) = say_ends(chat, administration, round).await {
        tracing::warn!(%administration, %error, "chats that were ended cannot be looked after now");
    }
    if is_steady && let Err(error) = leave(chat, administration, round).await {
        chat.steady.failed();
        tracing::warn!(%administration, %error, "chats cannot be looked after now");
    }
    match chat.chats.wanted_transcripts(administration, round.wanted.as_ref(), AT_ONCE).await {
        Ok(wanted) => {
            round.wanted = behind(&wanted);
            for session in wanted {
                if let Err(reason) = transcript::send(chat, &session).await {
                    tracing::warn!(reason, "a transcript waits");
                }
            }
        }
        Err(error) => tracing::warn!(%administration, %error, "transcripts cannot be looked after now"),
    }
}

/// Says again that a citizen ended their chat, where it is not known to have got through: the same signal, which counts once.
async fn say_ends(chat: &Shared, administration: &AdministrationId, round: &mut Round) -> Result<(), StoreError> {
    let ended = chat.chats.ended_chats(administration, round.ended.as_ref(), AT_ONCE).await?;
    round.ended = behind(&ended);
    for session in ended {
        if let Err(reason) = say_end(chat, &session).await {
            tracing::warn!(reason, "the end of a chat is said again");
        }
    }
    Ok(())
}

async fn say_end(chat: &Shared, session: &ChatSession) -> Result<(), String> {
    if let Some(visitor) = Visitor::of_account(&chat.current_plan(), &session.account) {
        let end = ended(&chat.ids, &chat.options.event_prefix, &visitor, session).map_err(|error| error.to_string())?;
        chat.publisher.publish(vec![end]).await.map_err(|error| error.to_string())?;
    }
    change(chat, session, ChatChange::EndTold).await
}

/// Looks at chats without a connection.
async fn leave(chat: &Shared, administration: &AdministrationId, round: &mut Round) -> Result<(), StoreError> {
    let plan = chat.current_plan();
    let queues = plan.queues.values().filter(|queue| queue.administration == *administration);
    let Some(soonest) = queues.map(|queue| queue.abandon_after).min() else { return Ok(()) };
    let absent = chat.chats.absent_chats(administration, now().minus(soonest), round.absent.as_ref(), AT_ONCE).await?;
    round.absent = behind(&absent);
    let now = now();
    round.later.retain(|_, at| *at > now);
    for session in absent {
        if round.later.contains_key(&session.id) {
            continue;
        }
        match abandon(chat, &session).await {
            Ok(Some(at)) => drop(round.later.insert(session.id, at)),
            Ok(None) => {}
            Err(reason) => tracing::warn!(reason, "a chat whose citizen is gone is looked at again"),
        }
    }
    Ok(())
}

/// Tells the pool that a citizen is gone, once the time of the contact's queue is over; until then, when that is.
async fn abandon(chat: &Shared, session: &ChatSession) -> Result<Option<Timestamp>, String> {
    let plan = chat.current_plan();
    let conversation = conversation_of(&chat.ids, &session.account, session.id);
    let view = chat.store.conversation(&session.administration, conversation).await.map_err(|error| error.to_string())?;
    let contact = view.and_then(|view| view.contacts.into_iter().next_back()).filter(could_be_left);
    if let (Some(contact), Some(visitor)) = (&contact, Visitor::of_account(&plan, &session.account)) {
        let after = plan.queues.get(&contact.queue).map_or(Duration::ZERO, |queue| queue.abandon_after);
        let over = session.present_until.plus(after);
        if now() < over {
            return Ok(Some(over));
        }
        if is_back(chat, &visitor, session, conversation).await? {
            return Ok(None);
        }
        let id = session.present_until.0.to_string();
        let gone = signal(&chat.ids, &chat.options.event_prefix, &visitor, session, Signal::Abandoned, id);
        let gone = gone.map_err(|error| error.to_string())?;
        chat.publisher.publish(vec![gone]).await.map_err(|error| error.to_string())?;
    }
    // without a contact there is nothing to be left; one that is opened later brings a connection with it
    change(chat, session, ChatChange::Gone(session.present_until)).await?;
    Ok(None)
}

/// Whether the citizen has come back since the list was read, here or elsewhere.
async fn is_back(chat: &Shared, visitor: &Visitor, session: &ChatSession, conversation: ConversationId) -> Result<bool, String> {
    // whatever its age: an expired chat's contact is left, too
    let row = chat.chats.chat(&session.administration, session.id, Timestamp(i64::MIN)).await.map_err(|error| error.to_string())?;
    let has_moved = row.is_some_and(|row| row.gone || row.present_until != session.present_until);
    Ok(has_moved || chat.hub.sockets_of(&visitor.pool, conversation) > 0)
}

async fn change(chat: &Shared, session: &ChatSession, change: ChatChange) -> Result<(), String> {
    chat.chats.change_chat(&session.administration, session.id, change).await.map_err(|error| error.to_string())
}

fn could_be_left(contact: &Contact) -> bool {
    let open = matches!(
        contact.state,
        ContactState::Queued | ContactState::Offered { .. } | ContactState::Deferred { .. } | ContactState::Active { .. }
    );
    open && contact.mode == Mode::Live
}

#[cfg(test)]
mod tests;
