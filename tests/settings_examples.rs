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
    let here = text.replace("/run/credentials/sportello.service", &folder.path().display().to_string());
    let file = secret("sportello.toml");
    std::fs::write(&file, here).expect("written");
    let settings = Settings::load(&Sources { file: Some(file), ..Sources::default() }).expect("in order");
    assert_eq!(settings.email.mailbox.len(), 2);
    let plan = sportello::plan::parse(include_str!("../config/example/plan.toml")).expect("in order");
    assert_eq!(sportello::cli::check::mismatches(&settings, &plan), Vec::<String>::new());
    // The service hands over every secret that the example asks for.
    let service = include_str!("../deploy/systemd/sportello.service");
    for line in text.lines().filter_map(|line| line.split_once("sportello.service/")) {
        let name = line.1.trim_end_matches('"');
        assert!(service.contains(&format!("LoadCredential={name}:")), "{name}");
    }
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
