//! Intake: from broker messages to inputs. Off the driver, one query for a batch: it gathers facts, the engine decides.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::fault;
use crate::model::channel::{IdentityLevel, normalise_address};
use crate::model::contact::{Contact, ContactState, Mode};
use crate::model::conversation::Automatic;
use crate::model::delivery::{DeliveryReport, Origin};
use crate::model::id::{AdministrationId, CitizenId, IdMaker, InputId, MessageId, PoolId};
use crate::model::inbound::{InboundEvent, InboundMessage, InboundSignal};
use crate::model::input::{DeliveryFacts, InboundFacts, Input, Reference, RuleText, SignalFacts};
use crate::model::time::Timestamp;
use crate::model::{signature, wire};
use crate::plan::Plan;
use crate::port::blobs::Blobs;
use crate::port::broker::{Incoming, parse_inbound_key};
use crate::port::store::{CitizenAddress, FactQuery, FactRow, Quarantined, Store, StoreError};
use crate::port::trace::TraceParent;

use super::language;
use super::quarantine::kept;

/// As much of a text as the rules look at, in bytes.
const RULE_TEXT_MAX: usize = 8 * 1024;
/// References that are looked up for one message.
const REFERENCES_MAX: usize = 20;
/// How long after its end a conversation goes on with what the same number writes, on a channel that joins by address.
const CONVERSATION_GOES_ON: Duration = Duration::from_secs(24 * 3600);
/// The longest text kept in a row, in bytes; the whole is in the raw message.
const TEXT_MAX: usize = 1024 * 1024;
/// How long the database may take over the facts of a batch: all that comes after waits for it.
const FACTS_WITHIN: Duration = Duration::from_secs(10);
/// Where the rest of a text should stand and could not be read.
const CUT_MARK: &str = "\n[…]";

/// One broker message made ready for the driver.
#[derive(Debug)]
pub enum Item {
    /// To be applied.
    Input(Box<Prepared>),
    /// Processed before: only to be acknowledged.
    Duplicate,
    /// Cannot be read: to be kept aside.
    Quarantined(Box<Quarantined>),
}

/// An input with what goes to rows beside it.
#[derive(Debug)]
pub struct Prepared {
    /// For the engine.
    pub input: Input,
    /// The key against doubles.
    pub source: String,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The citizen's message, if it is one.
    pub message: Option<Box<InboundText>>,
    /// The broker message, in case the input has to be kept aside.
    pub incoming: Incoming,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
}

/// The citizen's message and address: rows that can be erased, never the engine's.
#[derive(Debug, Clone)]
pub struct InboundText {
    /// As it came.
    pub message: InboundMessage,
    /// The address to be known from now on, if there is one.
    pub address: Option<CitizenAddress>,
    /// Its conversation's citizen.
    pub citizen: Option<CitizenId>,
}

/// Gathers facts for a pool.
pub struct Intake {
    /// The pool.
    pub pool: PoolId,
    /// Types of its CloudEvents begin with it.
    pub prefix: String,
    /// Makes ids.
    pub ids: IdMaker,
    /// Facts.
    pub store: Arc<dyn Store>,
    /// Texts too long for a message.
    pub blobs: Arc<dyn Blobs>,
}

impl Intake {
    /// Makes a batch ready, in its order. The database away is the caller's to wait for. A message that makes our code panic is kept
    /// aside, and the others go on.
    pub async fn prepare(&self, plan: &Plan, batch: &[Incoming]) -> Result<Vec<Item>, StoreError> {
        let read = |incoming| catch_unwind(AssertUnwindSafe(|| self.read(plan, incoming)));
        let mut drafts: Vec<Draft> =
            batch.iter().map(|incoming| read(incoming).unwrap_or_else(|_| Draft::Unreadable("reading it panicked".into()))).collect();
        let queries: Vec<FactQuery> = drafts.iter().filter_map(Draft::query).cloned().collect();
        let mut rows = if queries.is_empty() { Vec::new() } else { soon(self.store.facts(&self.pool, &queries)).await? }.into_iter();
        let reports: Vec<String> = drafts.iter().filter_map(Draft::report).map(|envelope| self.report_source(envelope)).collect();
        let mut known_reports =
            if reports.is_empty() { Vec::new() } else { soon(self.store.known_sources(&self.pool, &reports)).await? }.into_iter();
        let mut items = Vec::with_capacity(drafts.len());
        for (draft, incoming) in drafts.iter_mut().zip(batch) {
            let row = draft.query().map(|_| rows.next().expect("the store answers every query")).unwrap_or_default();
            let is_known = draft.report().is_some() && known_reports.next() == Some(true);
            let item = AssertUnwindSafe(self.item(plan, incoming, draft, row, is_known)).catch_unwind().await;
            items.push(item.unwrap_or_else(|_| Ok(self.unreadable(incoming, "taking it in panicked")))?);
        }
        Ok(items)
    }

    /// One message with its facts. `is_known`: a report that was processed before.
    async fn item(&self, plan: &Plan, incoming: &Incoming, draft: &mut Draft, row: FactRow, is_known: bool) -> Result<Item, StoreError> {
        let item = match draft {
            Draft::Unreadable(reason) => self.unreadable(incoming, reason),
            Draft::Delivery(..) if is_known && !fault::is_broken("no_inbox") => Item::Duplicate,
            Draft::Delivery(event, report) => self.delivery(incoming, event, report).await?,
            Draft::Message(event, message, query) => self.message(plan, incoming, event, message, query, row).await?,
            Draft::Signal(event, signal, query) => self.signal(incoming, event, signal, query, &row),
        };
        if matches!(item, Item::Duplicate) {
            let input = draft.query().map(|query| tracing::field::display(query.input));
            // the broker repeats what it got no answer for; a sender's repetition is what somebody may look for
            match incoming.redelivered {
                true => tracing::debug!(pool = %self.pool, input, "delivered again, and taken in before"),
                false => tracing::info!(pool = %self.pool, input, "sent again, and taken in before: nothing new comes of it"),
            }
        }
        Ok(item)
    }

    /// Takes one broker message apart. The routing key fixes pool, administration and channel; an account of another
    /// administration or channel is refused.
    fn read(&self, plan: &Plan, incoming: &Incoming) -> Draft {
        let Some((pool, administration, channel)) = parse_inbound_key(&incoming.routing_key) else {
            return Draft::Unreadable("the routing key is not <pool>.<administration>.<channel>".into());
        };
        let decoded = match wire::decode_inbound(&self.prefix, &incoming.body) {
            Ok(event) => event,
            Err(error) => return Draft::Unreadable(error.to_string()),
        };
        let account_fits = |account| {
            plan.accounts.get(account).is_some_and(|known| {
                known.administration == administration
                    && known.channel == channel
                    && plan.pool_of(account) == Some(&pool)
                    && pool == self.pool
            })
        };
        let envelope = Envelope { id: decoded.id, time: decoded.time, traceparent: trace_of(decoded.traceparent, incoming) };
        match decoded.data {
            InboundEvent::Message(message) => {
                panic_if_marked("panic_in_reading", &message);
                if !account_fits(&message.account) {
                    return Draft::Unreadable(format!(
                        "account `{}` is not one of {}'s for this channel",
                        message.account, incoming.routing_key
                    ));
                }
                let input = self.ids.input(&message.account, message.provider_id.as_bytes());
                let address =
                    message.from.as_ref().map(|from| normalise_address(&channel, &from.address)).filter(|address| !address.is_empty());
                let query = FactQuery {
                    input,
                    administration: administration.clone(),
                    address: address.as_deref().map(|address| self.ids.address(&administration, address)),
                    channel,
                    references: self.references(&message, address.as_deref()),
                    thread: message.thread,
                };
                Draft::Message(envelope, message, query)
            }
            InboundEvent::Signal(signal) => {
                if !account_fits(&signal.account) {
                    return Draft::Unreadable(format!(
                        "account `{}` is not one of {}'s for this channel",
                        signal.account, incoming.routing_key
                    ));
                }
                let query = FactQuery {
                    input: signal.input(&self.ids),
                    administration,
                    address: None,
                    channel,
                    references: Vec::new(),
                    thread: Some(signal.thread),
                };
                Draft::Signal(envelope, signal, query)
            }
            InboundEvent::Delivery(report) => Draft::Delivery((envelope, administration), report),
        }
    }

    /// Our own messages that it answers: signed by us, and sent to the address that answers now. A report of non-delivery
    /// comes from a mail server, so there the signature alone counts.
    fn references(&self, message: &InboundMessage, address: Option<&str>) -> Vec<MessageId> {
        let newest = message.references.iter().rev().take(REFERENCES_MAX).rev();
        if message.automatic == Some(Automatic::Bounce) {
            return newest.filter_map(|reference| signature::verify_any(&self.ids, reference)).collect();
        }
        let Some(address) = address else { return Vec::new() };
        newest.filter_map(|reference| signature::verify(&self.ids, reference, address)).collect()
    }

    async fn message(
        &self,
        plan: &Plan,
        incoming: &Incoming,
        envelope: &Envelope,
        message: &mut InboundMessage,
        query: &FactQuery,
        row: FactRow,
    ) -> Result<Item, StoreError> {
        if row.duplicate && !fault::is_broken("no_inbox") {
            return Ok(Item::Duplicate);
        }
        panic_if_marked("panic_in_taking", message);
        if let Some(blob) = &message.text_blob {
            match self.blobs.get(&query.administration, blob).await {
                Ok(bytes) => message.text = cut(&String::from_utf8_lossy(&bytes), TEXT_MAX).replace('\0', "\u{fffd}"),
                Err(error) => {
                    tracing::warn!(account = %message.account, %error, "the whole of a long text cannot be read: its beginning is shown");
                    message.text.push_str(CUT_MARK);
                }
            }
        }
        let address = self.address_of(plan, message, query, &row, envelope.time);
        let citizen = row.citizen.or(address.as_ref().map(|address| address.citizen));
        let is_bounce = message.automatic == Some(Automatic::Bounce);
        let bounced = query
            .references
            .last()
            .copied()
            .filter(|_| is_bounce && message.attributes.get("bounce_outcome").is_some_and(|outcome| outcome == "failed"));
        let bounced_stored = match bounced {
            Some(bounced) => soon(self.store.delivery(&query.administration, bounced)).await?.map(Box::new),
            None => None,
        };
        let reference = row.reference.as_deref().map(reference_to);
        let is_session = query.channel.is_session();
        let facts = InboundFacts {
            input: query.input,
            message: self.ids.message(query.input),
            new_contact: self.ids.contact(query.input),
            // a chat's messages name what its conversation is called by: each is one conversation whichever of them comes first
            new_conversation: self.ids.conversation(message.thread.filter(|_| is_session).unwrap_or(query.input)),
            administration: query.administration.clone(),
            account: message.account.clone(),
            channel: query.channel.clone(),
            mode: message.mode.unwrap_or(if query.channel.is_live() { Mode::Live } else { Mode::Deferrable }),
            filed_at: message.received_at,
            address: query.address,
            citizen,
            citizen_level: citizen.and_then(|_| citizen_level(&row, message)),
            identity: message.identity,
            language: message.language.or_else(|| self.language_of(plan, message, reference.as_ref())),
            thread: message
                .thread
                .map(|thread| row.thread_contact.into_iter().chain([self.ids.contact(thread)]).collect())
                .unwrap_or_default(),
            reference,
            recent: row.recent.as_deref().filter(|contact| is_continued(contact, message, query)).map(reference_to),
            last_helper_office: row.last_helper.as_ref().map(|(_, office)| office.clone()),
            last_helper: row.last_helper.map(|(operator, _)| operator),
            automatic: message.automatic,
            bounced,
            bounced_stored,
            answerable: message.answer_to.is_some(),
            has_text: !message.text.trim().is_empty() || !message.attachments.is_empty(),
            classification: None,
            text: Some(Box::new(rule_text(&query.channel, message))),
        };
        let text = InboundText { message: message.clone(), address, citizen };
        Ok(Item::Input(Box::new(Prepared {
            source: query.input.to_string(),
            administration: query.administration.clone(),
            input: Input::Inbound(Box::new(facts)),
            message: Some(Box::new(text)),
            incoming: incoming.clone(),
            traceparent: envelope.traceparent.clone(),
        })))
    }

    /// The citizen's address to be known from now on. A colleague's is not a citizen's, nor is a mail server's.
    fn address_of(
        &self,
        plan: &Plan,
        message: &InboundMessage,
        query: &FactQuery,
        row: &FactRow,
        now: Timestamp,
    ) -> Option<CitizenAddress> {
        let (from, key) = (message.from.as_ref()?, query.address?);
        let address = normalise_address(&query.channel, &from.address);
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let is_colleague = plan.administrations.get(&query.administration).is_some_and(|body| body.domains.contains(domain));
        let is_person = !matches!(message.automatic, Some(Automatic::Bounce | Automatic::Receipt | Automatic::Loop));
        (is_person && !is_colleague).then(|| CitizenAddress {
            administration: query.administration.clone(),
            key,
            citizen: row.citizen.unwrap_or_else(|| CitizenId(self.ids.make("citizen", &[&key.0.to_be_bytes()]))),
            channel: query.channel.clone(),
            address,
            name: from.name.clone(),
            level: message.identity,
            seen_at: now,
        })
    }

    fn language_of(&self, plan: &Plan, message: &InboundMessage, reference: Option<&Reference>) -> Option<crate::model::channel::Language> {
        let previous = reference.and_then(|reference| reference.origin.language);
        previous.or_else(|| language::is_needed(plan).then(|| language::detect(&message.text)).flatten())
    }

    fn signal(&self, incoming: &Incoming, envelope: &Envelope, signal: &InboundSignal, query: &FactQuery, row: &FactRow) -> Item {
        if row.duplicate && !fault::is_broken("no_inbox") {
            return Item::Duplicate;
        }
        let facts = SignalFacts {
            input: query.input,
            administration: query.administration.clone(),
            thread: row.thread_contact.into_iter().chain([self.ids.contact(signal.thread)]).collect(),
            conversation: query.channel.is_session().then(|| self.ids.conversation(signal.thread)),
            signal: signal.signal,
        };
        Item::Input(Box::new(Prepared {
            input: Input::Signal(Box::new(facts)),
            source: query.input.to_string(),
            administration: query.administration.clone(),
            message: None,
            incoming: incoming.clone(),
            traceparent: envelope.traceparent.clone(),
        }))
    }

    /// What makes a report the same when it comes again: its own id.
    fn report_source(&self, envelope: &Envelope) -> String {
        InputId(self.ids.make("report", &[envelope.id.as_bytes()])).to_string()
    }

    /// A report with what is stored of its message.
    async fn delivery(
        &self,
        incoming: &Incoming,
        (envelope, administration): &(Envelope, AdministrationId),
        report: &DeliveryReport,
    ) -> Result<Item, StoreError> {
        let stored = soon(self.store.delivery(administration, report.message)).await?.map(Box::new);
        Ok(Item::Input(Box::new(Prepared {
            input: Input::Delivery(Box::new(DeliveryFacts { administration: administration.clone(), report: report.clone(), stored })),
            source: self.report_source(envelope),
            administration: administration.clone(),
            message: None,
            incoming: incoming.clone(),
            traceparent: envelope.traceparent.clone(),
        })))
    }

    /// A message that nothing can be made of, for quarantine.
    pub(super) fn unreadable(&self, incoming: &Incoming, reason: &str) -> Item {
        tracing::warn!(pool = %self.pool, key = %cut(&incoming.routing_key, 128), reason, "an inbound message cannot be read and is kept in quarantine");
        Item::Quarantined(Box::new(kept("inbound", Some(self.pool.clone()), incoming, reason.to_owned())))
    }
}

/// What the input needs of its CloudEvents envelope.
#[derive(Debug)]
struct Envelope {
    id: String,
    time: Timestamp,
    traceparent: Option<Arc<str>>,
}

/// A broker message on its way to becoming an input.
enum Draft {
    Unreadable(String),
    Message(Envelope, Box<InboundMessage>, FactQuery),
    Signal(Envelope, InboundSignal, FactQuery),
    Delivery((Envelope, AdministrationId), DeliveryReport),
}

impl Draft {
    fn query(&self) -> Option<&FactQuery> {
        match self {
            Self::Message(_, _, query) | Self::Signal(_, _, query) => Some(query),
            Self::Unreadable(_) | Self::Delivery(..) => None,
        }
    }

    fn report(&self) -> Option<&Envelope> {
        match self {
            Self::Delivery((envelope, _), _) => Some(envelope),
            _ => None,
        }
    }
}

/// For the fault runs.
fn panic_if_marked(name: &str, message: &InboundMessage) {
    assert!(!fault::is_marked(name, message.subject.as_deref().unwrap_or_default()), "asked for by the fault run");
}

/// What is asked of the database, within the time that a batch has.
async fn soon<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Unavailable(format!("no answer within {} s", FACTS_WITHIN.as_secs())));
    tokio::time::timeout(FACTS_WITHIN, asked).await.unwrap_or_else(late)
}

/// The trace of an event: of its body, else of the message's header, if that is one.
fn trace_of(decoded: Option<String>, incoming: &Incoming) -> Option<Arc<str>> {
    let in_header = || incoming.traceparent.clone().filter(|text| text.parse::<TraceParent>().is_ok());
    decoded.or_else(in_header).map(Arc::from)
}

/// How sure it is that an address is one citizen's: by what was proved before, or by this message. Nothing at all if several write from
/// it.
fn citizen_level(row: &FactRow, message: &InboundMessage) -> Option<IdentityLevel> {
    (!row.shared).then_some(row.citizen_level.max(message.identity))
}

/// Whether a message goes on with the newest contact of its address: with the same account, and not ended long before. A chat is
/// one conversation however long it lasts.
fn is_continued(newest: &Contact, message: &InboundMessage, query: &FactQuery) -> bool {
    let is_fresh = match newest.state {
        ContactState::Closed { at } | ContactState::Abandoned { at } => message.received_at <= at.plus(CONVERSATION_GOES_ON),
        _ => true,
    } || query.channel.is_session();
    query.channel.joins_by_address() && newest.account == message.account && is_fresh
}

fn reference_to(contact: &Contact) -> Reference {
    Reference {
        conversation: contact.conversation,
        contact: contact.id,
        at: contact.queued_at,
        origin: Origin {
            queue: contact.queue.clone(),
            owner: contact.last_owner,
            address: contact.address,
            citizen: contact.citizen,
            language: contact.language,
            abstaining: contact.abstaining().collect(),
            is_copy: false,
        },
    }
}

fn rule_text(channel: &crate::model::channel::Channel, message: &InboundMessage) -> RuleText {
    RuleText {
        from: message.from.as_ref().map(|from| normalise_address(channel, &from.address)).unwrap_or_default(),
        to: message.to.iter().map(|to| normalise_address(channel, &to.address)).collect(),
        subject: message.subject.clone().unwrap_or_default(),
        text: cut(&message.text, RULE_TEXT_MAX).to_owned(),
        attributes: message.attributes.clone(),
    }
}

/// The beginning of a text, at most `bytes_max` bytes, cut between characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;
    use crate::model::conversation::BlobRef;
    use crate::model::delivery::{AttemptResult, Delivery, DeliveryState};
    use crate::model::id::AccountId;
    use crate::port::clock;
    use crate::port::testing::{FakeBlobs, FakeStore, contact, plan, pool};

    fn intake(store: &Arc<FakeStore>, blobs: FakeBlobs) -> Intake {
        let store = Arc::clone(store) as Arc<dyn Store>;
        Intake { pool: pool(), prefix: "it.example".into(), ids: IdMaker::new([1; 32]), store, blobs: Arc::new(blobs) }
    }

    /// An event at the plan's first account, as the broker delivers it.
    fn incoming(number: u128, event: InboundEvent) -> Incoming {
        let plan = plan();
        let (account, known) = plan.accounts.iter().next().expect("an account");
        let event = wire::inbound_event("it.example", InputId(number), account, clock::now(), None, event);
        Incoming {
            tag: 1,
            routing_key: format!("{}.{}.{}", pool(), known.administration, known.channel),
            id: None,
            body: wire::encode_inbound(&event).expect("small").into(),
            traceparent: None,
            reply_to: None,
            redelivered: true,
            death: None,
        }
    }

    fn message() -> InboundMessage {
        serde_json::from_value(serde_json::json!({"account": "centralino", "provider_id": "1", "received_at": Timestamp(0)}))
            .expect("a message")
    }

    fn prepared(item: &Item) -> &Prepared {
        match item {
            Item::Input(prepared) => prepared,
            other => panic!("an input, not {other:?}"),
        }
    }

    /// A predecessor may have committed what the broker delivers again: it is known by its own id, not by this leader's memory.
    #[tokio::test]
    async fn a_report_that_was_committed_before_is_a_duplicate() {
        let store = Arc::new(FakeStore::default());
        let intake = intake(&store, FakeBlobs::default());
        let report = |number: u128| {
            let result = AttemptResult::Sent { provider_id: None };
            incoming(number, InboundEvent::Delivery(DeliveryReport { message: MessageId(number), attempt: 1, result }))
        };
        let batch = [report(1), report(2)];
        let items = intake.prepare(&plan(), &batch).await.expect("looked up");
        let sources: Vec<String> = items.iter().map(|item| prepared(item).source.clone()).collect();
        assert_ne!(sources[0], sources[1]);
        store.rows().sources.insert(sources[1].clone());
        let items = intake.prepare(&plan(), &batch).await.expect("looked up");
        assert!(matches!(&items[..], [Item::Input(_), Item::Duplicate]), "{items:?}");
    }

    /// The engine forgets what was sent; that it was a copy, for which nobody need work, only its row says.
    #[tokio::test]
    async fn what_came_back_is_taken_along_as_it_was_stored() {
        let store = Arc::new(FakeStore::default());
        let intake = intake(&store, FakeBlobs::default());
        let kept = contact(1, "comune", "urp", ContactState::Queued);
        let mut delivery = Delivery {
            message: MessageId(5),
            administration: kept.administration.clone(),
            contact: kept.id,
            conversation: kept.conversation,
            account: kept.account.clone(),
            channel: Channel::email(),
            state: DeliveryState::Sent,
            attempts: 1,
            due: Timestamp(0),
            failure: None,
            settled: None,
            origin: reference_to(&kept).origin,
        };
        delivery.origin.is_copy = true;
        store.rows().deliveries.push(delivery.clone());
        for (outcome, expected) in [("failed", Some(&delivery)), ("delayed", None)] {
            let bounce = InboundMessage {
                automatic: Some(Automatic::Bounce),
                references: vec![signature::sign(&intake.ids, MessageId(5), "mario@example.it", "comune.example")],
                attributes: [("bounce_outcome".to_owned(), outcome.to_owned())].into(),
                ..message()
            };
            let items = intake.prepare(&plan(), &[incoming(1, InboundEvent::Message(Box::new(bounce)))]).await.expect("looked up");
            let Input::Inbound(facts) = &prepared(&items[0]).input else { panic!("a message") };
            assert_eq!((facts.bounced, facts.bounced_stored.as_deref()), (expected.map(|_| MessageId(5)), expected), "{outcome}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_says_nothing_of_a_delivery_is_given_up_in_time() {
        let store = Arc::new(FakeStore::default());
        store.hangs.store(true, std::sync::atomic::Ordering::Relaxed);
        let intake = intake(&store, FakeBlobs::default());
        let report = DeliveryReport { message: MessageId(1), attempt: 1, result: AttemptResult::Sent { provider_id: None } };
        let batch = [incoming(1, InboundEvent::Delivery(report))];
        let prepared = tokio::time::timeout(FACTS_WITHIN * 2, intake.prepare(&plan(), &batch)).await;
        assert!(matches!(prepared, Ok(Err(StoreError::Unavailable(_)))), "{prepared:?}");
    }

    #[tokio::test]
    async fn a_long_text_is_whole_or_says_that_it_is_not() {
        let administration = contact(1, "comune", "urp", ContactState::Queued).administration;
        let blobs = FakeBlobs::default();
        let whole = blobs.put(&administration, "Buongiorno, e il resto".into()).await.expect("kept");
        let lost = BlobRef { key: "comune/2026-01/lost".into(), ..whole.clone() };
        let intake = intake(&Arc::new(FakeStore::default()), blobs);
        for (blob, expected) in [(None, "Buongiorno"), (Some(whole), "Buongiorno, e il resto"), (Some(lost), "Buongiorno\n[…]")] {
            let message = InboundMessage { text: "Buongiorno".into(), text_blob: blob, ..message() };
            let items = intake.prepare(&plan(), &[incoming(1, InboundEvent::Message(Box::new(message)))]).await.expect("looked up");
            let text = prepared(&items[0]).message.as_ref().map(|message| message.message.text.as_str());
            assert_eq!(text, Some(expected));
        }
    }

    #[test]
    fn what_is_known_of_who_writes() {
        use IdentityLevel::{Claimed, Spid, Verified};
        for (shared, stored, said, expected) in [
            (false, Claimed, Claimed, Some(Claimed)),
            (false, Verified, Claimed, Some(Verified)),
            (false, Claimed, Spid, Some(Spid)),
            (true, Spid, Spid, None),
        ] {
            let row = FactRow { shared, citizen_level: stored, ..FactRow::default() };
            let message = InboundMessage { identity: said, ..message() };
            assert_eq!(citizen_level(&row, &message), expected, "{shared} {stored:?} {said:?}");
        }
    }

    /// A conversation goes on for a day after its end, with the same account, on channels that join by address.
    #[test]
    fn a_number_goes_on_with_its_last_conversation_for_a_day() {
        let at = Timestamp::from_secs(1_750_000_000);
        let day = Duration::from_secs(86_400);
        let closed = ContactState::Closed { at };
        for (channel, account, state, received_at, expected) in [
            (Channel::sms(), "centralino", ContactState::Queued, at.plus(day * 9), true),
            (Channel::sms(), "centralino", closed, at, true),
            (Channel::sms(), "centralino", closed, at.plus(day), true),
            (Channel::sms(), "centralino", closed, at.plus(day + Duration::from_secs(1)), false),
            (Channel::sms(), "altro", closed, at, false),
            (Channel::sms(), "altro", ContactState::Queued, at, false),
            (Channel::email(), "centralino", closed, at, false),
        ] {
            let newest = contact(1, "comune", "urp", state);
            let message = InboundMessage { account: AccountId::new(account).expect("a name"), received_at, ..message() };
            let query = FactQuery {
                input: InputId(1),
                administration: newest.administration.clone(),
                address: None,
                channel,
                references: Vec::new(),
                thread: None,
            };
            assert_eq!(is_continued(&newest, &message, &query), expected, "{query:?} {account} {state:?} {received_at}");
        }
    }
}
