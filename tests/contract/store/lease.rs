//! Who leads: by time, by sign of life, one at a time.

use std::time::{Duration, Instant};

use sqlx::Connection as _;

use sportello::port::store::StoreError;

use super::fixture::*;
use super::place::Place;
use super::{on_both, on_postgres};

on_both!(
    one_leads_and_keeps_it,
    a_lease_past_its_time_is_taken,
    who_took_over_from_a_paused_leader_is_safe,
    a_holder_that_is_gone_is_followed_at_once,
    who_resigns_is_followed_at_once,
    of_two_candidates_one_wins,
    the_same_holder_may_lead_again,
    named_leases,
);
on_postgres!(a_leader_paused_inside_a_commit_holds_nobody_up);

const SHORT: Duration = Duration::from_millis(300);

async fn one_leads_and_keeps_it(place: Place) {
    let first = place.store.lead(&pool(), "a", TTL).await.expect("asks").expect("leads");
    let other = place.another().await;
    assert_eq!(other.lead(&pool(), "b", TTL).await.expect("asks"), None);
    assert!(place.store.renew(&first, TTL).await.expect("renews"));
    assert_eq!(other.lead(&pool(), "b", TTL).await.expect("asks"), None);
    let elsewhere = sportello::model::id::PoolId::new("altro").expect("name");
    assert!(other.lead(&elsewhere, "b", TTL).await.expect("asks").is_some(), "each pool has its own");
}

/// The old holder's session lives on, as a paused process's does.
async fn a_lease_past_its_time_is_taken(place: Place) {
    let other = place.another().await;
    let first = place.store.lead(&pool(), "a", TTL).await.expect("asks").expect("leads");
    assert_eq!(other.lead(&pool(), "b", TTL).await.expect("asks"), None);
    assert!(place.store.renew(&first, SHORT).await.expect("renews"), "for the last time");
    let second = eventually("take-over", async || other.lead(&pool(), "b", TTL).await.expect("asks")).await;
    assert_eq!(second.epoch, first.epoch + 1);
    assert!(!place.store.renew(&first, TTL).await.expect("asks"), "the old one learns it");
    assert!(other.renew(&second, TTL).await.expect("renews"));
    place.store.resign(&first).await.expect("too late, but no error");
    assert!(other.renew(&second, TTL).await.expect("still leads"));
}

/// When the paused leader wakes and lets go, nobody may take that for the new leader's end.
async fn who_took_over_from_a_paused_leader_is_safe(place: Place) {
    let first = place.store.lead(&pool(), "a", SHORT).await.expect("asks").expect("leads");
    let other = place.another().await;
    let second = eventually("take-over", async || other.lead(&pool(), "b", TTL).await.expect("asks")).await;
    assert!(!place.store.renew(&first, TTL).await.expect("asks"));
    let third = place.another().await;
    for _ in 0..20 {
        assert_eq!(third.lead(&pool(), "c", TTL).await.expect("asks"), None);
    }
    assert!(other.renew(&second, TTL).await.expect("renews"));
}

async fn a_holder_that_is_gone_is_followed_at_once(place: Place) {
    let other = place.another().await;
    let first = other.lead(&pool(), "a", Duration::from_secs(3600)).await.expect("asks").expect("leads");
    assert_eq!(place.store.lead(&pool(), "b", TTL).await.expect("asks"), None);
    drop(other);
    let second = eventually("take-over", async || place.store.lead(&pool(), "b", TTL).await.expect("asks")).await;
    assert_eq!(second.epoch, first.epoch + 1);
}

async fn who_resigns_is_followed_at_once(place: Place) {
    let first = place.store.lead(&pool(), "a", Duration::from_secs(3600)).await.expect("asks").expect("leads");
    place.store.resign(&first).await.expect("resigns");
    let second = place.another().await.lead(&pool(), "b", TTL).await.expect("asks").expect("leads");
    assert_eq!(second.epoch, first.epoch + 1);
}

async fn of_two_candidates_one_wins(place: Place) {
    let other = place.another().await;
    for round in 0..10 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let name = pool();
        let (left, right) = tokio::join!(place.store.lead(&name, &a, TTL), other.lead(&name, &b, TTL));
        let (left, right) = (left.expect("asks"), right.expect("asks"));
        assert!(left.is_some() != right.is_some(), "round {round}: {left:?} {right:?}");
        for leadership in left.iter() {
            place.store.resign(leadership).await.expect("resigns");
        }
        for leadership in right.iter() {
            other.resign(leadership).await.expect("resigns");
        }
    }
}

/// A leader that lost its way drops everything and stands again under its own name.
async fn the_same_holder_may_lead_again(place: Place) {
    let first = place.store.lead(&pool(), "a", TTL).await.expect("asks").expect("leads");
    let second = place.store.lead(&pool(), "a", TTL).await.expect("asks").expect("leads again");
    assert_eq!(second.epoch, first.epoch + 1);
    assert!(!place.store.renew(&first, TTL).await.expect("asks"));
}

/// PostgreSQL ends the transaction of a leader that stands still in it. SQLite has nobody who could: there the file stays
/// locked until the process goes on or is killed, and with it everything on that machine that would write.
async fn a_leader_paused_inside_a_commit_holds_nobody_up(place: Place) {
    let mut leader = Leader::of(&place).await;
    place.store.renew(&leader.leadership, Duration::ZERO).await.expect("a lease that is about to end");
    let mut writes = leader.batch();
    writes.contacts = (1..=50).map(contact).collect();
    let other = place.another().await;
    {
        let held = place.hold("contact", "share").await;
        let mut commit = leader.writer.commit(&writes);
        // Goes on until it waits for its contacts, the epoch locked; from then on nobody goes on with it.
        eventually("inside its transaction, the epoch locked", async || {
            assert!(futures_util::poll!(&mut commit).is_pending(), "not committed while contacts are locked");
            (place.waiting().await > 0).then_some(())
        })
        .await;
        held.close().await.expect("closes");
        eventually("its contacts written", async || (place.paused_in_commit().await > 0).then_some(())).await;
        let began = Instant::now();
        let second = other.lead(&pool(), "b", TTL).await.expect("asks").expect("leads");
        assert!(began.elapsed() < Duration::from_secs(8), "took {:?}", began.elapsed());
        assert_eq!(second.epoch, leader.leadership.epoch + 1);
        let answer = commit.await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "the paused one goes on and finds its connection gone: {answer:?}");
    }
    assert_eq!(leader.writer.commit(&writes).await, Err(StoreError::Fenced));
    assert!(leader.writer.load(&pool()).await.expect("loads").contacts.is_empty());
}

async fn named_leases(place: Place) {
    let store = &place.store;
    assert!(store.hold("imap/urp", "a", TTL).await.expect("asks"));
    assert!(store.hold("imap/urp", "a", TTL).await.expect("asks"), "kept");
    assert!(!store.hold("imap/urp", "b", TTL).await.expect("asks"));
    assert!(store.hold("imap/pec", "b", TTL).await.expect("asks"));
    store.let_go("imap/urp", "b").await.expect("not theirs, no error");
    assert!(!store.hold("imap/urp", "b", TTL).await.expect("asks"), "and no effect");
    assert!(store.hold("imap/urp", "a", SHORT).await.expect("asks"), "for the last time");
    eventually("the time is past", async || store.hold("imap/urp", "b", TTL).await.expect("asks").then_some(())).await;
    assert!(!store.hold("imap/urp", "a", TTL).await.expect("asks"));
    store.let_go("imap/urp", "b").await.expect("lets go");
    assert!(store.hold("imap/urp", "a", TTL).await.expect("asks"));
}
