//! SIGTERM while an answer is on its way: the pool is handed over at once, the answer is waited for, and it leaves once.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::conversation::{SECRET, by_gateway};
use super::sms::{delivery, own, reply};
use crate::daemon::{House, Pair, eventually};
use crate::people::Person;

async fn story(pair: Pair) {
    let answers = CancellationToken::new();
    let (gateway, mut orders) = crate::gateway::start_slow(answers.clone()).await;
    let settings = format!("[sms.account.urp-sms]\nprovider = \"generic\"\npassword = \"{SECRET}\"\nurl = \"{gateway}\"\n");
    let mut house = House::with(pair, &settings).await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    let text = json!({ "type": "message", "id": "g1", "from": "+393331234567", "to": "+390471000001", "text": "Siete aperti?" });
    by_gateway(&house, "msg_1", text).await;
    let contact = own(&anna).await;
    let message = reply(&anna, &contact, "Fino alle 17.").await;
    crate::gateway::next(&mut orders).await; // it has the order, and keeps its answer

    let (log, health) = (house.log_file(), house.at.metrics.clone());
    let released = async {
        eventually("the pool is handed over", async || {
            std::fs::read_to_string(&log).ok()?.contains("the pool is handed over").then_some(())
        })
        .await;
        for (path, expected) in [("readyz", 503), ("livez", 200)] {
            assert_eq!(reqwest::get(format!("{health}/{path}")).await.unwrap().status(), expected, "{path} while it stops");
        }
        answers.cancel();
    };
    tokio::join!(house.terminate(), released);
    drop(live);

    house.up().await;
    delivery(&anna, &contact, &message, "sent").await;
    assert!(orders.try_recv().is_err(), "it left once");
    house.finish().await;
}

on_both_pairs!(story);
