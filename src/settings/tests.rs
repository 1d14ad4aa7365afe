//! Precedence, refusals with their place, secrets that stay secret.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::model::text_message::{ShortAlphabet, TextMessageTerms};

fn sources(file: Option<&str>, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> (Option<tempfile::NamedTempFile>, Sources) {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    let file = file.map(|text| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    });
    let path = file.as_ref().map(|file| file.path().to_path_buf());
    (file, Sources { file: path, environment: owned(environment).into_iter().collect(), overrides: owned(overrides) })
}

fn load(file: Option<&str>, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Settings, Vec<SettingsProblem>> {
    let (_keep, sources) = sources(file, environment, overrides);
    Settings::load(&sources)
}

/// The problems as `origin: key: message`, the file's name as FILE.
fn refused(file: Option<&str>, environment: &[(&str, &str)], overrides: &[(&str, &str)], expected: &[&str]) {
    let (keep, sources) = sources(file, environment, overrides);
    let name = keep.as_ref().map(|file| file.path().display().to_string()).unwrap_or_else(|| "no file".into());
    let problems = Settings::load(&sources).expect_err("refused");
    let said: Vec<String> = problems.iter().map(|problem| problem.to_string().replace(&name, "FILE")).collect();
    assert_eq!(said, expected);
}

#[test]
fn the_defaults_stand_alone() {
    let settings = load(None, &[], &[]).expect("defaults");
    assert!(settings.roles.is_all());
    assert_eq!(settings.broker.kind, broker::BrokerKind::Embedded);
    assert_eq!(settings.store.kind, store::StoreKind::Sqlite);
    assert_eq!(settings.router.lease_ttl, Duration::from_secs(5));
    assert_eq!((settings.router.batch_max, settings.router.prefetch), (512, 1024));
    assert!(settings.desk.listen.ip().is_loopback() && settings.email.smtp.listen.expect("a listener").ip().is_loopback());
    assert_eq!(settings.channel_api.listen, None);
    assert!(settings.public.listen.ip().is_loopback() && settings.public.listen != settings.desk.listen);
}

/// One rule for who may be spoken to in the clear, whether there is a password or not; serving would refuse it later.
#[test]
fn mail_goes_unencrypted_to_this_machine_only() {
    for (host, good) in
        [("localhost", true), ("127.0.0.1", true), ("[::1]", true), ("::1", true), ("mx.example", false), ("10.0.0.1", false)]
    {
        for user in ["", "user = \"urp\"\npassword = \"x\"\n"] {
            let server = format!("host = \"{host}\"\ntls = \"none\"\n{user}");
            let own = "[installation]\nmessage_domain = \"comune.example\"\n";
            let files = [
                format!("{own}[email.relay]\nkind = \"smtp\"\n{server}"),
                format!("{own}[email.sender.urp]\nkind = \"smtp\"\n{server}"),
                format!("[email.mailbox.urp]\nhost = \"{host}\"\ntls = \"none\"\nuser = \"urp\"\npassword = \"x\"\n"),
            ];
            for file in files {
                match load(Some(&file), &[], &[]) {
                    Ok(_) => assert!(good, "{file}"),
                    Err(problems) => assert!(!good && problems.len() == 1 && problems[0].key.ends_with(".tls"), "{file}{problems:?}"),
                }
            }
        }
    }
}

#[test]
fn files_for_starttls_are_read_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let (one, other) = (made("one.example"), made("other.example"));
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    };
    let (certificate, key) = (file("one.pem", &one.cert.pem()), file("one.key", &one.signing_key.serialize_pem()));
    let others_key = file("other.key", &other.signing_key.serialize_pem());
    let (text, nowhere) = (file("text", "no PEM"), folder.path().join("nowhere").display().to_string());
    let broken = file("broken", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    for (certificate, key, keys) in [
        (&certificate, &key, vec![]),
        (&certificate, &others_key, vec!["email.smtp.tls_key_file"]),
        (&certificate, &certificate, vec!["email.smtp.tls_key_file"]),
        (&key, &key, vec!["email.smtp.tls_certificate_file"]),
        (&text, &text, vec!["email.smtp.tls_certificate_file", "email.smtp.tls_key_file"]),
        (&broken, &key, vec!["email.smtp.tls_certificate_file"]),
        (&nowhere, &key, vec!["email.smtp.tls_certificate_file"]),
    ] {
        let overrides = [("email.smtp.tls_certificate_file", certificate.as_str()), ("email.smtp.tls_key_file", key.as_str())];
        let problems = load(None, &[], &overrides).map(|_| vec![]).unwrap_or_else(|problems| problems);
        assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), keys, "{certificate} {key}: {problems:?}");
    }
}

#[test]
fn the_public_address_is_what_a_proxy_makes_of_it() {
    let url = |written: &str| {
        let settings = load(None, &[], &[("public.url", written)]).expect("good");
        settings.public.url("127.0.0.1:4321".parse().expect("an address")).to_string()
    };
    assert_eq!(url(""), "http://127.0.0.1:4321/");
    assert_eq!(url("https://contatti.comune.example"), "https://contatti.comune.example/");
    assert_eq!(url("https://comune.example/contatti/"), "https://comune.example/contatti/");
    let said = "--set public.url: public.url: write scheme, host and at most a path, such as https://contatti.comune.example";
    for written in
        ["comune.example", "ftp://comune.example", "https://a@comune.example", "https://:a@comune.example", "https://comune.example?a"]
    {
        refused(None, &[], &[("public.url", written)], &[said]);
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    let settings = load(None, &[], &[]).expect("defaults");
    let printed = settings.to_toml();
    let again = load(Some(&printed), &[], &[]).expect("what we print");
    assert_eq!(again.to_toml(), printed);
}

#[test]
fn later_sources_win() {
    let file = "[desk]\nlisten = \"127.0.0.1:1\"\nsession_idle = \"1h\"\n[router]\nprefetch = 600\n";
    let environment = [("SPORTELLO__DESK__LISTEN", "127.0.0.1:2"), ("SPORTELLO__ROUTER__PREFETCH", "700"), ("PATH", "/bin")];
    let settings = load(Some(file), &environment, &[("desk.listen", "127.0.0.1:0")]).expect("good");
    assert_eq!(settings.desk.listen.port(), 0);
    assert_eq!(settings.router.prefetch, 700);
    assert_eq!(settings.desk.session_idle, Duration::from_secs(3_600));
    assert_eq!(settings.desk.session_max, Duration::from_secs(12 * 3_600));
}

#[test]
fn the_environment_can_write_lists_and_nothing() {
    let environment = [
        ("SPORTELLO__ROLES", "router, desk"),
        ("SPORTELLO__DESK__TRUSTED_PROXIES", "10.0.0.1,::1"),
        ("SPORTELLO__METRICS__LISTEN", ""),
        ("SPORTELLO__BROKER__KIND", "amqp"),
        ("SPORTELLO__BROKER__URL", "amqp://guest:012345@localhost"),
        ("SPORTELLO__STORE__KIND", "postgres"),
        ("SPORTELLO__STORE__URL", "postgres://localhost/sportello"),
    ];
    let settings = load(None, &environment, &[]).expect("good");
    assert!(settings.roles.has(ProcessRole::Router) && !settings.roles.has(ProcessRole::Email));
    assert_eq!(settings.roles.to_string(), "router,desk");
    assert_eq!(settings.desk.trusted_proxies.len(), 2);
    assert_eq!(settings.metrics.listen, None);
    assert_eq!(settings.broker.url.expose(), "amqp://guest:012345@localhost");
}

#[test]
fn every_problem_at_once_with_its_place() {
    let file = "[desk]\nlisten = \"localhost\"\nsessoin_idle = \"1h\"\n\n[borker]\nkind = \"amqp\"\n[store]\nconnections_max = \"many\"\nkind = \"mysql\"\n";
    refused(
        Some(file),
        &[("SPORTELLO__LOG__FORMAT", "yaml"), ("SPORTELLO__ROUTER__LEASE_TTL", "5")],
        &[("metrics.watchdog", "1s"), ("data.dir", "/tmp")],
        &[
            "FILE, line 5: borker: there is no section `borker`: did you mean `broker`?",
            "--set data.dir: data.dir: unknown field `dir`, expected `folder`",
            "FILE, line 2: desk.listen: write an IP address and a port, such as 127.0.0.1:8080 or [::]:8080",
            "FILE, line 3: desk.sessoin_idle: unknown field `sessoin_idle`, expected one of `listen`, `public_url`, `trusted_proxies`, `session_idle`, `session_max`, `sockets_max`, `socket_queue_len_max`, `country`",
            "the environment (SPORTELLO__LOG__FORMAT): log.format: `yaml` is not one of the choices: config/default.toml names them",
            "--set metrics.watchdog: metrics.watchdog: write a duration from 5s to 10m",
            "the environment (SPORTELLO__ROUTER__LEASE_TTL): router.lease_ttl: `5` is not a duration: write whole numbers with a unit, such as 30s, 20m, 2h or 1d 12h",
            "FILE, line 8: store.connections_max: this must be an integer",
            "FILE, line 9: store.kind: `mysql` is not one of the choices: config/default.toml names them",
        ],
    );
    refused(
        Some("[desk]\ncountry = \"Italia\"\n"),
        &[],
        &[],
        &["FILE, line 2: desk.country: write the two capital letters of a country, such as IT"],
    );
    refused(
        Some("[desk]\nlisten = \n"),
        &[],
        &[],
        &["FILE, line 2: this is not TOML: string values must be quoted, expected literal string"],
    );
}

#[test]
fn combinations() {
    refused(
        None,
        &[("SPORTELLO__ROLES", "desk")],
        &[],
        &[
            "the environment (SPORTELLO__ROLES): roles: SQLite serves one process: leave roles at \"all\", or set store.kind = \"postgres\"",
            "the environment (SPORTELLO__ROLES): roles: the embedded broker works inside one process: leave roles at \"all\", or set broker.kind = \"amqp\"",
        ],
    );
    refused(None, &[], &[("broker.kind", "amqp")], &["the default: broker.url: broker.kind is amqp: give the server's url, or url_file"]);
    refused(
        Some("[store]\nurl = \"postgres://x\"\n"),
        &[],
        &[],
        &["FILE, line 2: store.url: SQLite lies in the data folder and has no url: set store.kind = \"postgres\", or take the url out"],
    );
    refused(
        None,
        &[],
        &[("email.relay.kind", "smtp"), ("email.relay.host", "smtp.comune.example")],
        &[
            "the default: installation.message_domain: mail leaves this machine, and its servers are told this name (EHLO): set a domain of yours",
        ],
    );
    refused(
        None,
        &[],
        &[("webchat.upload_bytes_per_hour", "1000")],
        &[
            "--set webchat.upload_bytes_per_hour: webchat.upload_bytes_per_hour: one file alone may have attachment_bytes_max: write at least as many",
        ],
    );
    let mailbox = "[email.mailbox.urp-mail]\nhost = \"imap.comune.example\"\nuser = \"urp\"\npassword = \"x\"\ntls = \"none\"\n";
    refused(
        Some(mailbox),
        &[],
        &[],
        &["FILE, line 5: email.mailbox.urp-mail.tls: mail and password would go over the net unprotected: write starttls or implicit"],
    );
    refused(
        Some("[email.mailbox.urp-mail]\nport = 143\nhots = \"a\"\n"),
        &[],
        &[],
        &[
            "FILE, line 3: email.mailbox.urp-mail.hots: unknown field `hots`, expected one of `host`, `port`, `tls`, `user`, `password`, `password_file`, `folder`, `start`, `poll`",
        ],
    );
}

#[test]
fn a_mailbox_has_what_it_needs() {
    let file = "[email.mailbox.urp-mail]\nhost = \"imap.comune.example\"\nuser = \"urp\"\npassword = \"012345\"\n";
    let settings = load(Some(file), &[], &[]).expect("good");
    let mailbox = settings.email.mailbox.values().next().expect("one");
    assert_eq!((mailbox.port, mailbox.folder.as_str(), mailbox.password.expose()), (993, "INBOX", "012345"));
    assert_eq!(settings.email.sender_of(settings.email.mailbox.keys().next().expect("one")).kind, email::RelayKind::Maildir);
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let mut secret = tempfile::NamedTempFile::new().expect("a file");
    secret.write_all(b"postgres://u:hunter2@db/sportello\n").expect("written");
    let path = secret.path().display().to_string();
    let settings = load(None, &[("SPORTELLO__STORE__KIND", "postgres"), ("SPORTELLO__STORE__URL_FILE", &path)], &[]).expect("good");
    assert_eq!(settings.store.url.expose(), "postgres://u:hunter2@db/sportello");
    for shown in [settings.to_toml(), format!("{settings:?}")] {
        assert!(!shown.contains("hunter2") && shown.contains("<redacted>"), "{shown}");
    }
    let both =
        load(None, &[("SPORTELLO__STORE__URL_FILE", &path), ("SPORTELLO__STORE__URL", "postgres://u:hunter2@db")], &[]).expect_err("both");
    assert!(both.iter().any(|problem| problem.message == "`url` is given as well: keep one of the two"), "{both:?}");
    assert!(both.iter().all(|problem| !problem.to_string().contains("hunter2")));
    refused(
        None,
        &[("SPORTELLO__BROKER__URL_FILE", "/nonexistent/secret")],
        &[("broker.kind", "amqp")],
        &[
            "the environment (SPORTELLO__BROKER__URL_FILE): broker.url_file: the secret in /nonexistent/secret cannot be read: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let problems = load(Some("[broker]\npasword = \"hunter2\"\nheartbeat = [\"hunter2\"]\n"), &[], &[]).expect_err("refused");
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| !problem.to_string().contains("hunter2")), "{problems:?}");
}

#[test]
fn every_key_of_the_defaults_is_explained() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        assert!(line.len() <= 130, "line {} is too long to read in a terminal", index + 1);
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        let above = lines[..index].iter().rev().find(|above| above.is_empty() || above.starts_with(['#', '[']));
        // A few keys of a mail server say what they are.
        let plain = ["host", "port", "user", "password", "timeout"].iter().any(|key| line.starts_with(key));
        assert!(plain || above.is_some_and(|above| above.starts_with('#')), "nothing explains `{line}`");
    }
}

#[test]
fn an_account_of_text_messages_has_what_it_needs() {
    let account = |lines: &str| format!("[sms.account.urp-sms]\n{lines}\n");
    let key = |name: &str| format!("sms.account.urp-sms.{name}");
    let check = |lines: &str, expected: Option<&str>| {
        let problems = load(Some(&account(lines)), &[], &[]).err().unwrap_or_default();
        let keys: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
        assert_eq!(keys, expected.map(key).into_iter().collect::<Vec<_>>(), "{lines}: {problems:?}");
    };
    for (lines, expected) in [
        ("provider = \"log\"", None),
        ("provider = \"twilio\"\nuser = \"AC1\"\npassword = \"p\"", None),
        ("provider = \"twilio\"\npassword = \"p\"", Some("user")),
        ("provider = \"twilio\"\nuser = \"AC1\"", Some("password_file")),
        ("provider = \"twilio\"\nuser = \"AC1\"\npassword = \"p\"\nurl = \"http://api.example\"", Some("url")),
        ("provider = \"twilio\"\nuser = \"AC1\"\npassword = \"p\"\nurl = \"http://127.0.0.1:1\"", None),
        ("provider = \"vonage\"\nuser = \"k\"\npassword = \"p\"", Some("webhook_secret_file")),
        ("provider = \"vonage\"\nuser = \"k\"\npassword = \"p\"\nwebhook_secret = \"w\"", None),
        ("provider = \"generic\"\npassword = \"p\"", Some("url")),
        ("provider = \"generic\"\npassword = \"p\"\nurl = \"nowhere\"", Some("url")),
        ("provider = \"generic\"\npassword = \"p\"\nurl = \"https://gateway.example/send\"", None),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"smpp://10.0.0.1:2775\"", None),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"https://10.0.0.1\"", Some("url")),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"nine chars\"\nurl = \"smpp://10.0.0.1\"", Some("user")),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"smpp://10.0.0.1\"\nwindow = 0", Some("window")),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"smpp://10.0.0.1\"\nalphabet = \"latin1\"", None),
        ("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"smpp://10.0.0.1\"\nalphabet = \"utf8\"", Some("alphabet")),
        ("provider = \"log\"\nalphabet = \"latin1\"", Some("alphabet")),
        ("provider = \"pigeon\"", Some("provider")),
        ("price_per_part = \"0.045\"", None),
        ("price_per_part = \"0.045\"\ncurrency = \"CHF\"", None),
        ("price_per_part = \"0,045\"", Some("price_per_part")),
        ("price_per_part = \"-1\"", Some("price_per_part")),
        ("price_per_part = 0.045", None),
        ("currency = \"euro\"", Some("currency")),
    ] {
        check(lines, expected);
    }
    for (lines, price) in [
        ("", None),
        ("price_per_part = \"0.045\"", Some(("0.045", "EUR"))),
        ("price_per_part = \"1.50\"\ncurrency = \"CHF\"", Some(("1.5", "CHF"))),
    ] {
        let settings = load(Some(&account(lines)), &[], &[]).expect("in order");
        let given = settings.sms.account.values().next().expect("the account").terms().and_then(|terms| terms.price);
        let given = given.map(|price| (price.price_per_part.to_string(), price.currency));
        assert_eq!(given, price.map(|(amount, currency)| (amount.to_owned(), currency.to_owned())), "{lines}");
    }
    let terms =
        |lines: &str| load(Some(&account(lines)), &[], &[]).expect("in order").sms.account.values().next().expect("the account").terms();
    let latin1 = terms("provider = \"smpp\"\nuser = \"u\"\npassword = \"p\"\nurl = \"smpp://10.0.0.1\"\nalphabet = \"latin1\"");
    assert_eq!(latin1, Some(TextMessageTerms { alphabet: ShortAlphabet::Latin1, price: None }));
    assert_eq!(terms(""), None);
    let said = "--set sms.country: sms.country: write the two capital letters of a country, such as IT";
    refused(None, &[], &[("sms.country", "Italia")], &[said]);
}

#[test]
fn the_logs_go_back_far_enough_or_for_ever() {
    for (days, kept) in [("0", None), ("35", Some(35)), ("400", Some(400))] {
        let settings = load(None, &[], &[("store.journal_days", days)]).expect("in order");
        assert_eq!(settings.store.journal_kept().map(|kept| kept.as_secs() / 86_400), kept, "{days}");
    }
    let said = "--set store.journal_days: store.journal_days: write a number of days from 35 to 36500, or 0 to keep the logs for ever";
    refused(None, &[], &[("store.journal_days", "34")], &[said]);
}
