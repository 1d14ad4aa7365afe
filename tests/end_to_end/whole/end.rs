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
    a_start_that_fails_ends_in_order(&house).await;
    house.up().await;
    let live = anna.live(Some(seen)).await;
    anna.own("Prima della fine").await;
    program.contact(&input).await;
    drop(live);
    house.finish().await;
}

/// On an address that is taken: by then the pool is led already.
async fn a_start_that_fails_ends_in_order(house: &House) {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut arguments = vec!["serve".to_owned(), "--set".to_owned(), format!("channel_api.listen={}", taken.local_addr().unwrap())];
    for key in ["desk", "public", "metrics", "email.smtp"] {
        arguments.extend(["--set".to_owned(), format!("{key}.listen=127.0.0.1:0")]);
    }
    let output = house.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("in use").count(), 1, "why, once: {said}");
    assert!(said.contains("the pool is handed over"), "{said}");
}

on_both_pairs!(story);
