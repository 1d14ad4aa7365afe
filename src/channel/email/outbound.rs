//! Answers by mail: an attempt composes the letter anew, with the same Message-ID each time, and hands it to the account's carrier.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use self::transport::Carrier;
use super::counters::EmailCounters;
use super::reply::{Letter, compose, thread};
use super::{EmailDeps, EmailError, EmailOptions};
use crate::channel::outbound::{Sender, permanent, temporary};
use crate::fault;
use crate::model::channel::Channel;
use crate::model::conversation::{Message, Party};
use crate::model::delivery::AttemptResult;
use crate::model::id::{AccountId, IdMaker};
use crate::model::signature::sign;
use crate::plan::Plan;
use crate::port::blobs::{BlobError, Blobs};
use crate::port::store::Store;

pub mod maildir;
pub mod transport;

/// The sender of all email accounts.
pub struct MailSender {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    domain: String,
    bytes_max: usize,
    carriers: HashMap<Option<AccountId>, Carrier>,
    counters: Arc<EmailCounters>,
}

#[async_trait]
impl Sender for MailSender {
    fn channel(&self) -> Channel {
        Channel::email()
    }

    async fn attempt(&self, account: &AccountId, _attempt: u32, message: &Message) -> AttemptResult {
        match self.try_send(account, message).await {
            Ok(message_id) => AttemptResult::Sent { provider_id: Some(message_id) },
            Err(result) => result,
        }
    }

    fn ended(&self, account: &AccountId, result: &AttemptResult, took: Duration) {
        let counters = self.counters.account(account);
        counters.send_ms.add_time(took);
        match result {
            AttemptResult::Sent { .. } | AttemptResult::Delivered => counters.sent.add(),
            AttemptResult::Temporary { .. } => counters.send_temporary.add(),
            AttemptResult::Permanent { .. } | AttemptResult::Bounced { .. } => counters.send_permanent.add(),
            AttemptResult::Unknown => counters.send_unknown.add(),
        }
    }

    fn quarantined(&self, account: &AccountId) {
        self.counters.account(account).quarantined.add();
    }
}

impl MailSender {
    /// A sender by `options`. Fails if a trust store cannot be read.
    pub fn new(options: &EmailOptions, deps: &EmailDeps, counters: Arc<EmailCounters>) -> Result<Self, EmailError> {
        let mut carriers = HashMap::from([(None, Carrier::new(&options.transport, &options.domain)?)]);
        for (account, transport) in &options.transports {
            carriers.insert(Some(account.clone()), Carrier::new(transport, &options.domain)?);
        }
        Ok(Self {
            store: Arc::clone(&deps.store),
            blobs: Arc::clone(&deps.blobs),
            plan: deps.plan.clone(),
            ids: deps.ids.clone(),
            domain: options.domain.clone(),
            bytes_max: options.outgoing_bytes_max,
            carriers,
            counters,
        })
    }

    async fn try_send(&self, account: &AccountId, message: &Message) -> Result<String, AttemptResult> {
        let from = self.sender(account).ok_or_else(|| permanent("no_sender"))?;
        let view = self.store.conversation(&message.administration, message.conversation).await.map_err(|_| temporary("store"))?;
        let messages = view.as_ref().map(|view| view.messages.as_slice()).unwrap_or_default();
        let before = messages.iter().position(|other| other.id == message.id).unwrap_or(messages.len());
        let domain = from.address.rsplit_once('@').map_or(self.domain.as_str(), |(_, domain)| domain);
        let recipient = message.to.first().ok_or_else(|| permanent("no_recipient"))?;
        let message_id = sign(&self.ids, message.id, &recipient.address, domain);
        let letter = Letter {
            message,
            from: &from,
            conversation_subject: view.as_ref().and_then(|view| view.conversation.subject.as_deref()),
            thread: &thread(&self.ids, &messages[..before], domain),
            message_id: &message_id,
            files: self.files(message).await?,
        };
        let composed = compose(letter).map_err(|error| permanent(error.code()))?;
        if composed.bytes.len() > self.bytes_max {
            return Err(permanent("552"));
        }
        let carrier = self.carriers.get(&Some(account.clone())).or_else(|| self.carriers.get(&None)).expect("a default carrier is there");
        carrier.carry(account, message, composed).await?;
        fault::point("after_next_hop");
        Ok(message_id)
    }

    /// The account's address and name, as the plan has them now.
    fn sender(&self, account: &AccountId) -> Option<Party> {
        let plan = self.plan.borrow();
        let account = plan.accounts.get(account)?;
        Some(Party { address: account.address.clone()?, name: account.display_name.clone() })
    }

    async fn files<'m>(&self, message: &'m Message) -> Result<Vec<(&'m crate::model::conversation::Attachment, Vec<u8>)>, AttemptResult> {
        let size: u64 = message.attachments.iter().map(|file| file.blob.size).sum();
        if usize::try_from(size).unwrap_or(usize::MAX) > self.bytes_max {
            return Err(permanent("552"));
        }
        let mut files = Vec::with_capacity(message.attachments.len());
        for file in &message.attachments {
            let bytes = self.blobs.get(&message.administration, &file.blob).await.map_err(|error| match error {
                BlobError::NotFound | BlobError::Damaged(_) => permanent("attachment"),
                BlobError::Unavailable(_) => temporary("blobs"),
            })?;
            files.push((file, bytes.to_vec()));
        }
        Ok(files)
    }
}
