//! Operators: accept what rings, answer mail, text messages and each word of a chat, close; by WebSocket, on whichever process
//! lives. A command without an answer is sent again with the same id; what they are told and shown goes into the ledger.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::chat::GOODBYE;
use crate::fleet::Fleet;
use crate::ledger::Told;

/// A command without an answer is sent again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How often the whole state is read: what no event told.
const LOOK_EVERY: Duration = Duration::from_millis(800);

/// Works until the fleet is over.
pub async fn work(fleet: Arc<Fleet>, login: String, token: String) {
    let (asked, done, mails, chats, outbox) = Default::default();
    let mut operator = Operator { fleet: Arc::clone(&fleet), login, token, asked, done, mails, chats, outbox };
    while !fleet.is_over() {
        let _lost = operator.sit_down().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Operator {
    fleet: Arc<Fleet>,
    login: String,
    token: String,
    /// What was asked and not answered: the command's id, its frame and when it was sent.
    asked: HashMap<String, (String, Value, Instant)>,
    done: HashSet<String>,
    mails: HashSet<String>,
    chats: HashSet<String>,
    outbox: Vec<Value>,
}

impl Operator {
    /// One connection, to its end.
    async fn sit_down(&mut self) -> Option<()> {
        let desk = self.fleet.addresses().await?.desk;
        let mut request = format!("{}/api/v1/live", desk.replacen("http", "ws", 1)).into_client_request().ok()?;
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse().ok()?);
        let connecting = tokio::time::timeout(Duration::from_secs(5), tokio_tungstenite::connect_async(request));
        let (mut socket, _) = connecting.await.ok()?.ok()?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        self.done.remove("ready");
        self.ask("ready", json!({"do": "ready"}));
        while !self.fleet.is_over() {
            for frame in std::mem::take(&mut self.outbox) {
                socket.send(Message::text(frame.to_string())).await.ok()?;
            }
            tokio::select! {
                frame = socket.next() => match frame?.ok()? {
                    Message::Text(text) => self.read(&serde_json::from_str(&text).unwrap()),
                    Message::Close(frame) => {
                        self.fleet.ledger.closed(frame.map_or(1005, |frame| frame.code.into()));
                        return None;
                    }
                    _ => {}
                },
                _ = look.tick() => {
                    let state = self.get(&format!("{desk}/api/v1/state")).await?;
                    self.look(&state);
                    let contacts = state["contacts"].as_array().into_iter().flatten();
                    for contact in contacts.filter(|contact| contact["channel"] == "webchat" && contact["state"] == "active") {
                        let conversation = contact["conversation"].as_str()?;
                        let shown = self.get(&format!("{desk}/api/v1/conversations/{conversation}")).await?;
                        self.talk(contact["id"].as_str()?, &shown["entries"]);
                    }
                }
            }
        }
        Some(())
    }

    async fn get(&self, url: &str) -> Option<Value> {
        self.fleet.http.get(url).bearer_auth(&self.token).send().await.ok()?.json().await.ok()
    }

    /// Everything the desk shows of mine.
    fn look(&mut self, state: &Value) {
        let again: Vec<String> = self.asked.keys().cloned().collect();
        for what in again {
            let (_, frame, at) = self.asked.get_mut(&what).unwrap();
            if at.elapsed() > AGAIN_AFTER {
                *at = Instant::now();
                self.outbox.push(frame.clone());
            }
        }
        if state["presence"]["state"] != "ready" {
            self.done.remove("ready");
            self.ask("ready", json!({"do": "ready"}));
        }
        for offer in state["offers"].as_array().into_iter().flatten() {
            let id = offer["contact"]["id"].as_str().unwrap_or_default();
            self.note(id, &offer["contact"]["channel"]);
            self.accept(id, &offer["ordinal"]);
        }
        for contact in state["contacts"].as_array().into_iter().flatten() {
            let id = contact["id"].as_str().unwrap_or_default();
            self.note(id, &contact["channel"]);
            if contact["state"] == "active" || contact["state"] == "wrap_up" {
                self.serve(id);
            }
        }
    }

    fn read(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("event") => {
                let event = &frame["event"];
                let contact = event["about"]["contact"].as_str().unwrap_or_default();
                self.note(contact, &event["about"]["channel"]);
                if event["event"] == "offer.made" {
                    self.accept(contact, &event["ordinal"]);
                }
            }
            Some("reply") => self.answered(frame),
            _ => {}
        }
    }

    fn answered(&mut self, frame: &Value) {
        let id = frame["id"].as_str().unwrap_or_default();
        let Some(what) = self.asked.iter().find(|(_, (asked, ..))| asked == id).map(|(what, _)| what.clone()) else { return };
        let reply = &frame["reply"];
        match reply["outcome"].as_str() {
            Some(outcome @ ("applied" | "duplicate")) => {
                let seq = if outcome == "applied" { reply["seq"].as_i64() } else { None };
                self.fleet.ledger.told(id, Told { operator: self.login.clone(), what: what.clone(), seq });
                self.asked.remove(&what);
                self.done.insert(what.clone());
                let mut parts = what.split('/');
                match (parts.next(), parts.next()) {
                    (Some("accept"), Some(contact)) => self.serve(contact),
                    (Some("reply"), Some(contact)) if !self.chats.contains(contact) => self.close(contact),
                    _ => {}
                }
            }
            // the router was away: the same command again, at the next look
            Some("error") => {}
            _ => {
                self.asked.remove(&what);
            }
        }
    }

    fn accept(&mut self, contact: &str, ordinal: &Value) {
        self.ask(&format!("accept/{contact}/{ordinal}"), json!({"do": "accept", "contact": contact, "ordinal": ordinal}));
    }

    /// Remembers how a contact is answered: in writing and carried by us, word by word, or by whoever brought it.
    fn note(&mut self, contact: &str, channel: &Value) {
        match channel.as_str() {
            Some("email" | "sms") => self.mails.insert(contact.to_owned()),
            Some("webchat") => self.chats.insert(contact.to_owned()),
            _ => false,
        };
    }

    /// Answers each word of a chat, and closes it after the answer to the last.
    fn talk(&mut self, contact: &str, entries: &Value) {
        let entries = entries.as_array().into_iter().flatten();
        for entry in entries.filter(|entry| entry["direction"] == "inbound" && entry["contact"] == contact) {
            let (message, text) = (entry["id"].as_str().unwrap(), entry["text"].as_str().unwrap());
            self.fleet.ledger.shown(message);
            let what = format!("reply/{contact}/{message}");
            if text.ends_with(GOODBYE) && self.done.contains(&what) {
                self.close(contact);
            }
            self.ask(&what, json!({"do": "reply", "contact": contact, "text": format!("{text}: certo. {}", self.login)}));
        }
    }

    fn serve(&mut self, contact: &str) {
        if self.chats.contains(contact) {
            return;
        }
        let what = format!("reply/{contact}");
        if !self.mails.contains(contact) || self.done.contains(&what) {
            return self.close(contact);
        }
        let text = format!("Buongiorno, siamo aperti dalle 9 alle 12. {}", self.login);
        self.ask(&what, json!({"do": "reply", "contact": contact, "text": text}));
    }

    fn close(&mut self, contact: &str) {
        self.ask(&format!("close/{contact}"), json!({"do": "close", "contact": contact, "resolution": "resolved"}));
    }

    /// Asks once; the same thing again only after a refusal, under a new id.
    fn ask(&mut self, what: &str, mut frame: Value) {
        if self.done.contains(what) || self.asked.contains_key(what) {
            return;
        }
        let id = format!("cm_{:032x}", rand::random::<u128>());
        frame["id"] = json!(id);
        self.outbox.push(frame.clone());
        self.asked.insert(what.to_owned(), (id, frame, Instant::now()));
    }
}
