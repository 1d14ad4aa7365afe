//! What reaches the engine: the facts of an inbound event, a command, a report, a signal. The input log is made of these:
//! ids, codes and times, with the citizen's text replaced by the rule that matched.

use serde::{Deserialize, Serialize};

use super::channel::{Channel, IdentityLevel, Language};
use super::command::Command;
use super::contact::Mode;
use super::conversation::Automatic;
use super::delivery::{Delivery, DeliveryReport, Origin};
use super::id::{
    AccountId, AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, InputId, MessageId, OfficeId, OperatorId, QueueId,
};
use super::inbound::Signal;
use super::requirement::Requirement;
use super::time::Timestamp;

/// One input of a pool's engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "input")]
pub enum Input {
    /// A message from outside, with what intake found out about it.
    Inbound(Box<InboundFacts>),
    /// The citizen left.
    Signal(Box<SignalFacts>),
    /// An outbound message got on.
    Delivery(Box<DeliveryFacts>),
    /// Somebody asks for something.
    Command(Box<Command>),
    /// Somebody asks for something about a message, which the engine may have forgotten.
    AboutMessage(Box<AboutMessage>),
    /// Deadlines passed: everything due at this time happens.
    Timers,
    /// A process took the lead of the pool.
    LeaderStarted {
        /// Its epoch.
        epoch: i64,
        /// The engine's version: replay refuses another.
        engine_version: u32,
        /// Digest of the engine as rebuilt from rows.
        digest: String,
    },
}

impl Input {
    /// A short name for the log's `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Inbound(_) => "inbound",
            Self::Signal(_) => "signal",
            Self::Delivery(_) => "delivery",
            Self::Command(_) | Self::AboutMessage(_) => "command",
            Self::Timers => "timers",
            Self::LeaderStarted { .. } => "leader_started",
        }
    }
}

/// An adapter's report as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFacts {
    /// Whose adapter reports: about its own messages only.
    pub administration: AdministrationId,
    /// What it says.
    pub report: DeliveryReport,
    /// The delivery as it was stored, for a report that comes when the engine has forgotten it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Box<Delivery>>,
}

/// A command about a message as the engine sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AboutMessage {
    /// What is asked for.
    pub command: Command,
    /// The delivery as it was stored, for a message that the engine has forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Delivery>,
}

/// An inbound message as the engine sees it. Intake supplies facts; the engine checks them against its own open contacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboundFacts {
    /// The input.
    pub input: InputId,
    /// The message's id.
    pub message: MessageId,
    /// The contact it opens, if it opens one.
    pub new_contact: ContactId,
    /// The conversation it opens, if it opens one.
    pub new_conversation: ConversationId,
    /// Whose citizen it is: fixed by the account.
    pub administration: AdministrationId,
    /// The account that received it.
    pub account: AccountId,
    /// The account's channel.
    pub channel: Channel,
    /// Live or deferrable.
    pub mode: Mode,
    /// When it reached the administration.
    pub filed_at: Timestamp,
    /// The sender's address, as a key.
    pub address: Option<AddressKey>,
    /// The citizen behind it, when known.
    pub citizen: Option<CitizenId>,
    /// How sure it is that the address is that citizen's and nobody else's: the strongest proof there was. None: several write from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citizen_level: Option<IdentityLevel>,
    /// How sure that is.
    pub identity: IdentityLevel,
    /// Declared, previous or detected.
    pub language: Option<Language>,
    /// The conversation it certainly belongs to: by our signed Message-ID and the sender's address, or by the program that
    /// opened it.
    pub reference: Option<Reference>,
    /// The contacts that `thread` may name: the one the input landed in, and the one it opened.
    pub thread: Vec<ContactId>,
    /// The newest contact with the same address by the same account, when the channel joins by address and it was not closed
    /// long ago.
    pub recent: Option<Reference>,
    /// Who helped this citizen last.
    pub last_helper: Option<OperatorId>,
    /// In which office: a restricted one's help shows outside it by nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_helper_office: Option<OfficeId>,
    /// Set if no person wrote it.
    pub automatic: Option<Automatic>,
    /// A bounce: the message of ours that came back.
    pub bounced: Option<MessageId>,
    /// And its delivery as it was stored, for the engine has mostly forgotten it by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounced_stored: Option<Box<Delivery>>,
    /// Whether it has words: an abandoned contact with text and an address becomes deferrable work.
    pub has_text: bool,
    /// Whether it says where the citizen can be answered after a chat.
    #[serde(default)]
    pub answerable: bool,
    /// What the rules made of it; filled when it is applied, kept in the log in place of the text.
    pub classification: Option<Classification>,
    /// What the rules look at. Never logged.
    #[serde(skip)]
    pub text: Option<Box<RuleText>>,
}

/// A conversation that a message belongs to, and the newest contact in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its newest contact.
    pub contact: ContactId,
    /// When that contact was last queued.
    pub at: Timestamp,
    /// What a follow-on contact needs to know of it.
    pub origin: Origin,
}

/// What classification rules look at: the first 8 KiB of text, subject, addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleText {
    /// Sender's address, normalised.
    pub from: String,
    /// Recipients' addresses, normalised.
    pub to: Vec<String>,
    /// Subject.
    pub subject: String,
    /// The beginning of the text.
    pub text: String,
    /// Facts of the channel that have no field of their own.
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// What the rules made of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// Its queue, which has its office.
    pub queue: QueueId,
    /// What it asks for beyond the queue's own requirement.
    pub requirement: Requirement,
    /// Its tier, 0 first.
    pub tier: u8,
    /// The number of the rule that matched, from 1; none: the account's default.
    pub rule: Option<u32>,
}

/// A signal as the engine sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalFacts {
    /// The input.
    pub input: InputId,
    /// Whose citizen it is.
    pub administration: AdministrationId,
    /// The contacts that the signal's `thread` may name.
    pub thread: Vec<ContactId>,
    /// The conversation of a chat: the newest contact in it is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// What happened.
    pub signal: Signal,
}
