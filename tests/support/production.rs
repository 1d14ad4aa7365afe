//! The production pair of one test: a virtual host and a database of its own, a real SMTP server for what leaves, and an ear
//! on the public exchanges from before the daemon's first start.

use std::process::Command;
use std::sync::Mutex;

use jsonschema::{Draft, Validator};
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};

use crate::smtp_server::SmtpServer;

/// The queue that hears everything.
const EAR: &str = "test.ear";

/// RabbitMQ, PostgreSQL and a mail server.
pub struct Production {
    pub amqp: String,
    pub smtp: SmtpServer,
    channel: Channel,
    _connection: Connection,
    vhost: String,
    /// Users made for this test.
    users: Mutex<Vec<String>>,
    database: String,
    database_url: String,
}

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which starts the servers the tests need"))
}

/// Runs rabbitmqctl; its output.
pub fn rabbitmqctl(arguments: &[&str]) -> String {
    let output = Command::new(environment("SPORTELLO_TEST_RABBITMQCTL")).args(arguments).output().expect("rabbitmqctl runs");
    assert!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn sql(statements: Vec<String>) {
    let mut connection = PgConnection::connect(&environment("SPORTELLO_TEST_POSTGRES")).await.expect("the test server");
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.expect("the superuser may");
    }
}

impl Production {
    /// Makes all of it. The store's role is an ordinary one, so that row-level security binds it.
    pub async fn new() -> Self {
        let name = format!("sportello_e2e_{:016x}", rand::random::<u64>());
        let mut amqp = url::Url::parse(&environment("SPORTELLO_TEST_AMQP")).expect("SPORTELLO_TEST_AMQP is a URL");
        amqp.set_path(&name);
        let user = amqp.username().to_owned();
        rabbitmqctl(&["add_vhost", &name]);
        rabbitmqctl(&["set_permissions", "-p", &name, &user, ".*", ".*", ".*"]);
        sql(vec![format!("create role {name} login password '{name}'"), format!("create database {name} owner {name}")]).await;
        let mut store = url::Url::parse(&environment("SPORTELLO_TEST_POSTGRES")).expect("SPORTELLO_TEST_POSTGRES is a URL");
        store.set_path(&name);
        store.set_username(&name).unwrap();
        store.set_password(Some(&name)).unwrap();
        let connection = Connection::connect(amqp.as_str(), ConnectionProperties::default()).await.expect("the test's broker");
        let channel = connection.create_channel().await.unwrap();
        listen(&channel).await;
        Self {
            amqp: amqp.into(),
            smtp: SmtpServer::start(false),
            channel,
            _connection: connection,
            vhost: name.clone(),
            users: Mutex::default(),
            database: name,
            database_url: store.into(),
        }
    }

    /// What the daemon must know of it.
    pub fn settings(&self) -> String {
        format!(
            "[broker]\nkind = \"amqp\"\nurl = \"{}\"\n[store]\nkind = \"postgres\"\nurl = \"{}\"\n\
             [email.relay]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            self.amqp, self.database_url, self.smtp.port
        )
    }

    /// A user with the rights that the page gives this one, and how it reaches the broker.
    pub fn user(&self, named: &str) -> String {
        let page = include_str!("../../deploy/rabbitmq/permissions.md");
        let given = format!("rabbitmqctl set_permissions -p sportello {named} ");
        let rights = page.lines().find_map(|line| line.strip_prefix(&given)).unwrap_or_else(|| panic!("the page has no user {named}"));
        let rights: Vec<&str> = rights.split('\'').filter(|part| !part.trim().is_empty()).collect();
        let [configure, write, read] = rights[..] else { panic!("three rights: {rights:?}") };
        let user = format!("{}.{named}", self.vhost);
        if !self.users.lock().unwrap().contains(&user) {
            rabbitmqctl(&["add_user", &user, "password"]);
            self.users.lock().unwrap().push(user.clone());
        }
        rabbitmqctl(&["set_permissions", "-p", &self.vhost, &user, configure, write, read]);
        let mut url = url::Url::parse(&self.amqp).unwrap();
        url.set_username(&user).unwrap();
        url.set_password(Some("password")).unwrap();
        url.into()
    }

    /// Publishes to `sportello.inbound` as a stock client would.
    pub async fn publish(&self, key: &str, id: &str, body: &[u8]) {
        let properties = BasicProperties::default()
            .with_message_id(id.into())
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2);
        let sent = self.channel.basic_publish("sportello.inbound".into(), key.into(), BasicPublishOptions::default(), body, properties);
        sent.await.unwrap().await.unwrap();
    }

    /// The first public message so far that fits, and its header `traceparent`. Everything stays to be heard.
    pub async fn heard(&self, fits: impl Fn(&Value) -> bool) -> Option<(Value, Option<String>)> {
        let (mut found, mut last) = (None, None);
        while let Some(message) = self.channel.basic_get(EAR.into(), BasicGetOptions { no_ack: false }).await.unwrap() {
            last = Some(message.delivery.delivery_tag);
            let body: Value = serde_json::from_slice(&message.delivery.data).unwrap_or_default();
            if found.is_none() && fits(&body) {
                let headers = message.delivery.properties.headers().as_ref();
                let header = headers.and_then(|headers| headers.inner().get("traceparent")?.as_long_string()).map(ToString::to_string);
                found = Some((body, header));
            }
        }
        if let Some(last) = last {
            self.channel.basic_nack(last, BasicNackOptions { multiple: true, requeue: true }).await.unwrap();
        }
        found
    }

    /// Messages in a queue that wait to be taken, or were given back by a consumer that has ended.
    pub async fn left_in_queues(&self) -> Vec<(String, u32)> {
        let names = rabbitmqctl(&["list_queues", "-q", "--no-table-headers", "-p", &self.vhost, "name"]);
        let mut left = Vec::new();
        for name in names.lines().map(str::trim).filter(|name| *name != EAR) {
            // the listing's own count is as old as five seconds
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = self.channel.queue_declare(name.into(), passive, FieldTable::default()).await.unwrap();
            left.push((name.to_owned(), queue.message_count()));
        }
        left
    }

    /// Reads everything heard so far and checks each against the document; the types seen, sorted. What the tests published
    /// to be refused (its id begins with `poison`) is left out.
    pub async fn check_wire(&self, document: &Value) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(message) = self.channel.basic_get(EAR.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
            let properties = &message.delivery.properties;
            let id = properties.message_id().as_ref().expect("every message has an id").to_string();
            if id.starts_with("poison") {
                continue;
            }
            let body: Value = serde_json::from_slice(&message.delivery.data).expect("a body is JSON");
            let kind = body["type"].as_str().expect("a type").to_owned();
            let errors: Vec<String> = schema_of(document, &kind).iter_errors(&body).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{kind} is not as documented: {errors:?}\n{body:#}");
            assert_eq!(body["id"].as_str(), Some(id.as_str()), "{kind}: message_id is the CloudEvent's id");
            let content_type = properties.content_type().as_ref().map(ToString::to_string);
            assert_eq!(content_type.as_deref(), Some("application/cloudevents+json"), "{kind}");
            let key = message.delivery.routing_key.to_string();
            assert_eq!(key.split('.').count(), if message.delivery.exchange.as_str() == "sportello.events" { 4 } else { 3 }, "{key}");
            seen.push(kind);
        }
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

async fn listen(channel: &Channel) {
    channel
        .queue_declare(EAR.into(), QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() }, FieldTable::default())
        .await
        .unwrap();
    for exchange in ["sportello.events", "sportello.inbound"] {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default()).await.unwrap();
        channel.queue_bind(EAR.into(), exchange.into(), "#".into(), QueueBindOptions::default(), FieldTable::default()).await.unwrap();
    }
}

/// The documented schema of a message type.
fn schema_of(document: &Value, kind: &str) -> Validator {
    let messages = document["components"]["messages"].as_object().expect("messages");
    let message = messages.values().find(|message| message["bindings"]["amqp"]["messageType"] == kind);
    let payload = &message.unwrap_or_else(|| panic!("`{kind}` is not in the document"))["payload"];
    let schema = json!({ "components": { "schemas": document["components"]["schemas"] }, "allOf": [payload] });
    jsonschema::options().with_draft(Draft::Draft7).build(&schema).expect("the document's schemas are schemas")
}

/// Every type of the document, sorted.
pub fn documented_types(document: &Value) -> Vec<String> {
    let messages = document["components"]["messages"].as_object().expect("messages").values();
    let mut kinds: Vec<String> = messages.map(|message| message["bindings"]["amqp"]["messageType"].as_str().unwrap().to_owned()).collect();
    kinds.sort_unstable();
    kinds
}

impl Drop for Production {
    /// Servers that outlive the test keep nothing of it.
    fn drop(&mut self) {
        let (vhost, name, users) = (self.vhost.clone(), self.database.clone(), std::mem::take(&mut *self.users.lock().unwrap()));
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(sql(vec![format!("drop database if exists {name} with (force)"), format!("drop role if exists {name}")]));
            rabbitmqctl(&["delete_vhost", &vhost]);
            users.iter().for_each(|user| drop(rabbitmqctl(&["delete_user", user])));
        });
        if done.join().is_err() {
            eprintln!("{} stays on the test servers", self.vhost);
        }
    }
}
