//! A raw mail on its way in: kept, understood, published. Only when this says so has Sportello the mail.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use self::event::Draft;
use super::counters::EmailCounters;
use super::gate::{GateLimits, Refused};
use super::parse::{ParsedMail, Receiver, header_only, parse};
use super::{EmailDeps, EmailOptions};
use crate::model::channel::{Channel, normalise_address};
use crate::model::conversation::{Attachment, BlobRef, Party};
use crate::model::id::{AccountId, IdMaker, InputId, PoolId};
use crate::model::time::Timestamp;
use crate::plan::{Account, Plan};
use crate::port::blobs::{BlobError, Blobs};
use crate::port::broker::{Destination, Outgoing, PublishError, Publisher, inbound_message_id};
use crate::port::store::{Quarantined, Store, StoreError};
use crate::port::trace::TraceParent;

pub mod event;
pub mod identity;

/// How it came that a mail is held which lies in its mailbox still, whole and unread.
pub const IN_MAILBOX: &str = "mailbox";

/// Why a mail was not taken. Whoever hands it in keeps it and comes again.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The plan has no such email account (any more).
    #[error("the plan has no email account `{0}`")]
    UnknownAccount(AccountId),
    /// Blobs, broker or database are not available now.
    #[error("the mail cannot be taken now: {0}")]
    NotNow(String),
}

/// What became of a mail that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Its event is published under this input.
    Published(InputId),
    /// It is held in quarantine.
    Quarantined,
}

/// An account with where its mail goes.
#[derive(Debug, Clone)]
struct Target {
    id: AccountId,
    account: Account,
    receiver: Receiver,
    pool: PoolId,
}

/// Takes raw mails in.
pub struct Inbound {
    publisher: Arc<dyn Publisher>,
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    prefix: String,
    limits: GateLimits,
    parsers: Arc<Semaphore>,
    counters: Arc<EmailCounters>,
}

impl Inbound {
    /// Takes mails in by what `deps` has.
    pub fn new(options: &EmailOptions, deps: &EmailDeps, counters: Arc<EmailCounters>) -> Self {
        Self {
            publisher: Arc::clone(&deps.publisher),
            store: Arc::clone(&deps.store),
            blobs: Arc::clone(&deps.blobs),
            plan: deps.plan.clone(),
            ids: deps.ids.clone(),
            prefix: options.event_prefix.clone(),
            limits: options.limits,
            parsers: Arc::new(Semaphore::new(options.parsers)),
            counters,
        }
    }

    /// The channel's figures.
    pub fn counters(&self) -> &EmailCounters {
        &self.counters
    }

    /// The largest mail that is read, in bytes.
    pub fn size_max(&self) -> usize {
        self.limits.size_max
    }

    /// The email account with this address; `name+tag@domain` is `name@domain`'s too.
    pub fn account_of(&self, address: &str) -> Option<AccountId> {
        let address = normalise_address(&Channel::email(), address);
        let untagged = address.split_once('+').and_then(|(name, rest)| Some(format!("{name}@{}", rest.split_once('@')?.1)));
        let plan = self.plan.borrow();
        let has = |wanted: &str| {
            let mut accounts = plan.accounts.iter().filter(|(_, account)| account.channel.as_str() == Channel::EMAIL);
            let matches = |own: &str| normalise_address(&Channel::email(), own) == wanted;
            accounts.find(|(_, account)| account.address.as_deref().is_some_and(matches)).map(|(id, _)| id.clone())
        };
        has(&address).or_else(|| untagged.as_deref().and_then(has))
    }

    /// Keeps, reads and publishes a raw mail that `account` received. The same mail again gives the same input.
    pub async fn accept(
        &self,
        account: &AccountId,
        raw: Bytes,
        received_at: Timestamp,
        via: &'static str,
    ) -> Result<Accepted, AcceptError> {
        let target = self.target(account)?;
        let digest = identity::digest(&raw);
        let kept = self.keep(&target, raw.clone()).await?;
        let mail = self.parse(raw.clone(), target.receiver.clone()).await;
        self.publish(&target, mail, Some(kept), digest, received_at, (via, &raw)).await
    }

    /// Publishes what the header of a mail says whose rest was not fetched because of its size. `provider_id` names it within
    /// the account.
    pub async fn accept_header(
        &self,
        account: &AccountId,
        header: Bytes,
        size: usize,
        provider_id: String,
        received_at: Timestamp,
    ) -> Result<Accepted, AcceptError> {
        let target = self.target(account)?;
        let refused = Refused::TooLarge { size, max: self.limits.size_max };
        let mail = header_only(&header, refused, &target.receiver);
        self.publish(&target, mail, None, provider_id, received_at, (IN_MAILBOX, &header)).await
    }

    /// Holds what no way leads on with, so that the way is free for the next.
    pub async fn quarantine(&self, via: &'static str, account: &AccountId, raw: &[u8], reason: String) -> Result<Accepted, AcceptError> {
        let owner = self.plan.borrow().owner_of(account);
        let item = Quarantined::of_account(via, account, owner, identity::digest(raw), reason, raw);
        self.store.quarantine(&item).await.map_err(|error: StoreError| self.not_now(account, &error))?;
        self.counters.account(account).quarantined.add();
        tracing::error!(%account, via, reason = item.reason, "mail held in quarantine");
        Ok(Accepted::Quarantined)
    }

    fn target(&self, account: &AccountId) -> Result<Target, AcceptError> {
        let plan = self.plan.borrow();
        let unknown = || AcceptError::UnknownAccount(account.clone());
        let found = plan.accounts.get(account).filter(|found| found.channel.as_str() == Channel::EMAIL).ok_or_else(unknown)?;
        let pool = plan.pool_of(account).ok_or_else(unknown)?;
        let domains = plan.administrations.get(&found.administration).map(|body| body.domains.clone()).unwrap_or_default();
        let receiver = Receiver { address: found.address.clone(), domains };
        Ok(Target { id: account.clone(), account: found.clone(), receiver, pool: pool.clone() })
    }

    async fn keep(&self, target: &Target, bytes: Bytes) -> Result<BlobRef, AcceptError> {
        let kept = self.blobs.put(&target.account.administration, bytes).await;
        kept.map_err(|error: BlobError| self.not_now(&target.id, &error))
    }

    fn not_now(&self, account: &AccountId, error: &dyn std::error::Error) -> AcceptError {
        self.counters.account(account).deferred.add();
        AcceptError::NotNow(error.to_string())
    }

    /// Reads the mail on the pool for work that computes, at most `parsers` at once.
    async fn parse(&self, raw: Bytes, own: Receiver) -> ParsedMail {
        let permit = Arc::clone(&self.parsers).acquire_owned().await.expect("nobody closes the semaphore");
        let (limits, head) = (self.limits, raw.clone());
        let receiver = own.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            parse(&raw, &limits, &receiver)
        });
        parsed.await.unwrap_or_else(|_| header_only(&head, Refused::NotUnderstood, &own))
    }

    async fn publish(
        &self,
        target: &Target,
        mail: ParsedMail,
        raw: Option<BlobRef>,
        provider_id: String,
        received_at: Timestamp,
        (via, bytes): (&'static str, &[u8]),
    ) -> Result<Accepted, AcceptError> {
        let input = self.ids.input(&target.id, provider_id.as_bytes());
        let (unreadable, automatic) = (mail.unreadable.is_some(), mail.automatic);
        let html = match &mail.html {
            Some(html) if !html.is_empty() => Some(self.keep(target, Bytes::from(html.clone())).await?),
            _ => None,
        };
        let mut attachments = Vec::with_capacity(mail.attachments.len());
        for file in &mail.attachments {
            let blob = self.keep(target, Bytes::from(file.bytes.clone())).await?;
            let (name, media_type, content_id) = (file.name.clone(), file.media_type.clone(), file.content_id.clone());
            attachments.push(Attachment { name, media_type, content_id, blob });
        }
        let trace = TraceParent::start();
        let draft = Draft { account: &target.id, provider_id, received_at, raw, html, attachments };
        let mut message = event::compose(draft, mail, &self.ids);
        if event::needs_text_blob(&message) {
            let whole = Bytes::from(message.text.clone());
            message.text_blob = Some(self.keep(target, whole).await?);
        }
        let traceparent = Some(trace.to_string());
        let body = match event::encode(&self.prefix, input, traceparent.clone(), message) {
            Ok(body) => body,
            Err(error) => return self.quarantine(via, &target.id, bytes, error.to_string()).await,
        };
        let message = Outgoing { traceparent, ..Outgoing::new(self.destination(target), inbound_message_id(input), body) };
        match self.publisher.publish(vec![message]).await {
            Ok(()) => {}
            Err(PublishError::Invalid(reason)) => return self.quarantine(via, &target.id, bytes, reason).await,
            Err(error) => return Err(self.not_now(&target.id, &error)),
        }
        let counters = self.counters.account(&target.id);
        counters.received.add();
        if unreadable {
            counters.unreadable.add();
        } else if automatic.is_some() {
            counters.automatic.add();
        }
        tracing::info!(%input, account = %target.id, trace_id = trace.trace_id(), via, unreadable, ?automatic, "mail published");
        Ok(Accepted::Published(input))
    }

    fn destination(&self, target: &Target) -> Destination {
        Destination::Inbound { pool: target.pool.clone(), administration: target.account.administration.clone(), channel: Channel::email() }
    }
}

/// A party as one knows it by its address alone.
pub fn party(address: &str) -> Party {
    Party { address: address.to_owned(), name: None }
}
