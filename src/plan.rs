//! The plan: administrations, offices, queues, skills, accounts, rules. Read from a TOML file, checked, and then immutable:
//! each decision names the plan version it was made under. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::channel::{Channel, Language};
use crate::model::id::{AccountId, AdministrationId, OfficeId, PoolId, QueueId, SkillId, TopicId};
use crate::model::input::{Classification, InboundFacts};
use crate::model::requirement::Requirement;

pub mod duration;
mod file;
pub mod nearest;
pub mod problem;
mod reader;
pub mod rule;

pub use file::parse;
pub use problem::PlanProblem;

/// A plan ready for use: every name in it is known to exist.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Its version in the store; 0 before it is stored.
    pub version: i64,
    /// Operators who are routed together.
    pub pools: BTreeSet<PoolId>,
    /// Public bodies.
    pub administrations: BTreeMap<AdministrationId, Administration>,
    /// Where contacts wait; names are unique over the installation.
    pub queues: BTreeMap<QueueId, Queue>,
    /// What receives contacts; names are unique over the installation.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Skills and what they are called.
    pub skills: BTreeMap<SkillId, String>,
}

/// A public body.
#[derive(Debug, Clone)]
pub struct Administration {
    /// Its name, as citizens know it.
    pub name: String,
    /// The pool that serves it.
    pub pool: PoolId,
    /// Mail domains of its own: their addresses are colleagues, never citizens.
    pub domains: BTreeSet<String>,
    /// Languages it answers in, the first by default.
    pub languages: Vec<Language>,
    /// How long after its end what was said in a conversation is kept; none: until somebody erases it.
    pub retention: Option<Duration>,
    /// Its offices.
    pub offices: BTreeMap<OfficeId, Office>,
    /// Why citizens write.
    pub topics: BTreeMap<TopicId, String>,
    /// Which queue a contact goes to; the first that matches wins.
    pub rules: Vec<rule::Rule>,
}

/// A unit of an administration.
#[derive(Debug, Clone)]
pub struct Office {
    /// Its name.
    pub name: String,
    /// Invisible outside itself: social services, health.
    pub restricted: bool,
}

/// Where contacts wait.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Whose it is.
    pub administration: AdministrationId,
    /// Which office owns it.
    pub office: OfficeId,
    /// Its name.
    pub name: String,
    /// What every contact in it asks for.
    pub requirement: Requirement,
    /// Whether an operator must speak the contact's language; never relaxes.
    pub match_language: bool,
    /// How an operator is chosen.
    pub policy: Policy,
    /// By when the first response is due.
    pub target: Duration,
    /// Taken off the due time: goes before what is due at the same time elsewhere.
    pub head_start: Duration,
    /// How long a live offer rings.
    pub offer_timeout: Duration,
    /// After how long an untouched deferrable contact goes back.
    pub untouched_for: Duration,
    /// The ceiling of a live contact's wrap-up.
    pub wrap_up: Duration,
    /// How long a contact is not offered again to who rejected or missed it.
    pub cool_off: Duration,
    /// How often a contact may come back before a supervisor is called.
    pub returns_max: u32,
    /// The most contacts that may wait; beyond it live ones are not admitted.
    pub waiting_max: u32,
    /// When a silent citizen of a live contact is asked and when it closes; none: never.
    pub silence: Option<SilenceLimits>,
    /// How long a chat may be without a connection before its citizen counts as gone.
    pub abandon_after: Duration,
}

/// How long a citizen who owes an answer may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceLimits {
    /// Then they are asked whether they are still there.
    pub warn: Duration,
    /// Then the contact closes.
    pub close: Duration,
}

/// How an operator is chosen among those who could take a contact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Lowest band of used capacity, then fewest classes in demand that the operator could take, then longest idle.
    #[default]
    BestFit,
    /// Longest since last given a contact.
    LongestIdle,
    /// Least used capacity.
    LeastLoaded,
    /// Highest summed level of the skills asked for; who is within `tolerance` of the best is equal.
    MostSkilled {
        /// Levels of difference that do not count.
        tolerance: u8,
    },
}

/// What receives contacts: a mailbox, a number, a widget, a program with a key. It fixes administration and pool.
#[derive(Debug, Clone)]
pub struct Account {
    /// Whose it is.
    pub administration: AdministrationId,
    /// Its channel.
    pub channel: Channel,
    /// The office's own address on the channel, if it has one.
    pub address: Option<String>,
    /// The name shown to citizens beside the address.
    pub display_name: Option<String>,
    /// The queue when no rule matches.
    pub queue: QueueId,
}

impl Plan {
    /// The pool that serves an account.
    pub fn pool_of(&self, account: &AccountId) -> Option<&PoolId> {
        let account = self.accounts.get(account)?;
        self.administrations.get(&account.administration).map(|administration| &administration.pool)
    }

    /// Whose an account is: the pool that serves it, and its administration.
    pub fn owner_of(&self, account: &AccountId) -> Option<(PoolId, AdministrationId)> {
        Some((self.pool_of(account)?.clone(), self.accounts.get(account)?.administration.clone()))
    }

    /// The email account that answers for an administration: the one of the same queue, else the first.
    pub fn mail_account(&self, administration: &AdministrationId, queue: Option<&QueueId>) -> Option<AccountId> {
        let is_its = |account: &Account| account.administration == *administration && account.channel.as_str() == Channel::EMAIL;
        let mut accounts = self.accounts.iter().filter(|(_, account)| is_its(account)).peekable();
        let first = accounts.peek().map(|(id, _)| (*id).clone())?;
        Some(accounts.find(|(_, account)| Some(&account.queue) == queue).map_or(first, |(id, _)| id.clone()))
    }

    /// An office, by its administration.
    pub fn office(&self, administration: &AdministrationId, office: &OfficeId) -> Option<&Office> {
        self.administrations.get(administration)?.offices.get(office)
    }

    /// Whether an office is invisible outside itself. What the plan does not know any more counts as restricted.
    pub fn is_restricted(&self, administration: &AdministrationId, office: &OfficeId) -> bool {
        self.office(administration, office).is_none_or(|office| office.restricted)
    }

    /// The administrations that a pool serves.
    pub fn administrations_of<'a>(&'a self, pool: &'a PoolId) -> impl Iterator<Item = &'a AdministrationId> {
        self.administrations.iter().filter(move |(_, body)| body.pool == *pool).map(|(id, _)| id)
    }

    /// The queue, requirement and tier of an inbound message: the first rule that matches, else the account's queue.
    /// None if the plan does not know the account.
    pub fn classify(&self, facts: &InboundFacts) -> Option<Classification> {
        let account = self.accounts.get(&facts.account)?;
        let administration = self.administrations.get(&account.administration)?;
        let matched = administration.rules.iter().enumerate().find(|(_, rule)| rule.matches(facts));
        Some(match matched {
            Some((index, rule)) => Classification {
                queue: rule.queue.clone().unwrap_or_else(|| account.queue.clone()),
                requirement: rule.requirement.clone(),
                tier: rule.tier,
                rule: Some(u32::try_from(index + 1).unwrap_or(u32::MAX)),
            },
            None => {
                Classification { queue: account.queue.clone(), requirement: Requirement::Anybody, tier: rule::TIER_DEFAULT, rule: None }
            }
        })
    }
}
