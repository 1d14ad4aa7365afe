//! Classes and profiles. A class is all contacts that ask for the same; a profile is all operators who can do the same.
//! Whether they fit is evaluated once for each pair and kept both ways, so a requirement may be any condition at no cost per
//! decision. Their numbers depend on history and never enter a decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::channel::{Channel, Language};
use crate::model::contact::{Contact, Mode, OrderKey};
use crate::model::id::{AdministrationId, ContactId, OfficeId, OperatorId, QueueId};
use crate::model::operator::Operator;
use crate::model::requirement::{Abilities, Field, Requirement};
use crate::model::time::Timestamp;
use crate::plan::{Plan, Policy};

/// Later than every key there is: the head of an empty class.
pub(super) const NO_HEAD: OrderKey = OrderKey { tier: u8::MAX, due: Timestamp::MAX, seq: i64::MAX };

/// What makes contacts alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey {
    administration: AdministrationId,
    office: OfficeId,
    queue: QueueId,
    channel: Channel,
    mode: Mode,
    requirement: Requirement,
}

/// What makes operators alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ProfileKey {
    abilities: Abilities,
    channels: BTreeSet<Channel>,
}

/// Contacts that ask for the same.
#[derive(Debug)]
pub(super) struct Class {
    key: ClassKey,
    is_restricted: bool,
    /// How an operator is chosen.
    pub policy: Policy,
    /// Profiles that fit, each with the summed level of the skills asked for.
    pub profiles: Vec<(u32, u16)>,
    /// Contacts that wait, in order.
    pub waiting: BTreeSet<(OrderKey, ContactId)>,
    /// Contacts of the class that are not final, waiting or not.
    open: u32,
}

impl Class {
    pub(super) fn channel(&self) -> &Channel {
        &self.key.channel
    }
    pub(super) fn mode(&self) -> Mode {
        self.key.mode
    }
}

/// Operators who can do the same.
#[derive(Debug)]
pub(super) struct Profile {
    key: ProfileKey,
    /// Classes that fit.
    pub classes: Vec<u32>,
    /// Classes that fit and have open contacts: how much else its operators are good for.
    pub flexibility: u32,
    /// Operators of the profile who are signed in.
    pub present: BTreeSet<OperatorId>,
}

/// Every class and profile, and which fit.
#[derive(Debug, Default)]
pub(super) struct Demand {
    class_of: BTreeMap<ClassKey, u32>,
    profile_of: BTreeMap<ProfileKey, u32>,
    pub classes: Vec<Class>,
    pub profiles: Vec<Profile>,
    /// The first key of each class, dense: a freed operator scans these.
    pub heads: Vec<OrderKey>,
    /// How many wait in each queue.
    waiting: BTreeMap<QueueId, usize>,
}

impl Demand {
    /// The class of a contact under `plan`; made if it is new.
    pub(super) fn class(&mut self, plan: &Plan, contact: &Contact) -> u32 {
        let queue = plan.queues.get(&contact.queue);
        let mut requirement = queue.map_or(Requirement::Anybody, |queue| queue.requirement.clone()).and(contact.requirement.clone());
        if let (true, Some(language)) = (queue.is_some_and(|queue| queue.match_language), contact.language) {
            requirement = requirement.and(Requirement::Field(Field::Language, language.to_string()));
        }
        let key = ClassKey {
            administration: contact.administration.clone(),
            office: contact.office.clone(),
            queue: contact.queue.clone(),
            channel: contact.channel.clone(),
            mode: contact.mode,
            requirement,
        };
        if let Some(index) = self.class_of.get(&key) {
            return *index;
        }
        let index = u32::try_from(self.classes.len()).expect("fewer classes than contacts");
        let mut class = Class {
            is_restricted: plan.is_restricted(&key.administration, &key.office),
            policy: queue.map_or(Policy::BestFit, |queue| queue.policy),
            key: key.clone(),
            profiles: Vec::new(),
            waiting: BTreeSet::new(),
            open: 0,
        };
        for (number, profile) in (0..).zip(self.profiles.iter_mut()) {
            if let Some(score) = fit(&class, &profile.key) {
                class.profiles.push((number, score));
                profile.classes.push(index);
            }
        }
        self.class_of.insert(key, index);
        self.classes.push(class);
        self.heads.push(NO_HEAD);
        index
    }

    /// The profile of an operator; made if it is new.
    pub(super) fn profile(&mut self, operator: &Operator) -> u32 {
        let mut languages = operator.profile.languages.clone();
        if languages.is_empty() {
            languages.insert(Language::ITALIAN);
        }
        let key = ProfileKey {
            abilities: Abilities {
                skills: operator.profile.skills.clone(),
                languages,
                country: operator.presence.country.clone(),
                offices: operator.profile.offices.clone(),
                administrations: operator.profile.administrations.clone(),
                queues: operator.profile.queues.clone(),
            },
            channels: operator.profile.channels.clone(),
        };
        if let Some(index) = self.profile_of.get(&key) {
            return *index;
        }
        let index = u32::try_from(self.profiles.len()).expect("fewer profiles than operators");
        let mut profile = Profile { key: key.clone(), classes: Vec::new(), flexibility: 0, present: BTreeSet::new() };
        for (number, class) in (0..).zip(self.classes.iter_mut()) {
            if let Some(score) = fit(class, &profile.key) {
                class.profiles.push((index, score));
                profile.classes.push(number);
                profile.flexibility += u32::from(class.open > 0);
            }
        }
        self.profile_of.insert(key, index);
        self.profiles.push(profile);
        index
    }

    /// Whether an operator of `profile` may take a contact of `class`.
    pub(super) fn fits(&self, class: u32, profile: u32) -> bool {
        self.classes[class as usize].profiles.iter().any(|(number, _)| *number == profile)
    }

    /// A contact of the class waits.
    pub(super) fn wait(&mut self, class: u32, key: OrderKey, contact: ContactId) {
        if self.classes[class as usize].waiting.insert((key, contact)) {
            *self.waiting.entry(self.classes[class as usize].key.queue.clone()).or_default() += 1;
        }
        self.refresh_head(class);
    }

    /// A contact of the class waits no more.
    pub(super) fn unwait(&mut self, class: u32, key: OrderKey, contact: ContactId) {
        if self.classes[class as usize].waiting.remove(&(key, contact))
            && let Some(count) = self.waiting.get_mut(&self.classes[class as usize].key.queue)
        {
            *count -= 1;
        }
        self.refresh_head(class);
    }

    fn refresh_head(&mut self, class: u32) {
        self.heads[class as usize] = self.classes[class as usize].waiting.first().map_or(NO_HEAD, |(key, _)| *key);
    }

    /// How many contacts wait in a queue.
    pub(super) fn waiting_in(&self, queue: &QueueId) -> usize {
        self.waiting.get(queue).copied().unwrap_or(0)
    }

    /// A contact of the class is open.
    pub(super) fn open(&mut self, class: u32) {
        let class = &mut self.classes[class as usize];
        class.open += 1;
        if class.open == 1 {
            for (profile, _) in &class.profiles {
                self.profiles[*profile as usize].flexibility += 1;
            }
        }
    }

    /// A contact of the class is open no more.
    pub(super) fn shut(&mut self, class: u32) {
        let class = &mut self.classes[class as usize];
        class.open -= 1;
        if class.open == 0 {
            for (profile, _) in &class.profiles {
                self.profiles[*profile as usize].flexibility -= 1;
            }
        }
    }
}

/// Whether the profile fits the class, and with which summed level of the skills asked for.
fn fit(class: &Class, profile: &ProfileKey) -> Option<u16> {
    let key = &class.key;
    let who = &profile.abilities;
    let admitted = who.administrations.contains(&key.administration)
        && (!class.is_restricted || who.offices.contains(&key.office))
        && (who.queues.is_empty() || who.queues.contains(&key.queue))
        && (profile.channels.is_empty() || profile.channels.contains(&key.channel))
        && key.requirement.is_met_by(who);
    admitted.then(|| key.requirement.skills().iter().map(|skill| u16::from(who.skills.get(*skill).copied().unwrap_or(0))).sum())
}
