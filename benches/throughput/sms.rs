//! Text messages by a gateway's signed webhook: how long its answer takes, which says that the message lies on the disk, and whether
//! every message that was answered for is a contact at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use serde_json::json;
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::load::words;
use crate::report::Report;
use crate::shape::{Installation, SETTLE_WITHIN, WARM_UP, histogram};
use crate::{Setup, now_micros};

/// Webhooks a second.
const RATE: f64 = 500.0;
/// Webhooks without an answer before the bench itself would be the limit.
const UNANSWERED_MAX: usize = 10_000;
/// The most that the 99th percentile should be, in milliseconds.
const P99_MS: f64 = 30.0;
/// Characters of a message: one part.
const CHARACTERS: usize = 150;

/// The example plan's account for trying out, signed as every generic gateway signs. Nobody is at work: the messages wait.
pub async fn measure(setup: &Setup, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    // the provider is one address, without a proxy in front
    let (mut it, _) = Installation::one(setup, folder, "sms", &[("public.connections_per_address_max", "100000".into())]).await?;
    let data = folder.join("sms");
    let secret = std::fs::read_to_string(data.join("sms/urp-sms.secret")).context("the trial account has a secret")?;
    let url = format!("{}/sms/v1/urp-sms", it.daemons[0].public()?.trim_end_matches('/'));
    let mut gateway = Gateway { client: Client::new(), url, secret: secret.trim().to_owned(), run: rand::random(), count: 0 };
    gateway.open_loop(RATE, WARM_UP.as_secs_f64()).await?;
    settle(&mut it.database, &data, gateway.count).await?;
    it.database.analyze().await?;
    for _ in 0..setup.runs {
        let began = Instant::now();
        let answers = gateway.open_loop(RATE, setup.seconds).await?;
        settle(&mut it.database, &data, gateway.count).await?;
        let rate = answers.len() as f64 / began.elapsed().as_secs_f64();
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.add(figure(name), "ms", answers.value_at_quantile(quantile) as f64 / 1000.0);
        }
        report.add("text messages that are contacts, spool emptied", "messages/s", rate);
    }
    report.aim(&figure("p99"), P99_MS);
    it.stop().await
}

fn figure(name: &str) -> String {
    format!("webhook to answer at {RATE}/s: {name}")
}

/// Waits until the spool is empty and every message is a contact, once.
async fn settle(database: &mut Database, data: &Path, taken: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let waiting = spooled_bytes(&data.join("spool"))?;
        let contacts = database.number("select count(*) from contact where channel = 'sms'").await?;
        if waiting == 0 && contacts >= taken as i64 {
            break;
        }
        ensure!(Instant::now() < deadline, "{contacts} of {taken} messages are contacts, {waiting} bytes are in the spool");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (what, sql) in [
        ("contacts", "select count(*) from contact where channel = 'sms'"),
        ("messages", "select count(*) from message where channel = 'sms' and direction = 'inbound'"),
        ("events message.received", "select count(*) from event where name = 'message.received'"),
    ] {
        let found = database.number(sql).await?;
        ensure!(found == taken as i64, "conservation: {taken} webhooks were answered for, {found} {what}");
    }
    ensure!(database.number("select count(*) from quarantine").await? == 0, "conservation: messages in quarantine");
    Ok(())
}

/// Bytes in the files of every place of the spool.
fn spooled_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for place in std::fs::read_dir(folder)? {
        for file in std::fs::read_dir(place?.path())? {
            // a file that is done may be gone by now; folders are for parts
            bytes += file?.metadata().map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 });
        }
    }
    Ok(bytes)
}

/// A provider with a Standard Webhooks library.
struct Gateway {
    client: Client,
    url: String,
    secret: String,
    run: u32,
    count: u64,
}

impl Gateway {
    /// Calls at random times (Poisson), `rate` a second on average; from the intended time to the answer, in microseconds.
    async fn open_loop(&mut self, rate: f64, seconds: f64) -> anyhow::Result<Histogram<u64>> {
        let (began, began_micros) = (Instant::now(), now_micros());
        let (mut calls, mut answers, mut due) = (JoinSet::new(), histogram()?, 0.0_f64);
        loop {
            due += -(1.0 - rand::random::<f64>()).ln() / rate;
            if due > seconds {
                break;
            }
            tokio::time::sleep_until((began + Duration::from_secs_f64(due)).into()).await;
            let (call, intended) = (self.call()?, began_micros + (due * 1e6) as i64);
            calls.spawn(async move {
                let answer = call.send().await?;
                ensure!(answer.status() == 204, "a webhook: {} {}", answer.status(), answer.text().await?);
                Ok((now_micros() - intended).max(1).unsigned_abs())
            });
            self.count += 1;
            while let Some(answer) = calls.try_join_next() {
                answers.record(answer??)?;
            }
            ensure!(calls.len() < UNANSWERED_MAX, "webhooks are answered too slowly for {rate} a second");
        }
        while let Some(answer) = calls.join_next().await {
            answers.record(answer??)?;
        }
        Ok(answers)
    }

    /// A citizen of their own, so that no message joins another's contact.
    fn call(&self) -> anyhow::Result<reqwest::RequestBuilder> {
        let (id, number) = (format!("{:08x}-{}", self.run, self.count), format!("+39333{:07}", self.count % 10_000_000));
        let text = words(CHARACTERS);
        let body = json!({"type": "message", "id": id, "from": number, "to": "+390471000001", "text": text}).to_string();
        let time = now_micros() / 1_000_000;
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_bytes())?;
        let mac = STANDARD.encode(mac.chain_update(format!("{id}.{time}.{body}")).finalize().into_bytes());
        let signed = self.client.post(&self.url).header("webhook-id", id).header("webhook-timestamp", time);
        Ok(signed.header("webhook-signature", format!("v1,{mac}")).body(body))
    }
}
