//! A transcript that was taken before the plan lost the account to send it by: it is done with, and the next one goes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::citizen::{Citizen, Tab};
use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person};

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    let whole = house.done(&["plan", "example"]).await;
    let (before, rest) = whole.split_once("[administration.comune.account.urp-mail]").unwrap();
    let without_mail = format!("{before}{}", rest.split_once("# Text messages.").unwrap().1.split_once('\n').unwrap().1);
    let bruno = Person::sign_in(&house, "bruno").await;
    let live = bruno.ready().await;

    let first = Citizen::about(&house, "Mario", "tari").await;
    let (tab, contact) = talk(&first, &bruno, &live, &[]).await;
    tab.say(json!({ "type": "transcript", "email": "mario@example.it" }));
    tab.accepted("transcript").await;
    apply(&house, &first, &without_mail, false).await;
    tab.say(json!({ "type": "transcript", "email": "altra@example.it" }));
    tab.refused("no_transcript").await;
    close(&bruno, &contact, &tab).await;
    let warning = "a transcript is not sent: comune has no email account in the plan";
    eventually("it is said that it is not sent", async || house.log().contains(warning).then_some(())).await;

    apply(&house, &first, &whole, true).await;
    let second = Citizen::about(&house, "Luisa", "tari").await;
    let (tab, contact) = talk(&second, &bruno, &live, &[contact]).await;
    tab.say(json!({ "type": "transcript", "email": "luisa@example.it" }));
    tab.accepted("transcript").await;
    close(&bruno, &contact, &tab).await;
    let sent = || house.mails().into_iter().filter(|mail| mail.contains("La sua chat")).collect::<Vec<_>>();
    let mail = eventually("the other's goes", async || sent().pop()).await;
    assert!(mail.contains("luisa@example.it"), "{mail}");
    assert_eq!((sent().len(), house.log().matches(warning).count()), (1, 1), "what is done with is not looked at again");
    house.finish().await;
}

/// A chat that an operator has answered; its contact.
async fn talk(citizen: &Citizen, bruno: &Person, live: &Live, known: &[String]) -> (Tab, String) {
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Quanto pago?").await;
    let (contact, ordinal) = live.offer(known).await;
    let taken = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(taken["outcome"], "applied", "{taken}");
    bruno.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Circa 120 €" })).await;
    tab.message("Circa 120 €").await;
    (tab, contact)
}

async fn close(bruno: &Person, contact: &str, tab: &Tab) {
    bruno.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved", "topic": "tari" })).await;
    tab.status("ended").await;
}

/// Puts a plan in force, and waits until the chat knows whether a transcript can be sent.
async fn apply(house: &House, citizen: &Citizen, plan: &str, has_transcript: bool) {
    let file = house.folder.path().join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
    eventually("the plan is in force", async || {
        let config: Value = citizen.request(Method::GET, "/config").send().await.ok()?.json().await.ok()?;
        (config["transcript"] == has_transcript).then_some(())
    })
    .await;
}

on_both_pairs!(story);
