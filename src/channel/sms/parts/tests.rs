//! Parts on a disk of their own: restarts at any place, time that passes, references used again, limits.

use super::*;
use crate::channel::sms::join::Coded;
use crate::channel::sms::join::tests::{part, text_of};

fn account() -> AccountId {
    AccountId::new("urp-sms").expect("a name")
}

struct Disk {
    folder: tempfile::TempDir,
    parts: Parts,
    counters: Arc<SmsCounters>,
}

const SECOND: i64 = 1_000_000;
const WAIT_MICROS: i64 = 300 * SECOND;

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let counters = Arc::new(SmsCounters::default());
        let parts = Parts::open(folder.path(), Timestamp(0), Arc::clone(&counters)).expect("opens");
        Self { folder, parts, counters }
    }

    /// As after `kill -9`.
    fn again(&mut self, since: i64) {
        self.parts = Parts::open(self.folder.path(), Timestamp(since), Arc::clone(&self.counters)).expect("opens again");
    }

    fn add(&self, taken: &Taken) {
        self.parts.add(taken).expect("kept");
    }

    /// What is handed on now, as texts.
    fn handed(&self) -> Vec<String> {
        let ready = self.parts.ready(&account()).expect("read");
        let mut texts: Vec<String> = Vec::new();
        for one in ready {
            texts.push(text_of(&one.message.as_ref().expect("readable").taken()).to_owned());
            self.parts.done(&one).expect("removed");
        }
        texts.sort();
        texts
    }

    fn counted(&self, outcome: &str) -> u64 {
        self.counters.all().iter().filter(|(_, name, _)| *name == outcome).map(|(.., count)| count).sum()
    }

    fn open(&self) -> usize {
        files(&self.folder.path().join("open")).expect("read").len()
    }
}

fn at(id: &str, total: u8, number: u8, text: &str, micros: i64) -> Taken {
    Taken { at: Timestamp(micros), ..part(id, "7", total, number, Coded { coding: 0, bytes: text.as_bytes().to_vec() }) }
}

#[test]
fn parts_in_any_order_and_a_restart_between_each() {
    let mut disk = Disk::new();
    let parts =
        [at("c", 3, 3, "tre", 1), at("a", 3, 1, "uno", 2), at("c", 3, 3, "tre", 1), at("x", 3, 1, "uno", 3), at("b", 3, 2, "due", 4)];
    for taken in &parts {
        assert_eq!(disk.handed(), Vec::<String>::new());
        disk.add(taken);
        disk.again(5);
    }
    let id = disk.parts.ready(&account()).expect("read")[0].message.as_ref().expect("readable").id.clone();
    disk.again(6);
    assert_eq!(
        disk.parts.ready(&account()).expect("read")[0].message.as_ref().expect("readable").id,
        id,
        "until it is handed on, and with one id"
    );
    assert_eq!(disk.handed(), ["unoduetre"]);
    // the spool gives everything again: each is known by its id, also when the time for repeats is long over
    for taken in &parts {
        disk.add(&Taken { at: Timestamp(taken.at.0 + 10 * WAIT_MICROS), ..taken.clone() });
    }
    assert_eq!((disk.handed(), disk.open(), disk.counted("parts_whole")), (vec![], 1, 1), "x alone said the same under another id");
}

#[test]
fn killed_while_it_was_closed() {
    let disk = Disk::new();
    disk.add(&at("a", 2, 1, "uno", 1));
    let open = files(&disk.folder.path().join("open")).expect("read")[0].path();
    let before = fs::read(&open).expect("there");
    disk.add(&at("b", 2, 2, "due", 2));
    let ready = disk.parts.ready(&account()).expect("read").remove(0);
    // remembered, and not moved: as if the process had died in between
    let whole = fs::read(&ready.path).expect("there");
    disk.parts.done(&ready).expect("removed");
    fs::write(&open, &whole).expect("written");
    disk.add(&at("b", 2, 2, "due", 2));
    assert_eq!(disk.handed(), ["unodue"]);
    // not even remembered
    fs::remove_file(disk.folder.path().join("done").join(open.file_name().expect("a name"))).expect("removed");
    fs::write(&open, &before).expect("written");
    disk.add(&at("b", 2, 2, "due", 2));
    assert_eq!(disk.handed(), ["unodue"]);
    fs::write(&open, b"{").expect("written");
    disk.add(&at("n", 2, 2, "nuovo", 3));
    let broken = disk.parts.ready(&account()).expect("read").remove(0);
    assert_eq!(broken.message.expect_err("unreadable"), &b"{"[..]);
}

#[test]
fn what_is_missing_is_not_waited_for_for_ever() {
    let mut disk = Disk::new();
    disk.add(&at("a", 3, 1, "uno", SECOND));
    disk.add(&at("c", 3, 3, "tre", 2 * SECOND));
    disk.parts.give_up(&account(), Timestamp(2 * SECOND + WAIT_MICROS)).expect("looked");
    assert_eq!(disk.handed(), Vec::<String>::new(), "not yet");
    let down = 100 * WAIT_MICROS;
    disk.again(down);
    disk.parts.give_up(&account(), Timestamp(down + WAIT_MICROS)).expect("looked");
    assert_eq!(disk.handed(), Vec::<String>::new(), "while no process ran nothing could come");
    let given_up = down + WAIT_MICROS + 1;
    disk.parts.give_up(&account(), Timestamp(given_up)).expect("looked");
    assert_eq!((disk.handed(), disk.counted("parts_timeout")), (vec!["uno[… 2/3 …]tre".to_owned()], 1));
    for _ in 0..2 {
        disk.add(&at("b", 3, 2, "due", given_up + SECOND));
    }
    assert_eq!((disk.handed(), disk.counted("parts_late")), (vec!["[… 1/3 …]due[… 3/3 …]".to_owned()], 1), "late, by itself, once");
    assert_eq!(disk.open(), 0);
}

#[test]
fn each_account_looks_after_its_own() {
    let disk = Disk::new();
    let accounts = ["urp", "urp-sms"].map(|name| AccountId::new(name).expect("a name"));
    for account in &accounts {
        disk.add(&Taken { account: account.clone(), ..at("a", 2, 1, "uno", 1) });
    }
    assert!(disk.parts.accounts().expect("read").iter().eq(&accounts));
    disk.parts.give_up(&accounts[0], Timestamp(2 + WAIT_MICROS)).expect("looked");
    let ready = disk.parts.ready(&accounts[0]).expect("read");
    assert_eq!((ready.len(), disk.handed(), disk.open()), (1, vec![], 1), "the other's still waits");
    disk.parts.done(&ready[0]).expect("removed");
    assert!(disk.parts.accounts().expect("read").iter().eq(&accounts[1..]));
}

#[test]
fn a_reference_is_used_again() {
    let disk = Disk::new();
    disk.add(&at("a", 2, 1, "uno", 1));
    disk.add(&at("b", 2, 2, "due", 2));
    disk.add(&at("c", 2, 2, "quattro", 3));
    disk.add(&at("d", 2, 1, "tre", 4));
    assert_eq!(disk.handed(), ["trequattro", "unodue"]);
    disk.add(&at("e", 2, 1, "cinque", 5));
    disk.add(&at("f", 2, 1, "sette", 6));
    assert_eq!((disk.handed(), disk.counted("parts_reused")), (vec!["cinque[… 2/2 …]".to_owned()], 1));
    // other totals, other senders, other accounts: other messages
    disk.add(&at("g", 3, 2, "altro", 7));
    assert_eq!((disk.handed(), disk.open()), (vec![], 2));
    // the very same text, when it can be no repetition any more
    disk.add(&at("h", 2, 2, "otto", 8));
    assert_eq!(disk.handed(), ["setteotto"]);
    let later = 8 + WAIT_MICROS + 1;
    disk.add(&at("i", 2, 1, "sette", later));
    disk.add(&at("j", 2, 2, "otto", later));
    assert_eq!(disk.handed(), ["setteotto"]);
}

#[test]
fn beyond_the_limit_the_oldest_goes_as_it_is() {
    let mut disk = Disk::new();
    disk.parts.open_max = 2;
    for total in 2..6 {
        disk.add(&at(&total.to_string(), total, 1, &format!("di {total}"), total.into()));
    }
    assert_eq!((disk.handed(), disk.open()), (vec!["di 2[… 2/2 …]".to_owned(), "di 3[… 2-3/3 …]".to_owned()], 2));
    assert_eq!(disk.counted("parts_limit"), 2);
    disk.parts.forget().expect("looked");
    disk.add(&at("z", 2, 1, "di 2", 9));
    assert_eq!(disk.open(), 2, "known again: nothing is old enough to be forgotten");
}
