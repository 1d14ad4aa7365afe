//! The house's plan, proved by reading the `use crate::` lines: who may know whom, and that every file says what it is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each part of `src/` may import besides itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("plan", &["model"]),
    ("routing", &["model", "plan"]),
    ("port", &["model", "plan"]),
    ("fault", &[]),
    ("broker", &["model", "port", "fault"]),
    ("store", &["model", "port", "fault"]),
    ("channel", &["model", "plan", "port", "fault"]),
    ("desk", &["model", "plan", "port", "fault"]),
    ("settings", &["model", "plan"]),
    ("telemetry", &["model", "port"]),
    ("runtime", &["broker", "channel", "desk", "fault", "model", "plan", "port", "routing", "settings", "store", "telemetry"]),
    ("cli", &["channel", "desk", "model", "plan", "port", "runtime", "settings", "telemetry"]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(&root).expect("below src").display().to_string();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a source is text"))).collect()
}

#[test]
fn parts_import_only_what_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let part = name.split(['/', '.']).next().expect("a name has a beginning");
        let Some(allowed) = allowed.get(part) else { continue };
        for line in text.lines() {
            let Some(rest) = line.split("crate::").nth(1).filter(|_| !line.trim_start().starts_with("//")) else { continue };
            let imported = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if imported != part && MAY_IMPORT.iter().any(|(known, _)| *known == imported) && !allowed.contains(&imported) {
                wrong.push(format!("{name}: {part} must not know {imported}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "without a first line that says what they are for: {silent:?}");
}

/// Who begins reads what to install, in the versions and packages that the build and the tests ask for.
#[test]
fn the_pages_name_what_is_needed() {
    let read = |file: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a page is text");
    let after = |text: &str, mark: &str| {
        let rest = text.split_once(mark).expect("it is said there").1;
        rest.split(['"', ' ']).next().expect("a text has a beginning").to_owned()
    };
    let versions = [
        format!("Rust {}", after(&read("Cargo.toml"), "rust-version = \"")),
        format!("Node {}", after(&read("web/package.json"), "\"node\": \">=")),
    ];
    let contributing = read("CONTRIBUTING.md");
    for page in [&read("README.md"), &contributing] {
        assert!(versions.iter().all(|version| page.contains(version)), "{versions:?} in {page}");
    }
    let tools = read("tests/tools.sh");
    let packages: Vec<String> = tools.lines().filter(|line| line.starts_with("need ")).map(|line| after(line, "need ")).collect();
    assert!(packages.len() >= 10, "{packages:?}");
    let named: Vec<&str> = contributing.split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
    let missing: Vec<&String> = packages.iter().filter(|package| !named.contains(&package.as_str())).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md does not name {missing:?}");
}

#[test]
fn only_the_store_knows_sql() {
    let knows: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| !name.starts_with("store") && !name.starts_with("broker/embedded") && text.contains("sqlx::"))
        .map(|(name, _)| name)
        .collect();
    assert!(knows.is_empty(), "{knows:?}");
}

#[test]
fn only_the_daemon_names_backends() {
    let backends = ["PostgresStore", "SqliteStore", "AmqpBroker", "EmbeddedBroker", "FolderBlobs"];
    let named: Vec<String> = sources()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("store") && !name.starts_with("broker") && name != "runtime/daemon/backends.rs")
        .filter(|(_, text)| backends.iter().any(|backend| text.contains(backend)))
        .map(|(name, _)| name)
        .collect();
    assert!(named.is_empty(), "{named:?}");
}
