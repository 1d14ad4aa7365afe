//! `[administration.<name>]`: a public body with its offices, queues, accounts, topics and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::reader::{Node, Table};
use super::super::rule::{Condition, Rule, TIER_DEFAULT};
use super::super::{Administration, Office};
use super::{Names, Parts, account, condition, queue, queue_of, reference, requirement};
use crate::model::channel::Language;
use crate::model::id::{AccountId, AdministrationId, OfficeId, PoolId, QueueId, TopicId};
use crate::model::requirement::Requirement;

const OFFICES_MAX: usize = 500;
const QUEUES_MAX: usize = 1_000;
const ACCOUNTS_MAX: usize = 1_000;
const TOPICS_MAX: usize = 500;
const DOMAINS_MAX: usize = 100;
const LANGUAGES_MAX: usize = 20;
const RULES_MAX: usize = 500;

/// Not shorter than what comes may be on its way, and come again: 35 days.
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 35..=36_500;

/// Tiers a rule may give. 0 is kept for what a supervisor puts before everything else.
const TIERS: std::ops::RangeInclusive<u32> = 1..=9;

pub(super) fn read(id: &AdministrationId, table: &Table<'_>, names: &Names, parts: &mut Parts) {
    let name = table.need("name", "the body's name, as citizens know it").and_then(|node| node.text().map(str::to_owned));
    let pool = table.need("pool", "the pool that serves it").and_then(|node| reference(&node, "pool", &names.pools, PoolId::new));
    let domains = table.get("domains").map(|node| domains(&node)).unwrap_or_default();
    let languages = table.get("languages").map_or_else(|| vec![Language::ITALIAN], |node| languages(&node));
    let retention = table.get("retention_days").and_then(|node| node.number(RETENTION_DAYS)).map(days);
    let offices = table.named("office", OFFICES_MAX, OfficeId::new);
    let offices: BTreeMap<OfficeId, Office> = offices
        .into_iter()
        .map(|(office, node)| {
            let read = read_office(&node);
            check_membership(&office, &read, pool.as_ref(), &node, parts);
            (office, read)
        })
        .collect();
    if offices.is_empty() {
        table.problem("this administration has no office: write one, such as [administration.comune.office.urp]");
    }
    let topics = table.named("topic", TOPICS_MAX, TopicId::new);
    let topics = topics.into_iter().map(|(id, node)| (id.clone(), topic(&id, &node))).collect();
    read_queues(id, table, names, parts);
    read_accounts(id, table, names, parts);
    let rules = table.get("rule").map(|node| rules(id, &node, names, parts)).unwrap_or_default();
    table.finish();
    if let (Some(name), Some(pool)) = (name, pool) {
        parts.administrations.insert(id.clone(), Administration { name, pool, domains, languages, retention, offices, topics, rules });
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

fn read_queues(id: &AdministrationId, table: &Table<'_>, names: &Names, parts: &mut Parts) {
    for (queue, node) in table.named("queue", QUEUES_MAX, QueueId::new) {
        if let Some(other) = parts.queues.get(&queue).map(|queue| queue.administration.clone()) {
            node.problem(format!("{other} has a queue `{queue}` already: names of queues are unique over all administrations"));
            continue;
        }
        if let Some(read) = node.table().and_then(|table| queue::read(id, &table, names)) {
            parts.queues.insert(queue, read);
        }
    }
}

fn read_accounts(id: &AdministrationId, table: &Table<'_>, names: &Names, parts: &mut Parts) {
    for (account, node) in table.named("account", ACCOUNTS_MAX, AccountId::new) {
        if let Some(other) = parts.accounts.get(&account).map(|account| account.administration.clone()) {
            node.problem(format!("{other} has an account `{account}` already: names of accounts are unique over all administrations"));
            continue;
        }
        let Some(read) = node.table().and_then(|table| account::read(id, &table, names)) else { continue };
        let twin = parts
            .accounts
            .iter()
            .find(|(_, other)| other.channel == read.channel && other.address.is_some() && other.address == read.address);
        if let Some((other, _)) = twin {
            node.problem(format!("account `{other}` has the same address: what arrives there can have one account only"));
            continue;
        }
        parts.accounts.insert(account, read);
    }
}

fn domains(node: &Node<'_>) -> BTreeSet<String> {
    let nodes = node.array("mail domains").unwrap_or_default();
    if nodes.len() > DOMAINS_MAX {
        node.problem(format!("at most {DOMAINS_MAX} domains are possible"));
        return BTreeSet::new();
    }
    nodes.iter().filter_map(|node| node.parsed(domain)).collect()
}

/// A mail domain in lower case.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let lower = text.trim().to_lowercase();
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if lower.len() <= 253 && lower.split('.').count() >= 2 && lower.split('.').all(label) {
        Ok(lower)
    } else {
        Err(format!("`{}` is not a mail domain: write it without @, such as comune.example", text.chars().take(64).collect::<String>()))
    }
}

fn languages(node: &Node<'_>) -> Vec<Language> {
    let nodes = node.array("languages").unwrap_or_default();
    if nodes.is_empty() || nodes.len() > LANGUAGES_MAX {
        node.problem(format!("name 1 to {LANGUAGES_MAX} languages, the first is the default: [\"it\", \"de\"]"));
    }
    let mut languages = Vec::new();
    for node in nodes.iter().take(LANGUAGES_MAX) {
        match node.parsed(language) {
            Some(language) if languages.contains(&language) => node.problem(format!("`{language}` is named twice")),
            Some(language) => languages.push(language),
            None => {}
        }
    }
    if languages.is_empty() { vec![Language::ITALIAN] } else { languages }
}

/// An ISO 639-1 code.
pub(super) fn language(text: &str) -> Result<Language, String> {
    Language::new(text).map_err(|_| {
        format!(
            "`{}` is not a language: write its two letters in ISO 639-1, such as it, de, fr, sl",
            text.chars().take(64).collect::<String>()
        )
    })
}

/// Operators are members of an office by its name alone: a restricted one must not share it with another administration that the
/// same operators may serve.
fn check_membership(id: &OfficeId, office: &Office, pool: Option<&PoolId>, node: &Node<'_>, parts: &Parts) {
    let twin = parts
        .administrations
        .iter()
        .find(|(_, other)| Some(&other.pool) == pool && other.offices.get(id).is_some_and(|twin| office.restricted || twin.restricted));
    if let Some((other, _)) = twin {
        node.problem(format!(
            "{other} has an office `{id}` too, and one of the two is restricted: who is a member of one would be let into the other. Name one otherwise, such as `{id}-2`"
        ));
    }
}

fn read_office(node: &Node<'_>) -> Office {
    let Some(table) = node.table() else { return Office { name: String::new(), restricted: false } };
    let name = table.need("name", "the office's name").and_then(|node| node.text().map(str::to_owned)).unwrap_or_default();
    let restricted = table.get("restricted").and_then(|node| node.boolean()).unwrap_or(false);
    table.finish();
    Office { name, restricted }
}

fn topic(id: &TopicId, node: &Node<'_>) -> String {
    let Some(table) = node.table() else { return id.to_string() };
    let name = table.need("name", "what operators read in the list of topics").and_then(|node| node.text().map(str::to_owned));
    table.finish();
    name.unwrap_or_else(|| id.to_string())
}

fn rules(id: &AdministrationId, node: &Node<'_>, names: &Names, parts: &Parts) -> Vec<Rule> {
    let nodes = node.array("rules: write [[administration.….rule]]").unwrap_or_default();
    if nodes.len() > RULES_MAX {
        node.problem(format!("there are {} rules: at most {RULES_MAX} are possible", nodes.len()));
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::new();
    let mut catch_all = None;
    for (index, node) in nodes.iter().enumerate() {
        if let Some(earlier) = catch_all {
            node.problem(format!("rule {earlier} holds for every contact, so this one never applies: move it up or remove one of the two"));
        }
        let Some(rule) = node.table().and_then(|table| rule(id, &table, names, parts)) else { continue };
        if catch_all.is_none() && matches!(&rule.when, Condition::All(parts) if parts.is_empty()) {
            catch_all = Some(index + 1);
        }
        rules.push(rule);
    }
    rules
}

fn rule(id: &AdministrationId, table: &Table<'_>, names: &Names, parts: &Parts) -> Option<Rule> {
    let scope = condition::Scope { body: id, names, accounts: &parts.accounts };
    let when = table.need("when", "the condition, or {} for every contact").and_then(|node| condition::read(&node, &scope));
    let queue_node = table.get("queue");
    let queue = queue_node.as_ref().map(|node| queue_of(node, id, names));
    let require_node = table.get("require");
    let requirement = require_node.as_ref().map_or(Some(Requirement::Anybody), |node| requirement::read(node, names));
    let tier_node = table.get("tier");
    let tier = match &tier_node {
        Some(node) => tier(node),
        None => Some(TIER_DEFAULT),
    };
    if queue_node.is_none() && require_node.is_none() && tier_node.is_none() {
        table.problem("nothing follows from this rule: give it a queue, a require or a tier");
    }
    table.finish();
    let queue = match queue {
        None => None,
        Some(read) => Some(read?),
    };
    Some(Rule { when: when?, queue, requirement: requirement?, tier: tier? })
}

fn tier(node: &Node<'_>) -> Option<u8> {
    let tier = node.number(0..=u32::from(u8::MAX))?;
    if TIERS.contains(&tier) {
        return u8::try_from(tier).ok();
    }
    node.problem(match tier {
        0 => "tier 0 is kept for supervisors: write 1 (before all others) to 9; without a tier it is 5".to_owned(),
        _ => format!("{tier} is not a tier: write 1 (before all others) to 9; without a tier it is 5"),
    });
    None
}
