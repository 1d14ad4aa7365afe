//! `when = { … }`: the condition of a rule. Words are found whole and without regard to capitals; what can never hold is
//! refused.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::super::Account;
use super::super::reader::{Node, Table};
use super::super::rule::{Condition, Subject};
use super::administration::language;
use super::{Names, reference};
use crate::model::channel::Channel;
use crate::model::id::{AccountId, AdministrationId};

/// The most conditions in one rule.
const CONDITIONS_MAX: usize = 64;
/// The most values one test may list.
const VALUES_MAX: usize = 200;
/// The longest expression, in characters.
const EXPRESSION_CHARS_MAX: usize = 1_000;
/// The most memory one compiled expression may take, in bytes. Matching is linear in the text whatever it says.
const EXPRESSION_BYTES_MAX: usize = 1024 * 1024;

/// What a condition may refer to.
pub(super) struct Scope<'a> {
    pub(super) body: &'a AdministrationId,
    pub(super) names: &'a Names,
    pub(super) accounts: &'a BTreeMap<AccountId, Account>,
}

impl Scope<'_> {
    /// Whether an account of the body is on the channel. An account that could not be read may be on any.
    fn has_channel(&self, channel: &Channel) -> bool {
        let mut own = self.accounts.values().filter(|account| account.administration == *self.body);
        own.clone().count() < self.names.accounts_of(self.body).len() || own.any(|account| account.channel == *channel)
    }
}

pub(super) fn read(node: &Node<'_>, scope: &Scope<'_>) -> Option<Condition> {
    let condition = part(node, scope)?;
    let conditions = count(&condition);
    if conditions > CONDITIONS_MAX {
        node.problem(format!("this rule holds {conditions} conditions: at most {CONDITIONS_MAX} are possible"));
        return None;
    }
    Some(condition)
}

/// A table holds if each of its keys does.
fn part(node: &Node<'_>, scope: &Scope<'_>) -> Option<Condition> {
    let table = node.table()?;
    let mut parts = Vec::new();
    if let Some(node) = table.get("all") {
        parts.push(list(&node, scope).map(Condition::All));
    }
    if let Some(node) = table.get("any") {
        parts.push(list(&node, scope).map(Condition::Any));
    }
    if let Some(node) = table.get("not") {
        parts.push(negated(&node, scope));
    }
    for (key, subject) in subjects() {
        if let Some(node) = table.get(key) {
            parts.push(test(&node, subject, scope));
        }
    }
    if let Some(attributes) = table.get("attribute").and_then(|node| node.table()) {
        for (name, node) in attributes.entries() {
            parts.push(test(&node, Subject::Attribute(name), scope));
        }
    }
    table.finish();
    let mut parts: Vec<Condition> = parts.into_iter().collect::<Option<_>>()?;
    contradiction(&table, &parts);
    Some(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
}

fn subjects() -> [(&'static str, Subject); 8] {
    [
        ("channel", Subject::Channel),
        ("account", Subject::Account),
        ("from", Subject::From),
        ("to", Subject::To),
        ("subject", Subject::SubjectLine),
        ("text", Subject::Text),
        ("subject_or_text", Subject::SubjectOrText),
        ("language", Subject::Language),
    ]
}

fn list(node: &Node<'_>, scope: &Scope<'_>) -> Option<Vec<Condition>> {
    let nodes = node.array("conditions")?;
    if nodes.is_empty() {
        node.problem("this list is empty: name at least one condition");
        return None;
    }
    nodes.iter().map(|node| part(node, scope)).collect()
}

fn negated(node: &Node<'_>, scope: &Scope<'_>) -> Option<Condition> {
    let inner = part(node, scope)?;
    if matches!(&inner, Condition::All(parts) if parts.is_empty()) {
        node.problem("the opposite of everything never holds: say what it must not be");
        return None;
    }
    Some(Condition::Not(Box::new(inner)))
}

/// `"value"`, `["one", "other"]`, `{ is = … }`, `{ contains = … }`, `{ words = … }` or `{ matches = "…" }`.
fn test(node: &Node<'_>, subject: Subject, scope: &Scope<'_>) -> Option<Condition> {
    if !matches!(node.value, toml::de::DeValue::Table(_)) {
        return is(node, subject, scope);
    }
    let table = node.table()?;
    let tests = (table.get("is"), table.get("contains"), table.get("words"), table.get("matches"));
    table.finish();
    match tests {
        (Some(node), None, None, None) => is(&node, subject, scope),
        (None, Some(node), None, None) => any_of(&node, subject, false),
        (None, None, Some(node), None) => any_of(&node, subject, true),
        (None, None, None, Some(node)) => matches(&node, subject),
        _ => {
            table.problem("write one test: is, words (whole words), contains (anywhere) or matches (a regular expression)");
            None
        }
    }
}

fn is(node: &Node<'_>, subject: Subject, scope: &Scope<'_>) -> Option<Condition> {
    let values = node.texts("values")?;
    if values.len() > VALUES_MAX {
        node.problem(format!("at most {VALUES_MAX} values are possible"));
        return None;
    }
    let values = values.iter().map(|(node, text)| value(node, text, &subject, scope));
    Some(Condition::Is(subject.clone(), values.collect::<Option<_>>()?))
}

/// A value as it is compared: checked against what the plan knows, in lower case.
fn value(node: &Node<'_>, text: &str, subject: &Subject, scope: &Scope<'_>) -> Option<String> {
    match subject {
        Subject::Account => {
            let known = scope.names.accounts_of(scope.body);
            reference(node, &format!("account of {}", scope.body), known, AccountId::new).map(|id| id.to_string())
        }
        Subject::Channel => {
            let channel = node.parsed(Channel::new)?;
            if !scope.has_channel(&channel) {
                node.problem(format!("no account of {} is on the channel `{channel}`, so this never holds", scope.body));
                return None;
            }
            Some(channel.to_string())
        }
        Subject::Language => {
            // One that the body does not answer in may still be told apart, to send it to somebody who finds a way.
            node.parsed(language).map(|language| language.to_string())
        }
        _ => Some(text.to_lowercase()),
    }
}

/// One expression for all the words: a long text is read once, whatever their number.
fn any_of(node: &Node<'_>, subject: Subject, whole: bool) -> Option<Condition> {
    let words = node.texts("words")?;
    if words.len() > VALUES_MAX {
        node.problem(format!("at most {VALUES_MAX} words are possible"));
        return None;
    }
    let alternatives: Vec<String> = words.iter().map(|(_, word)| spaced(word)).collect();
    let alternatives = alternatives.join("|");
    // Not `\b`: beside a word that ends in a sign (`c.i.`) it would ask for a letter.
    let expression =
        if whole { format!(r"(?:^|[^\p{{L}}\p{{N}}_])(?:{alternatives})(?:$|[^\p{{L}}\p{{N}}_])") } else { format!("(?:{alternatives})") };
    Some(Condition::Matches(subject, compile(node, &expression)?))
}

/// The word as an expression; a space in it stands for any white space, for mails are folded anywhere.
fn spaced(word: &str) -> String {
    word.split_whitespace().map(regex::escape).collect::<Vec<_>>().join(r"\s+")
}

fn matches(node: &Node<'_>, subject: Subject) -> Option<Condition> {
    let expression = node.text()?;
    if expression.chars().count() > EXPRESSION_CHARS_MAX {
        node.problem(format!("an expression has at most {EXPRESSION_CHARS_MAX} characters"));
        return None;
    }
    let compiled = compile(node, expression)?;
    if compiled.is_match("") {
        node.problem("this expression matches the empty text, so it always holds: leave the condition out or say what must be there");
        return None;
    }
    Some(Condition::Matches(subject, compiled))
}

fn compile(node: &Node<'_>, expression: &str) -> Option<Regex> {
    let built = RegexBuilder::new(expression)
        .case_insensitive(true)
        .size_limit(EXPRESSION_BYTES_MAX)
        .dfa_size_limit(2 * EXPRESSION_BYTES_MAX)
        .nest_limit(50)
        .build();
    match built {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            node.problem("this expression is too large: use fewer repetitions or fewer words");
            None
        }
        Err(error) => {
            // The last line says what is wrong; those before draw the expression.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            node.problem(format!("this is not a regular expression: {reason}"));
            None
        }
    }
}

/// Two tests of one single-valued subject that have no value in common.
fn contradiction(table: &Table<'_>, parts: &[Condition]) {
    let mut flat = Vec::new();
    flatten(parts, &mut flat);
    for (index, (subject, values)) in flat.iter().enumerate() {
        for (other, others) in &flat[index + 1..] {
            let single = matches!(subject, Subject::Channel | Subject::Account | Subject::Language | Subject::From);
            if single && subject == other && !values.iter().any(|value| others.contains(value)) {
                table.problem(format!("this never holds: `{}` and `{}` at once", values.join("`, `"), others.join("`, `")));
            }
        }
    }
}

fn flatten<'c>(parts: &'c [Condition], flat: &mut Vec<(&'c Subject, &'c Vec<String>)>) {
    for part in parts {
        match part {
            Condition::All(parts) => flatten(parts, flat),
            Condition::Is(subject, values) => flat.push((subject, values)),
            _ => {}
        }
    }
}

fn count(condition: &Condition) -> usize {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => 1 + parts.iter().map(count).sum::<usize>(),
        Condition::Not(part) => 1 + count(part),
        Condition::Is(..) | Condition::Contains(..) | Condition::Matches(..) => 1,
    }
}
