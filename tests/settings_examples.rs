//! The example files are in order, and the binary's own documentation names what exists.

use sportello::settings::{DEFAULTS, Settings, Sources};

/// The production example names files that are not on this machine; nothing else may be wrong with it.
#[test]
fn the_production_example_lacks_only_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = include_str!("../config/example/production.toml");
    let secret = |name: &str| folder.path().join(name);
    for (name, content) in [
        ("broker-url", "amqp://sportello:secret@localhost"),
        ("store-url", "postgres://sportello:secret@localhost/sportello"),
        ("smtp-password", "secret"),
        ("urp-imap", "secret"),
        ("tributi-imap", "secret"),
        ("urp-sms", "secret"),
    ] {
        std::fs::write(secret(name), content).expect("written");
    }
    let here = text.replace("/etc/sportello/credentials", &folder.path().display().to_string());
    let file = secret("sportello.toml");
    std::fs::write(&file, here).expect("written");
    let settings = Settings::load(&Sources { file: Some(file), ..Sources::default() }).expect("in order");
    assert_eq!(settings.email.mailbox.len(), 2);
    let plan = sportello::plan::parse(include_str!("../config/example/plan.toml")).expect("in order");
    assert_eq!(settings.mismatches(&plan), []);
    // Service and commands at the prompt are one user with one file, so nothing but that file says where the data is.
    let (service, users) = (include_str!("../deploy/systemd/sportello.service"), include_str!("../deploy/systemd/sportello.sysusers.conf"));
    let folder = settings.data.folder.display();
    assert_eq!(service.matches("Environment=").count(), 1, "SPORTELLO_CONFIG only");
    assert!(service.contains("\nUser=sportello\n") && users.contains("\nu sportello "));
    assert!(service.contains(&format!("\nWorkingDirectory={folder}\n")) && users.contains(&format!("{folder}\n")), "{folder}");
}

#[test]
fn every_key_of_the_plan_page_is_one_that_the_parser_knows() {
    // Every key in the first column of the page's tables, written into the right table, is not an unknown key.
    let page = include_str!("../docs/plan.md");
    let mut section = "";
    let mut checked = 0;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches('`');
        }
        let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(key, _)| key) else { continue };
        if !key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            continue;
        }
        let text = format!("{}\n{key} = []\n", section.replace("<name>", "x"));
        let problems = sportello::plan::parse(&text).expect_err("a bare table is no plan");
        let unknown = problems.iter().any(|problem| problem.message.starts_with(&format!("there is no key `{key}`")));
        assert!(!unknown, "{section} has no key {key}");
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn the_defaults_are_what_the_page_of_settings_points_to() {
    let page = include_str!("../docs/settings.md");
    for key in ["relay", "mailbox", "url_file", "public_url", "trusted_proxies", "message_domain"] {
        assert!(page.contains(key) && DEFAULTS.contains(key), "{key}");
    }
}

/// Every setting does something: each field of a section is read by code outside `settings/`, by its name or by a method of the
/// section that reads it. Read means `.field` in a function that knows the section: by its type, or by a path from `settings`.
#[test]
fn every_setting_is_read_by_what_it_is_for() {
    let sections = sections();
    let functions: Vec<String> = rust_files("src")
        .into_iter()
        .filter(|(name, _)| !name.starts_with("src/settings") && !name.ends_with("tests.rs"))
        .flat_map(|(_, text)| functions_of(text.split("#[cfg(test)]").next().unwrap_or_default()))
        .collect();
    let mut unread = Vec::new();
    for section in &sections {
        let knows: Vec<&String> = functions.iter().filter(|function| section.is_known_to(function, &sections)).collect();
        for field in &section.fields {
            let readers = std::iter::once(field.name.as_str()).chain(section.methods_reading(&field.name));
            let is_read = readers.into_iter().any(|reader| knows.iter().any(|function| mentions(function, reader)));
            // the file of a secret is read by the settings themselves, into the secret beside it
            let is_secret_file =
                field.name.strip_suffix("_file").is_some_and(|name| section.fields.iter().any(|f| f.name == name && f.kind == "Secret"));
            if !is_read && !is_secret_file {
                unread.push(format!("{}.{}", section.name, field.name));
            }
        }
    }
    assert!(unread.is_empty(), "settings that nobody reads: {unread:?}");
    let fields: usize = sections.iter().map(|section| section.fields.len()).sum();
    assert!(sections.len() > 15 && fields > 90, "{} sections, {fields} fields", sections.len());
}

struct Section {
    name: String,
    fields: Vec<Field>,
    /// Its methods, each with its body.
    methods: Vec<String>,
}

struct Field {
    name: String,
    kind: String,
}

impl Section {
    /// Whether a function names the type, or the path to it: `settings.email.smtp` or, below an `&settings.email`, `.smtp`.
    fn is_known_to(&self, function: &str, all: &[Section]) -> bool {
        let holders = all.iter().flat_map(|section| section.fields.iter().filter(|field| field.kind.contains(&self.name)));
        function.contains(&self.name)
            || self.name == "Settings" && function.contains("settings")
            || function.contains("settings") && holders.into_iter().any(|field| mentions(function, &field.name))
    }

    fn methods_reading<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s str> {
        let reads = move |method: &&String| mentions(method, field) && method.contains("self");
        self.methods.iter().filter(reads).filter_map(|method| method.split(['(', '<']).next()).map(str::trim)
    }
}

/// The structs of `src/settings` with their fields and methods.
fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    let whole = ("src/settings.rs".to_owned(), include_str!("../src/settings.rs").to_owned());
    for (_, text) in rust_files("src/settings").into_iter().chain([whole]) {
        for declared in text.split("\npub struct ").skip(1) {
            let Some((name, rest)) = declared.split_once(" {\n") else { continue };
            if !name.ends_with("Settings") {
                continue;
            }
            let body = rest.split("\n}").next().unwrap_or_default();
            let lines = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.trim_end_matches(',').split_once(": "));
            let fields = lines.map(|(name, kind)| Field { name: name.to_owned(), kind: kind.to_owned() }).collect();
            let own = text.split(&format!("\nimpl {name} {{")).nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
            let methods = own.split("pub fn ").skip(1).map(str::to_owned).collect();
            sections.push(Section { name: name.to_owned(), fields, methods });
        }
    }
    sections
}

/// The pieces of a file from one `fn` to the next, comments left out.
fn functions_of(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n").split("fn ").map(str::to_owned).collect()
}

/// Whether `.name` stands in the code as a whole word.
fn mentions(code: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(&format!(".{name}")).any(|(at, found)| !code[at + found.len()..].starts_with(is_word))
}

fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder of ours") {
        let entry = entry.expect("a folder of ours");
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => found.extend(rust_files(&name)),
            false if name.ends_with(".rs") => found.push((name, std::fs::read_to_string(entry.path()).expect("a source is text"))),
            false => {}
        }
    }
    found
}
