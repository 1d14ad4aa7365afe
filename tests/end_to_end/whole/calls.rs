//! Calls as a telephone system sees them: whether its caller rings, each leaving at an address of its own, and all of it after a restart.

use serde_json::{Value, json};

use crate::daemon::{House, Pair, eventually};
use crate::people::Program;

async fn story(pair: Pair) {
    let mut house = House::start(pair).await;
    one_may_wait(&house).await;
    let program = Program::new(&house, &house.token);
    let first = program.call("chiamata-1").await;
    let status = program.status(&first, "it waits", |status| status["contact"]["state"] == "queued").await;
    assert_eq!(admission(&status), [&json!("live"), &json!(true), &Value::Null], "{status}");
    let refused = a_call_to_a_full_queue_says_so(&house, &program).await;
    let left = leaves_twice(&program, &first).await;
    let late = program.accepted(&format!("/contacts/{first}/end"), json!({})).await;
    house.terminate().await;
    house.up().await;
    for (input, outcome) in [(&left[0], "applied"), (&left[1], "applied"), (&refused, "wrong_state"), (&late, "wrong_state")] {
        let status = program.status(input, "it is known", |status| status["state"] == "processed").await;
        assert_eq!(status["outcome"], outcome, "{status}");
    }
    house.finish().await;
}

fn admission(status: &Value) -> [&Value; 3] {
    ["mode", "admitted", "not_admitted"].map(|field| &status["contact"][field])
}

/// A plan whose queue for calls takes one that waits.
async fn one_may_wait(house: &House) {
    let plan = house.done(&["plan", "show"]).await.replacen("waiting_max = 200", "waiting_max = 1", 1);
    let file = house.folder.path().join("narrow.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
}

/// It is kept and never rings; nobody can hang up what is no call any more. The input of that refused signal.
async fn a_call_to_a_full_queue_says_so(house: &House, program: &Program) -> String {
    let input = program.call("chiamata-2").await;
    let status = program.status(&input, "it is kept", |status| status["contact"]["state"] == "queued").await;
    assert_eq!(admission(&status), [&json!("deferrable"), &json!(false), &json!("queue_full")], "{status}");
    assert_eq!(status["contact"]["queue_closed"], false, "{status}");
    let left = program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    let status = program.status(&left, "the signal was looked at", |status| status["state"] == "processed").await;
    assert_eq!(status["outcome"], "wrong_state", "{status}");
    eventually("it is counted", async || {
        let metrics = reqwest::get(format!("{}/metrics", house.at.metrics)).await.ok()?.text().await.ok()?;
        let name = "sportello_contacts_not_admitted_total{";
        let counts = |line: &str| line.starts_with(name) && line.ends_with(",queue=\"banco\",reason=\"full\"} 1");
        metrics.lines().any(counts).then_some(())
    })
    .await;
    left
}

/// The citizen hangs up, calls back within the grace, and hangs up again. The inputs of both leavings.
async fn leaves_twice(program: &Program, call: &str) -> [String; 2] {
    let abandon = format!("/contacts/{call}/abandon");
    let is_gone = |status: &Value| status["state"] == "processed" && status["contact"]["state"] == "abandoned";
    let first = program.accepted(&abandon, json!({})).await;
    assert_eq!(program.status(&first, "the citizen is gone", is_gone).await["outcome"], "applied");
    let back = json!({ "external_id": "chiamata-1-di-nuovo", "text": "" });
    program.accepted(&format!("/contacts/{call}/messages"), back).await;
    program.status(call, "the citizen is back", |status| status["contact"]["state"] == "queued").await;
    assert_eq!(program.accepted(&abandon, json!({})).await, first, "sent twice, done once");
    let second = program.accepted(&abandon, json!({ "external_id": "2" })).await;
    assert_ne!(second, first);
    assert_eq!(program.status(&second, "the citizen is gone again", is_gone).await["outcome"], "applied");
    [first, second]
}

on_both_pairs!(story);
