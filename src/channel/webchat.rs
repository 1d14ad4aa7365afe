//! Web chat: a citizen on a page, an operator at the console. The pure codec (`codec`, `state`, `publish`) stands beside the I/O
//! (`socket`, `talk`, `hub`, `routes`, `tidy`).
//!
//! A chat is one conversation, named by its session; what the citizen writes is accepted when the broker has it, what the office
//! writes comes from the pools' feed. `docs/webchat-protocol.md` is the protocol.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::Router;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::access::{Measures, Visitor};
use self::hub::Hub;
use self::room::{Room, Wanted};
use self::tidy::Steady;
use super::outbound::OutboundDeps;
use crate::model::channel::{Channel, IdentityLevel, Language};
use crate::model::contact::Mode;
use crate::model::id::{AccountId, ContactId, ConversationId, IdMaker, InputId, MessageId, TopicId};
use crate::model::input::{InboundFacts, RuleText};
use crate::plan::Plan;
use crate::port::aside::Asides;
use crate::port::blobs::Blobs;
use crate::port::broker::{Broker, Publisher};
use crate::port::chat::{ChatSession, Chats};
use crate::port::clock::now;
use crate::port::commands::Commands;
use crate::port::feed::FeedBatch;
use crate::port::store::{Leases, Store};

mod access;
mod body;
pub mod codec;
pub mod counters;
mod files;
mod hub;
pub mod limits;
mod outbox;
mod pages;
mod publish;
mod room;
mod routes;
mod session;
mod socket;
pub mod state;
mod talk;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tidy;
mod transcript;

pub use access::Maxima;
pub use counters::ChatCounters;

/// What an account's widget shows and which pages may use it.
#[derive(Debug, Clone, Default)]
pub struct AccountOptions {
    /// Origins of pages beside our own, `https://www.comune.example`.
    pub origins: Vec<String>,
    /// Topics offered, in this order; empty: all of the plan.
    pub topics: Vec<TopicId>,
    /// Where the privacy notice is.
    pub privacy_url: String,
    /// What the citizen accepts.
    pub privacy_text: String,
    /// Languages offered; empty: the administration's.
    pub languages: Vec<Language>,
}

/// The channel's options.
#[derive(Debug, Clone)]
pub struct WebChatOptions {
    /// What differs by account.
    pub accounts: BTreeMap<AccountId, AccountOptions>,
    /// The origin of our own pages.
    pub public_origin: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a chat is remembered.
    pub session_life: Duration,
    /// Between two pings; two unanswered ones and the socket is lost.
    pub ping_every: Duration,
    /// New chats a minute from one address.
    pub sessions_per_minute: u32,
    /// Bytes of files from one address at once, and as many again per hour.
    pub upload_bytes_per_hour: u32,
    /// The most sockets.
    pub sockets: Maxima,
    /// The largest file, in bytes.
    pub attachment_bytes_max: usize,
    /// Media types of files that are taken.
    pub attachment_types: Vec<String>,
    /// Types of CloudEvents begin with it.
    pub event_prefix: String,
    /// The name of this start: it holds leases, and the pool's feed goes to nodes that say they are there.
    pub node: String,
}

/// What the channel stands on.
pub struct WebChatDeps {
    /// Conversations, journal, operators, queues.
    pub store: Arc<dyn Store>,
    /// Chats.
    pub chats: Arc<dyn Chats>,
    /// Who looks after old chats.
    pub leases: Arc<dyn Leases>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// For the reports on what arrived.
    pub broker: Arc<dyn Broker>,
    /// The way in.
    pub publisher: Arc<dyn Publisher>,
    /// The way to the engine, for transcripts.
    pub commands: Arc<dyn Commands>,
    /// What is said beside chats.
    pub asides: Arc<dyn Asides>,
    /// What happens, of every pool.
    pub feed: broadcast::Receiver<Arc<FeedBatch>>,
    /// The plan in force.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// The installation's ids.
    pub ids: IdMaker,
}

struct WebChat {
    store: Arc<dyn Store>,
    chats: Arc<dyn Chats>,
    leases: Arc<dyn Leases>,
    blobs: Arc<dyn Blobs>,
    publisher: Arc<dyn Publisher>,
    commands: Arc<dyn Commands>,
    asides: Arc<dyn Asides>,
    outbound: OutboundDeps,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    options: WebChatOptions,
    counters: Arc<ChatCounters>,
    hub: Arc<Hub>,
    room: Room,
    measures: Measures,
    /// Whether the database knows who is connected.
    steady: Steady,
    /// Until when this node has said last that its chats are connected, in microseconds since 1970.
    said_until: AtomicI64,
    /// Bytes of files on their way.
    upload_memory: Arc<Semaphore>,
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

type Shared = Arc<WebChat>;

/// The running channel.
pub struct WebChatHandle {
    /// Its routes, for the listener that citizens reach. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`.
    pub router: Router,
    /// Figures for telemetry.
    pub counters: Arc<ChatCounters>,
}

/// Starts the channel's tasks on `tracker`. Cancelling `shutdown` closes every socket with 1001; when the tracker is empty they
/// are gone.
pub fn start(options: WebChatOptions, deps: WebChatDeps, shutdown: CancellationToken, tracker: TaskTracker) -> WebChatHandle {
    let (chat, feed) = build(options, deps, shutdown.clone(), tracker.clone());
    tracker.spawn(hub::run(Arc::clone(&chat.hub), feed, chat.asides.listen(), shutdown));
    tracker.spawn(tidy::say(Arc::clone(&chat)));
    tracker.spawn(tidy::run(Arc::clone(&chat)));
    WebChatHandle { counters: Arc::clone(&chat.counters), router: routes::router(chat) }
}

/// The channel, and what its hub will hear.
fn build(
    options: WebChatOptions,
    deps: WebChatDeps,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) -> (Shared, broadcast::Receiver<Arc<FeedBatch>>) {
    let WebChatDeps { store, chats, leases, blobs, broker, publisher, commands, asides, feed, plan, ids } = deps;
    let counters = Arc::new(ChatCounters::default());
    let outbound = OutboundDeps {
        broker,
        publisher: Arc::clone(&publisher),
        store: Arc::clone(&store),
        plan: plan.clone(),
        ids: ids.clone(),
        prefix: options.event_prefix.clone(),
    };
    let chat = WebChat {
        hub: Hub::new(Arc::clone(&store), Arc::clone(&counters)),
        room: Room::new(Arc::clone(&store)),
        measures: Measures::new(options.sessions_per_minute, options.upload_bytes_per_hour, options.sockets),
        steady: Steady::default(),
        said_until: AtomicI64::default(),
        upload_memory: Arc::new(Semaphore::new(limits::UPLOADS_IN_MEMORY * options.attachment_bytes_max)),
        store,
        chats,
        leases,
        blobs,
        publisher,
        commands,
        asides,
        outbound,
        plan,
        ids,
        options,
        counters,
        shutdown,
        tracker,
    };
    (Arc::new(chat), feed)
}

impl WebChat {
    fn current_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    /// The plan's first chat account: the demo page's.
    fn first_account(&self) -> Option<AccountId> {
        self.current_plan().accounts.iter().find(|(_, account)| account.channel.is_session()).map(|(id, _)| id.clone())
    }

    /// The topics that an account offers, with their labels.
    fn topics(&self, visitor: &Visitor) -> Vec<(TopicId, String)> {
        let plan = self.current_plan();
        let Some(body) = plan.administrations.get(&visitor.administration) else { return Vec::new() };
        let chosen = self.options.accounts.get(&visitor.account).map(|account| account.topics.as_slice()).unwrap_or_default();
        if chosen.is_empty() {
            return body.topics.iter().map(|(id, label)| (id.clone(), label.clone())).collect();
        }
        chosen.iter().filter_map(|id| Some((id.clone(), body.topics.get(id)?.clone()))).collect()
    }

    /// Where a chat's contact would go.
    fn wanted(&self, plan: &Plan, visitor: &Visitor, session: &ChatSession) -> Option<Wanted> {
        self.wanted_by(plan, visitor, Some(session), session.language)
    }

    fn wanted_by(&self, plan: &Plan, visitor: &Visitor, session: Option<&ChatSession>, language: Option<Language>) -> Option<Wanted> {
        let topic = session.and_then(|session| session.topic.as_ref());
        let label = topic.and_then(|topic| plan.administrations.get(&visitor.administration)?.topics.get(topic).cloned());
        let text = RuleText {
            subject: label.unwrap_or_default(),
            attributes: session.map(publish::attributes).unwrap_or_default(),
            ..RuleText::default()
        };
        // the rules see what they will see of the first message, but for its words
        let facts = InboundFacts {
            input: InputId(0),
            message: MessageId(0),
            new_contact: ContactId(0),
            new_conversation: ConversationId(0),
            administration: visitor.administration.clone(),
            account: visitor.account.clone(),
            channel: Channel::webchat(),
            mode: Mode::Live,
            filed_at: now(),
            address: None,
            citizen: None,
            citizen_level: None,
            identity: IdentityLevel::Claimed,
            language,
            reference: None,
            thread: Vec::new(),
            recent: None,
            last_helper: None,
            last_helper_office: None,
            automatic: None,
            bounced: None,
            bounced_stored: None,
            has_text: false,
            answerable: false,
            classification: None,
            text: Some(Box::new(text)),
        };
        let classified = plan.classify(&facts)?;
        Some(Wanted { queue: classified.queue, requirement: classified.requirement, language })
    }
}
