//! Who has a console open here, told to the router: only transitions, in order, again until they are answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Desk, Shared, command};
use crate::model::command::{Actor, Authority, Command, CommandBody};
use crate::model::id::{OperatorId, PoolId};
use crate::port::commands::CommandEnvelope;

/// The longest pause before the router is asked again.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a person who says `ready` waits for their console to be announced.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);

/// What the router was told last, or is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Connected,
    Lost,
    SignedOut,
}

struct Entry {
    pool: PoolId,
    consoles: usize,
    signed_out: bool,
    told: Word,
    telling: bool,
}

impl Entry {
    fn to_tell(&self) -> Word {
        match (self.signed_out, self.consoles) {
            (true, _) => Word::SignedOut,
            (false, 0) => Word::Lost,
            (false, _) => Word::Connected,
        }
    }

    /// Whether the router's knowledge is good: somebody who is gone need not be told so in another word.
    fn is_settled(&self) -> bool {
        let to_tell = self.to_tell();
        self.told == to_tell || (self.told == Word::SignedOut && to_tell == Word::Lost)
    }
}

/// The operators with a console here.
#[derive(Default)]
pub struct Presence {
    entries: Mutex<HashMap<OperatorId, Entry>>,
    told: Notify,
}

impl Presence {
    /// A console was opened.
    pub fn opened(&self, desk: &Shared, operator: OperatorId, pool: &PoolId) {
        {
            let mut entries = self.lock();
            let entry = entries.entry(operator).or_insert_with(|| Entry {
                pool: pool.clone(),
                consoles: 0,
                signed_out: false,
                told: Word::Lost,
                telling: false,
            });
            entry.consoles += 1;
            entry.signed_out = false;
        }
        self.settle(desk, operator);
    }

    /// A console was closed or lost.
    pub fn closed(&self, desk: &Shared, operator: OperatorId) {
        if let Some(entry) = self.lock().get_mut(&operator) {
            entry.consoles = entry.consoles.saturating_sub(1);
        }
        self.settle(desk, operator);
    }

    /// The person signed out: the router is told so, even if the consoles are still closing.
    pub fn sign_out(&self, desk: &Shared, operator: OperatorId, pool: &PoolId) {
        {
            let mut entries = self.lock();
            let entry = entries.entry(operator).or_insert_with(|| Entry {
                pool: pool.clone(),
                consoles: 0,
                signed_out: false,
                told: Word::Connected,
                telling: false,
            });
            entry.signed_out = true;
        }
        self.settle(desk, operator);
    }

    /// The person says by command that they go. Until that command is answered whoever closes their console says it too.
    pub fn leaves(&self, operator: OperatorId) {
        if let Some(entry) = self.lock().get_mut(&operator) {
            entry.signed_out = true;
        }
    }

    /// The router has answered that command.
    pub fn has_left(&self, operator: OperatorId) {
        if let Some(entry) = self.lock().get_mut(&operator)
            && entry.signed_out
        {
            entry.told = Word::SignedOut;
        }
    }

    /// The person wants to work here: waits until the router knows of their console, if there is one.
    pub async fn wanted(&self, desk: &Shared, operator: OperatorId) {
        if let Some(entry) = self.lock().get_mut(&operator) {
            entry.signed_out = false;
        }
        self.settle(desk, operator);
        let announced = async {
            loop {
                let mut told = std::pin::pin!(self.told.notified());
                told.as_mut().enable();
                if self.lock().get(&operator).is_none_or(|entry| entry.consoles == 0 || entry.told == Word::Connected) {
                    return;
                }
                told.await;
            }
        };
        let _late = tokio::time::timeout(ANNOUNCED_WITHIN, announced).await;
    }

    /// The router believes that the operator's console is gone. If it is here, it is told again.
    pub fn router_lost(&self, desk: &Shared, operator: OperatorId) {
        if let Some(entry) = self.lock().get_mut(&operator)
            && entry.told == Word::Connected
            && entry.consoles > 0
        {
            entry.told = Word::Lost;
        }
        self.settle(desk, operator);
    }

    fn settle(&self, desk: &Shared, operator: OperatorId) {
        {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(&operator) else { return };
            if entry.telling {
                return;
            }
            if entry.is_settled() {
                if entry.consoles == 0 {
                    entries.remove(&operator);
                }
                return;
            }
            entry.telling = true;
        }
        desk.tracker.spawn(tell(Arc::clone(desk), operator));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OperatorId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the router of one operator until there is nothing left to tell. One task per operator, so that words stay in order.
async fn tell(desk: Shared, operator: OperatorId) {
    let mut pause = Duration::from_millis(100);
    loop {
        let Some((word, pool)) = next_word(&desk, operator) else { return };
        let envelope = envelope(&desk, operator, word);
        let answered = desk.commands.send(&pool, envelope).await;
        match answered {
            // A refusal (a disabled account, an operator the router does not know) will not be another one next time.
            Ok(_) => {
                if let Some(entry) = desk.presence.lock().get_mut(&operator) {
                    entry.told = word;
                }
                desk.presence.told.notify_waiters();
                pause = Duration::from_millis(100);
            }
            Err(error) => {
                tracing::warn!(%operator, %error, "the router was not told of the presence of {operator}; trying again");
                if desk.shutdown.is_cancelled() {
                    // The router finds out by itself: this node falls silent.
                    desk.presence.lock().remove(&operator);
                    return;
                }
                tokio::select! {
                    () = desk.shutdown.cancelled() => {}
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                }
            }
        }
    }
}

fn next_word(desk: &Desk, operator: OperatorId) -> Option<(Word, PoolId)> {
    let mut entries = desk.presence.lock();
    let entry = entries.get_mut(&operator)?;
    if !entry.is_settled() {
        return Some((entry.to_tell(), entry.pool.clone()));
    }
    entry.telling = false;
    if entry.consoles == 0 {
        entries.remove(&operator);
    }
    None
}

fn envelope(desk: &Desk, operator: OperatorId, word: Word) -> CommandEnvelope {
    let node = desk.options.node.clone();
    let body = match word {
        Word::Connected => CommandBody::Connect { operator, node, country: desk.options.country.clone() },
        Word::Lost => CommandBody::Disconnect { operator, node, signed_out: false },
        Word::SignedOut => CommandBody::Disconnect { operator, node, signed_out: true },
    };
    let actor = Actor { operator: Some(operator), authority: Authority::Own };
    CommandEnvelope { command: Command { id: command::fresh_id(), actor, expected_version: None, body }, text: None, traceparent: None }
}
