//! What time does to chats: a citizen without a connection is gone after the queue's time, transcripts go out, old chats are
//! forgotten. Each node says which chats it has connections of; one node at a time looks after the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Shared;
use super::access::Visitor;
use super::limits::{PRESENT_EVERY, PRESENT_FOR};
use super::publish::{conversation_of, signal};
use super::transcript;
use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::id::{AdministrationId, ChatSessionId};
use crate::model::inbound::Signal;
use crate::model::time::Timestamp;
use crate::port::chat::{ChatChange, ChatSession};
use crate::port::clock::now;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// How long the right to look after chats lasts.
const LEASE: Duration = Duration::from_secs(15);
/// Chats looked at in one go.
const AT_ONCE: u32 = 200;
/// How often old chats are forgotten and what is as good as never seen is dropped.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Until the channel stops.
pub async fn run(chat: Shared) {
    let mut rounds = BTreeMap::<AdministrationId, Round>::new();
    let [mut present, mut look, mut forget] = [PRESENT_EVERY, EVERY, FORGET_EVERY].map(tokio::time::interval);
    for ticks in [&mut present, &mut look, &mut forget] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = chat.shutdown.cancelled() => break,
            _ = present.tick() => say_present(&chat).await,
            _ = look.tick() => {
                if let Err(error) = chat.store.node_seen(&chat.options.node).await {
                    tracing::warn!(node = %chat.options.node, %error, "node {} could not say that it is there", chat.options.node);
                }
                if may_look(&chat).await {
                    for administration in administrations(&chat) {
                        let round = rounds.entry(administration.clone()).or_default();
                        look_after(&chat, &administration, round).await;
                    }
                }
            }
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
    let _lost = chat.leases.let_go("webchat", &chat.options.holder).await;
}

fn administrations(chat: &Shared) -> BTreeSet<AdministrationId> {
    let plan = chat.current_plan();
    plan.accounts.values().filter(|account| account.channel.is_session()).map(|account| account.administration.clone()).collect()
}

async fn may_look(chat: &Shared) -> bool {
    chat.leases.hold("webchat", &chat.options.holder, LEASE).await.unwrap_or(false)
}

/// Says which chats have a connection here.
async fn say_present(chat: &Shared) {
    let until = now().plus(PRESENT_FOR);
    let mut here: BTreeMap<AdministrationId, Vec<ChatSessionId>> = BTreeMap::new();
    for (administration, session) in chat.hub.present() {
        here.entry(administration).or_default().push(session);
    }
    for (administration, sessions) in here {
        for some in sessions.chunks(500) {
            if let Err(error) = chat.chats.chats_present(&administration, some, until).await {
                tracing::warn!(%administration, %error, "it could not be said which chats are connected");
            }
        }
    }
}

/// How far the looks at an administration's chats have come. Each goes on where the one before ended, and the next round begins
/// behind the last: whether a chat is due only its contact says, so those that are not stand among the others.
#[derive(Default)]
struct Round {
    absent: Option<ChatSession>,
    wanted: Option<ChatSession>,
    /// Chats whose queue gives them more time, with when it is over.
    later: HashMap<ChatSessionId, Timestamp>,
}

/// Where the next look goes on: behind these chats, or, if they were the last, at the beginning.
fn behind(chats: &[ChatSession]) -> Option<ChatSession> {
    chats.last().filter(|_| chats.len() >= AT_ONCE as usize).cloned()
}

async fn look_after(chat: &Shared, administration: &AdministrationId, round: &mut Round) {
    let plan = chat.current_plan();
    let queues = plan.queues.values().filter(|queue| queue.administration == *administration);
    let Some(soonest) = queues.map(|queue| queue.abandon_after).min() else { return };
    match chat.chats.absent_chats(administration, now().minus(soonest), round.absent.as_ref(), AT_ONCE).await {
        Ok(absent) => {
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
        }
        Err(error) => tracing::warn!(%administration, %error, "chats cannot be looked after now"),
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
        let id = session.present_until.0.to_string();
        let gone = signal(&chat.ids, &chat.options.event_prefix, &visitor, session, Signal::Abandoned, id);
        let gone = gone.map_err(|error| error.to_string())?;
        chat.publisher.publish(vec![gone]).await.map_err(|error| error.to_string())?;
    }
    // without a contact there is nothing to be left; one that is opened later brings a connection with it
    let change = ChatChange::Gone(session.present_until);
    chat.chats.change_chat(&session.administration, session.id, change).await.map_err(|error| error.to_string())?;
    Ok(None)
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
