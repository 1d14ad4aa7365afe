//! Erasing: nothing that could be read stays anywhere, what is delivered again stays dead, what is at work is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sportello::model::channel::{Channel, IdentityLevel};
use sportello::model::contact::{CaseReference, Contact, ContactState, StateName};
use sportello::model::conversation::{Attachment, BlobRef, Message, Note, Party};
use sportello::model::delivery::DeliveryState;
use sportello::model::id::{
    AddressKey, ChatSessionId, CitizenId, ContactId, ConversationId, InputId, MessageId, NoteId, OperatorId, PoolId,
};
use sportello::port::blobs::BlobError;
use sportello::port::keeping::{Erased, Erasure, Keeping, Trimmed};
use sportello::port::store::{EventRecord, FactQuery, InputRecord, Leases, Page, Quarantined, ReadMark, WriteSet};
use sportello::runtime::housekeeping::Housekeeping;
use sportello::runtime::keeping::Keeper;
use sportello::store::blobs::FolderBlobs;
use sqlx::Connection as _;
use tokio_util::sync::CancellationToken;

use super::fixture::*;
use super::place::Place;
use super::{on_both, on_postgres};

on_both!(
    nothing_of_it_stays,
    what_is_delivered_again_stays_dead,
    what_is_at_work_is_left_alone,
    a_citizens_other_addresses_stay,
    blobs_go_unless_named_elsewhere,
    what_ended_in_time_is_found,
    the_log_forgets_what_is_old_and_passed,
    what_was_settled_long_ago_goes,
    a_round_of_housekeeping,
    blobs_that_no_row_names_are_swept,
);
on_postgres!(what_comes_meanwhile_is_not_lost);

/// Stands in everything that a citizen or an operator wrote.
const CANARY: &str = "CANARINO";

fn closed(n: u128) -> Contact {
    Contact {
        citizen: Some(CitizenId(n)),
        address: Some(AddressKey(n)),
        case: Some(CaseReference { number: format!("{CANARY} 1/2026"), deadline: None }),
        last_owner: Some(OperatorId(7)),
        ..in_state(n, ContactState::Closed { at: seconds(100) })
    }
}

fn blob(name: char) -> BlobRef {
    BlobRef { key: format!("comune/2026-01/{}", name.to_string().repeat(32)), sha256: "0".repeat(64), size: 3 }
}

fn said() -> Option<String> {
    Some(CANARY.to_owned())
}

/// A message of which every text is told by the canary. `seq`: the number of its event, the input's is one less.
fn letter(n: u128, of: u128, seq: i64) -> Message {
    let party = Party { address: format!("{CANARY}@example.it"), name: said() };
    let file = Attachment { name: format!("{CANARY}.pdf"), media_type: "application/pdf".into(), content_id: said(), blob: blob('a') };
    Message {
        from: Some(party.clone()),
        to: vec![party],
        subject: said(),
        // longer than a page: the database keeps it in parts
        text: CANARY.repeat(2_000),
        attachments: vec![file],
        raw: Some(blob('b')),
        html: Some(blob('c')),
        provider_id: said(),
        header_id: said(),
        attributes: BTreeMap::from([(CANARY.to_owned(), CANARY.to_owned())]),
        failure: said(),
        seq,
        ..message(n, of)
    }
}

/// Conversation 1, finished, with all that there can be of one; its input is 1.
async fn fill(place: &Place, leader: &mut Leader) {
    let mut known = address(1, 1, IdentityLevel::Claimed);
    (known.address, known.name) = (format!("{CANARY}@example.it"), said());
    let mut talk = conversation(1);
    (talk.subject, talk.citizen) = (said(), Some(CitizenId(1)));
    let mut came = input(1, Some(InputId(1)), Some(1));
    came.body = format!("{{\"address\":\"{CANARY}\"}}");
    let note = Note {
        id: NoteId(1),
        administration: comune(),
        conversation: ConversationId(1),
        contact: ContactId(1),
        author: OperatorId(7),
        at: seconds(2),
        text: CANARY.into(),
    };
    let mut chatted = letter(2, 1, 4);
    chatted.channel = Channel::webchat();
    chatted.from = Some(Party { address: ChatSessionId(1).to_string(), name: said() });
    let answer =
        Message { direction: sportello::model::contact::Direction::Outbound, delivery: Some(DeliveryState::Delivered), ..letter(3, 1, 6) };
    leader
        .commit(|writes| {
            writes.contacts = vec![closed(1)];
            writes.conversations = vec![talk];
            writes.messages = vec![letter(1, 1, 2), chatted, answer];
            writes.notes = vec![note];
            writes.citizens = vec![known];
            writes.inputs = vec![came, input(3, Some(InputId(3)), Some(1)), input(5, None, Some(1))];
            writes.events = vec![event(2, None), event(4, None), event(6, None)];
        })
        .await;
    place.run("insert into attempt (administration, message, attempt, begun_at) values ('comune', 'ms_00000000000000000000000000000003', 1, 0)").await.expect("tried");
    let chat = format!(
        "insert into chat (administration, id, account, name, email, created_at, expires_at, present_until, transcript_to) \
         values ('comune', '{}', 'sito', '{CANARY}', '{CANARY}', 0, 1, 0, '{CANARY}')",
        ChatSessionId(1)
    );
    place.run(&chat).await.expect("opened");
    let mark = ReadMark { administration: comune(), conversation: ConversationId(1), operator: OperatorId(7), until: NOON };
    place.store.put_read_mark(&mark).await.expect("keeps");
}

async fn erased(place: &Place, n: u128) -> Erasure {
    place.store.erase(&comune(), ConversationId(n)).await.expect("answers")
}

async fn nothing_of_it_stays(place: Place) {
    let mut leader = Leader::of(&place).await;
    fill(&place, &mut leader).await;
    assert!(place.has_anywhere(CANARY).await);
    let before = leader.writer.load(&pool()).await.expect("loads");
    assert_eq!(place.store.erase(&asl(), ConversationId(1)).await.expect("answers"), Erasure::Unknown, "another body's");
    let blobs = ['a', 'b', 'c'].map(|name| blob(name).key).to_vec();
    assert_eq!(erased(&place, 1).await, Erasure::Done(Erased { messages: 3, notes: 1, blobs }));
    place.store.scrub().await.expect("scrubs");
    assert!(!place.has_anywhere(CANARY).await);
    for (rows, left) in [("attempt", 0), ("read_mark", 0), ("chat", 0), ("citizen_address", 0), ("contact", 1), ("input", 3), ("event", 3)]
    {
        assert_eq!(place.count(rows).await, left, "{rows}");
    }
    let view = place.store.conversation(&comune(), ConversationId(1)).await.expect("reads").expect("the row stays");
    let [contact] = &view.contacts[..] else { panic!("one contact") };
    assert_eq!(*contact, Contact { citizen: None, address: None, case: None, ..closed(1) });
    // the engine is made of what it was made of before
    let after = leader.writer.load(&pool()).await.expect("loads");
    assert_eq!((after.last_seq, after.contacts.len(), after.deliveries.len()), (before.last_seq, 0, 0));
    assert_eq!(erased(&place, 1).await, Erasure::Done(Erased::default()), "again is no error");
}

async fn what_is_delivered_again_stays_dead(place: Place) {
    let mut leader = Leader::of(&place).await;
    fill(&place, &mut leader).await;
    erased(&place, 1).await;
    // in its own pool by the input's row, in any other by the tombstone: an account may have moved
    for pool in [pool(), PoolId::new("altro").expect("name")] {
        let query = |n| FactQuery {
            input: InputId(n),
            administration: comune(),
            address: Some(AddressKey(1)),
            channel: Channel::email(),
            references: vec![MessageId(3)],
            thread: None,
        };
        let facts = place.store.facts(&pool, &[query(1), query(3), query(9)]).await.expect("answers");
        assert_eq!(facts.iter().map(|fact| fact.duplicate).collect::<Vec<_>>(), [true, true, false]);
        assert!(facts.iter().all(|fact| fact.citizen.is_none() && fact.reference.is_none()), "nobody is known by it");
    }
    assert_eq!(place.count("tombstone").await, 2);
}

async fn what_is_at_work_is_left_alone(place: Place) {
    let mut leader = Leader::of(&place).await;
    fill(&place, &mut leader).await;
    let again = |state| Contact { conversation: ConversationId(1), ..in_state(2, state) };
    let states = [
        (ContactState::Queued, StateName::Queued),
        (active(7), StateName::Active),
        // its citizen may still come back
        (ContactState::Abandoned { at: sportello::port::clock::now() }, StateName::Abandoned),
    ];
    for (state, name) in states {
        leader.commit(|writes| writes.contacts = vec![again(state)]).await;
        assert_eq!(erased(&place, 1).await, Erasure::Open(ContactId(2), name));
    }
    leader.commit(|writes| writes.contacts = vec![again(ContactState::Abandoned { at: seconds(-500 * 86_400) })]).await;
    for state in [DeliveryState::Queued, DeliveryState::Attempting] {
        leader.commit(|writes| writes.deliveries = vec![delivery(3, 1, state, 1)]).await;
        assert_eq!(erased(&place, 1).await, Erasure::Sending(MessageId(3)));
    }
    assert!(place.has_anywhere(CANARY).await, "nothing was erased");
    leader.commit(|writes| writes.deliveries = vec![delivery(3, 1, DeliveryState::Failed, 1)]).await;
    assert!(matches!(erased(&place, 1).await, Erasure::Done(_)));
}

/// The citizen writes again between the look and the deed. On SQLite one excludes the other.
async fn what_comes_meanwhile_is_not_lost(place: Place) {
    let mut leader = Leader::of(&place).await;
    fill(&place, &mut leader).await;
    let held = place.hold("tombstone", "share").await;
    let store = Arc::clone(&place.store);
    let erasing = tokio::spawn(async move { store.erase(&comune(), ConversationId(1)).await });
    eventually("it was looked at, and nothing is deleted yet", async || (place.waiting().await == 1).then_some(())).await;
    let follows = Contact { conversation: ConversationId(1), ..in_state(2, ContactState::Queued) };
    let words = Message { contact: ContactId(2), ..message(9, 1) };
    let coming = tokio::spawn(async move {
        leader.commit(|writes| (writes.contacts, writes.messages) = (vec![follows], vec![words])).await;
    });
    eventually("the commit waits for the erasure", async || (place.waiting().await == 2).then_some(())).await;
    held.close().await.expect("closes");
    assert!(matches!(erasing.await.expect("ends"), Ok(Erasure::Done(_))));
    coming.await.expect("commits");
    assert!(place.store.message(&comune(), MessageId(9)).await.expect("reads").is_some());
    assert_eq!(erased(&place, 1).await, Erasure::Open(ContactId(2), StateName::Queued));
}

async fn a_citizens_other_addresses_stay(place: Place) {
    let mut leader = Leader::of(&place).await;
    // one citizen, three addresses: two conversations by the first, one by the second; the third was only ever told
    let of = |n, key| Contact { citizen: Some(CitizenId(1)), address: Some(AddressKey(key)), ..closed(n) };
    let shared = Contact { citizen: None, address: Some(AddressKey(8)), ..closed(4) };
    leader
        .commit(|writes: &mut WriteSet| {
            writes.contacts = vec![of(1, 1), of(2, 1), of(3, 2), shared];
            writes.conversations = [1, 2, 3, 4].map(conversation).to_vec();
            writes.citizens = [(1, 1), (2, 1), (3, 1), (8, 1), (8, 5)].map(|(key, who)| address(key, who, IdentityLevel::Claimed)).to_vec();
        })
        .await;
    assert_eq!(place.store.conversations_of(&comune(), CitizenId(1)).await.expect("lists"), [1, 2, 3].map(ConversationId),);
    // what is left after each: the address is still needed, it is not, who had no conversation of their own, nobody needs any
    for (conversation, left) in [(1, 5), (2, 4), (4, 3), (3, 0)] {
        assert!(matches!(erased(&place, conversation).await, Erasure::Done(_)));
        assert_eq!(place.count("citizen_address").await, left, "after {conversation}");
    }
    assert_eq!(place.store.conversations_of(&comune(), CitizenId(1)).await.expect("lists"), []);
}

/// A folder of blobs, and what keeps and erases with it.
fn keeper(place: &Place, folder: &tempfile::TempDir) -> Keeper {
    let blobs = FolderBlobs::open(folder.path()).expect("a folder");
    Keeper { keeping: Arc::clone(&place.store) as Arc<dyn Keeping>, blobs: Arc::new(blobs), pause: Duration::ZERO }
}

async fn blobs_go_unless_named_elsewhere(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(&place, &folder);
    let mut kept = Vec::new();
    for text in ["posta", "altrove", "quarantena"] {
        kept.push(keeper.blobs.put(&comune(), text.into()).await.expect("keeps"));
    }
    let [own, shared, held] = &kept[..] else { panic!("three") };
    let mut leader = Leader::of(&place).await;
    let with = |n, of, raw: &BlobRef, html: &BlobRef| Message { raw: Some(raw.clone()), html: Some(html.clone()), ..message(n, of) };
    leader
        .commit(|writes| {
            writes.contacts = vec![closed(1), closed(2)];
            writes.conversations = vec![conversation(1), conversation(2)];
            writes.messages = vec![with(1, 1, own, shared), with(2, 1, held, held), with(3, 2, shared, shared)];
        })
        .await;
    let mut waiting = quarantined("m-1");
    waiting.body = format!("{{\"raw\":{{\"key\":\"{}\"}}}}", held.key.replace('/', "\\/")).into();
    place.store.quarantine(&waiting).await.expect("keeps");
    assert!(matches!(keeper.erase(&comune(), ConversationId(1)).await, Ok(Erasure::Done(_))));
    let there = async |blob| match keeper.blobs.get(&comune(), blob).await {
        Ok(_) => true,
        Err(BlobError::NotFound) => false,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((there(own).await, there(shared).await, there(held).await), (false, true, true));
}

async fn what_ended_in_time_is_found(place: Place) {
    let mut leader = Leader::of(&place).await;
    let ended = |n, of: u128, at| Contact { conversation: ConversationId(of), ..in_state(n, ContactState::Closed { at: seconds(at) }) };
    leader
        .commit(|writes| {
            // 1 ended; 2 ended, and its follow-on did not; 3 ended later; 4 ended
            writes.contacts = vec![ended(1, 1, 100), ended(2, 2, 100), ended(3, 3, 300), ended(4, 4, 150), in_state(5, active(7))];
            writes.contacts[4].conversation = ConversationId(2);
            writes.conversations = [1, 2, 3, 4].map(conversation).to_vec();
            writes.messages = vec![message(1, 1)];
        })
        .await;
    let find = async |before, after: &str, limit| {
        let part = place.store.ended_conversations(&comune(), before, after, limit).await.expect("finds");
        (part.found, part.next)
    };
    let first = ConversationId(2).to_string();
    assert_eq!(find(seconds(200), "", 2).await, (vec![ConversationId(1)], Some(first.clone())));
    assert_eq!(find(seconds(200), &first, 9).await, (vec![ConversationId(4)], None));
    assert_eq!(find(seconds(100), "", 9).await, (vec![], None), "not before it ended");
    assert!(matches!(erased(&place, 1).await, Erasure::Done(_)));
    assert_eq!(find(seconds(200), "", 9).await, (vec![ConversationId(4)], None), "what is erased is not found again");
}

fn numbers(events: &[EventRecord]) -> Vec<i64> {
    events.iter().map(|event| event.seq).collect()
}

/// Five inputs and what followed: a letter, a timer, a command without an event, a letter, a timer.
async fn logged(place: &Place) -> Leader {
    let mut leader = Leader::of(place).await;
    let command = InputRecord { kind: "command".into(), source: Some("cm_1".into()), ..input(6, None, None) };
    leader
        .commit(|writes| {
            writes.inputs = vec![
                input(1, Some(InputId(1)), Some(1)),
                input(4, None, None),
                command,
                input(7, Some(InputId(7)), Some(1)),
                input(9, None, None),
            ];
            writes.events =
                [(2, 1), (3, 1), (5, 4), (8, 7), (10, 9)].map(|(seq, of)| EventRecord { input_seq: of, ..event(seq, None) }).to_vec();
        })
        .await;
    leader
}

async fn the_log_forgets_what_is_old_and_passed(place: Place) {
    let leader = logged(&place).await;
    let store = &place.store;
    let relays = ["outbound", "events"];
    let left = async || {
        let events = store.events_after(&pool(), 0, 100).await.expect("reads");
        let inputs = store.inputs_after(&pool(), 0, 100).await.expect("reads");
        (numbers(&events), inputs.iter().map(|input| input.seq).collect::<Vec<_>>())
    };
    let trim = async |before, limit| store.trim_journal(&pool(), &relays, before, limit).await.expect("trims");
    let all = left().await;
    assert_eq!(trim(seconds(100), 10).await, Trimmed::default(), "no relay has passed any");
    let passes = async |name, seq| assert!(store.advance_cursor(&pool(), name, leader.leadership.epoch, seq).await.expect("moves"));
    passes("outbound", 10).await;
    assert_eq!(trim(seconds(100), 10).await, Trimmed::default(), "one of them has not begun");
    passes("events", 5).await;
    assert_eq!(trim(seconds(2), 10).await, Trimmed::default(), "none is old");
    assert_eq!(left().await, all);
    assert_eq!(trim(seconds(100), 1).await, Trimmed { events: 1, inputs: 0 }, "one at a time");
    assert_eq!(trim(seconds(5), 10).await, Trimmed { events: 1, inputs: 0 }, "5 is not before 5");
    assert_eq!(trim(seconds(100), 10).await, Trimmed { events: 1, inputs: 2 }, "up to the slower relay");
    assert_eq!(left().await, (vec![8, 10], vec![1, 7, 9]), "letters stay");
    passes("events", 10).await;
    assert_eq!(trim(seconds(100), 10).await, Trimmed { events: 1, inputs: 0 });
    assert_eq!(trim(seconds(100), 10).await, Trimmed::default(), "the last one stays");
    assert_eq!(left().await, (vec![10], vec![1, 7, 9]));
    assert_eq!(store.last_seq(&pool()).await.expect("reads"), 10, "the next number is known");
    let sources = [1, 7].map(|n| InputId(n).to_string());
    assert_eq!(store.known_sources(&pool(), &sources).await.expect("reads"), [true, true]);
}

async fn what_was_settled_long_ago_goes(place: Place) {
    let store = &place.store;
    for (id, at) in [("old", 0), ("young", 100), ("held", 0)] {
        store.quarantine(&Quarantined { at: seconds(at), ..quarantined(id) }).await.expect("keeps");
    }
    let items = store.quarantined(None, false, Page { limit: 9, offset: 0 }).await.expect("lists");
    let number = |id: &str| items.iter().find(|item| item.message_id == id).expect("is there").id;
    for id in ["old", "young"] {
        assert!(store.settle_quarantined(number(id), "retried").await.expect("settles"));
    }
    for id in ["answered", "waiting"] {
        store.leave_command(&pool(), id, "{}").await.expect("leaves");
    }
    store.answer_command(&pool(), "answered", "{}").await.expect("answers");
    // the database's clock is later than any time of this test, or will be
    place.run(&format!("update left_command set left_at = {}", seconds(0).0)).await.expect("moves");
    assert_eq!(store.drop_settled(seconds(0), 9).await.expect("drops"), [0, 0], "nothing is before it was left");
    assert_eq!(store.drop_settled(seconds(50), 9).await.expect("drops"), [1, 1]);
    assert_eq!(store.drop_settled(seconds(50), 9).await.expect("drops"), [0, 0]);
    let item = async |id| store.quarantined_item(number(id)).await.expect("reads").expect("the row stays");
    let (old, young, held) = (item("old").await, item("young").await, item("held").await);
    assert_eq!((old.state.as_str(), old.body.len()), ("discarded", 0));
    assert!(young.state == "retried" && !young.body.is_empty() && held.state == "held" && !held.body.is_empty());
    assert_eq!(place.count("left_command").await, 1);
}

/// A process that keeps house, with a plan in which `comune` keeps conversations for a year.
fn housekeeping(place: &Place, folder: &tempfile::TempDir, holder: &str) -> Housekeeping {
    let text = "[pool.comuni]\n[administration.comune]\nname = \"C\"\npool = \"comuni\"\nretention_days = 365\n\
                [administration.comune.office.urp]\nname = \"U\"\n";
    let plan = sportello::plan::parse(text).expect("a plan");
    Housekeeping {
        keeper: keeper(place, folder),
        leases: Arc::clone(&place.store) as Arc<dyn Leases>,
        plans: tokio::sync::watch::Sender::new(Arc::new(plan)).subscribe(),
        metrics: Arc::default(),
        holder: holder.into(),
        journal_kept: Some(Duration::from_secs(400 * 86_400)),
        relays: vec!["outbound"],
        stop: CancellationToken::new(),
    }
}

async fn a_round_of_housekeeping(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut leader = logged(&place).await;
    assert!(place.store.advance_cursor(&pool(), "outbound", leader.leadership.epoch, 10).await.expect("moves"));
    leader
        .commit(|writes| {
            writes.contacts = vec![closed(1), in_state(2, active(7))];
            writes.conversations = vec![conversation(1), conversation(2)];
            writes.messages = vec![message(1, 1), message(2, 2)];
        })
        .await;
    let [first, second] = ["first", "second"].map(|holder| housekeeping(&place, &folder, holder));
    let after = |days: i64| seconds(days * 86_400);
    assert!(first.round(after(364), true).await);
    assert!(!second.round(after(9_999), true).await, "the other one does it");
    assert_eq!((place.count("event").await, place.count("message").await), (5, 2), "nothing's time is over");
    assert!(first.round(after(366), false).await);
    assert_eq!(place.count("message").await, 2, "once a day");
    assert!(first.round(after(366), true).await);
    assert_eq!((place.count("event").await, place.count("message").await), (5, 1));
    assert!(first.round(after(401), true).await);
    assert_eq!((place.count("event").await, place.count("message").await), (1, 1), "who is served is left alone");
    for (what, count) in [("conversations", 1), ("events", 4), ("inputs", 2)] {
        let line = format!("sportello_housekeeping_removed_total{{what=\"{what}\"}} {count}");
        assert!(first.metrics.encode().contains(&line), "no {line}");
    }
    first.stop.cancel();
    assert!(!first.round(after(9_999), true).await, "it was stopped");
    // what is left of a round that was cut off is the next one's
    place.store.let_go("housekeeping", "first").await.expect("lets go");
    assert!(second.round(after(9_999), true).await);
}

async fn blobs_that_no_row_names_are_swept(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let house = housekeeping(&place, &folder, "first");
    let now = sportello::port::clock::now();
    let day = Duration::from_secs(86_400);
    let mut kept = Vec::new();
    for text in ["raw", "html", "allegato", "quarantena", "orfano", "anteriore"] {
        kept.push(house.keeper.blobs.put(&comune(), text.into()).await.expect("keeps"));
    }
    let [raw, html, file, held, orphan, before] = &kept[..] else { panic!("six") };
    let there = || kept.iter().filter(|blob| folder.path().join(&blob.key).exists()).collect::<Vec<_>>();
    assert!(house.round(now.plus(day * 40), true).await);
    assert_eq!(there().len(), 6, "a database without a plan, made anew beside old blobs perhaps, judges none");

    place.store.put_plan("").await.expect("begins");
    let aged = |blob: &BlobRef, days: u32| {
        let file = std::fs::File::options().write(true).open(folder.path().join(&blob.key)).expect("is there");
        file.set_modified(std::time::SystemTime::now() - day * days).expect("ages");
    };
    aged(before, 1);
    let attachment = Attachment { name: "a".into(), media_type: "text/csv".into(), content_id: None, blob: file.clone() };
    let naming = Message { raw: Some(raw.clone()), html: Some(html.clone()), attachments: vec![attachment], ..message(1, 1) };
    let mut leader = Leader::of(&place).await;
    leader.commit(|writes| writes.messages = vec![naming]).await;
    let mut waiting = quarantined("m-1");
    waiting.body = format!("{{\"key\":\"{}\"}}", held.key).into();
    place.store.quarantine(&waiting).await.expect("keeps");
    // the blobs but the last came an hour after the database began
    place.run("update plan set stored_at = stored_at - 3600000000").await.expect("moves");
    for days in [34, 36, 400] {
        assert!(house.round(now.plus(day * days), true).await);
        let expected: Vec<&BlobRef> = match days {
            34 => vec![raw, html, file, held, orphan, before],
            _ => vec![raw, html, file, held, before],
        };
        assert_eq!(there(), expected, "after {days} days");
    }
    assert!(house.metrics.encode().contains("sportello_housekeeping_removed_total{what=\"blobs\"} 1"));
}
