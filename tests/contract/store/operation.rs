//! Secret, plans, nodes, mailboxes, attempts, quarantine.

use std::time::Duration;

use sportello::model::channel::Channel;
use sportello::model::delivery::DeliveryState;
use sportello::model::id::{AccountId, AddressKey, AdministrationId, InputId, MessageId, PoolId};
use sportello::port::broker::Incoming;
use sportello::port::store::{AttemptStart, OptOut, Page, QuarantineReach, Quarantined, SentPart, StoreError, Watermark};
use sportello::runtime::quarantine::{kept, published_id};

use super::fixture::*;
use super::place::{At, Place};
use super::{on_both, on_postgres};

on_both!(
    schemas_of_other_releases,
    the_secret_stays,
    plans_are_versions,
    nodes_are_lost,
    watermarks,
    an_attempt_is_begun_once,
    the_last_word_on_messages_counts,
    a_part_is_found_by_its_providers_name,
    quarantine_holds,
    one_id_for_two_messages_is_two_items,
    quarantine_is_narrowed_before_it_is_cut
);
on_postgres!(keys_compare_as_bytes, a_migration_waits_for_a_table_in_turns);

/// A library's new order of letters must not lie beneath an old index. SQLite has no other order than that of bytes.
async fn keys_compare_as_bytes(place: Place) {
    let others = "select 1 from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
        where attcollation <> 0 and attcollation <> '\"C\"'::regcollation and indrelid::regclass::text not like 'pg_%'";
    let refuse = format!("do $$ begin if exists ({others}) then raise 'a key is ordered by a locale'; end if; end $$");
    place.run(&refuse).await.expect("a text column of an index says collate \"C\"");
    let bare = "select 1 from pg_class where relrowsecurity and not exists (select 1 from pg_policies where tablename = relname)";
    let refuse = format!("do $$ begin if exists ({bare}) then raise 'a table shows nothing to anybody'; end if; end $$");
    place.run(&refuse).await.expect("the policies are all there");
}

/// A dump reads a table for an hour: a newer release's start waits, and who works with the table does not wait behind it.
async fn a_migration_waits_for_a_table_in_turns(place: Place) {
    place.run("alter table message drop column attributes; delete from _sqlx_migrations where version = 14").await.expect("as before");
    let dump = place.hold("message", "access share").await;
    let meanwhile = async {
        while place.waiting().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        place.run("set statement_timeout = '20s'; select count(*) from message").await.expect("the running release goes on");
        drop(dump);
    };
    let (reopened, ()) = tokio::join!(place.reopen(), meanwhile);
    reopened.expect("in the end");
    place.run("select attributes from message").await.expect("the schema is the newer one");
}

/// Two releases run together while one replaces the other: the older one takes the newer one's schema. A schema whose known
/// steps are not ours is refused.
async fn schemas_of_other_releases(place: Place) {
    let step = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)";
    let checksum = match place.at {
        At::Sqlite { .. } => "x'00'",
        At::Postgres { .. } => "'\\x00'",
    };
    place.run(&format!("{step} values (9999, 'of the next release', true, {checksum}, 0)")).await.expect("a later step");
    place.reopen().await.expect("a newer schema is taken");
    place.run(&format!("update _sqlx_migrations set checksum = {checksum} where version = 1")).await.expect("another first step");
    assert!(matches!(place.reopen().await, Err(StoreError::Unreadable(_))));
}

async fn the_secret_stays(place: Place) {
    let other = place.another().await;
    let (one, two) = tokio::join!(place.store.installation_secret(), other.installation_secret());
    let one = one.expect("makes");
    assert_eq!(Ok(one), two, "made once, whoever asks first");
    assert_ne!(one, [0; 32]);
    assert_eq!(place.store.kind(), other.kind());
    place.store.ping().await.expect("answers");
}

async fn plans_are_versions(place: Place) {
    let store = &place.store;
    assert_eq!(store.plan().await.expect("reads"), None);
    assert_eq!(store.put_plan("a = 1").await.expect("stores"), 1);
    let other = place.another().await;
    let (left, right) = tokio::join!(store.put_plan("left"), other.put_plan("right"));
    let mut versions = [left.expect("stores"), right.expect("stores")];
    versions.sort_unstable();
    assert_eq!(versions, [2, 3]);
    assert_eq!(store.plan().await.expect("reads").map(|(version, _)| version), Some(3));
    assert_eq!(store.plan_version(1).await.expect("reads").as_deref(), Some("a = 1"));
    assert_eq!(store.plan_version(9).await.expect("reads"), None);
}

async fn nodes_are_lost(place: Place) {
    let store = &place.store;
    store.node_seen("desk-1").await.expect("notes");
    assert_eq!(store.nodes_lost(Duration::from_secs(3600)).await.expect("asks"), [""; 0]);
    eventually("late", async || (store.nodes_lost(Duration::from_millis(50)).await.expect("asks") == ["desk-1"]).then_some(())).await;
    assert_eq!(store.nodes_lost(Duration::ZERO).await.expect("asks"), ["desk-1"], "until it is forgotten");
    store.forget_node("desk-1").await.expect("forgets");
    assert_eq!(store.nodes_lost(Duration::ZERO).await.expect("asks"), [""; 0]);
}

async fn watermarks(place: Place) {
    let (store, account) = (&place.store, AccountId::new("urp-mail").expect("name"));
    assert_eq!(store.watermark(&account).await.expect("reads"), None);
    for watermark in [
        Watermark { uid_validity: 7, uid: 5, place: None },
        Watermark { uid_validity: u32::MAX, uid: 1, place: Some(i64::MIN) },
        Watermark { uid_validity: 1, uid: 0, place: Some(i64::MAX) },
    ] {
        store.put_watermark(&account, watermark).await.expect("keeps");
        assert_eq!(store.watermark(&account).await.expect("reads"), Some(watermark));
    }
}

async fn an_attempt_is_begun_once(place: Place) {
    let mut leader = Leader::of(&place).await;
    let begin = async |message, attempt| place.store.begin_attempt(&comune(), MessageId(message), attempt).await.expect("asks");
    leader
        .commit(|writes| {
            writes.messages = vec![message(1, 1)];
            writes.deliveries = vec![delivery(1, 1, DeliveryState::Attempting, 1)];
        })
        .await;
    assert!(matches!(begin(1, 1).await, AttemptStart::Begun(message) if message.id == MessageId(1)));
    assert_eq!(begin(1, 1).await, AttemptStart::BegunBefore);
    assert_eq!(begin(1, 2).await, AttemptStart::Void, "not ordered yet");
    assert_eq!(begin(9, 1).await, AttemptStart::Void, "no such message");
    assert_eq!(place.store.begin_attempt(&asl(), MessageId(1), 1).await.expect("asks"), AttemptStart::Void, "another's message");
    leader.commit(|writes| writes.deliveries = vec![delivery(1, 1, DeliveryState::Attempting, 2)]).await;
    assert_eq!(begin(1, 1).await, AttemptStart::Void, "an order of the past");
    assert!(matches!(begin(1, 2).await, AttemptStart::Begun(_)));
    leader.commit(|writes| writes.deliveries = vec![delivery(1, 1, DeliveryState::Sent, 2)]).await;
    assert_eq!(begin(1, 2).await, AttemptStart::Void, "it has been sent");

    // Of two adapters with the same order one begins.
    leader.commit(|writes| writes.deliveries = vec![delivery(1, 1, DeliveryState::Attempting, 3)]).await;
    let (other, body) = (place.another().await, comune());
    let (left, right) = tokio::join!(place.store.begin_attempt(&body, MessageId(1), 3), other.begin_attempt(&body, MessageId(1), 3));
    let begun = [left.expect("asks"), right.expect("asks")].iter().filter(|start| matches!(start, AttemptStart::Begun(_))).count();
    assert_eq!(begun, 1);
}

/// A receipt knows only the provider's name of a part, and says of no other that it arrived.
async fn a_part_is_found_by_its_providers_name(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader
        .commit(|writes| {
            writes.contacts = vec![contact(1)];
            writes.conversations = vec![conversation(1)];
            writes.messages = vec![message(1, 1), message(2, 1), message(3, 1)];
            writes.deliveries = [1, 2, 3].map(|n| delivery(n, 1, DeliveryState::Attempting, 1)).to_vec();
        })
        .await;
    let store = &place.store;
    for n in [1, 2, 3] {
        assert!(matches!(store.begin_attempt(&comune(), MessageId(n), 1).await, Ok(AttemptStart::Begun(_))));
    }
    let part = |message, number| SentPart { message: MessageId(message), attempt: 1, number };
    for (part, total, name) in
        [(part(1, 1), 1, "urp/3039"), (part(2, 1), 2, "urp/old"), (part(2, 1), 2, "urp/303a"), (part(2, 2), 2, "urp/303b")]
    {
        store.put_part_id(&comune(), part, total, name).await.expect("keeps");
    }
    let named = async |administration, ids: [&str; 3]| store.parts_named(&administration, &ids.map(str::to_owned)).await.expect("reads");
    assert_eq!(named(comune(), ["urp/12345", "urp/3039", "urp/x"]).await, [part(1, 1)]);
    assert_eq!(named(comune(), ["urp/303a", "", ""]).await, [part(2, 1)]);
    assert_eq!(named(comune(), ["urp/303b", "", ""]).await, [part(2, 2)]);
    assert_eq!(named(comune(), ["altro/3039", "", ""]).await, []);
    assert_eq!(named(asl(), ["urp/3039", "", ""]).await, [], "another administration's");
    assert_eq!(named(comune(), ["urp/303b", "urp/3039", "urp/303a"]).await, [part(2, 2)], "what is named exactly so, old or new");
    assert_eq!(named(comune(), ["urp/3039", "urp/303b", ""]).await, [part(1, 1)]);
    assert_eq!(named(comune(), ["urp/x", "urp/3039", "urp/303a"]).await.len(), 2, "it may be either");
    place.run("update attempt set begun_at = begun_at - 604800000000 where message like '%01'").await.expect("writes");
    assert_eq!(named(comune(), ["urp/x", "urp/3039", "urp/303a"]).await, [part(2, 1)], "the other is a week old");
    place.run("update attempt set begun_at = begun_at + 604800000000 where message like '%01'").await.expect("writes");
    place
        .run("update attempt set provider_id = 'urp/kept-before' where message like '%03' and administration = 'comune'")
        .await
        .expect("writes");
    assert_eq!(named(comune(), ["urp/kept-before", "", ""]).await, [part(3, 1)], "as earlier releases kept it");
    assert!(store.part_arrived(&comune(), part(3, 1)).await.expect("writes"), "which is all that is known of it");
    let arrived = async |administration, part| store.part_arrived(&administration, part).await.expect("writes");
    assert!(arrived(comune(), part(1, 1)).await, "the only one");
    arrived(asl(), part(2, 1)).await;
    for number in [2, 2] {
        assert!(!arrived(comune(), part(2, number)).await, "one of two, however often it is said, and by whom");
    }
    assert!(arrived(comune(), part(2, 1)).await && arrived(comune(), part(2, 2)).await, "both, and said again");
}

/// Per administration, channel and number; what was said last, not what was kept last; and each word once, by what it came with.
async fn the_last_word_on_messages_counts(place: Place) {
    let store = &place.store;
    let since =
        async |administration, channel: Channel, key| store.opted_out(&administration, &channel, AddressKey(key)).await.expect("reads");
    assert_eq!(since(comune(), Channel::sms(), 1).await, None, "who said nothing may be written to");
    let say = async |administration, input, stopped, at| {
        let (input, channel, address) = (InputId(input), Channel::sms(), AddressKey(1));
        let word = OptOut { input, administration, channel, address, stopped, at: seconds(at) };
        store.put_opt_out(&word).await.expect("keeps");
    };
    for (input, stopped, at, expected) in [
        (1, true, 10, Some(10)),
        (1, true, 10, Some(10)),
        (2, false, 5, Some(10)),
        (3, true, 20, Some(20)),
        (4, false, 30, None),
        (5, true, 25, None),
        (3, true, 35, None),
        (5, true, 36, None),
        (6, true, 40, Some(40)),
        (4, false, 50, Some(40)),
        (6, true, 60, Some(40)),
        (7, true, 70, Some(70)),
    ] {
        say(comune(), input, stopped, at).await;
        assert_eq!(since(comune(), Channel::sms(), 1).await, expected.map(seconds), "after {input}, {stopped}, at {at}");
    }
    assert_eq!(since(comune(), Channel::sms(), 2).await, None, "another number");
    assert_eq!(since(comune(), Channel::email(), 1).await, None, "another channel");
    assert_eq!(since(asl(), Channel::sms(), 1).await, None, "another administration");
    say(asl(), 1, true, 80).await;
    assert_eq!(since(asl(), Channel::sms(), 1).await, Some(seconds(80)), "what one has heard, another has not");
}

async fn quarantine_holds(place: Place) {
    let store = &place.store;
    let mut leader = Leader::of(&place).await;
    leader.commit(|writes| writes.quarantine = vec![quarantined("a")]).await;
    store.quarantine(&quarantined("b")).await.expect("keeps");
    store.quarantine(&quarantined("b")).await.expect("once");
    let page = Page { limit: 10, offset: 0 };
    let held = store.quarantined(None, false, page).await.expect("lists");
    assert_eq!(held.iter().map(|item| item.message_id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert!(held.iter().all(|item| item.body.is_empty() && item.state == "held"));
    assert_eq!(store.quarantine_counts().await.expect("counts"), [("inbound".to_owned(), 2)]);
    let (b, a) = (held[0].id, held[1].id);
    let item = store.quarantined_item(a).await.expect("reads").expect("is there");
    assert_eq!((item.body, item.pool, item.at), (quarantined("a").body, Some(pool()), NOON));

    assert!(store.settle_quarantined(a, "discarded").await.expect("settles"));
    assert!(!store.settle_quarantined(a, "retried").await.expect("asks"), "it is not held any more");
    assert_eq!(store.quarantined_item(a).await.expect("reads").map(|item| item.body), Some(Vec::new()));
    assert!(store.settle_quarantined(b, "retried").await.expect("settles"));
    assert!(matches!(store.settle_quarantined(b, "forgotten").await, Err(StoreError::Refused(_))));
    assert_eq!(store.quarantine_counts().await.expect("counts"), []);
    assert_eq!(store.quarantined(None, false, page).await.expect("lists"), []);
    let left = store.quarantined(None, true, page).await.expect("lists");
    assert_eq!(left.iter().map(|item| (item.id, item.state.as_str())).collect::<Vec<_>>(), [(b, "retried")], "its bytes are there");
    assert!(store.settle_quarantined(b, "discarded").await.expect("settles"), "and can go before their time");
    assert_eq!(store.quarantined_item(b).await.expect("reads").map(|item| item.body), Some(Vec::new()));
    assert!(!store.settle_quarantined(b, "retried").await.expect("asks"));

    // What was retried and failed again is held again; what was discarded and comes anew is held anew, with its bytes.
    for message in ["a", "b"] {
        store.quarantine(&Quarantined { reason: "still no JSON".into(), ..quarantined(message) }).await.expect("comes again");
    }
    let held = store.quarantined(None, false, page).await.expect("lists");
    assert_eq!(held.iter().map(|item| item.message_id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(held.iter().map(|item| item.id).collect::<Vec<_>>(), [b, a], "the same rows");
    let item = store.quarantined_item(a).await.expect("reads").expect("is there");
    assert_eq!((item.body, item.reason.as_str(), item.state.as_str()), (quarantined("a").body, "still no JSON", "held"));
}

/// The id is the publisher's to choose: whoever uses one twice loses nothing.
async fn one_id_for_two_messages_is_two_items(place: Place) {
    let store = &place.store;
    let message = |body: &'static str| Incoming {
        tag: 1,
        routing_key: "comuni.comune.email".into(),
        id: Some("always-the-same".into()),
        body: body.into(),
        traceparent: None,
        reply_to: None,
        redelivered: false,
        death: None,
    };
    let page = Page { limit: 10, offset: 0 };
    for source in ["inbound", "dead"] {
        for body in ["{", "{{", "{"] {
            store.quarantine(&kept(source, Some(pool()), &message(body), "no JSON".into())).await.expect("keeps");
        }
        let held = store.quarantined(None, false, page).await.expect("lists");
        let held: Vec<_> = held.into_iter().filter(|item| item.source == source).collect();
        assert_eq!(held.len(), 2, "{source}: each once");
        assert!(held.iter().all(|item| published_id(&item.message_id) == "always-the-same"), "{held:?}");
    }
}

/// What the reader may not know of takes no place on their page; the statement and [`QuarantineReach::has`] say the same.
async fn quarantine_is_narrowed_before_it_is_cut(place: Place) {
    let store = &place.store;
    let name = |name: &str| AdministrationId::new(name).expect("name");
    let other_pool = PoolId::new("altro").expect("name");
    let items = [
        ("a", Some(comune()), Some(pool())),
        ("b", Some(asl()), Some(pool())),
        ("c", None, None),
        ("d", Some(name("ignota")), Some(pool())),
        ("e", None, Some(other_pool.clone())),
        ("f", Some(asl()), None),
    ];
    let items: Vec<Quarantined> =
        items.into_iter().map(|(message, administration, pool)| Quarantined { administration, pool, ..quarantined(message) }).collect();
    for item in &items {
        store.quarantine(item).await.expect("keeps");
    }
    let known = || vec![comune(), asl()];
    let reach = |administrations: Vec<AdministrationId>, strays: Option<PoolId>| QuarantineReach {
        administrations,
        strays: strays.map(|pool| (pool, known())),
    };
    let table = [
        (reach(vec![comune()], None), "a"),
        (reach(vec![asl()], None), "fb"),
        (reach(known(), Some(pool())), "fdcba"),
        (reach(vec![], Some(other_pool)), "ec"),
        (reach(vec![], None), ""),
    ];
    for (reach, expected) in table {
        let page = Page { limit: 500, offset: 0 };
        let listed: String =
            store.quarantined(Some(&reach), false, page).await.expect("lists").into_iter().map(|item| item.message_id).collect();
        assert_eq!(listed, expected, "{reach:?}");
        let has: String = items.iter().rev().filter(|item| reach.has(item)).map(|item| item.message_id.as_str()).collect();
        assert_eq!(has, expected, "{reach:?}");
        let first: Vec<_> = store.quarantined(Some(&reach), false, Page { limit: 1, offset: 0 }).await.expect("lists");
        assert_eq!(
            first.iter().map(|item| item.message_id.as_str()).collect::<String>(),
            expected.get(..1).unwrap_or_default(),
            "{reach:?}"
        );
    }
}
