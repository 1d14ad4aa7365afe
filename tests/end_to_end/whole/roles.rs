//! Each role a process of its own, with the RabbitMQ user that the page of permissions gives it and no right more: mail, calls, text
//! messages and chats are answered, and what is held is tried again from the desk. And the rights are bounds: nobody does another's part.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;
use sha2::Sha256;

use crate::citizen::Citizen;
use crate::daemon::{House, Pair, eventually, set_aside};
use crate::people::{Person, Program, letter, text};

/// A process with one role. Dropping it kills it.
struct Part {
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts it and waits until it is ready.
    async fn start(house: &House, role: &str) -> Self {
        let url = house.production.as_ref().unwrap().user(&format!("sportello-{role}"));
        let log = house.folder.path().join(format!("log-{role}"));
        let mut command = house.command(&["serve", "--roles", role]);
        for key in ["desk.listen", "public.listen", "metrics.listen", "email.smtp.listen"] {
            command.arg("--set").arg(format!("{key}=127.0.0.1:0"));
        }
        let output = std::fs::File::create(&log).unwrap();
        command.arg("--set").arg(format!("broker.url={url}")).stdin(Stdio::null()).stderr(output.try_clone().unwrap()).stdout(output);
        let part = Self { child: command.spawn().unwrap(), log };
        let metrics = part.address("metrics and health").await.replace("/metrics", "/readyz");
        eventually(&format!("the {role} is ready"), async || {
            let answer = reqwest::get(&metrics).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        part
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it says that it listens.
    async fn address(&self, named: &str) -> String {
        let line = eventually(named, async || {
            self.log().lines().find_map(|line| Some(line.strip_prefix("  ")?.strip_prefix(named)?.trim().to_owned()))
        });
        line.await.split(',').next().unwrap().to_owned()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── {}\n{}", self.log.display(), self.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_with_its_user() {
    let mut house = House::start(Pair::Production).await;
    house.terminate().await;
    let router = Part::start(&house, "router").await;
    let desk = Part::start(&house, "desk").await;
    let (email, sms) = (Part::start(&house, "email").await, Part::start(&house, "sms").await);
    let (webchat, api) = (Part::start(&house, "webchat").await, Part::start(&house, "api").await);
    house.at.desk = api.address("channel API").await.replace("/channel/v1", "");
    let program = Program::new(&house, &house.token);
    house.at.desk = desk.address("console").await;
    house.at.smtp = email.address("SMTP").await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    // mail in and out
    letter(&house, "mario@example.it", "urp@comune.example", "Orari dello sportello", "Quando aprite?").await;
    let contact = anna.own("Orari dello sportello").await;
    answer(&anna, &text(&contact["id"]), "Alle otto e trenta.").await;
    eventually("the answer leaves", async || house.mails().into_iter().find(|mail| mail.contains("Alle otto e trenta"))).await;
    close(&anna, &text(&contact["id"])).await;
    // a call
    let input = program.call("chiamata-1").await;
    let (call, ordinal) = live.offer(&[]).await;
    assert_eq!(program.contact(&input).await, call);
    let accepted = live.command(json!({ "do": "accept", "contact": call, "ordinal": ordinal })).await;
    assert_eq!(accepted["outcome"], "applied", "{accepted}");
    close(&anna, &call).await;
    // a text message
    house.at.public = sms.address("public address").await;
    text_message(&house, "Prenotazione?").await;
    let message = super::sms::own(&anna).await;
    answer(&anna, &text(&message["id"]), "Sì, grazie.").await;
    let sent = house.folder.path().join("data/sms/sent.log");
    eventually("the text message leaves", async || std::fs::read_to_string(&sent).ok().filter(|log| !log.is_empty())).await;
    // a chat with its transcript
    house.at.public = webchat.address("public address").await;
    let bruno = Person::sign_in(&house, "bruno").await;
    let live = bruno.ready().await;
    let citizen = Citizen::about(&house, "Luisa", "tari").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Quanto pago di TARI?").await;
    let (chat, ordinal) = live.offer(&[]).await;
    live.command(json!({ "do": "accept", "contact": chat, "ordinal": ordinal })).await;
    tab.status("served").await;
    answer(&bruno, &chat, "Circa 120 euro").await;
    tab.message("Circa 120 euro").await;
    tab.say(json!({ "type": "transcript", "email": "luisa@example.it" }));
    tab.accepted("transcript").await;
    close(&bruno, &chat).await;
    eventually("the transcript leaves", async || house.mails().into_iter().find(|mail| mail.contains("La sua chat"))).await;
    held_and_tried_again(&house, &router).await;
    nobody_does_anothers_part(&house).await;
    for part in [&router, &desk, &email, &sms, &webchat, &api] {
        let log = part.log();
        assert!(!log.contains("ACCESS_REFUSED") && !log.contains("panicked at"), "{log}");
    }
}

async fn answer(person: &Person, contact: &str, words: &str) {
    person.post(&format!("/contacts/{contact}/reply"), json!({ "text": words })).await;
}

async fn close(person: &Person, contact: &str) {
    person.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved" })).await;
}

/// Signed as the trial account's gateway would.
async fn text_message(house: &House, words: &str) {
    let secret = std::fs::read(house.folder.path().join("data/sms/urp-sms.secret")).unwrap();
    let body = json!({ "type": "message", "id": "sms-1", "from": "+393331234567", "to": "+390471000001", "text": words }).to_string();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(format!("sms-1.{seconds}.{body}").as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let request = reqwest::Client::new().post(format!("{}/sms/v1/urp-sms", house.at.public)).header("content-type", "application/json");
    let request = request.header("webhook-id", "sms-1").header("webhook-timestamp", seconds.to_string());
    let answer = request.header("webhook-signature", format!("v1,{signature}")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

/// The desk may publish no contact, and yet has one handed in again: the router does it.
async fn held_and_tried_again(house: &House, router: &Part) {
    let carla = Person::sign_in(house, "carla").await;
    let metrics = router.address("metrics and health").await;
    let before = set_aside(&metrics).await;
    let times =
        async |times: f64| eventually("it is set aside", async || (set_aside(&metrics).await >= before + times).then_some(())).await;
    house.production.as_ref().unwrap().publish("main.comune.phone", "poison-roles", b"{").await;
    times(1.0).await;
    let held = async || carla.get("/quarantine").await["items"].as_array().unwrap().first().cloned();
    let item = eventually("it is held", held).await;
    let (status, said) = carla.try_post(&format!("/quarantine/{}/retry", item["id"]), json!({})).await;
    assert_eq!(status, 204, "{said}");
    times(2.0).await;
    eventually("it is held again", held).await;
}

async fn nobody_does_anothers_part(house: &House) {
    let production = house.production.as_ref().unwrap();
    for (user, exchange, key) in [
        ("sportello-email", "sportello.command", "main"),
        ("sportello-api", "sportello.command", "main"),
        ("sportello-desk", "sportello.inbound", "main.comune.phone"),
        ("sportello-desk", "sportello.outbound", "urp-mail"),
        ("sportello-webchat", "sportello.outbound", "urp-mail"),
        ("centralino", "sportello.command", "main"),
        ("statistiche", "sportello.inbound", "main.comune.phone"),
    ] {
        let url = production.user(user);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let sent = channel.basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), b"{}", BasicProperties::default());
        let refused = match sent.await {
            Ok(confirm) => confirm.await.err(),
            Err(error) => Some(error),
        };
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("ACCESS") || refused.contains("access"), "{user} on {exchange}: {refused:?}");
    }
}
