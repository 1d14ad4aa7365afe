//! The operator: a person who answers. Lives in the store and changes at run time; every change is an input of the engine.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Language};
use super::id::{AdministrationId, ContactId, OfficeId, OperatorId, PoolId, QueueId, SkillId};
use super::time::Timestamp;

/// What an operator can do and how much at once. Changed by a supervisor, the API or the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorProfile {
    /// Administrations the operator works for.
    pub administrations: BTreeSet<AdministrationId>,
    /// Offices the operator belongs to: the only way into a restricted one.
    pub offices: BTreeSet<OfficeId>,
    /// Level 1 to 10 of each skill.
    pub skills: BTreeMap<SkillId, u8>,
    /// Languages the operator answers in; empty: Italian.
    pub languages: BTreeSet<Language>,
    /// Channels the operator works on; empty: every channel.
    pub channels: BTreeSet<Channel>,
    /// Queues the operator is a member of; empty: every queue of the administrations.
    pub queues: BTreeSet<QueueId>,
    /// How much at once.
    pub capacity: Capacity,
}

/// How many contacts at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Units for live contacts; a chat costs 33, a call 100.
    pub live_units: u16,
    /// Deferrable contacts on the desk at once.
    pub desk_slots: u8,
    /// The most contacts of a channel at once.
    pub channels: BTreeMap<Channel, u8>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { live_units: 100, desk_slots: 2, channels: BTreeMap::new() }
    }
}

/// What an operator says of themself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PresenceState {
    /// Not at work.
    #[default]
    Offline,
    /// Takes contacts.
    Ready,
    /// At work, takes nothing.
    Away {
        /// `screen_break`, `lunch`, `training`, `meeting`, `back_office`, `missed`, or another code of the plan.
        reason: String,
    },
}

impl PresenceState {
    /// The name for metrics and lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Ready => "ready",
            Self::Away { .. } => "away",
        }
    }
}

/// Presence of an operator: what they say, and whether their console is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// What the operator says.
    pub state: PresenceState,
    /// Since when.
    pub since: Timestamp,
    /// The desk node that holds the console's socket; none: no console.
    pub node: Option<String>,
    /// When the console was lost, if it was not closed by the operator. Cleared when it turns up again.
    pub lost_at: Option<Timestamp>,
    /// The country of the present session, ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// An operator as the engine keeps them and as the row holds it. The name and the password are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// Where they are routed.
    pub pool: PoolId,
    /// What they can do.
    #[serde(default)]
    pub profile: OperatorProfile,
    /// A disabled account takes nothing and signs in nowhere.
    pub enabled: bool,
    /// Whether they are there.
    #[serde(default)]
    pub presence: Presence,
    /// Offers missed in a row.
    #[serde(default)]
    pub misses: u8,
    /// The sequence number at which they were last given a contact: who waited longest goes first.
    #[serde(default)]
    pub last_assigned: i64,
    /// The contact they are kept free for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<ContactId>,
    /// Grows by one with each change.
    pub version: u32,
}

impl Operator {
    /// Whether new contacts may go to them.
    pub fn is_ready(&self) -> bool {
        self.has_console() && self.presence.state == PresenceState::Ready
    }

    /// Whether they are signed in, ready or not.
    pub fn is_present(&self) -> bool {
        self.has_console() && self.presence.state != PresenceState::Offline
    }

    /// Whether their console is open, whatever they say of themself.
    pub fn has_console(&self) -> bool {
        self.enabled && self.presence.node.is_some() && self.presence.lost_at.is_none()
    }
}

/// What a person may do at the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers citizens.
    Operator,
    /// Runs the room.
    Supervisor,
    /// Changes accounts, plan, quarantine.
    Admin,
}

/// How far a role reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every administration of a pool, but not the restricted offices.
    Pool(PoolId),
    /// One administration, but not its restricted offices.
    Administration(AdministrationId),
    /// One office, restricted or not.
    Office(AdministrationId, OfficeId),
}

/// A role with its reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// Whether they may read what citizens wrote. A partner's supervisor runs the room without.
    #[serde(default)]
    pub content: bool,
}
