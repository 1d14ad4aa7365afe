//! Citizens: hand contacts in by the channel API, by SMTP and by AMQP with confirms, and write down what they were told. Who is
//! not told tries again with the same contact, or, now and then, gives up.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit, Mac};
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use sha2::Sha256;
use sportello::model::channel::IdentityLevel;
use sportello::model::conversation::Party;
use sportello::model::id::{AccountId, InputId};
use sportello::model::inbound::{InboundEvent, InboundMessage};
use sportello::model::time::Timestamp;
use sportello::model::wire;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::fleet::Fleet;

/// Who has not been told within this time does not know.
const PATIENCE: Duration = Duration::from_secs(8);

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Api,
    Smtp,
    Sms,
    Amqp,
}

/// One citizen after the other until the fleet stops the load.
pub async fn come(fleet: Arc<Fleet>, way: Way, pause: Duration) {
    let mut number = 0_u32;
    let mut broker = None;
    while fleet.takes_load() {
        fleet.until_room().await;
        let subject = format!("{way:?}-{number}");
        number += 1;
        hand_in(&fleet, way, &subject, number.is_multiple_of(17), &mut broker).await;
        tokio::time::sleep(pause).await;
    }
}

/// Hands one contact in, again and again until it is acknowledged; who is `impatient` gives up after the first time.
pub async fn hand_in(fleet: &Fleet, way: Way, subject: &str, impatient: bool, broker: &mut Option<Channel>) {
    fleet.ledger.attempted(subject);
    for _ in 0..600 {
        let told = tokio::time::timeout(PATIENCE, async {
            match way {
                Way::Api => by_api(fleet, subject).await,
                Way::Smtp => by_smtp(fleet, subject).await,
                Way::Sms => by_sms(fleet, subject).await,
                Way::Amqp => by_amqp(fleet, subject, broker).await,
            }
        });
        if told.await.ok().flatten().is_some() {
            fleet.ledger.acknowledged(subject);
            return;
        }
        if impatient {
            return;
        }
        *broker = None;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{subject} was not taken within minutes");
}

async fn by_api(fleet: &Fleet, subject: &str) -> Option<()> {
    let addresses = fleet.addresses().await?;
    let body = serde_json::json!({"external_id": subject, "from": {"address": telephone(subject)}, "subject": subject, "language": "it"});
    let request = fleet.http.post(format!("{}/channel/v1/contacts", addresses.desk)).bearer_auth(&fleet.token).json(&body);
    (request.send().await.ok()?.status() == 202).then_some(())
}

async fn by_smtp(fleet: &Fleet, subject: &str) -> Option<()> {
    let addresses = fleet.addresses().await?;
    let mut stream = BufReader::new(TcpStream::connect(&addresses.smtp).await.ok()?);
    let sender = format!("{}@citizen.example", subject.to_lowercase());
    say(&mut stream, "", "220").await?;
    say(&mut stream, "EHLO citizen.example\r\n", "250").await?;
    say(&mut stream, &format!("MAIL FROM:<{sender}>\r\n"), "250").await?;
    say(&mut stream, "RCPT TO:<urp@comune.example>\r\n", "250").await?;
    say(&mut stream, "DATA\r\n", "354").await?;
    let mail = format!(
        "From: <{sender}>\r\nTo: <urp@comune.example>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@citizen.example>\r\n\r\n\
         Buongiorno, vorrei sapere gli orari di apertura.\r\n.\r\n"
    );
    say(&mut stream, &mail, "250").await
}

/// As a gateway signs it: Standard Webhooks, with the trial account's secret.
async fn by_sms(fleet: &Fleet, subject: &str) -> Option<()> {
    let addresses = fleet.addresses().await?;
    let secret = std::fs::read_to_string(fleet.pair.folder().join("data/sms/urp-sms.secret")).ok()?;
    let (id, time) = (format!("msg-{subject}"), sportello::port::clock::now().0 / 1_000_000);
    let number = format!("+39333{:07}", subject.split_once('-')?.1.parse::<u32>().ok()?);
    let body = serde_json::json!({"type": "message", "id": subject, "from": number, "to": "+390471000001", "text": subject}).to_string();
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.trim().as_bytes()).ok()?;
    let mac = mac.chain_update(format!("{id}.{time}.{body}")).finalize().into_bytes();
    let request = fleet.http.post(format!("{}/sms/v1/urp-sms", addresses.public)).header("webhook-id", id);
    let request = request.header("webhook-timestamp", time).header("webhook-signature", format!("v1,{}", STANDARD.encode(mac)));
    (request.body(body).send().await.ok()?.status() == 204).then_some(())
}

async fn say(stream: &mut BufReader<TcpStream>, what: &str, code: &str) -> Option<()> {
    stream.get_mut().write_all(what.as_bytes()).await.ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            return line.starts_with(code).then_some(());
        }
    }
}

async fn by_amqp(fleet: &Fleet, subject: &str, broker: &mut Option<Channel>) -> Option<()> {
    if broker.is_none() {
        let url = &fleet.pair.real()?.amqp;
        let connection = Connection::connect(url, ConnectionProperties::default()).await.ok()?;
        let channel = connection.create_channel().await.ok()?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
        *broker = Some(channel);
    }
    let account = AccountId::new("telefono").ok()?;
    let now = sportello::port::clock::now();
    let event = InboundEvent::Message(Box::new(message(&account, subject, now)));
    let event = wire::inbound_event("sportello", InputId(rand::random()), &account, now, None, event);
    let body = wire::encode_inbound(&event).ok()?;
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        broker.as_ref()?.basic_publish("sportello.inbound".into(), "main.comune.phone".into(), options, &body, properties).await.ok()?;
    matches!(confirm.await.ok()?, lapin::Confirmation::Ack(None)).then_some(())
}

fn message(account: &AccountId, subject: &str, at: Timestamp) -> InboundMessage {
    InboundMessage {
        account: account.clone(),
        provider_id: subject.to_owned(),
        header_id: None,
        answer_to: None,
        received_at: at,
        mode: None,
        from: Some(Party { address: telephone(subject), name: None }),
        identity: IdentityLevel::Claimed,
        to: Vec::new(),
        subject: Some(subject.to_owned()),
        text: String::new(),
        text_blob: None,
        html: None,
        attachments: Vec::new(),
        raw: None,
        language: None,
        references: Vec::new(),
        thread: None,
        automatic: None,
        attributes: std::collections::BTreeMap::new(),
    }
}

/// A telephone of one's own, so that no contact joins another's.
fn telephone(subject: &str) -> String {
    let number = subject.bytes().fold(7_u64, |sum, byte| (sum * 131 + u64::from(byte)) % 10_000_000_000);
    format!("+39{number:010}")
}

/// Binds a queue for every public event, before the first process starts.
pub async fn bind_events(url: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare("sportello.events".into(), ExchangeKind::Topic, durable, FieldTable::default()).await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("audit".into(), options, FieldTable::default()).await.unwrap();
    let options = QueueBindOptions::default();
    channel.queue_bind("audit".into(), "sportello.events".into(), "#".into(), options, FieldTable::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

/// Writes every public event into the ledger.
pub async fn follow_events(fleet: Arc<Fleet>) {
    let url = &fleet.pair.real().expect("the real servers").amqp;
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut consumer = channel.basic_consume("audit".into(), "audit".into(), options, FieldTable::default()).await.unwrap();
    while let Some(Ok(delivery)) = consumer.next().await {
        let event: serde_json::Value = serde_json::from_slice(&delivery.data).unwrap();
        fleet.ledger.published(event["data"]["seq"].as_i64().unwrap());
    }
}
