//! What time does to a chat: a lost socket is an abandonment only after the queue's time, a silent citizen is asked and then
//! closed, and words left for later are answered by mail.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::citizen::Citizen;
use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person, text};

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    let plan = house.done(&["plan", "example"]).await;
    let plan = plan.replace("abandon_after = \"2m\"", "abandon_after = \"12s\"");
    let plan = plan.replace("silence_warn = \"4m\"", "silence_warn = \"10s\"").replace("silence_close = \"6m\"", "silence_close = \"20s\"");
    let file = house.folder.path().join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
    let (anna, carla) = (Person::sign_in(&house, "anna").await, Person::sign_in(&house, "carla").await);
    a_closed_queue_says_why(&house, &carla).await;
    who_comes_back_in_time_has_lost_nothing(&house, &carla).await;
    who_stays_away_has_left(&house, &carla).await;
    let live = anna.ready().await;
    a_silent_citizen_is_asked_and_closed(&house, &anna, &carla, &live).await;
    words_left_are_answered_by_mail(&house, &carla).await;
    house.finish().await;
}

async fn state_of(carla: &Person, name: &str) -> Option<(String, String, String)> {
    let contacts = carla.get("/contacts?limit=100&state=queued,offered,active,abandoned,closed,wrap_up").await;
    let contact = contacts["items"].as_array()?.iter().find(|contact| contact["citizen"] == name)?.clone();
    Some((text(&contact["id"]), text(&contact["state"]), text(&contact["mode"])))
}

async fn a_closed_queue_says_why(house: &House, carla: &Person) {
    let notice = "Torniamo <b>alle 14</b>";
    carla.post("/queues/chat/close", json!({ "notice": notice })).await;
    let citizen = Citizen::about(house, "Ada", "residenza").await;
    let config = async || citizen.request(reqwest::Method::GET, "/config").send().await.ok()?.json::<serde_json::Value>().await.ok();
    eventually("the notice is there before the first word", async || config().await.filter(|config| config["notice"] == notice)).await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Ci siete?").await;
    tab.frame("the notice while waiting", |frame| frame["type"] == "unattended" && frame["notice"] == notice).await;
    carla.post("/queues/chat/open", json!({})).await;
    tab.frame("it holds no longer", |frame| frame["type"] == "unattended" && frame.get("notice").is_none()).await;
    eventually("nor before the first word", async || config().await.filter(|config| config.get("notice").is_none())).await;
    tab.say(json!({ "type": "end" }));
    tab.status("ended").await;
}

async fn who_comes_back_in_time_has_lost_nothing(house: &House, carla: &Person) {
    let citizen = Citizen::about(house, "Piero", "residenza").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Ci siete?").await;
    tab.status("waiting").await;
    let seen = tab.last_seq();
    drop(tab);
    // away for a while, but not for as long as it takes
    let away = Instant::now();
    eventually("a third of the time is over", async || (away.elapsed() > Duration::from_secs(4)).then_some(())).await;
    let (tab, welcome) = citizen.hello(Some(seen)).await;
    assert_eq!(welcome["state"]["status"], "waiting", "{welcome}");
    let back = Instant::now();
    eventually("the time of the first absence is over", async || (back.elapsed() > Duration::from_secs(9)).then_some(())).await;
    assert_eq!(state_of(carla, "Piero").await.unwrap().1, "queued", "who is there has not left");
    tab.say(json!({ "type": "end" }));
    tab.status("ended").await;
}

async fn who_stays_away_has_left(house: &House, carla: &Person) {
    let citizen = Citizen::about(house, "Gino", "residenza").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Aspetto").await;
    tab.status("waiting").await;
    let gone = Instant::now();
    drop(tab);
    eventually("it is abandoned", async || state_of(carla, "Gino").await.filter(|(_, state, _)| state == "abandoned")).await;
    assert!(gone.elapsed() >= Duration::from_secs(12), "only after its time: {:?}", gone.elapsed());
    let (tab, welcome) = citizen.hello(None).await;
    assert_eq!((&welcome["state"]["status"], &welcome["state"]["reason"]), (&json!("ended"), &json!("abandoned")), "{welcome}");
    tab.write("m-2", "Eccomi di nuovo").await;
    tab.status("waiting").await;
    tab.say(json!({ "type": "end" }));
    tab.frame("over", |frame| frame["type"] == "state" && frame["reason"] == "citizen").await;
}

async fn a_silent_citizen_is_asked_and_closed(house: &House, anna: &Person, carla: &Person, live: &Live) {
    let citizen = Citizen::about(house, "Rita", "residenza").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Un'informazione").await;
    // hers, by name: a contact that somebody before her left may have rung as well
    let (contact, ..) = eventually("her contact is there", async || state_of(carla, "Rita").await).await;
    let ordinal = live.event("offer.made", &contact).await["ordinal"].clone();
    let taken = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(taken["outcome"], "applied", "{taken}");
    anna.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Mi dica" })).await;
    let warning = tab.frame("she is asked", |frame| frame["type"] == "warning").await;
    assert!((1..=10).contains(&warning["seconds"].as_u64().unwrap()), "{warning}");
    let ended = tab.status("ended").await;
    assert_eq!(ended["reason"], "silent", "{ended}");
    live.event("contact.silent", &contact).await;
    let closed = live.event("contact.closed", &contact).await;
    assert_eq!(closed["resolution"], "citizen_silent", "{closed}");
}

async fn words_left_are_answered_by_mail(house: &House, carla: &Person) {
    // nobody for taxes is there
    let citizen = Citizen::about(house, "Ugo", "tari").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Nessuno?").await;
    tab.frame("nobody is there", |frame| frame["type"] == "unattended").await;
    tab.say(json!({ "type": "leave_message", "id": "l-1", "email": "ugo@example.it", "text": "Richiamatemi" }));
    tab.accepted("l-1").await;
    tab.status("left").await;
    let (contact, state, mode) = state_of(carla, "Ugo").await.unwrap();
    assert_eq!((state.as_str(), mode.as_str()), ("queued", "deferrable"));
    let bruno = Person::sign_in(house, "bruno").await;
    let _live = bruno.ready().await;
    eventually("it is assigned", async || state_of(carla, "Ugo").await.filter(|(_, state, _)| state == "active")).await;
    bruno.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Eccoci, la scadenza è il 16 dicembre" })).await;
    let mail =
        eventually("the answer arrives by mail", async || house.mails().into_iter().find(|mail| mail.contains("ugo@example.it"))).await;
    assert!(mail.contains("16 dicembre"), "{mail}");
}

on_both_pairs!(story);
