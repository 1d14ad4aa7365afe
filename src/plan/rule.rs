//! Classification rules: conditions over channel, account, address, subject, text, language and attributes, and what
//! follows from them.

use crate::model::id::QueueId;
use crate::model::input::InboundFacts;
use crate::model::requirement::Requirement;

/// The tier of a contact that no rule made more or less urgent.
pub const TIER_DEFAULT: u8 = 5;

/// One rule: if the condition holds, queue, requirement and tier follow.
#[derive(Debug, Clone)]
pub struct Rule {
    /// When it applies.
    pub when: Condition,
    /// Which queue; none: the account's own.
    pub queue: Option<QueueId>,
    /// What the contact asks for beyond the queue's requirement.
    pub requirement: Requirement,
    /// The tier, 0 first.
    pub tier: u8,
}

/// A condition over an inbound message.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Each of them; an empty list always holds.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
    /// Not that one.
    Not(Box<Condition>),
    /// A subject field equals one of the values, in lower case.
    Is(Subject, Vec<String>),
    /// A subject field contains one of the words, in lower case.
    Contains(Subject, Vec<String>),
    /// A subject field matches a regular expression (linear time, size-limited).
    Matches(Subject, regex::Regex),
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The channel's name.
    Channel,
    /// The account's name.
    Account,
    /// The sender's address.
    From,
    /// A recipient's address: any of them.
    To,
    /// The subject line.
    SubjectLine,
    /// The first 8 KiB of the text.
    Text,
    /// Subject line or text.
    SubjectOrText,
    /// The language, ISO 639-1.
    Language,
    /// An attribute of the channel.
    Attribute(String),
}

impl Rule {
    /// Whether it applies to a message.
    pub fn matches(&self, facts: &InboundFacts) -> bool {
        self.when.holds(facts)
    }
}

impl Condition {
    /// Whether it holds for a message.
    pub fn holds(&self, facts: &InboundFacts) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Self::Not(part) => !part.holds(facts),
            Self::Is(subject, values) => subject.any(facts, |text| values.iter().any(|value| text.to_lowercase() == *value)),
            Self::Contains(subject, words) => subject.any(facts, |text| {
                let text = text.to_lowercase();
                words.iter().any(|word| text.contains(word.as_str()))
            }),
            Self::Matches(subject, expression) => subject.any(facts, |text| expression.is_match(text)),
        }
    }
}

impl Subject {
    fn any(&self, facts: &InboundFacts, test: impl Fn(&str) -> bool) -> bool {
        let text = facts.text.as_deref();
        match self {
            Self::Channel => test(facts.channel.as_str()),
            Self::Account => test(facts.account.as_str()),
            Self::Language => facts.language.is_some_and(|language| test(language.as_str())),
            Self::From => text.is_some_and(|text| test(&text.from)),
            Self::To => text.is_some_and(|text| text.to.iter().any(|to| test(to))),
            Self::SubjectLine => text.is_some_and(|text| test(&text.subject)),
            Self::Text => text.is_some_and(|text| test(&text.text)),
            Self::SubjectOrText => text.is_some_and(|text| test(&text.subject) || test(&text.text)),
            Self::Attribute(name) => text.and_then(|text| text.attributes.get(name)).is_some_and(|value| test(value)),
        }
    }
}
