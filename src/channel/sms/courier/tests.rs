//! What the courier makes of entries: texts together and in their order, everything else alone; names and references.

use tokio::sync::mpsc;

use super::*;
use crate::channel::sms::join::{Coded, tests::part};
use crate::channel::sms::media::{self, tests::Cloud};
use crate::channel::sms::parts::Parts;
use crate::channel::sms::spool::{self, Depth};
use crate::model::id::{IdMaker, QueueId};
use crate::plan::Account;
use crate::port::broker::{Broker, Publisher};
use crate::port::store::InputStatus;
use crate::port::testing::{self, FakeBlobs, FakeBroker, FakeStore};

/// What a message says under a name.
fn data(message: &Outgoing, name: &str) -> serde_json::Value {
    serde_json::from_slice::<serde_json::Value>(&message.body).expect("JSON")["data"][name].take()
}

/// The texts of the batches since somebody asked last.
fn published(broker: &FakeBroker) -> Vec<Vec<String>> {
    let text = |message: &Outgoing| data(message, "text").as_str().expect("a text").to_owned();
    broker.taken().iter().map(|batch| batch.iter().map(text).collect()).collect()
}

/// A text of more than 100 bytes is too long.
fn too_long(message: &Outgoing) -> Option<PublishError> {
    let is_long = data(message, "text").as_str().is_some_and(|text| text.len() > 100);
    is_long.then(|| PublishError::Invalid("too long".to_owned()))
}

/// An account that is full.
fn full(message: &Outgoing) -> Option<PublishError> {
    (data(message, "account") == "altro-sms").then(|| PublishError::Unavailable("full".to_owned()))
}

fn refusing(refuses: fn(&Outgoing) -> Option<PublishError>) -> Arc<FakeBroker> {
    Arc::new(FakeBroker { refuses: refuses.into(), ..FakeBroker::default() })
}

fn courier(broker: &Arc<FakeBroker>, store: &Arc<FakeStore>) -> Courier {
    let mut plan = testing::plan();
    let queue = QueueId::new("urp").expect("a name");
    let (administration, address) = (testing::administration("comune"), Some("+390471000001".to_owned()));
    let account = Account { administration, channel: Channel::sms(), address, display_name: None, queue };
    for name in ["urp-sms", "altro-sms"] {
        plan.accounts.insert(AccountId::new(name).expect("a name"), account.clone());
    }
    Courier {
        deps: OutboundDeps {
            broker: Arc::clone(broker) as Arc<dyn Broker>,
            publisher: Arc::clone(broker) as Arc<dyn Publisher>,
            store: Arc::clone(store) as Arc<dyn crate::port::store::Store>,
            plan: watch::channel(Arc::new(plan)).1,
            ids: IdMaker::new([1; 32]),
            prefix: "sportello".to_owned(),
        },
        blobs: Arc::new(FakeBlobs::default()),
        fetcher: Fetcher::new(1024, Vec::new()).expect("a client"),
        counters: Arc::default(),
        country: country::Id::IT,
        credentials: BTreeMap::new(),
        files_within: FILES_WITHIN,
    }
}

fn entry(account: &str, said: Said, at: i64) -> Bytes {
    let account = AccountId::new(account).expect("a name");
    serde_json::to_vec(&Taken { account, at: Timestamp(at), said, fingerprint: None }).expect("JSON").into()
}

fn taken(text: &str) -> Bytes {
    said("urp-sms", text, text, 1)
}

/// A message with files at these addresses.
fn with_files(text: &str, urls: &[String]) -> Bytes {
    let received = Received {
        id: "MM1".into(),
        from: "+393331234567".into(),
        to: "+390471000001".into(),
        text: text.to_owned(),
        media: urls.iter().map(|url| Media { url: url.clone(), media_type: Some("image/jpeg".into()) }).collect(),
        part: None,
    };
    entry("urp-sms", Said::Received(received), 1)
}

/// The names of the last message's files.
fn names(broker: &FakeBroker) -> Vec<String> {
    let files = data(broker.batches.lock().expect("nobody panicked").concat().last().expect("a message"), "attachments");
    files.as_array().into_iter().flatten().map(|file| file["name"].as_str().expect("a name").to_owned()).collect()
}

/// A courier that may fetch files of this machine, with an account that signs in at this cloud.
fn fetching(broker: &Arc<FakeBroker>, store: &Arc<FakeStore>, cloud: &Cloud) -> Courier {
    let credentials = [(AccountId::new("urp-sms").expect("a name"), media::tests::credentials(cloud))].into();
    Courier { fetcher: media::tests::fetcher(), credentials, ..courier(broker, store) }
}

/// A picture that cannot be had does not vanish without a word.
#[tokio::test]
async fn what_could_not_be_fetched_stands_in_the_text() {
    for (text, expected) in [("Ecco la buca", "Ecco la buca\n[… 2 file …]"), ("", "[… 2 file …]")] {
        let (broker, store) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()));
        // nobody outside is meant by that address
        let urls = ["1.jpg", "2.jpg"].map(|name| format!("http://127.0.0.1/{name}"));
        courier(&broker, &store).again(&with_files(text, &urls)).await.expect("handed on");
        assert_eq!(published(&broker), [[expected]]);
    }
}

#[tokio::test]
async fn each_file_is_fetched_once_and_a_busy_cloud_is_asked_again() {
    let (broker, store, cloud) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), Cloud::start().await);
    let urls = ["/small", "/endless", "/gone", "/busy-once", "/round"].map(|path| cloud.at("127.0.0.1", path));
    let courier = fetching(&broker, &store, &cloud);
    courier.again(&with_files("Ecco", &urls)).await.expect("handed on");
    assert_eq!(names(&broker), ["mms-1.png", "mms-4.png"]);
    assert_eq!(published(&broker), [["Ecco\n[… 3 file …]"]]);
    let mut paths = cloud.paths();
    assert!(cloud.asked().iter().all(|(_, authorization)| authorization.as_deref() == Some(media::tests::SIGNED_IN)));
    paths.dedup();
    assert_eq!(paths, ["/small", "/endless", "/gone", "/busy-once", "/round"]);
    let asked = |path: &str| cloud.paths().iter().filter(|known| *known == path).count();
    assert_eq!(["/small", "/endless", "/gone", "/busy-once"].map(asked), [1, 1, 1, 2]);
}

#[tokio::test]
async fn files_of_a_message_that_is_taken_in_are_not_fetched_again() {
    let (broker, store, cloud) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), Cloud::start().await);
    let courier = fetching(&broker, &store, &cloud);
    let input = courier.deps.ids.input(&AccountId::new("urp-sms").expect("a name"), b"MM1");
    store.rows().inputs.insert(input, InputStatus { at: Timestamp(0), outcome: "applied".into(), contact: None });
    courier.again(&with_files("Ecco", &[cloud.at("127.0.0.1", "/small")])).await.expect("handed on");
    assert_eq!((published(&broker), cloud.paths().len()), (vec![vec!["Ecco".to_owned()]], 0));
}

/// What was there before the time was over stays; what comes behind the slow one is not waited for.
#[tokio::test]
async fn all_files_of_a_message_have_one_time_together() {
    let (broker, store, cloud) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), Cloud::start().await);
    let urls = ["/small", "/never", "/never-either"].map(|path| cloud.at("127.0.0.1", path));
    let courier = Courier { files_within: Duration::from_secs(2), ..fetching(&broker, &store, &cloud) };
    courier.again(&with_files("Ecco", &urls)).await.expect("handed on");
    assert_eq!(names(&broker), ["mms-1.png"]);
    assert_eq!(published(&broker), [["Ecco\n[… 2 file …]"]]);
    assert_eq!(cloud.paths().iter().filter(|path| *path == "/never").count(), 1, "its time is over");
}

fn said(account: &str, id: &str, text: &str, at: i64) -> Bytes {
    let received = Received {
        id: id.to_owned(),
        from: "+393331234567".into(),
        to: "+390471000001".into(),
        text: text.to_owned(),
        media: Vec::new(),
        part: None,
    };
    entry(account, Said::Received(received), at)
}

/// Puts all of it into a spool and hands it on. What is left then.
async fn hand_on(courier: Courier, contents: &[Bytes]) -> Depth {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = spool::open(folder.path(), 1 << 20).expect("opens");
    for content in contents {
        spool.put(content.clone()).await.expect("kept");
    }
    let (again, waiting) = mpsc::unbounded_channel();
    for _ in contents {
        again.send(entries.recv().await.expect("an entry")).expect("read");
    }
    drop(again);
    let parts = Parts::open(&folder.path().join("parts"), Timestamp(0), Arc::default()).expect("opens");
    courier.run(Vec::new(), waiting, parts, CancellationToken::new()).await;
    spool.depth()
}

#[tokio::test]
async fn texts_are_published_together_and_in_their_order() {
    let (broker, store) = (refusing(too_long), Arc::new(FakeStore::default()));
    let long = "a".repeat(101);
    for (texts, expected) in [
        (vec!["uno"], vec![vec!["uno"]]),
        (vec!["uno", "due", "tre"], vec![vec!["uno", "due", "tre"]]),
        (vec!["uno", "due", "STOP", "tre", "quattro"], vec![vec!["uno", "due"], vec!["tre", "quattro"]]),
        // nobody says which one the broker does not take
        (vec!["uno", "due", &long, "tre", "quattro"], vec![vec!["uno"], vec!["due"], vec!["tre", "quattro"]]),
    ] {
        let contents: Vec<Bytes> = texts.iter().map(|text| taken(text)).collect();
        assert_eq!(hand_on(courier(&broker, &store), &contents).await.entries, 0, "{texts:?}");
        assert_eq!(published(&broker), expected, "{texts:?}");
    }
    let rows = store.rows();
    assert_eq!((rows.quarantine.len(), rows.opt_outs.len()), (1, 1), "one too long, one who wants no more");
}

#[tokio::test]
async fn what_comes_for_an_account_that_is_gone_is_held() {
    let (broker, store) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()));
    let named = Some(reference(MessageId(7), 1));
    for reference in [named, None] {
        let status = Status { id: "SM1".to_owned(), reference, progress: Progress::Delivered };
        let left = hand_on(courier(&broker, &store), &[entry("vecchio-sms", Said::Status(status), 1), taken("uno")]).await;
        assert_eq!(left.entries, 0);
        assert_eq!(published(&broker), [["uno"]], "what stands behind it goes");
        let held: Vec<String> = store.rows().quarantine.drain(..).map(|item| item.key).collect();
        assert_eq!(held, ["vecchio-sms"]);
    }
}

fn receipt(id: &str, at: i64) -> Bytes {
    entry("urp-sms", Said::Status(Status { id: id.to_owned(), reference: None, progress: Progress::Delivered }), at)
}

/// Which messages have arrived, by the reports since somebody asked last.
fn arrived(broker: &FakeBroker) -> Vec<String> {
    broker.taken().concat().iter().map(|report| data(report, "message").as_str().expect("a message").to_owned()).collect()
}

fn sent(message: u128, name: &str) -> (SentPart, String) {
    let part = SentPart { message: MessageId(message), attempt: 1, number: 1 };
    (part, provider_name(&AccountId::new("urp-sms").expect("a name"), name))
}

#[tokio::test]
async fn a_receipt_counts_for_the_message_of_that_name_and_for_none_of_two() {
    let (broker, store) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()));
    store.rows().parts = vec![sent(1, "10"), sent(2, "16"), sent(3, "3039")];
    for (id, expected) in
        [("10", vec![MessageId(1).to_string()]), ("0016", vec![MessageId(2).to_string()]), ("12345", vec![MessageId(3).to_string()])]
    {
        hand_on(courier(&broker, &store), &[receipt(id, 1)]).await;
        assert_eq!(arrived(&broker), expected, "{id}");
    }
    store.rows().parts = vec![sent(1, "a"), sent(2, "16")];
    let courier = courier(&broker, &store);
    let counters = Arc::clone(&courier.counters);
    hand_on(courier, &[receipt("10", 1), receipt("77", 1)]).await;
    assert_eq!(arrived(&broker), [""; 0], "either is possible");
    let counted: Vec<_> = counters.all().into_iter().map(|(_, name, total)| (name, total)).collect();
    assert_eq!(counted, [("receipt_ambiguous", 1), ("receipt_unclaimed", 1)]);
}

/// The note of its message's id may come a minute later; what stands behind it does not wait.
#[tokio::test]
async fn a_receipt_waits_aside_for_its_message() {
    let (broker, store, folder) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), tempfile::tempdir().expect("a folder"));
    let (spool, entries) = spool::open(folder.path(), 1 << 20).expect("opens");
    let parts = Parts::open(&folder.path().join("parts"), Timestamp(0), Arc::default()).expect("opens");
    spool.put(receipt("10", now().0)).await.expect("kept");
    spool.put(said("urp-sms", "uno", "uno", 1)).await.expect("kept");
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(courier(&broker, &store).run(Vec::new(), entries, parts, shutdown.clone()));
    wait_for("what stands behind it goes", || spool.depth().entries == 1).await;
    assert_eq!(published(&broker), [["uno"]]);
    store.rows().parts.push(sent(1, "10"));
    wait_for("its message is known now", || spool.depth().entries == 0).await;
    assert_eq!(arrived(&broker), [MessageId(1).to_string()]);
    shutdown.cancel();
    run.await.expect("no panic");
}

#[tokio::test]
async fn what_an_smsc_said_that_cannot_be_read_is_held() {
    let (broker, store) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()));
    let left = hand_on(courier(&broker, &store), &[entry("urp-sms", Said::Unreadable("00ff".to_owned()), 1), taken("uno")]).await;
    assert_eq!((left.entries, published(&broker)), (0, vec![vec!["uno".to_owned()]]));
    let held: Vec<_> = store.rows().quarantine.drain(..).map(|item| (item.source, item.key, item.pool.zip(item.administration))).collect();
    let owner = (testing::pool(), testing::administration("comune"));
    assert_eq!(held, [("sms".to_owned(), "urp-sms".to_owned(), Some(owner))]);
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn an_account_that_is_full_holds_up_no_other() {
    let (broker, store, folder) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), tempfile::tempdir().expect("a folder"));
    let (spool, entries) = spool::open(folder.path(), 1 << 20).expect("opens");
    let parts = Parts::open(&folder.path().join("parts"), Timestamp(0), Arc::default()).expect("opens");
    *broker.refuses.lock().expect("nobody panicked") = full;
    for (account, text) in [("altro-sms", "a"), ("urp-sms", "uno"), ("altro-sms", "b"), ("urp-sms", "due"), ("altro-sms", "c")] {
        spool.put(said(account, text, text, 1)).await.expect("kept");
    }
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(courier(&broker, &store).run(Vec::new(), entries, parts, shutdown.clone()));
    wait_for("the others go", || spool.depth().entries == 3).await;
    assert_eq!(published(&broker).concat(), ["uno", "due"]);
    *broker.refuses.lock().expect("nobody panicked") = |_| None;
    wait_for("it goes when there is room", || spool.depth().entries == 0).await;
    assert_eq!(published(&broker).concat(), ["a", "b", "c"], "in their order");
    shutdown.cancel();
    run.await.expect("no panic");
}

/// No part of that account comes any more: the lane is there for what lies on the disk.
#[tokio::test]
async fn what_an_earlier_life_waited_for_is_handed_on() {
    let (broker, store, folder) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()), tempfile::tempdir().expect("a folder"));
    let parts = Parts::open(folder.path(), Timestamp(0), Arc::default()).expect("opens");
    parts.add(&part("a", "7", 2, 1, Coded { coding: 0, bytes: b"uno".to_vec() })).expect("kept");
    let (_open, entries) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(courier(&broker, &store).run(Vec::new(), entries, parts, shutdown.clone()));
    wait_for("it goes as it is", || published(&broker).concat() == ["uno[… 2/2 …]"]).await;
    shutdown.cancel();
    run.await.expect("no panic");
}

#[tokio::test]
async fn a_word_that_comes_again_says_nothing_new() {
    let (broker, store) = (Arc::new(FakeBroker::default()), Arc::new(FakeStore::default()));
    let stopped = || store.rows().opt_outs.values().map(|word| word.stopped).collect::<Vec<_>>();
    for (id, text, at, expected) in
        [("SM1", "STOP", 1, true), ("SM2", "START", 2, false), ("SM1", "STOP", 3, false), ("SM3", "STOP", 4, true)]
    {
        hand_on(courier(&broker, &store), &[said("urp-sms", id, text, at)]).await;
        assert_eq!(stopped(), [expected], "after {id}");
    }
}

#[test]
fn references_read_back_and_nothing_else_does() {
    let (message, attempt) = (MessageId(7), 3);
    let text = reference(message, attempt);
    assert_eq!((read_reference(&text), text.len() <= 40), (Some((message, attempt)), true));
    for other in ["", ".", "ms_1.2", "abc", "ms_00000000000000000000000000000007", "ms_00000000000000000000000000000007.x"] {
        assert_eq!(read_reference(other), None, "{other}");
    }
}

#[test]
fn files_have_names() {
    for (media_type, name) in [
        ("image/jpeg", "mms-1.jpg"),
        ("image/png; q=1", "mms-1.png"),
        ("text/x-vcard", "mms-1.xvcard"),
        ("application/octet-stream", "mms-1.bin"),
        ("../../etc", "mms-1.bin"),
        ("", "mms-1.bin"),
    ] {
        assert_eq!(file_name(0, media_type), name, "{media_type}");
    }
}
