//! From the spool to the broker: what a provider said becomes one CloudEvent, confirmed, and only then the spool forgets it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use phonenumber::country;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::SmsCounters;
use super::keyword::{Keyword, keyword};
use super::media::{Credentials, Fetcher, MediaError};
use super::number;
use super::provider::{Media, Progress, Received, Said, Status};
use super::smpp;
use super::webhook::Taken;
use crate::channel::outbound::{OutboundDeps, back_off, digest, publish_report, wait};
use crate::fault;
use crate::model::channel::{Channel, IdentityLevel};
use crate::model::conversation::{Attachment, Party};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{AccountId, AdministrationId, InputId, MessageId};
use crate::model::inbound::{InboundEvent, InboundMessage};
use crate::model::time::Timestamp;
use crate::model::wire;
use crate::plan::Plan;
use crate::port::blobs::Blobs;
use crate::port::broker::{Destination, Outgoing, PublishError, inbound_message_id};
use crate::port::clock::now;
use crate::port::store::{OptOut, Quarantined, SentPart};
use crate::port::trace::TraceParent;

mod lanes;

/// Attribute with the number of files that could not be fetched.
pub const MEDIA_MISSING: &str = "media_missing";
/// How long a receipt is kept whose message is not known: the id of what was sent is noted a minute later at the latest.
const UNCLAIMED_FOR: Duration = Duration::from_secs(75);
/// How often a file is asked for before the message goes without it.
const FETCHES_MAX: u32 = 4;
/// How long all files of a message may take together.
pub const FILES_WITHIN: Duration = Duration::from_secs(60);

/// A message on its way to the broker.
struct Letter {
    input: InputId,
    account: AccountId,
    trace: TraceParent,
    outgoing: Outgoing,
}

/// Takes entries out of the spool.
pub struct Courier {
    /// Broker, store, plan, ids.
    pub deps: OutboundDeps,
    /// Keeps fetched files.
    pub blobs: Arc<dyn Blobs>,
    /// Fetches files.
    pub fetcher: Fetcher,
    /// Figures.
    pub counters: Arc<SmsCounters>,
    /// Numbers without country code are of this one.
    pub country: country::Id,
    /// Who signs in for files, by account.
    pub credentials: BTreeMap<AccountId, Credentials>,
    /// How long all files of a message may take together: then it goes without the rest.
    pub files_within: Duration,
}

/// It is handed on, or held; or it could not be, and must be tried again.
pub type Handed = Result<(), String>;

/// What became of an entry that hindered nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is handed on, or held.
    Done,
    /// A receipt of a message that is not noted yet. It may be somebody else's: what stands behind it goes.
    Unclaimed,
}

impl Courier {
    /// Hands on what was held, once; held again, it says so in the quarantine.
    pub async fn again(&self, content: &Bytes) -> Handed {
        self.hand_on(content, &CancellationToken::new()).await.map(drop)
    }

    async fn hand_on(&self, content: &Bytes, shutdown: &CancellationToken) -> Result<Outcome, String> {
        match serde_json::from_slice(content) {
            Ok(Taken { account, at, said: Said::Status(status), .. }) => self.status(&account, at, status, content).await,
            _ => self.hand_on_other(content, shutdown).await.map(|()| Outcome::Done),
        }
    }

    async fn hand_on_other(&self, content: &Bytes, shutdown: &CancellationToken) -> Handed {
        let taken: Taken = match serde_json::from_slice(content) {
            Ok(taken) => taken,
            Err(error) => return self.hold("spool", content, format!("a spool entry cannot be read: {error}")).await,
        };
        let Some(destination) = destination(&self.deps.plan, &taken.account) else {
            return self.hold(taken.account.as_str(), content, no_account(&taken.account)).await;
        };
        let Destination::Inbound { administration, .. } = &destination else { unreachable!("a way in") };
        match taken.said {
            Said::Received(received) => self.received(&taken.account, administration, taken.at, received, content, shutdown).await,
            Said::Unreadable(_) => {
                let reason = "the SMSC sent a message that cannot be read: its bytes in hexadecimal are in the entry".to_owned();
                self.hold(taken.account.as_str(), content, reason).await
            }
            Said::Status(_) | Said::Nothing => Ok(()),
        }
    }

    async fn received(
        &self,
        account: &AccountId,
        administration: &AdministrationId,
        at: Timestamp,
        received: Received,
        content: &Bytes,
        shutdown: &CancellationToken,
    ) -> Handed {
        if let Some(keyword) = keyword(&received.text) {
            return self.obey(account, administration, &received, keyword, at).await;
        }
        let (attachments, missing) = match self.is_taken_in(account, administration, &received).await? {
            // a webhook that comes again: the router knows its message, and its files are there
            true => (Vec::new(), 0),
            false => self.files(account, administration, &received.media, shutdown).await?,
        };
        if shutdown.is_cancelled() {
            return Err("the process ends".into());
        }
        let letter = match self.letter(account, at, received, attachments, missing) {
            Ok(letter) => letter,
            Err(reason) => return self.hold(account.as_str(), content, reason).await,
        };
        match self.publish(vec![letter]).await {
            Ok(()) => Ok(()),
            Err(PublishError::Invalid(reason)) => self.hold(account.as_str(), content, reason).await,
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether a message with files is in the database already.
    async fn is_taken_in(&self, account: &AccountId, administration: &AdministrationId, received: &Received) -> Result<bool, String> {
        if received.media.is_empty() {
            return Ok(false);
        }
        let input = self.deps.ids.input(account, received.id.as_bytes());
        let status = self.deps.store.input_status(std::slice::from_ref(administration), input).await;
        status.map(|status| status.is_some()).map_err(|error| error.to_string())
    }

    /// What is published of an entry that is a text and no more; none: it is of another kind.
    fn plain(&self, content: &Bytes) -> Option<Letter> {
        let Ok(Taken { account, at, said: Said::Received(received), .. }) = serde_json::from_slice(content) else { return None };
        let is_plain = received.media.is_empty() && received.part.is_none() && keyword(&received.text).is_none();
        is_plain.then(|| self.letter(&account, at, received, Vec::new(), 0).ok())?
    }

    /// What is published of a message with its files, of which so many are `missing`.
    fn letter(
        &self,
        account: &AccountId,
        at: Timestamp,
        received: Received,
        attachments: Vec<Attachment>,
        missing: u32,
    ) -> Result<Letter, String> {
        let destination = destination(&self.deps.plan, account).ok_or_else(|| no_account(account))?;
        let input = self.deps.ids.input(account, received.id.as_bytes());
        let party = |address: String| Party { address, name: None };
        let message = InboundMessage {
            account: account.clone(),
            provider_id: received.id,
            header_id: None,
            answer_to: None,
            received_at: at,
            mode: None,
            from: Some(party(number::normalise(&received.from, self.country).to_string())),
            identity: IdentityLevel::Claimed,
            to: vec![party(number::normalise(&received.to, self.country).to_string())],
            subject: None,
            text: with_missing(received.text, missing),
            text_blob: None,
            html: None,
            attachments,
            raw: None,
            language: None,
            references: Vec::new(),
            thread: None,
            automatic: None,
            attributes: (missing > 0).then(|| (MEDIA_MISSING.to_owned(), missing.to_string())).into_iter().collect(),
        };
        let trace = TraceParent::start();
        let traceparent = Some(trace.to_string());
        let event =
            wire::inbound_event(&self.deps.prefix, input, account, at, traceparent.clone(), InboundEvent::Message(Box::new(message)));
        let body = wire::encode_inbound(&event).map_err(|error| error.to_string())?;
        let outgoing = Outgoing { traceparent, ..Outgoing::new(destination, inbound_message_id(input), body) };
        Ok(Letter { input, account: account.clone(), trace, outgoing })
    }

    async fn publish(&self, letters: Vec<Letter>) -> Result<(), PublishError> {
        let (said, outgoing): (Vec<_>, Vec<_>) =
            letters.into_iter().map(|letter| ((letter.input, letter.account, letter.trace), letter.outgoing)).unzip();
        fault::point("before_sms_publish");
        self.deps.publisher.publish(outgoing).await?;
        fault::point("after_sms_publish");
        for (input, account, trace) in said {
            tracing::info!(%input, %account, trace_id = trace.trace_id(), "text message published");
        }
        Ok(())
    }

    /// A citizen's word on whether a number wants messages, once however often it comes. It is no work for anybody: the answer to it is
    /// the provider's own.
    async fn obey(
        &self,
        account: &AccountId,
        administration: &AdministrationId,
        received: &Received,
        keyword: Keyword,
        at: Timestamp,
    ) -> Handed {
        let from = number::normalise(&received.from, self.country);
        let word = OptOut {
            input: self.deps.ids.input(account, received.id.as_bytes()),
            administration: administration.clone(),
            channel: Channel::sms(),
            address: self.deps.ids.address(administration, from.as_str()),
            stopped: keyword == Keyword::Stop,
            at,
        };
        self.deps.store.put_opt_out(&word).await.map_err(|error| error.to_string())?;
        self.counters.count(account, if word.stopped { "stop" } else { "start" });
        tracing::info!(%administration, ?keyword, "a citizen's word on text messages is kept");
        Ok(())
    }

    /// A message's files, kept, and how many of them could not be had in time.
    async fn files(
        &self,
        account: &AccountId,
        administration: &AdministrationId,
        media: &[Media],
        shutdown: &CancellationToken,
    ) -> Result<(Vec<Attachment>, u32), String> {
        let until = Instant::now() + self.files_within;
        let (mut attachments, mut missing) = (Vec::new(), 0_u32);
        for (number, media) in media.iter().enumerate() {
            let fetched = timeout_at(until, self.fetch(account, media, shutdown)).await;
            if fetched.is_err() {
                tracing::warn!(%account, number, "a file of a message is not waited for any more: they take too long together");
            }
            let Some((bytes, media_type)) = fetched.ok().flatten() else {
                missing += 1;
                self.counters.count(account, "media_missing");
                continue;
            };
            let blob = self.blobs.put(administration, bytes).await.map_err(|error| error.to_string())?;
            let media_type = media_type.or_else(|| media.media_type.clone()).unwrap_or_else(|| "application/octet-stream".into());
            attachments.push(Attachment { name: file_name(number, &media_type), media_type, content_id: None, blob });
        }
        Ok((attachments, missing))
    }

    /// A file, if it can be had: a message does not wait for ever for its picture.
    async fn fetch(&self, account: &AccountId, media: &Media, shutdown: &CancellationToken) -> Option<(Bytes, Option<String>)> {
        for failures in 1..=FETCHES_MAX {
            match self.fetcher.fetch(&media.url, self.credentials.get(account)).await {
                Ok(file) => return Some(file),
                Err(error @ MediaError::NotNow(_)) if failures < FETCHES_MAX && !shutdown.is_cancelled() => {
                    tracing::info!(%account, %error, failures, "a file of a message cannot be fetched yet");
                    wait(back_off(failures), shutdown).await;
                }
                Err(error) => {
                    tracing::warn!(%account, %error, "a message goes without one of its files");
                    return None;
                }
            }
        }
        None
    }

    /// What became of a message of ours. One that is not ours, sent by somebody else with the same account, is passed over.
    async fn status(&self, account: &AccountId, at: Timestamp, status: Status, content: &Bytes) -> Result<Outcome, String> {
        let Some(Destination::Inbound { administration, .. }) = destination(&self.deps.plan, account) else {
            return self.hold(account.as_str(), content, no_account(account)).await.map(|()| Outcome::Done);
        };
        let named = match &status.reference {
            Some(reference) => read_reference(reference),
            None => match &self.parts_named(account, &administration, &status.id).await?[..] {
                [] if now().since(at) < UNCLAIMED_FOR => return Ok(Outcome::Unclaimed),
                [] => {
                    self.counters.count(account, "receipt_unclaimed");
                    None
                }
                // the message arrived when all its parts have; that one did not is enough to know that it did not
                [part] if status.progress == Progress::Delivered && !self.is_last(&administration, *part).await? => None,
                [part] => Some((part.message, part.attempt)),
                [..] => {
                    self.counters.count(account, "receipt_ambiguous");
                    tracing::warn!(%account, "a receipt names several messages of the account {account}, and counts for none");
                    None
                }
            },
        };
        let Some((message, attempt)) = named else { return Ok(Outcome::Done) };
        let result = match status.progress {
            Progress::Sent => AttemptResult::Sent { provider_id: Some(status.id) },
            Progress::Delivered => AttemptResult::Delivered,
            Progress::Failed(code) => AttemptResult::Bounced { code },
        };
        let report = DeliveryReport { message, attempt, result };
        publish_report(&self.deps, &Channel::sms(), account, &report, None).await.map(|()| Outcome::Done)
    }

    /// Whether, with this part, all have arrived.
    async fn is_last(&self, administration: &AdministrationId, part: SentPart) -> Result<bool, String> {
        self.deps.store.part_arrived(administration, part).await.map_err(|error| error.to_string())
    }

    /// The parts that the provider may call so, in whatever base it writes numbers.
    async fn parts_named(&self, account: &AccountId, administration: &AdministrationId, id: &str) -> Result<Vec<SentPart>, String> {
        let mut names = smpp::pdu::spellings(id).into_iter().map(|id| provider_name(account, &id));
        let names = std::array::from_fn(|_| names.next().unwrap_or_default());
        self.deps.store.parts_named(administration, &names).await.map_err(|error| error.to_string())
    }

    async fn hold(&self, key: &str, content: &Bytes, reason: String) -> Handed {
        let owner = AccountId::new(key).ok().and_then(|account| self.deps.plan.borrow().owner_of(&account));
        let item = Quarantined::of_account("sms", key, owner, digest(content), reason, content);
        tracing::error!(key, reason = item.reason, "a webhook is held in quarantine");
        self.deps.store.quarantine(&item).await.map_err(|error| error.to_string())
    }
}

/// How a part is kept under the provider's id of it: each account counts for itself.
pub fn provider_name(account: &AccountId, id: &str) -> String {
    format!("{account}/{id}")
}

/// Where what an SMS account receives goes.
fn destination(plan: &watch::Receiver<Arc<Plan>>, account: &AccountId) -> Option<Destination> {
    let plan = plan.borrow();
    let found = plan.accounts.get(account).filter(|found| found.channel == Channel::sms())?;
    let pool = plan.pool_of(account)?.clone();
    Some(Destination::Inbound { pool, administration: found.administration.clone(), channel: Channel::sms() })
}

/// Why what came for an account is held.
fn no_account(account: &AccountId) -> String {
    format!("the plan has no SMS account `{account}` any more")
}

/// How a message of ours is named to a provider: the message and which attempt. At most 40 characters.
pub fn reference(message: MessageId, attempt: u32) -> String {
    format!("{message}.{attempt}")
}

fn read_reference(text: &str) -> Option<(MessageId, u32)> {
    let (message, attempt) = text.split_once('.')?;
    Some((message.parse().ok()?, attempt.parse().ok()?))
}

/// The text, and in it how many files could not be had, in the manner of missing parts: `[… 2 file …]`. Whoever reads it can ask again.
fn with_missing(text: String, missing: u32) -> String {
    match missing {
        0 => text,
        _ if text.trim().is_empty() => format!("[… {missing} file …]"),
        _ => format!("{text}\n[… {missing} file …]"),
    }
}

/// A name for a file that came without one.
fn file_name(number: usize, media_type: &str) -> String {
    let subtype = media_type.split(';').next().and_then(|kind| kind.split('/').nth(1)).unwrap_or_default().trim();
    let ending: String = subtype.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let ending = match ending.as_str() {
        "" | "octetstr" => "bin",
        "jpeg" => "jpg",
        other => other,
    };
    format!("mms-{}.{ending}", number + 1)
}

#[cfg(test)]
mod tests;
