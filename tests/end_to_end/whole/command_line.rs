//! The command line against a running daemon: plan, operators, tokens, quarantine, settings, health.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;
use sha2::Digest as _;
use sportello::channel::sms::provider::{Received, Said};
use sportello::channel::sms::webhook::Taken;
use sportello::port::clock::now;
use sportello::port::store::Quarantined;
use sportello::runtime::daemon::open_backends;
use sportello::settings::{Settings, Sources};

use crate::daemon::{House, Pair, eventually, program, set_aside};
use crate::people::{Person, Program, letter};

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    plans(&house).await;
    operators(&house).await;
    tokens(&house).await;
    if house.production.is_some() {
        quarantine(&house).await;
    }
    what_adapters_hold(&house).await;
    settings(&house).await;
    health(&house).await;
    house.finish().await;
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn plans(house: &House) {
    let example = house.done(&["plan", "show"]).await;
    let file = house.folder.path().join("plan.toml");
    let path = file.to_str().unwrap();
    let changed = example.replacen("[skill.sociale]", "[skill.cimitero]\nname = \"Cimitero\"\n[skill.sociale]", 1)
        + "\n[administration.comune.office.cimitero]\nname = \"Cimitero\"\n[administration.comune.queue.cimitero]\noffice = \"cimitero\"\n\
           name = \"Cimitero\"\nrequire = { skill = \"cimitero\" }\n[administration.comune.account.cimitero-mail]\nchannel = \"email\"\n\
           address = \"cimitero@comune.example\"\nqueue = \"cimitero\"\n\
           [pool.unione]\n[administration.unione]\nname = \"Unione\"\npool = \"unione\"\nlanguages = [\"it\"]\n\
           [administration.unione.office.protocollo]\nname = \"Protocollo\"\n[administration.unione.queue.protocollo]\n\
           office = \"protocollo\"\nname = \"Protocollo\"\ntarget = \"1d\"\n[administration.unione.account.unione-mail]\n\
           channel = \"email\"\naddress = \"protocollo@unione.example\"\nqueue = \"protocollo\"\n";
    // Rules are tried before an account's queue: this one comes first.
    let rule =
        "[[administration.comune.rule]]\nwhen = { account = \"cimitero-mail\" }\nqueue = \"cimitero\"\n\n[[administration.comune.rule]]";
    std::fs::write(&file, changed.replacen("[[administration.comune.rule]]", rule, 1)).unwrap();
    house.done(&["check", "--plan", path]).await;
    assert!(house.done(&["plan", "apply", path]).await.contains("plan 2 is in force"));
    assert!(house.done(&["plan", "show"]).await.contains("cimitero-mail"));
    assert!(!house.done(&["plan", "show", "--plan-version", "1"]).await.contains("cimitero-mail"));
    // The running daemon takes mail for the new account at once, and knows its queue.
    let carla = Person::sign_in(house, "carla").await;
    letter(house, "mario@example.it", "cimitero@comune.example", "Orario del cimitero", "Quando apre?").await;
    eventually("the letter waits in the new queue", async || {
        let contacts = carla.get("/contacts?queue=cimitero").await;
        (contacts["items"].as_array()?.len() == 1).then_some(())
    })
    .await;
    // A new pool is led as well.
    letter(house, "mario@example.it", "protocollo@unione.example", "Una domanda", "A chi mi rivolgo?").await;
    eventually("the letter waits in the new pool", async || {
        let metrics = reqwest::get(format!("{}/metrics", house.at.metrics)).await.ok()?.text().await.ok()?;
        let waits = |line: &&str| line.starts_with("sportello_contacts_received_total{") && line.contains("\"protocollo\"");
        (metrics.contains("sportello_leader{pool=\"unione\"} 1") && metrics.lines().any(|line| waits(&line))).then_some(())
    })
    .await;
    nothing_open_is_left_behind(house, &file).await;
    std::fs::write(&file, example.replacen("target = \"1d\"", "target = \"un giorno\"", 1)).unwrap();
    let line = 1 + example.lines().position(|line| line == "target = \"1d\"").unwrap();
    for arguments in [vec!["plan", "apply", path], vec!["check", "--plan", path]] {
        let refused = house.run(&arguments).await;
        assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
        assert!(said(&refused).contains(&format!("line {line}")), "{line}: {}", said(&refused));
    }
    std::fs::write(&file, &example).unwrap();
    let refused = house.run(&["plan", "apply", path]).await;
    assert_eq!(refused.status.code(), Some(1), "a queue where somebody waits cannot go: {}", said(&refused));
    assert!(said(&refused).contains("queue `cimitero`") && said(&refused).contains("pool `unione`"), "{}", said(&refused));
    assert!(house.done(&["plan", "show"]).await.contains("cimitero-mail"));
}

/// A letter waits in the pool `unione`: nobody would see it if the pool went, or if its administration went to another.
async fn nothing_open_is_left_behind(house: &House, file: &Path) {
    let path = file.to_str().unwrap();
    let stored = house.done(&["plan", "show"]).await;
    let (without, _) = stored.split_once("[pool.unione]").expect("it is at the end");
    let moved = stored.replacen("pool = \"unione\"", "pool = \"main\"", 1);
    for (plan, wanted) in [(without, "pool `unione` has open contacts (1)"), (&moved, "administration `unione` has open contacts (1)")] {
        std::fs::write(file, plan).unwrap();
        house.done(&["check", "--plan", path]).await;
        let refused = house.run(&["plan", "apply", path]).await;
        assert!(refused.status.code() == Some(1) && said(&refused).contains(wanted), "{}", said(&refused));
        assert!(said(&refused).contains("close them first"), "it says what to do: {}", said(&refused));
    }
    assert_eq!(house.done(&["plan", "show"]).await, stored);
}

async fn operators(house: &House) {
    let mut command = house.command(&[
        "operator",
        "add",
        "dora",
        "--name",
        "Dora Neri",
        "--administration",
        "comune",
        "--skill",
        "cimitero=5",
        "--password-stdin",
    ]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"una-password-lunga\n").unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let dora = Person::with_password(house, "dora", "una-password-lunga").await.expect("she signs in");
    let live = dora.ready().await;
    dora.own("Orario del cimitero").await;
    let list = house.done(&["operator", "list"]).await;
    assert!(list.lines().any(|line| line.starts_with("dora\tDora Neri\tready\tcimitero=5")), "{list}");
    let made = house.done(&["operator", "password", "dora"]).await;
    let password = made.trim().rsplit(' ').next().unwrap();
    assert!(Person::with_password(house, "dora", "una-password-lunga").await.is_none());
    assert_eq!(live.close_code().await, Some(4001), "a new password ends the sessions");
    let dora = Person::with_password(house, "dora", password).await.expect("the new password is good");
    house.done(&["operator", "disable", "dora"]).await;
    assert_eq!(dora.status("/state").await, 401);
    assert!(Person::with_password(house, "dora", password).await.is_none());
    assert!(house.done(&["operator", "list"]).await.contains("(disabled)"));
    let carla = Person::sign_in(house, "carla").await;
    eventually("her letter waits again", async || {
        let contacts = carla.get("/contacts?queue=cimitero&state=queued").await;
        (contacts["items"].as_array()?.len() == 1).then_some(())
    })
    .await;
    enabled_and_changed(house, password).await;
    let unknown = house.run(&["operator", "add", "eva", "--name", "Eva", "--administration", "atlantide", "--skill", "volo=5"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("atlantide") && said(&unknown).contains("volo"), "{}", said(&unknown));
    let nobody = house.run(&["operator", "password", "nessuno"]).await;
    assert!(nobody.status.code() == Some(1) && said(&nobody).contains("nessuno"), "{}", said(&nobody));
}

/// Who was disabled comes back, does something else, and may do more.
async fn enabled_and_changed(house: &House, password: &str) {
    assert!(house.done(&["operator", "enable", "dora"]).await.contains("may sign in again"));
    let dora = Person::with_password(house, "dora", password).await.expect("she signs in again");
    let _live = dora.ready().await;
    dora.own("Orario del cimitero").await;
    assert_eq!(dora.status("/operators").await, 403);
    house.done(&["operator", "set", "dora", "--name", "Dora Bianchi", "--skill", "tributi=3", "--role", "supervisor"]).await;
    let list = house.done(&["operator", "list"]).await;
    assert!(list.lines().any(|line| line.starts_with("dora\tDora Bianchi\tready\ttributi=3")), "{list}");
    eventually("she runs the room", async || (dora.status("/operators").await == 200).then_some(())).await;
    for (arguments, wanted) in [(["--skill", "volo=5"], "volo"), (["--office", "torre"], "torre"), (["--name", " Dora"], "name")] {
        let refused = house.run(&[&["operator", "set", "dora"], &arguments[..]].concat()).await;
        assert!(refused.status.code() == Some(1) && said(&refused).contains(wanted), "{}", said(&refused));
    }
    let again = house.run(&["operator", "add", "dora", "--name", "Dora", "--administration", "comune"]).await;
    assert!(again.status.code() == Some(1) && said(&again).contains("operator set"), "{}", said(&again));
}

async fn tokens(house: &House) {
    let token = house.done(&["token", "add", "banco-numeri", "--account", "sportello"]).await;
    let program = Program::new(house, token.trim());
    let input = program.accepted("/contacts", json!({ "external_id": "numero-7", "subject": "A7" })).await;
    program.contact(&input).await;
    assert!(house.done(&["token", "list"]).await.contains("banco-numeri\tsportello"));
    house.done(&["token", "end", "banco-numeri"]).await;
    eventually("an ended token opens nothing", async || {
        let (status, _) = program.send("/contacts", json!({ "external_id": "numero-8" }).to_string()).await;
        (status == 401).then_some(())
    })
    .await;
    assert_eq!(house.run(&["token", "end", "banco-numeri"]).await.status.code(), Some(1));
}

async fn quarantine(house: &House) {
    let production = house.production.as_ref().unwrap();
    // The account is not in the plan yet: a retry after the plan has it would be a contact.
    let body = json!({
        "specversion": "1.0", "id": "poison-1", "source": "/account/telefono", "type": "it.example.sportello.inbound.message.v1",
        "time": "2026-01-31T09:00:00Z",
        "data": { "account": "citofono", "provider_id": "squillo-1", "received_at": "2026-01-31T09:00:00Z", "subject": "Citofono" }
    });
    let metrics = format!("{}/metrics", house.at.metrics);
    let before = set_aside(&metrics).await;
    let times =
        async |times: f64| eventually("they are set aside", async || (set_aside(&metrics).await >= before + times).then_some(())).await;
    production.publish("main.comune.phone", "poison-1", body.to_string().as_bytes()).await;
    production.publish("main.comune.phone", "poison-2", b"{").await;
    let listed = async || {
        let list = house.done(&["quarantine", "list"]).await;
        list.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    times(2.0).await;
    eventually("both are held", async || (listed().await.len() == 2).then_some(())).await;
    let rows = listed().await;
    let mut by_item = Vec::new();
    for row in &rows {
        by_item.push((house.done(&["quarantine", "show", &row[0]]).await, row[0].clone()));
    }
    let broken = by_item.iter().find(|(body, _)| body == "{").expect("the bytes as they came").1.clone();
    let early = by_item.iter().find(|(body, _)| body.contains("citofono")).expect("the bytes as they came").1.clone();
    // Tried again it fails again, and is held again.
    house.done(&["quarantine", "retry", &broken]).await;
    times(3.0).await;
    eventually("it is held again", async || (listed().await.len() == 2).then_some(())).await;
    house.done(&["quarantine", "discard", &broken]).await;
    assert_eq!(listed().await.len(), 1);
    assert_eq!(house.run(&["quarantine", "discard", &broken]).await.status.code(), Some(1));
    let plan = house.done(&["plan", "show"]).await + "\n[administration.comune.account.citofono]\nchannel = \"phone\"\nqueue = \"banco\"\n";
    let file = house.folder.path().join("plan-citofono.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
    house.done(&["quarantine", "retry", &early]).await;
    let carla = Person::sign_in(house, "carla").await;
    eventually("what came too early is a contact", async || {
        let contacts = carla.get("/contacts?queue=banco").await;
        contacts["items"].as_array()?.iter().find(|contact| contact["subject"] == "Citofono").map(|_| ())
    })
    .await;
    assert!(listed().await.is_empty());
}

/// Raw mail, text messages, orders: each goes the way it came, or says why not.
async fn what_adapters_hold(house: &House) {
    let settings = Settings::load(&Sources { file: Some(house.folder.path().join("settings.toml")), ..Sources::default() }).unwrap();
    let store = open_backends(&settings).await.unwrap().store;
    let hold = async |source: &str, key: &str, body: &[u8]| {
        let item = Quarantined {
            id: 0,
            pool: None,
            administration: None,
            source: source.into(),
            key: key.into(),
            message_id: hex::encode(sha2::Sha256::digest(body)),
            reason: "held by a test".into(),
            body: body.to_vec(),
            at: now(),
            state: "held".into(),
        };
        store.quarantine(&item).await.unwrap();
        let list = house.done(&["quarantine", "list"]).await;
        list.lines().map(|line| line.split('\t').next().unwrap().parse::<i64>().unwrap()).max().unwrap().to_string()
    };
    let letter = |subject: &str| {
        format!("From: Ugo <ugo@example.it>\r\nTo: urp@comune.example\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n\r\nEccomi\r\n")
            .into_bytes()
    };
    let message = |account: &str| {
        let received = Received {
            id: "held-1".into(),
            from: "+393330000001".into(),
            to: "+390471000001".into(),
            text: "Sono io".into(),
            media: Vec::new(),
            part: None,
        };
        serde_json::to_vec(&Taken { account: account.parse().unwrap(), at: now(), said: Said::Received(received), fingerprint: None })
            .unwrap()
    };
    let carla = Person::sign_in(house, "carla").await;
    let mail = hold("smtp", "urp-mail", &letter("Trattenuta")).await;
    house.done(&["quarantine", "retry", &mail]).await;
    let by_console = hold("imap", "urp-mail", &letter("Trattenuta-2")).await;
    assert_eq!(carla.try_post(&format!("/quarantine/{by_console}/retry"), json!({})).await.0, 204);
    let sms = hold("sms", "urp-sms", &message("urp-sms")).await;
    house.done(&["quarantine", "retry", &sms]).await;
    eventually("all three are contacts", async || {
        let contacts = carla.get("/contacts?limit=100").await;
        let has = |key: &str, value: &str| contacts["items"].as_array().is_some_and(|all| all.iter().any(|contact| contact[key] == value));
        (has("subject", "Trattenuta") && has("subject", "Trattenuta-2") && has("channel", "sms")).then_some(())
    })
    .await;
    let held = [
        (hold("mailbox", "urp-mail", b"UID 7").await, "another folder"),
        (hold("imap", "sparita-mail", &letter("Altrove")).await, "no email account `sparita-mail`"),
        (hold("sms", "sparito", &message("sparito")).await, "held again"),
        (hold("command", "main", b"{}").await, "discard this"),
    ];
    for (item, wanted) in &held {
        let refused = house.run(&["quarantine", "retry", item]).await;
        assert!(refused.status.code() == Some(1) && said(&refused).contains(wanted), "{}", said(&refused));
        house.done(&["quarantine", "discard", item]).await;
    }
    // an order that is none reaches its adapter, which holds it again
    let order = hold("outbound", "urp-mail", b"no order").await;
    house.done(&["quarantine", "retry", &order]).await;
    eventually("it is held again", async || {
        let list = house.done(&["quarantine", "list"]).await;
        list.contains("not an order").then_some(())
    })
    .await;
    house.done(&["quarantine", "discard", &order]).await;
    assert_eq!(house.done(&["quarantine", "list"]).await, "");
}

async fn settings(house: &House) {
    assert!(house.done(&["check"]).await.contains("in order"));
    let bad = house
        .run(&[
            "check",
            "--set",
            "broker.kind=coniglio",
            "--set",
            "desk.listen=dove",
            "--set",
            "email.smtp.timeout=mai",
            "--set",
            "nulla.niente=1",
        ])
        .await;
    assert_eq!(bad.status.code(), Some(64));
    for wanted in ["broker.kind", "desk.listen", "email.smtp.timeout", "nulla"] {
        assert!(said(&bad).contains(wanted), "{wanted}: {}", said(&bad));
    }
    let serve = house.run(&["serve", "--set", "broker.kind=coniglio", "--set", "desk.listen=dove"]).await;
    assert_eq!(serve.status.code(), Some(64));
    assert!(said(&serve).contains("broker.kind") && said(&serve).contains("desk.listen"), "{}", said(&serve));
    let shown = house.done(&["settings"]).await;
    assert!(!shown.contains("sportello_e2e_") || !shown.contains(":sportello_e2e_"), "a password is shown: {shown}");
    assert_eq!(program().arg("frobnicate").output().unwrap().status.code(), Some(64));
}

async fn health(house: &House) {
    let address = house.at.metrics.trim_start_matches("http://").to_owned();
    house.done(&["healthcheck", "--address", &address]).await;
    house.done(&["healthcheck", "--address", &address, "--live"]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(house.run(&["healthcheck", "--address", &nobody]).await.status.code(), Some(1));
}

on_both_pairs!(story);
