//! Requirements: a boolean condition over an operator's skills, levels and fields. Any shape costs the same per decision,
//! for it is evaluated once per class and profile.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::Language;
use super::id::{AdministrationId, OfficeId, QueueId, SkillId};

/// What an operator must be, to take a contact.
///
/// In TOML and JSON: `{ skill = "tributi", level = 3 }` (at least 3), `{ skill = "tributi", op = "<", level = 3 }`,
/// `{ field = "country", value = "IT" }`, `{ all = […] }`, `{ any = […] }`, `{ not = … }`. An empty table asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum Requirement {
    /// Anybody.
    #[default]
    Anybody,
    /// Each of them.
    All(Vec<Requirement>),
    /// At least one of them.
    Any(Vec<Requirement>),
    /// Not that one.
    Not(Box<Requirement>),
    /// A skill whose level compares so; without the skill the level is 0.
    Skill(SkillId, Comparison, u8),
    /// A field with that value.
    Field(Field, String),
}

/// How a level is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// At least.
    #[default]
    #[serde(rename = ">=")]
    AtLeast,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// Exactly.
    #[serde(rename = "=")]
    Equal,
    /// More than.
    #[serde(rename = ">")]
    Above,
    /// Less than.
    #[serde(rename = "<")]
    Below,
}

/// A property of an operator that is not a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// A language the operator answers in, ISO 639-1.
    Language,
    /// The country of the operator's present session, ISO 3166-1 alpha-2.
    Country,
    /// An office the operator belongs to.
    Office,
    /// An administration the operator works for.
    Administration,
    /// A queue the operator is a member of by name.
    Queue,
}

/// What is known of an operator when a requirement is evaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abilities {
    /// Level 1 to 10 of each skill.
    pub skills: BTreeMap<SkillId, u8>,
    /// Languages the operator answers in.
    pub languages: BTreeSet<Language>,
    /// Country of the present session.
    pub country: Option<String>,
    /// Offices the operator belongs to.
    pub offices: BTreeSet<OfficeId>,
    /// Administrations the operator works for.
    pub administrations: BTreeSet<AdministrationId>,
    /// Queues the operator is a member of; empty: every queue.
    pub queues: BTreeSet<QueueId>,
}

impl Requirement {
    /// The most conditions one requirement may hold.
    pub const CONDITIONS_MAX: usize = 64;

    /// Whether `who` fulfils it.
    pub fn is_met_by(&self, who: &Abilities) -> bool {
        match self {
            Self::Anybody => true,
            Self::All(parts) => parts.iter().all(|part| part.is_met_by(who)),
            Self::Any(parts) => parts.iter().any(|part| part.is_met_by(who)),
            Self::Not(part) => !part.is_met_by(who),
            Self::Skill(skill, comparison, level) => {
                let has = who.skills.get(skill).copied().unwrap_or(0);
                match comparison {
                    Comparison::AtLeast => has >= *level,
                    Comparison::AtMost => has <= *level,
                    Comparison::Equal => has == *level,
                    Comparison::Above => has > *level,
                    Comparison::Below => has < *level,
                }
            }
            Self::Field(field, value) => match field {
                Field::Language => who.languages.iter().any(|language| language.as_str() == value),
                Field::Country => who.country.as_deref() == Some(value.as_str()),
                Field::Office => who.offices.iter().any(|office| office.as_str() == value),
                Field::Administration => who.administrations.iter().any(|body| body.as_str() == value),
                Field::Queue => who.queues.iter().any(|queue| queue.as_str() == value),
            },
        }
    }

    /// Both requirements at once.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Anybody, one) | (one, Self::Anybody) => one,
            (Self::All(mut parts), Self::All(more)) => {
                parts.extend(more);
                Self::All(parts)
            }
            (Self::All(mut parts), one) => {
                parts.push(one);
                Self::All(parts)
            }
            (one, two) => Self::All(vec![one, two]),
        }
    }

    /// The skills it names, for checking them against the plan.
    pub fn skills(&self) -> Vec<&SkillId> {
        match self {
            Self::Skill(skill, ..) => vec![skill],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::skills).collect(),
            Self::Not(part) => part.skills(),
            Self::Anybody | Self::Field(..) => Vec::new(),
        }
    }

    fn conditions(&self) -> usize {
        match self {
            Self::Anybody => 0,
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::conditions).sum::<usize>(),
            Self::Not(part) => 1 + part.conditions(),
            Self::Skill(..) | Self::Field(..) => 1,
        }
    }
}

/// A requirement as people write it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Requirement")]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Vec<Requirement>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<Vec<Requirement>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not: Option<Box<Requirement>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skill: Option<SkillId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<Comparison>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<Field>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl TryFrom<Written> for Requirement {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let requirement = match written {
            Written { all: None, any: None, not: None, skill: None, op: None, level: None, field: None, value: None } => Self::Anybody,
            Written { all: Some(parts), any: None, not: None, skill: None, op: None, level: None, field: None, value: None } => {
                Self::All(parts)
            }
            Written { all: None, any: Some(parts), not: None, skill: None, op: None, level: None, field: None, value: None } => {
                Self::Any(parts)
            }
            Written { all: None, any: None, not: Some(part), skill: None, op: None, level: None, field: None, value: None } => {
                Self::Not(part)
            }
            Written { all: None, any: None, not: None, skill: Some(skill), op, level, field: None, value: None } => {
                let level = level.unwrap_or(1);
                if level > 10 {
                    return Err(format!("a level goes from 0 to 10, not {level}"));
                }
                Self::Skill(skill, op.unwrap_or_default(), level)
            }
            Written { all: None, any: None, not: None, skill: None, op: None, level: None, field: Some(field), value: Some(value) } => {
                Self::Field(field, value)
            }
            _ => return Err("a requirement is one of: all, any, not, skill (with op and level), field (with value)".into()),
        };
        if requirement.conditions() > Self::CONDITIONS_MAX {
            return Err(format!("a requirement has at most {} conditions", Self::CONDITIONS_MAX));
        }
        Ok(requirement)
    }
}

impl From<Requirement> for Written {
    fn from(requirement: Requirement) -> Self {
        match requirement {
            Requirement::Anybody => Self::default(),
            Requirement::All(parts) => Self { all: Some(parts), ..Self::default() },
            Requirement::Any(parts) => Self { any: Some(parts), ..Self::default() },
            Requirement::Not(part) => Self { not: Some(part), ..Self::default() },
            Requirement::Skill(skill, op, level) => Self { skill: Some(skill), op: Some(op), level: Some(level), ..Self::default() },
            Requirement::Field(field, value) => Self { field: Some(field), value: Some(value), ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, met: bool) {
        let requirement: Requirement = serde_json::from_str(written).expect(written);
        let who = Abilities {
            skills: [(SkillId::new("tributi").expect("name"), 4), (SkillId::new("spid").expect("name"), 1)].into(),
            languages: [Language::ITALIAN].into(),
            country: Some("IT".into()),
            ..Abilities::default()
        };
        assert_eq!(requirement.is_met_by(&who), met, "{written}");
        let again: Requirement = serde_json::from_value(serde_json::to_value(&requirement).expect("writes")).expect("reads back");
        assert_eq!(again, requirement);
    }

    #[test]
    fn conditions() {
        check("{}", true);
        check(r#"{"skill":"tributi","level":4}"#, true);
        check(r#"{"skill":"tributi","level":5}"#, false);
        check(r#"{"skill":"tributi","op":"<","level":5}"#, true);
        check(r#"{"skill":"anagrafe"}"#, false);
        check(r#"{"not":{"skill":"anagrafe"}}"#, true);
        check(r#"{"all":[{"skill":"tributi"},{"skill":"spid"}]}"#, true);
        check(r#"{"all":[{"skill":"tributi"},{"any":[{"field":"language","value":"de"},{"field":"country","value":"IT"}]}]}"#, true);
        check(r#"{"all":[{"skill":"tributi"},{"field":"language","value":"de"}]}"#, false);
    }

    #[test]
    fn refuses_what_is_two_things_at_once() {
        for written in [
            r#"{"skill":"a","field":"country","value":"IT"}"#,
            r#"{"level":3}"#,
            r#"{"skill":"a","level":11}"#,
            r#"{"skil":"a"}"#,
            r#"{"field":"country"}"#,
        ] {
            assert!(serde_json::from_str::<Requirement>(written).is_err(), "{written}");
        }
    }
}
