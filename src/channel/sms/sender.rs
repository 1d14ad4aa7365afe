//! Answers by text message: one attempt is one request to the account's provider. Whatever is not clear is not sent again: the
//! operator sees it, and the provider's status may still tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use url::Url;

use super::SmsCounters;
use super::courier::{provider_name, reference};
use super::provider::{Answer, generic, twilio, vonage};
use super::signature;
use super::smpp::{Smpp, SubmitError, pdu};
use super::text::{Reference, parts};
use crate::channel::outbound::{AT_ONCE, OutboundDeps, Sender, back_off, permanent, temporary};
use crate::fault;
use crate::model::address::Address;
use crate::model::channel::Channel;
use crate::model::conversation::Message;
use crate::model::delivery::AttemptResult;
use crate::model::id::{AccountId, AdministrationId, IdMaker};
use crate::model::text_message::ShortAlphabet;
use crate::plan::Plan;
use crate::port::clock::now;
use crate::port::store::{SentPart, Store, StoreError};

/// How long a provider may take to answer.
const WITHIN: Duration = Duration::from_secs(20);
/// How often a later part of a message is tried while the SMSC does not take it.
const PART_TRIES_MAX: u32 = 4;
/// How often it is tried again to keep the SMSC's id of a part: for about a minute (1, 2, 4, … 32 s).
const NOTE_TRIES: u32 = 6;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest list of messages that is read, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// Who carries an account's messages.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// Nobody: a line in a file, for trying out.
    Log(PathBuf),
    /// Twilio's REST API.
    Twilio {
        /// Where it is, without path.
        base: Url,
        /// `AC…`
        account_sid: String,
        /// The auth token, or an API key's secret.
        auth_token: SecretString,
        /// Where its statuses go.
        callback: Option<Url>,
    },
    /// Vonage's Messages API.
    Vonage {
        /// Where it is, without path.
        base: Url,
        /// The API key.
        key: String,
        /// Its secret.
        secret: SecretString,
    },
    /// A session with an SMSC.
    Smpp(Smpp),
    /// A gateway that takes our JSON, signed as a standard webhook.
    Generic {
        /// Where it takes it.
        url: Url,
        /// What it is signed with.
        secret: SecretString,
    },
}

/// The sender of all SMS accounts.
pub struct SmsSender {
    client: Client,
    carriers: BTreeMap<AccountId, Carrier>,
    plan: watch::Receiver<Arc<Plan>>,
    counters: Arc<SmsCounters>,
    store: Arc<dyn Store>,
    ids: IdMaker,
}

impl SmsSender {
    /// A sender by these carriers; an account without one fails for good.
    ///
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new(carriers: BTreeMap<AccountId, Carrier>, deps: &OutboundDeps, counters: Arc<SmsCounters>) -> Result<Self, String> {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(WITHIN);
        let client = client.build().map_err(|error| error.to_string())?;
        let (plan, store, ids) = (deps.plan.clone(), Arc::clone(&deps.store), deps.ids.clone());
        Ok(Self { client, carriers, plan, counters, store, ids })
    }

    /// The citizen may have said STOP after the operator wrote. The store away: not now.
    async fn is_opted_out(&self, message: &Message, to: &str) -> Result<bool, AttemptResult> {
        let key = self.ids.address(&message.administration, Address::read(to).as_str());
        let asked = self.store.opted_out(&message.administration, &Channel::sms(), key).await;
        asked.map(|since| since.is_some()).map_err(|_| temporary("store"))
    }

    /// Each part by an order of its own. What was refused before anything was sent may be tried again; a message of which the
    /// telephone has a part is not begun anew: of a later part that is refused, too, a person says what became of it.
    async fn submit(
        &self,
        smpp: &Smpp,
        account: &AccountId,
        attempt: u32,
        message: &Message,
        from: &str,
        to: &str,
    ) -> Result<String, AttemptResult> {
        let reference = u16::try_from(message.id.0 & 0xffff).expect("16 bits");
        let orders = pdu::submit(from, to, &message.text, smpp.alphabet(), reference).map_err(permanent)?;
        let total = u32::try_from(orders.len()).expect("at most 255");
        let mut id = String::new();
        let mut under_way = smpp.order();
        for (number, order) in (1..).zip(orders) {
            let is_first = number == 1;
            let mut failures = 0;
            id = loop {
                match under_way.submit(order.clone()).await {
                    Ok(id) => break id,
                    Err(SubmitError::Refused(code)) if is_first => return Err(permanent(&code)),
                    Err(SubmitError::NotBound) if is_first => return Err(temporary("not_bound")),
                    Err(SubmitError::Throttled | SubmitError::NotBound) if failures < PART_TRIES_MAX => {
                        failures += 1;
                        tokio::time::sleep(back_off(failures)).await;
                    }
                    Err(SubmitError::Throttled) if is_first => return Err(temporary("throttled")),
                    Err(error) => {
                        tracing::warn!(message = %message.id, %account, part = number, ?error, "the SMSC did not take all of a text message");
                        return Err(AttemptResult::Unknown);
                    }
                }
            };
            // at once: the receipt of a part may come before the next one is taken
            let (part, name) = (SentPart { message: message.id, attempt, number }, provider_name(account, &pdu::spellings(&id)[0]));
            let note = Note { administration: message.administration.clone(), part, total, name };
            if note.keep(&*self.store).await.is_err() {
                tokio::spawn(note.keep_later(Arc::clone(&self.store)));
            }
        }
        Ok(id)
    }

    async fn try_send(&self, account: &AccountId, attempt: u32, message: &Message) -> Result<String, AttemptResult> {
        let carrier = self.carriers.get(account).ok_or_else(|| permanent("no_carrier"))?;
        let own = self.plan.borrow().accounts.get(account).and_then(|account| account.address.clone());
        let from = Address::read(&own.ok_or_else(|| permanent("no_sender"))?).to_string();
        let to = message.to.first().map(|party| party.address.as_str()).ok_or_else(|| permanent("no_recipient"))?;
        if message.text.trim().is_empty() {
            return Err(permanent("no_text"));
        }
        if self.is_opted_out(message, to).await? {
            return Err(permanent("opted_out"));
        }
        let reference = reference(message.id, attempt);
        let text = message.text.as_str();
        match carrier {
            Carrier::Log(file) => log(file, account, &reference, parts(text, ShortAlphabet::Gsm7, Reference::Narrow).texts.len()).await,
            Carrier::Twilio { base, account_sid, auth_token, callback } => {
                let mut url = base.clone();
                url.set_path(&format!("/2010-04-01/Accounts/{account_sid}/Messages.json"));
                let callback = callback.clone().map(|mut callback| {
                    callback.query_pairs_mut().append_pair("message", &reference);
                    callback.to_string()
                });
                let form = twilio::form(&from, to, text, callback.as_deref());
                let request = self.client.post(url).basic_auth(account_sid, Some(auth_token.expose_secret())).form(&form);
                ask(request, twilio::answer).await
            }
            Carrier::Smpp(smpp) => self.submit(smpp, account, attempt, message, &from, to).await,
            Carrier::Vonage { base, key, secret } => {
                let mut url = base.clone();
                url.set_path("/v1/messages");
                let request = self.client.post(url).basic_auth(key, Some(secret.expose_secret()));
                ask(request.json(&vonage::order(&from, to, text, &reference)), vonage::answer).await
            }
            Carrier::Generic { url, secret } => {
                let parts = parts(text, ShortAlphabet::Gsm7, Reference::Narrow).texts.len();
                let order = generic::Order { id: &reference, reference: &reference, from: &from, to, text, parts };
                let body = serde_json::to_vec(&order).map_err(|_| permanent("text"))?;
                ask(signed(self.client.post(url.clone()), &reference, secret.expose_secret(), body), generic::answer).await
            }
        }
    }
}

/// How an SMSC named a part: its receipt knows no other name.
struct Note {
    administration: AdministrationId,
    part: SentPart,
    total: u32,
    name: String,
}

impl Note {
    async fn keep(&self, store: &dyn Store) -> Result<(), StoreError> {
        let kept = store.put_part_id(&self.administration, self.part, self.total, &self.name).await;
        kept.inspect_err(|error| {
            let SentPart { message, number, .. } = self.part;
            tracing::warn!(%message, part = number, %error, "the SMSC's id of a part of message {message} is not kept yet");
        })
    }

    /// The message goes on meanwhile. A receipt that comes first waits as long.
    async fn keep_later(self, store: Arc<dyn Store>) {
        for failures in 1..=NOTE_TRIES {
            tokio::time::sleep(back_off(failures)).await;
            if self.keep(&*store).await.is_ok() {
                return;
            }
        }
        let SentPart { message, number, .. } = self.part;
        tracing::error!(%message, part = number, "the SMSC's id of a part of message {message} is not kept: its receipt will not be known");
    }
}

#[async_trait]
impl Sender for SmsSender {
    fn channel(&self) -> Channel {
        Channel::sms()
    }

    fn at_once(&self, account: &AccountId) -> u16 {
        match self.carriers.get(account) {
            Some(Carrier::Smpp(smpp)) => smpp.window(),
            _ => AT_ONCE,
        }
    }

    async fn attempt(&self, account: &AccountId, attempt: u32, message: &Message) -> AttemptResult {
        match self.try_send(account, attempt, message).await {
            Ok(id) => {
                fault::point("after_next_hop");
                AttemptResult::Sent { provider_id: Some(id) }
            }
            Err(result) => result,
        }
    }

    async fn look_up(&self, account: &AccountId, message: &Message) -> AttemptResult {
        let Some(Carrier::Twilio { base, account_sid, auth_token, .. }) = self.carriers.get(account) else {
            return AttemptResult::Unknown;
        };
        let Some(to) = message.to.first() else { return AttemptResult::Unknown };
        let mut url = base.clone();
        url.set_path(&format!("/2010-04-01/Accounts/{account_sid}/Messages.json"));
        url.query_pairs_mut().append_pair("To", Address::read(&to.address).as_str()).append_pair("PageSize", "100");
        let request = self.client.get(url).basic_auth(account_sid, Some(auth_token.expose_secret()));
        match read_answer(request).await {
            Some((200, body)) => twilio::find(&body, &message.text, message.at),
            _ => AttemptResult::Unknown,
        }
    }

    fn ended(&self, account: &AccountId, result: &AttemptResult, took: Duration) {
        let outcome = match result {
            AttemptResult::Sent { .. } | AttemptResult::Delivered => "sent",
            AttemptResult::Temporary { .. } => "temporary",
            AttemptResult::Permanent { .. } | AttemptResult::Bounced { .. } => "permanent",
            AttemptResult::Unknown => "unknown",
        };
        self.counters.count(account, outcome);
        self.counters.took(account, took);
    }

    fn quarantined(&self, account: &AccountId) {
        self.counters.count(account, "quarantined");
    }
}

/// Asks once. Only what certainly did not reach the provider may be tried again.
async fn ask(request: RequestBuilder, read: fn(u16, &[u8]) -> Answer) -> Result<String, AttemptResult> {
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => return Err(temporary("connect")),
        Err(error) if error.is_builder() => return Err(permanent("request")),
        Err(_) => return Err(AttemptResult::Unknown),
    };
    let status = answer.status().as_u16();
    let body = read_body(&mut answer, ANSWER_BYTES_MAX).await;
    match read(status, &body) {
        Answer::Taken(id) => Ok(id),
        Answer::NotNow(code) => Err(temporary(&code)),
        Answer::Refused(code) => Err(permanent(&code)),
        Answer::Unclear => Err(AttemptResult::Unknown),
    }
}

/// Asks for a list: status and body, if there is an answer at all.
async fn read_answer(request: RequestBuilder) -> Option<(u16, Vec<u8>)> {
    let mut answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, read_body(&mut answer, LIST_BYTES_MAX).await))
}

/// The beginning of a body, or all of it.
async fn read_body(answer: &mut Response, bytes_max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > bytes_max {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// The headers of a standard webhook.
fn signed(request: RequestBuilder, id: &str, secret: &str, body: Vec<u8>) -> RequestBuilder {
    let time = now().0.div_euclid(1_000_000).to_string();
    // the reference has a full stop, which the signed text separates its parts with
    let id = id.replace('.', "-");
    let key = signature::key(secret);
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).expect("a key may have any length");
    let mac = mac.chain_update(format!("{id}.{time}.")).chain_update(&body).finalize();
    request
        .header("webhook-id", id)
        .header("webhook-timestamp", time)
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(mac.into_bytes())))
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body)
}

/// A line that says a message would have gone: never its text or number, which the desk shows to who may see them.
async fn log(file: &PathBuf, account: &AccountId, reference: &str, parts: usize) -> Result<String, AttemptResult> {
    let line = serde_json::json!({"at": now(), "account": account, "message": reference, "parts": parts}).to_string() + "\n";
    let written = async {
        if let Some(folder) = file.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let mut file = tokio::fs::OpenOptions::new().append(true).create(true).open(file).await?;
        file.write_all(line.as_bytes()).await?;
        file.sync_data().await
    };
    written.await.map_err(|_: std::io::Error| temporary("log"))?;
    Ok(format!("log-{reference}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::model::id::MessageId;
    use crate::port::testing::{FakeStore, administration};

    #[tokio::test(start_paused = true)]
    async fn an_id_that_the_store_does_not_take_is_kept_later() {
        let store = Arc::new(FakeStore::default());
        let part = SentPart { message: MessageId(1), attempt: 1, number: 2 };
        let note = Note { administration: administration("comune"), part, total: 2, name: "urp-sms/10".to_owned() };
        store.away.store(true, Ordering::Relaxed);
        let keeping = tokio::spawn(note.keep_later(Arc::clone(&store) as Arc<dyn Store>));
        tokio::time::sleep(Duration::from_secs(50)).await;
        store.away.store(false, Ordering::Relaxed);
        assert!(store.rows().parts.is_empty());
        keeping.await.expect("no panic");
        assert_eq!(store.rows().parts, [(part, "urp-sms/10".to_owned())]);
    }
}
