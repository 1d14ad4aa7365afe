//! Where a setting came from, so that a problem can be put right where it was made.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// The prefix of environment variables that are settings.
pub const ENVIRONMENT_PREFIX: &str = "SPORTELLO__";

/// What was read, to look keys up in.
pub(super) struct Origins<'s> {
    pub(super) file: Option<(&'s Path, String)>,
    pub(super) environment: &'s BTreeMap<String, String>,
    pub(super) overrides: &'s [(String, String)],
}

impl Origins<'_> {
    /// Where the key was set last: a flag, the environment, a line of the file, or the defaults.
    pub(super) fn of(&self, key: &str) -> String {
        let covers = |set: &str| set == key || key.strip_prefix(set).is_some_and(|rest| rest.starts_with('.'));
        if let Some((set, _)) = self.overrides.iter().rev().find(|(set, _)| covers(&set.to_lowercase()) || covers(set)) {
            return format!("--set {set}");
        }
        let variable = self.environment.keys().find(|name| variable_key(name).is_some_and(|set| covers(&set)));
        if let Some(name) = variable {
            return format!("the environment ({name})");
        }
        match &self.file {
            Some((path, text)) => match line_of(text, key) {
                Some(line) => format!("{}, line {line}", path.display()),
                None => "the default".to_owned(),
            },
            None => "the default".to_owned(),
        }
    }

    /// The line of the file at a byte.
    pub(super) fn file_line(&self, byte: usize) -> Option<(PathBuf, usize)> {
        let (path, text) = self.file.as_ref()?;
        Some((path.to_path_buf(), line_at(text, byte)))
    }
}

/// `SPORTELLO__BROKER__URL` is `broker.url`.
pub(super) fn variable_key(name: &str) -> Option<String> {
    let start = name.get(..ENVIRONMENT_PREFIX.len())?;
    start.eq_ignore_ascii_case(ENVIRONMENT_PREFIX).then(|| name[ENVIRONMENT_PREFIX.len()..].to_lowercase().replace("__", "."))
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// The line where a key, or the nearest table above it that the file has, is written.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found: Option<Range<usize>> = None;
    let segments: Vec<&str> = key.split('.').collect();
    for (index, segment) in segments.iter().enumerate() {
        let Some((name, value)) = table.get_key_value(*segment) else { break };
        // A table that holds the key's neighbours only is not where the key came from, but where to add it.
        found = Some(name.span());
        match value.get_ref() {
            DeValue::Table(inner) if index + 1 < segments.len() => table = inner,
            _ => break,
        }
    }
    found.map(|span| line_at(text, span.start))
}
