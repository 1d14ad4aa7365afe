//! From the plan file to the plan: TOML with everything named once, every reference checked, every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::PlanProblem;
use super::reader::{Node, Reader, Table};
use super::{Account, Administration, Plan, Queue};
use crate::model::id::{AccountId, AdministrationId, OfficeId, PoolId, QueueId, SkillId};

mod account;
mod administration;
mod condition;
mod queue;
mod requirement;
#[cfg(test)]
mod tests;

/// The longest plan, in bytes.
pub const PLAN_BYTES_MAX: usize = 1024 * 1024;
/// The most of each thing one file may name.
const POOLS_MAX: usize = 64;
const ADMINISTRATIONS_MAX: usize = 500;
const SKILLS_MAX: usize = 1_000;

/// Reads and checks a plan file. Whatever is wrong is in the error, each with line, column and what to do, in the file's order.
pub fn parse(text: &str) -> Result<Plan, Vec<PlanProblem>> {
    if text.len() > PLAN_BYTES_MAX {
        return Err(vec![PlanProblem::at(text, 0, "", format!("the plan is longer than {PLAN_BYTES_MAX} bytes: split it by pool"))]);
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            PlanProblem::at(text, start, "", format!("this is not TOML: {}", error.message()))
        };
        return Err(errors.into_iter().take(20).map(problem).collect());
    }
    let reader = Reader::new(text);
    let plan = {
        let root = Table::new(&reader, document.get_ref(), 0..0, String::new());
        let names = Names::gather(document.get_ref());
        plan(&root, &names)
    };
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

fn plan(root: &Table<'_>, names: &Names) -> Plan {
    let mut plan = Plan::default();
    for (id, node) in root.named("pool", POOLS_MAX, PoolId::new) {
        if let Some(table) = node.table() {
            table.finish();
        }
        plan.pools.insert(id);
    }
    if names.pools.is_empty() {
        root.problem("no pool is named: write [pool.main], or a name of your own");
    }
    for (id, node) in root.named("skill", SKILLS_MAX, SkillId::new) {
        plan.skills.insert(id.clone(), skill_name(&id, &node));
    }
    let mut parts = Parts::default();
    for (id, node) in root.named("administration", ADMINISTRATIONS_MAX, AdministrationId::new) {
        if let Some(table) = node.table() {
            administration::read(&id, &table, names, &mut parts);
        }
    }
    if names.administrations.is_empty() {
        root.problem("no administration is named: write [administration.comune], or a name of your own");
    }
    root.finish();
    plan.administrations = parts.administrations;
    plan.queues = parts.queues;
    plan.accounts = parts.accounts;
    plan
}

fn skill_name(id: &SkillId, node: &Node<'_>) -> String {
    let Some(table) = node.table() else { return id.to_string() };
    let name = table.get("name").and_then(|node| node.text().map(str::to_owned));
    table.finish();
    name.unwrap_or_else(|| id.to_string())
}

/// What administrations are made of, as far as it was readable.
#[derive(Default)]
struct Parts {
    administrations: BTreeMap<AdministrationId, Administration>,
    queues: BTreeMap<QueueId, Queue>,
    accounts: BTreeMap<AccountId, Account>,
}

/// Every name in the file, gathered before anything is checked: so a reference to something that is written wrongly is not a
/// second problem.
#[derive(Default)]
struct Names {
    pools: BTreeSet<String>,
    skills: BTreeSet<String>,
    administrations: BTreeSet<String>,
    offices: BTreeMap<String, BTreeSet<String>>,
    queues: BTreeMap<String, BTreeSet<String>>,
    accounts: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    fn gather(root: &DeTable<'_>) -> Self {
        let mut names = Self { pools: keys(root, "pool"), skills: keys(root, "skill"), ..Self::default() };
        names.administrations = keys(root, "administration");
        let Some(bodies) = sub_table(root, "administration") else { return names };
        for (body, value) in bodies.iter() {
            let DeValue::Table(table) = value.get_ref() else { continue };
            let body = body.get_ref().to_string();
            names.offices.insert(body.clone(), keys(table, "office"));
            names.queues.insert(body.clone(), keys(table, "queue"));
            names.accounts.insert(body, keys(table, "account"));
        }
        names
    }

    fn offices_of(&self, body: &AdministrationId) -> &BTreeSet<String> {
        self.offices.get(body.as_str()).expect("every administration was gathered")
    }

    fn queues_of(&self, body: &AdministrationId) -> &BTreeSet<String> {
        self.queues.get(body.as_str()).expect("every administration was gathered")
    }

    fn accounts_of(&self, body: &AdministrationId) -> &BTreeSet<String> {
        self.accounts.get(body.as_str()).expect("every administration was gathered")
    }
}

fn sub_table<'a, 'd>(table: &'a DeTable<'d>, key: &str) -> Option<&'a DeTable<'d>> {
    match table.get(key)?.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn keys(table: &DeTable<'_>, key: &str) -> BTreeSet<String> {
    sub_table(table, key).map(|table| table.iter().map(|(key, _)| key.get_ref().to_string()).collect()).unwrap_or_default()
}

/// A name that must be one of `known`; `what` is `queue of comune`.
fn reference<I, E: Display>(node: &Node<'_>, what: &str, known: &BTreeSet<String>, name: impl Fn(&str) -> Result<I, E>) -> Option<I> {
    let written = node.text()?;
    if !known.contains(written) {
        let hint = match nearest(written, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none at all yet".to_owned(),
            None => format!("there are {}", known.iter().take(20).cloned().collect::<Vec<_>>().join(", ")),
        };
        node.problem(format!("there is no {what} called `{}`: {hint}", written.chars().take(64).collect::<String>()));
        return None;
    }
    // A known name that breaks the rule for names was refused where it is written.
    name(written).ok()
}

fn office(node: &Node<'_>, body: &AdministrationId, names: &Names) -> Option<OfficeId> {
    reference(node, &format!("office of {body}"), names.offices_of(body), OfficeId::new)
}

fn queue_of(node: &Node<'_>, body: &AdministrationId, names: &Names) -> Option<QueueId> {
    reference(node, &format!("queue of {body}"), names.queues_of(body), QueueId::new)
}
