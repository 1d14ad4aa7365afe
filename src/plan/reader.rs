//! Reads a TOML tree with the place of every value, and collects what is wrong with it instead of stopping at the first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::nearest::nearest;
use super::problem::PlanProblem;

/// After this many problems the rest is not worth reading.
const PROBLEMS_MAX: usize = 200;
/// The longest single text in a plan, in bytes.
const TEXT_BYTES_MAX: usize = 2_000;

/// The text being read, and what was wrong so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<PlanProblem>>,
    unsaid: Cell<usize>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::new(Vec::new()), unsaid: Cell::new(0) }
    }

    /// Notes a problem at a place of the text.
    pub(super) fn problem(&self, span: Range<usize>, path: &str, message: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(PlanProblem::at(self.text, span.start, path, message));
        } else {
            self.unsaid.set(self.unsaid.get() + 1);
        }
    }

    /// Every problem, in the order of the text.
    pub(super) fn into_problems(self) -> Vec<PlanProblem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        if self.unsaid.get() > 0 {
            let message = format!("and {} more problems: put these right first", self.unsaid.get());
            problems.push(PlanProblem::at(self.text, self.text.len(), "", message));
        }
        problems
    }
}

/// A value with its place: what it says, where, and what it is called.
#[derive(Clone)]
pub(super) struct Node<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) value: &'r DeValue<'r>,
    pub(super) span: Range<usize>,
    pub(super) path: String,
}

impl<'r> Node<'r> {
    /// Notes a problem with this value.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(self.span.clone(), &self.path, message);
    }

    fn expected(&self, what: &str) {
        self.problem(format!("this is {}: write {what}", kind(self.value)));
    }

    /// The table, or a problem.
    pub(super) fn table(&self) -> Option<Table<'r>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(self.reader, table, self.span.clone(), self.path.clone())),
            _ => {
                self.expected("a table");
                None
            }
        }
    }

    /// The elements of an array, or a problem.
    pub(super) fn array(&self, what: &str) -> Option<Vec<Node<'r>>> {
        match self.value {
            DeValue::Array(array) => {
                Some(array.iter().enumerate().map(|(index, value)| self.child(value, format!("[{}]", index + 1))).collect())
            }
            _ => {
                self.expected(&format!("a list of {what}"));
                None
            }
        }
    }

    fn child(&self, value: &'r Spanned<DeValue<'r>>, suffix: String) -> Node<'r> {
        Node { reader: self.reader, value: value.get_ref(), span: value.span(), path: format!("{}{suffix}", self.path) }
    }

    /// The text, not empty and not too long, or a problem.
    pub(super) fn text(&self) -> Option<&'r str> {
        match self.value {
            DeValue::String(text) if text.trim().is_empty() => {
                self.problem("this is empty: write something or leave the key out");
                None
            }
            DeValue::String(text) if text.len() > TEXT_BYTES_MAX => {
                self.problem(format!("this is longer than {TEXT_BYTES_MAX} bytes: shorten it"));
                None
            }
            DeValue::String(text) if text.chars().any(char::is_control) => {
                self.problem("this holds a control character: take it out");
                None
            }
            DeValue::String(text) => Some(text.as_ref()),
            _ => {
                self.expected("a text in quotation marks");
                None
            }
        }
    }

    /// One text or a list of texts; a problem if there is none at all.
    pub(super) fn texts(&self, what: &str) -> Option<Vec<(Node<'r>, &'r str)>> {
        let nodes = if matches!(self.value, DeValue::Array(_)) { self.array(what)? } else { vec![self.clone()] };
        if nodes.is_empty() {
            self.problem(format!("this list is empty and could never hold: name at least one of {what}"));
            return None;
        }
        nodes.into_iter().map(|node| node.text().map(|text| (node, text))).collect()
    }

    /// What the text means by `parse`, or its error as a problem.
    pub(super) fn parsed<T, E: Display>(&self, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(error.to_string());
                None
            }
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.expected("true or false");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let wanted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        match self.value {
            DeValue::Integer(integer) => match u32::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) if bounds.contains(&number) => Some(number),
                _ => {
                    self.problem(format!("{integer} is out of bounds: write {wanted}"));
                    None
                }
            },
            _ => {
                self.expected(&wanted);
                None
            }
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        if !matches!(self.value, DeValue::String(_)) {
            self.expected("a duration in quotation marks, such as \"30s\", \"20m\", \"2h\" or \"1d\"");
            return None;
        }
        let value = self.parsed(duration::parse)?;
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (duration::format(*bounds.start()), duration::format(*bounds.end()));
        self.problem(format!("{} is out of bounds: write a duration from {least} to {most}", duration::format(value)));
        None
    }
}

/// A table of which every key must be asked for; what nobody asked for is refused at the end.
pub(super) struct Table<'r> {
    reader: &'r Reader<'r>,
    table: &'r DeTable<'r>,
    pub(super) span: Range<usize>,
    pub(super) path: String,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'r> Table<'r> {
    pub(super) fn new(reader: &'r Reader<'r>, table: &'r DeTable<'r>, span: Range<usize>, path: String) -> Self {
        Self { reader, table, span, path, asked: RefCell::default() }
    }

    /// Notes a problem with the table as a whole.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(self.span.clone(), &self.path, message);
    }

    /// The value of a key, if it is written.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'r>> {
        self.asked.borrow_mut().insert(key);
        let value = self.table.get(key)?;
        Some(Node { reader: self.reader, value: value.get_ref(), span: value.span(), path: self.join(key) })
    }

    /// The value of a key that must be written.
    pub(super) fn need(&self, key: &'static str, what: &str) -> Option<Node<'r>> {
        let node = self.get(key);
        if node.is_none() {
            self.problem(format!("`{key}` is missing: write {what}"));
        }
        node
    }

    /// The entries of a table under `key` whose keys are names, at most `max`. Entries with a bad name are refused and left out.
    pub(super) fn named<I, E: Display>(&self, key: &'static str, max: usize, name: impl Fn(&str) -> Result<I, E>) -> Vec<(I, Node<'r>)> {
        let Some(table) = self.get(key).and_then(|node| node.table()) else { return Vec::new() };
        if table.table.len() > max {
            table.problem(format!("there are {} here: at most {max} are possible", table.table.len()));
            return Vec::new();
        }
        let entries = table.table.iter().filter_map(|(key, value)| {
            let path = table.join(key.get_ref());
            match name(key.get_ref()) {
                Ok(id) => Some((id, Node { reader: self.reader, value: value.get_ref(), span: key.span(), path })),
                Err(error) => {
                    self.reader.problem(key.span(), &path, error.to_string());
                    None
                }
            }
        });
        entries.collect()
    }

    /// How many keys are written.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Every key as text with its value: for tables whose keys are not names.
    pub(super) fn entries(&self) -> Vec<(String, Node<'r>)> {
        let entries = self.table.iter().map(|(key, value)| {
            let node = Node { reader: self.reader, value: value.get_ref(), span: value.span(), path: self.join(key.get_ref()) };
            (key.get_ref().to_string(), node)
        });
        entries.collect()
    }

    /// Refuses every key that nobody asked for, with the nearest that somebody did.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter().filter(|(key, _)| !asked.contains(key.get_ref().as_ref())) {
            let key_text = key.get_ref().chars().take(64).collect::<String>();
            let hint = match nearest(&key_text, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.reader.problem(key.span(), &self.join(&key_text), format!("there is no key `{key_text}` here: {hint}"));
        }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
