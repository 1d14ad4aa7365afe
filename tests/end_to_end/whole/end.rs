//! SIGTERM: consoles are told, everything is handed over within seconds, nothing is left to be delivered again.

use crate::daemon::{House, Pair};
use crate::people::{Person, Program, letter};

async fn story(pair: Pair) {
    let mut house = House::start(pair).await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    let program = Program::new(&house, &house.token);
    let input = program.call("chiamata-1").await;
    letter(&house, "mario@example.it", "urp@comune.example", "Prima della fine", "Buongiorno").await;
    anna.own("Prima della fine").await;
    let seen = live.last_seq();
    house.terminate().await;
    // each part that its time of ten seconds does not suffice for is said
    assert!(!house.log().contains("in time"), "{}", house.log());
    assert_eq!(live.close_code().await, Some(1001), "consoles are told that the server stops");
    if let Some(production) = &house.production {
        let left: Vec<_> = production.left_in_queues().await.into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(left.is_empty(), "left to be delivered again: {left:?}");
    }
    house.up().await;
    let live = anna.live(Some(seen)).await;
    anna.own("Prima della fine").await;
    program.contact(&input).await;
    drop(live);
    house.finish().await;
}

on_both_pairs!(story);
