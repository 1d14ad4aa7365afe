//! Things in quarantine, tried again by the pool's leader by the way they came: a message at the broker is published as it was, a
//! raw mail and a text message are read anew.

use std::sync::Arc;

use tokio::sync::watch;

use crate::channel::email::inbound::{AcceptError, Accepted, Inbound};
use crate::channel::sms::courier::Courier;
use crate::model::channel::Channel;
use crate::model::id::AccountId;
use crate::plan::Plan;
use crate::port::broker::{Destination, Outgoing, PublishError, Publisher, parse_inbound_key};
use crate::port::retry::Retried;
use crate::port::store::{Quarantined, Store};

use super::quarantine::published_id;

/// Tries things again.
pub struct Retry {
    /// The quarantine.
    pub store: Arc<dyn Store>,
    /// For messages as they were.
    pub publisher: Arc<dyn Publisher>,
    /// The plan in force.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// For raw mails.
    pub email: Inbound,
    /// For text messages.
    pub sms: Courier,
}

impl Retry {
    /// Tries an item again. None: not now, ask again.
    ///
    /// First the row says `retried`, then it is tried: so what fails again is held again. An item that says so already may go once
    /// more after a crash in between; ids that come from the content make that harmless.
    pub async fn again(&self, item: i64) -> Option<Retried> {
        let held = match self.store.quarantined_item(item).await.ok()? {
            Some(held) if held.state != "discarded" => held,
            Some(_) => return Some(refused("it was discarded, and its bytes are gone")),
            None => return Some(refused("there is no such item")),
        };
        match held.source.as_str() {
            "smtp" => self.mail(&held, "smtp").await,
            "imap" => self.mail(&held, "imap").await,
            "sms" => self.text_message(&held).await,
            "mailbox" => Some(refused(
                "the mail lies in its mailbox, unread: move it to another folder and back, and it is read again; then discard this",
            )),
            "command" => Some(refused("a command counts for the moment it was given: whoever gave it gives it again; discard this")),
            _ => match self.destination(&held) {
                Some(destination) => self.message(&held, destination).await,
                None => Some(refused("its key leads nowhere in the plan: put the plan right, or discard this")),
            },
        }
    }

    fn has_account(&self, account: &AccountId, is_right: impl Fn(&Channel) -> bool) -> bool {
        self.plan.borrow().accounts.get(account).is_some_and(|found| is_right(&found.channel))
    }

    /// Where a message at the broker goes.
    fn destination(&self, held: &Quarantined) -> Option<Destination> {
        let inbound =
            || parse_inbound_key(&held.key).map(|(pool, administration, channel)| Destination::Inbound { pool, administration, channel });
        let outbound = || {
            let account = AccountId::new(&held.key).ok().filter(|account| self.has_account(account, Channel::has_sender))?;
            Some(Destination::Outbound { account })
        };
        match held.source.as_str() {
            "inbound" => inbound(),
            "outbound" => outbound(),
            "dead" => inbound().or_else(outbound),
            _ => None,
        }
    }

    async fn message(&self, held: &Quarantined, destination: Destination) -> Option<Retried> {
        self.store.settle_quarantined(held.id, "retried").await.ok()?;
        let message = Outgoing::new(destination, published_id(&held.message_id).to_owned(), held.body.clone());
        match self.publisher.publish(vec![message]).await {
            Ok(()) => Some(Retried::HandedIn),
            Err(error @ (PublishError::Unroutable(_) | PublishError::Invalid(_))) => self.back(held, Some(error.to_string())).await,
            Err(error) => self.not_now(held, &error).await,
        }
    }

    async fn mail(&self, held: &Quarantined, via: &'static str) -> Option<Retried> {
        let account = AccountId::new(&held.key).ok().filter(|account| self.has_account(account, |channel| *channel == Channel::email()));
        let Some(account) = account else {
            return Some(refused(&format!("the plan has no email account `{}`: add it, or discard this", held.key)));
        };
        self.store.settle_quarantined(held.id, "retried").await.ok()?;
        match self.email.accept(&account, held.body.clone().into(), held.at, via).await {
            Ok(Accepted::Published(_)) => Some(Retried::HandedIn),
            Ok(Accepted::Quarantined) => self.looked_at(held).await,
            Err(error @ AcceptError::UnknownAccount(_)) => self.back(held, Some(error.to_string())).await,
            Err(error) => self.not_now(held, &error).await,
        }
    }

    async fn text_message(&self, held: &Quarantined) -> Option<Retried> {
        self.store.settle_quarantined(held.id, "retried").await.ok()?;
        match self.sms.again(&held.body.clone().into()).await {
            Ok(()) => self.looked_at(held).await,
            Err(reason) => self.not_now(held, &reason).await,
        }
    }

    /// What an adapter made of it: gone on, or held again.
    async fn looked_at(&self, held: &Quarantined) -> Option<Retried> {
        let now = self.store.quarantined_item(held.id).await.ok()??;
        Some(if now.state == "held" { Retried::HeldAgain { reason: now.reason } } else { Retried::HandedIn })
    }

    async fn not_now(&self, held: &Quarantined, error: &(dyn std::fmt::Display + Sync)) -> Option<Retried> {
        tracing::warn!(item = held.id, %error, "an item of the quarantine cannot be tried now");
        self.back(held, None).await
    }

    /// Holds it as before; with a reason it was tried and that is the answer.
    async fn back(&self, held: &Quarantined, reason: Option<String>) -> Option<Retried> {
        if self.store.quarantined_item(held.id).await.ok()?.is_some_and(|item| item.state == "discarded") {
            return Some(refused("it was discarded meanwhile"));
        }
        let again = Quarantined { reason: reason.clone().unwrap_or_else(|| held.reason.clone()), ..held.clone() };
        self.store.quarantine(&again).await.ok()?;
        reason.map(|reason| Retried::HeldAgain { reason })
    }
}

fn refused(reason: &str) -> Retried {
    Retried::Refused { reason: reason.to_owned() }
}
