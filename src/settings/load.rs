//! Puts the sources together, reads each section, and collects every problem before anything starts.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, ConfigError, Environment, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::origin::{Origins, variable_key};
use super::{DEFAULTS, Settings, SettingsProblem};
use crate::plan::duration;
use crate::plan::nearest::nearest;

/// The largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where settings come from beside the defaults, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables by name; those that do not begin with `SPORTELLO__` are ignored.
    pub environment: BTreeMap<String, String>,
    /// `--set section.key=value` in their order.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// With this process's environment. A variable that is not UTF-8 is left out, as it cannot be a setting.
    pub fn from_environment(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, environment: environment.filter(|(name, _)| variable_key(name).is_some()).collect(), overrides }
    }
}

impl Sources {
    /// Where a key was set last: `/etc/sportello.toml, line 3`, `the environment (SPORTELLO__BROKER__URL)`, `--set broker.url`.
    pub fn origin_of(&self, key: &str) -> String {
        let file = self.file.as_deref().zip(read_file(self).ok().flatten());
        Origins { file, environment: &self.environment, overrides: &self.overrides }.of(key)
    }

    /// What is read beside the defaults, in a sentence's part: `/etc/sportello.toml, 2 variables of the environment`.
    pub fn described(&self) -> String {
        let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let (variables, set) = (count(self.environment.len(), "of the environment"), count(self.overrides.len(), "by --set"));
        let read: Vec<String> = [file, variables, set].into_iter().flatten().collect();
        if read.is_empty() { "nothing but the defaults".to_owned() } else { read.join(", ") }
    }
}

/// A section that can fill in its secrets and check itself. Keys given to `problem` are within the section.
pub(super) trait Check {
    /// Reads secrets from the files beside them.
    fn resolve(&mut self, _problem: &mut dyn FnMut(&str, String)) {}

    /// Notes values that no type refuses.
    fn check(&mut self, problem: &mut dyn FnMut(&str, String));
}

impl Check for super::Roles {
    fn check(&mut self, _problem: &mut dyn FnMut(&str, String)) {}
}

/// Notes a duration outside `least..=most` seconds.
pub(super) fn within(key: &str, value: Duration, least: u64, most: u64, problem: &mut dyn FnMut(&str, String)) {
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    if !(least..=most).contains(&value) {
        problem(key, format!("write a duration from {} to {}", duration::format(least), duration::format(most)));
    }
}

const SECTIONS: [&str; 14] = [
    "roles",
    "installation",
    "data",
    "broker",
    "store",
    "desk",
    "public",
    "channel_api",
    "email",
    "sms",
    "webchat",
    "router",
    "metrics",
    "log",
];

pub(super) fn load(sources: &Sources) -> Result<Settings, Vec<SettingsProblem>> {
    let text = read_file(sources).map_err(|problem| vec![problem])?;
    let file = sources.file.as_deref().zip(text);
    let origins = Origins { file, environment: &sources.environment, overrides: &sources.overrides };
    let mut loader = Loader { origins, merged: Value::new(None, ValueKind::Nil), defaults: defaults(), problems: Vec::new() };
    match merge(sources, &loader.origins) {
        Ok(merged) => loader.merged = merged,
        Err(problem) => return Err(vec![problem]),
    }
    loader.unknown_sections();
    let settings = loader.settings();
    if let Some(settings) = &settings {
        let mut problems = Vec::new();
        settings.check(&mut |key, message| problems.push((key.to_owned(), message)));
        problems.into_iter().for_each(|(key, message)| loader.problem(&key, message));
    }
    let mut problems = loader.problems;
    problems.sort();
    problems.dedup();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems),
    }
}

fn read_file(sources: &Sources) -> Result<Option<String>, SettingsProblem> {
    let Some(path) = &sources.file else { return Ok(None) };
    let problem = |message: String| SettingsProblem { key: String::new(), origin: path.display().to_string(), message };
    let metadata = std::fs::metadata(path).map_err(|error| problem(format!("the settings file cannot be read: {error}")))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(problem(format!("the settings file is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| problem(format!("the settings file cannot be read: {error}")))
}

fn defaults() -> Value {
    let built = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)).build();
    built.expect("the compiled-in defaults are TOML").cache
}

fn merge(sources: &Sources, origins: &Origins<'_>) -> Result<Value, SettingsProblem> {
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some((path, text)) = &origins.file {
        if let Err(error) = toml::de::DeTable::parse(text) {
            let (path, line) = error.span().and_then(|span| origins.file_line(span.start)).unwrap_or((path.to_path_buf(), 1));
            let origin = format!("{}, line {line}", path.display());
            return Err(SettingsProblem { key: String::new(), origin, message: format!("this is not TOML: {}", error.message()) });
        }
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    // Without try_parsing: it would make a number of a secret such as 012345. Numbers are read from text where one is wanted.
    let environment = Environment::with_prefix("SPORTELLO")
        .prefix_separator("__")
        .separator("__")
        .source(Some(sources.environment.clone().into_iter().collect::<HashMap<_, _>>()));
    builder = builder.add_source(environment);
    for (key, value) in &sources.overrides {
        builder = builder.set_override(key.as_str(), value.as_str()).map_err(|error| SettingsProblem {
            key: key.clone(),
            origin: format!("--set {key}"),
            message: format!("this is not a key ({error}): write section.key=value"),
        })?;
    }
    let built = builder.build().map_err(|error| SettingsProblem {
        key: String::new(),
        origin: "the settings".to_owned(),
        message: format!("the sources do not fit together: {error}"),
    })?;
    Ok(built.cache)
}

struct Loader<'s> {
    origins: Origins<'s>,
    merged: Value,
    defaults: Value,
    problems: Vec<SettingsProblem>,
}

impl Loader<'_> {
    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(SettingsProblem { key: key.to_owned(), origin: self.origins.of(key), message });
    }

    fn unknown_sections(&mut self) {
        let ValueKind::Table(table) = &self.merged.kind else { return };
        let unknown: Vec<String> = table.keys().filter(|key| !SECTIONS.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            let hint = match nearest(&key, SECTIONS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", SECTIONS.join(", ")),
            };
            self.problem(&key, format!("there is no section `{key}`: {hint}"));
        }
    }

    fn settings(&mut self) -> Option<Settings> {
        // Each is read before any is missed: so every section's problems are found.
        let (roles, installation, data) = (self.section("roles"), self.section("installation"), self.section("data"));
        let (broker, store, desk) = (self.section("broker"), self.section("store"), self.section("desk"));
        let (channel_api, email, sms) = (self.section("channel_api"), self.section("email"), self.section("sms"));
        let webchat = self.section("webchat");
        let (public, router) = (self.section("public"), self.section("router"));
        let (metrics, log) = (self.section("metrics"), self.section("log"));
        Some(Settings {
            roles: roles?,
            installation: installation?,
            data: data?,
            broker: broker?,
            store: store?,
            desk: desk?,
            public: public?,
            channel_api: channel_api?,
            email: email?,
            sms: sms?,
            webchat: webchat?,
            router: router?,
            metrics: metrics?,
            log: log?,
        })
    }

    fn section<T: DeserializeOwned + Check>(&mut self, name: &'static str) -> Option<T> {
        let value = entry(&self.merged, name)?;
        match value.clone().try_deserialize::<T>() {
            Ok(mut section) => {
                let mut found = Vec::new();
                section.resolve(&mut |key, message| found.push((key.to_owned(), message)));
                section.check(&mut |key, message| found.push((key.to_owned(), message)));
                found.into_iter().for_each(|(key, message)| self.problem(&format!("{name}.{key}"), message));
                Some(section)
            }
            Err(error) => {
                self.explain::<T>(name, &value, &error);
                None
            }
        }
    }

    /// Serde stops at the first mistake; so each value is tried alone among the defaults, and each mistake found.
    fn explain<T: DeserializeOwned>(&mut self, name: &str, value: &Value, whole: &ConfigError) {
        let default = entry(&self.defaults, name).unwrap_or_else(|| Value::new(None, ValueKind::Nil));
        let mut leaves = Vec::new();
        leaves_of(value, &mut Vec::new(), &mut leaves);
        let before = self.problems.len();
        for (path, leaf) in leaves {
            let mut candidate = default.clone();
            put(&mut candidate, &path, leaf);
            if let Err(error) = candidate.try_deserialize::<T>() {
                let key = std::iter::once(name).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
                self.problem(&key, said(&error));
            }
        }
        if self.problems.len() == before {
            self.problem(name, said(whole));
        }
    }
}

fn entry(table: &Value, key: &str) -> Option<Value> {
    match &table.kind {
        ValueKind::Table(table) => table.get(key).cloned(),
        _ => None,
    }
}

fn leaves_of(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => {
            let sorted: BTreeMap<_, _> = table.iter().collect();
            for (key, value) in sorted {
                path.push(key.clone());
                leaves_of(value, path, leaves);
                path.pop();
            }
        }
        ValueKind::Table(_) => {}
        _ => leaves.push((path.clone(), value.clone())),
    }
}

fn put(into: &mut Value, path: &[String], leaf: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = leaf;
        return;
    };
    if !matches!(into.kind, ValueKind::Table(_)) {
        into.kind = ValueKind::Table(config::Map::new());
    }
    if let ValueKind::Table(table) = &mut into.kind {
        put(table.entry(first.clone()).or_insert_with(|| Value::new(None, ValueKind::Nil)), rest, leaf);
    }
}

/// What an error says, without the key and the value: the one is named beside it, the other may be a secret.
fn said(error: &ConfigError) -> String {
    match error {
        ConfigError::Type { expected, .. } => format!("this must be {expected}"),
        ConfigError::At { error, .. } => said(error),
        ConfigError::Message(message) => match message.split_once(" does not have variant constructor ") {
            Some((_, written)) => format!("`{written}` is not one of the choices: config/default.toml names them"),
            None => message.clone(),
        },
        ConfigError::Foreign(inner) => inner.to_string(),
        other => other.to_string(),
    }
}
