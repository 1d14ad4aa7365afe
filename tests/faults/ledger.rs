//! What the peers of Sportello attempted and were told, and its comparison with what the database and the broker have at the
//! end. In the form of Jepsen's queue checker: attempted, acknowledged, effective, lost, duplicated, unexpected, recovered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use serde_json::Value;

use crate::chat::Book;
use crate::chat_ledger;
use crate::pair::Pair;

/// What an operator was told of a command.
#[derive(Debug, Clone)]
pub struct Told {
    /// Who asked.
    pub operator: String,
    /// `accept/ct_…/1`.
    pub what: String,
    /// The sequence number of an applied one; none: said to be a duplicate.
    pub seq: Option<i64>,
}

/// Kept by the test's own peers.
#[derive(Debug, Default)]
pub struct Ledger {
    contacts: Mutex<HashMap<String, bool>>,
    told: Mutex<BTreeMap<String, Told>>,
    mails: Mutex<Vec<String>>,
    public: Mutex<HashMap<i64, u32>>,
    chats: Mutex<Vec<Book>>,
    shown: Mutex<HashSet<String>>,
    closes: Mutex<Vec<u16>>,
}

impl Ledger {
    /// A citizen is about to hand in a contact.
    pub fn attempted(&self, subject: &str) {
        self.contacts.lock().unwrap().entry(subject.to_owned()).or_default();
    }

    /// Sportello, or its broker, said that it has it.
    pub fn acknowledged(&self, subject: &str) {
        self.contacts.lock().unwrap().insert(subject.to_owned(), true);
    }

    /// How many were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.contacts.lock().unwrap().values().filter(|acknowledged| **acknowledged).count()
    }

    /// An operator was told that a command is done.
    pub fn told(&self, command: &str, told: Told) {
        self.told.lock().unwrap().insert(command.to_owned(), told);
    }

    /// The next hop took a mail.
    pub fn mailed(&self, message_id: String) {
        self.mails.lock().unwrap().push(message_id);
    }

    /// The consumer of public events got one.
    pub fn published(&self, seq: i64) {
        *self.public.lock().unwrap().entry(seq).or_default() += 1;
    }

    /// How many different public events came.
    pub fn published_count(&self) -> usize {
        self.public.lock().unwrap().len()
    }

    /// The highest of them.
    pub fn published_last(&self) -> i64 {
        self.public.lock().unwrap().keys().max().copied().unwrap_or_default()
    }

    /// A chat is over.
    pub fn chatted(&self, book: Book) {
        self.chats.lock().unwrap().push(book);
    }

    /// An operator was shown a message of a chat.
    pub fn shown(&self, message: &str) {
        self.shown.lock().unwrap().insert(message.to_owned());
    }

    /// A console was closed with this code.
    pub fn closed(&self, code: u16) {
        self.closes.lock().unwrap().push(code);
    }

    /// The codes with which consoles were closed.
    pub fn close_codes(&self) -> Vec<u16> {
        self.closes.lock().unwrap().clone()
    }

    /// Compares with what there is.
    pub async fn verdict(&self, pair: &Pair) -> Verdict {
        let mut verdict = Verdict::default();
        self.compare_contacts(pair, &mut verdict).await;
        compare_events(pair, &mut verdict).await;
        self.compare_commands(pair, &mut verdict).await;
        self.compare_mails(pair, &mut verdict).await;
        compare_texts(pair, &mut verdict).await;
        let (chats, shown) = (self.chats.lock().unwrap().clone(), self.shown.lock().unwrap().clone());
        chat_ledger::compare(&chats, &shown, pair, &mut verdict).await;
        if pair.real().is_some() {
            self.compare_public(pair, &mut verdict).await;
        }
        verdict.unfinished = usize::try_from(pair.count("select count(*) from contact where state <> 'closed'").await).unwrap();
        verdict.quarantined = usize::try_from(pair.count("select count(*) from quarantine").await).unwrap();
        verdict
    }

    async fn compare_contacts(&self, pair: &Pair, verdict: &mut Verdict) {
        let contacts = self.contacts.lock().unwrap().clone();
        verdict.attempted = contacts.len();
        verdict.acknowledged = contacts.values().filter(|acknowledged| **acknowledged).count();
        // the office's own: a closed contact is followed by one when nobody knows whether its answer arrived
        let found = "select coalesce(v.subject, (select min(m.text) from message m where m.administration = c.administration and m.contact = c.id \
             and m.direction = 'inbound'), '?') from contact c join conversation v on v.administration = c.administration and v.id = c.conversation \
             where c.direction = 'inbound'";
        let mut effective: HashMap<String, u32> = HashMap::new();
        for subject in pair.ask(found).await {
            *effective.entry(subject).or_default() += 1;
        }
        verdict.effective = effective.len();
        for (subject, acknowledged) in &contacts {
            match (effective.get(subject).copied().unwrap_or(0), acknowledged) {
                (0, true) => verdict.lost.push(subject.clone()),
                (0, false) => {}
                (1, true) => {}
                (1, false) => verdict.recovered += 1,
                (times, _) => verdict.duplicated.push(format!("{subject}: {times} contacts")),
            }
        }
        let unexpected = effective.keys().filter(|subject| !contacts.contains_key(*subject));
        verdict.unexpected.extend(unexpected.map(|subject| format!("contact {subject}")));
    }

    /// What an operator was told is true, and nobody else was told it too.
    async fn compare_commands(&self, pair: &Pair, verdict: &mut Verdict) {
        let told = self.told.lock().unwrap().clone();
        verdict.commands = told.len();
        let rows = pair.ask("select source || ' ' || cast(seq as text) || ' ' || outcome from input where kind = 'command'").await;
        let rows: HashMap<&str, &str> = rows.iter().filter_map(|row| row.split_once(' ')).collect();
        let mut winners: HashMap<&str, &str> = HashMap::new();
        for (command, told) in &told {
            match (rows.get(command.as_str()), told.seq) {
                (None, _) => verdict.lost.push(format!("command {command} ({}), said to be done", told.what)),
                (Some(row), Some(seq)) if **row != format!("{seq} applied") => {
                    verdict.unexpected.push(format!("command {command} ({}) told as {seq} is {row}", told.what));
                }
                _ => {}
            }
            if told.what.starts_with("accept/")
                && told.seq.is_some()
                && let Some(other) = winners.insert(&told.what, &told.operator)
            {
                verdict.duplicated.push(format!("{} told to {other} and {}", told.what, told.operator));
            }
        }
    }

    /// Outgoing mail may be repeated, but only with the same Message-ID.
    async fn compare_mails(&self, pair: &Pair, verdict: &mut Verdict) {
        let mails = self.mails.lock().unwrap().clone();
        let mut ids: HashMap<String, BTreeSet<&str>> = HashMap::new();
        for id in &mails {
            ids.entry(format!("ms_{}", id.split('.').next().unwrap_or_default())).or_default().insert(id);
        }
        verdict.mails = mails.len();
        verdict.mails_repeated = mails.len() - mails.iter().collect::<BTreeSet<_>>().len();
        let rows = "select id || ' ' || coalesce(delivery, '-') || coalesce(', attempt ' || cast(attempts as text) || ': ' || failure, '') \
             from message where direction = 'outbound' and channel = 'email'";
        let rows = pair.ask(rows).await;
        let messages: HashMap<&str, &str> = rows.iter().filter_map(|row| row.split_once(' ')).collect();
        for (message, state) in &messages {
            match ids.get(*message).map_or(0, BTreeSet::len) {
                0 if state.starts_with("unknown") || state.starts_with("failed") => verdict.mails_shown += 1,
                0 => verdict.lost.push(format!("mail {message} ({state})")),
                1 => {}
                times => verdict.duplicated.push(format!("mail {message} has {times} Message-IDs")),
            }
        }
        let strange = ids.keys().filter(|message| !messages.contains_key(message.as_str()));
        verdict.unexpected.extend(strange.map(|message| format!("mail {message}")));
    }

    async fn compare_public(&self, pair: &Pair, verdict: &mut Verdict) {
        let public = self.public.lock().unwrap().clone();
        verdict.events_repeated = public.values().map(|times| times - 1).sum();
        let journal = pair.ask("select cast(seq as text) from event").await;
        let journal: BTreeSet<i64> = journal.iter().map(|seq| seq.parse().unwrap()).collect();
        verdict.lost.extend(journal.iter().filter(|seq| !public.contains_key(seq)).map(|seq| format!("public event {seq}")));
        verdict.unexpected.extend(public.keys().filter(|seq| !journal.contains(seq)).map(|seq| format!("public event {seq}")));
    }
}

/// A text message leaves at most once; of one that nobody knows the end of, the operator is told.
async fn compare_texts(pair: &Pair, verdict: &mut Verdict) {
    let log = std::fs::read_to_string(pair.folder().join("data/sms/sent.log")).unwrap_or_default();
    let mut times: HashMap<String, usize> = HashMap::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let message = line["message"].as_str().and_then(|reference| reference.split('.').next()).unwrap_or_default();
        *times.entry(message.to_owned()).or_default() += 1;
    }
    verdict.texts = times.len();
    let rows = pair.ask("select id || ' ' || coalesce(delivery, '-') from message where direction = 'outbound' and channel = 'sms'").await;
    for (message, state) in rows.iter().filter_map(|row| row.split_once(' ')) {
        match (times.remove(message).unwrap_or(0), state) {
            (0 | 1, "unknown") | (0, "failed") => verdict.texts_shown += 1,
            (0, _) => verdict.lost.push(format!("text message {message} ({state})")),
            (1, _) => {}
            (times, _) => verdict.duplicated.push(format!("text message {message} was sent {times} times")),
        }
    }
    verdict.unexpected.extend(times.into_keys().map(|message| format!("text message {message}")));
}

/// Each effect happened once, and the two logs have no gap.
async fn compare_events(pair: &Pair, verdict: &mut Verdict) {
    let bodies = pair.ask("select body from event").await;
    let mut once: HashMap<String, u32> = HashMap::new();
    for body in &bodies {
        let event: Value = serde_json::from_str(body).unwrap();
        let contact = event["about"]["contact"].as_str().unwrap_or_default();
        let key = match event["event"].as_str().unwrap_or_default() {
            name @ ("contact.received" | "contact.closed") => format!("{name} {contact}"),
            name @ ("offer.made" | "offer.accepted") => format!("{name} {contact} {}", event["ordinal"]),
            name @ ("message.received" | "message.queued" | "message.sent") => format!("{name} {}", event["message"]),
            _ => continue,
        };
        *once.entry(key).or_default() += 1;
    }
    let twice = once.iter().filter(|(_, times)| **times > 1);
    verdict.duplicated.extend(twice.map(|(what, times)| format!("{what}: {times} times")));
    let rows = pair.count("select (select count(*) from input) + (select count(*) from event)").await;
    let last = pair.count("select last_seq from progress").await;
    if rows != last {
        verdict.unexpected.push(format!("the logs have {rows} rows up to {last}"));
    }
}

/// The figures.
#[derive(Debug, Default)]
pub struct Verdict {
    pub attempted: usize,
    pub acknowledged: usize,
    pub effective: usize,
    pub lost: Vec<String>,
    pub duplicated: Vec<String>,
    pub unexpected: Vec<String>,
    pub recovered: usize,
    pub commands: usize,
    pub mails: usize,
    pub mails_repeated: usize,
    pub mails_shown: usize,
    pub texts: usize,
    pub texts_shown: usize,
    pub chats: usize,
    pub chat_words: usize,
    pub chats_resumed: usize,
    pub events_repeated: u32,
    pub unfinished: usize,
    pub quarantined: usize,
}

impl Verdict {
    /// Nothing lost, nothing twice, nothing invented.
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.duplicated.is_empty() && self.unexpected.is_empty()
    }

    /// Fails the test unless it is good, everything is closed, and so many inputs are in quarantine.
    pub fn demand(&self, quarantined: usize) {
        println!("{self}");
        let first = |problems: &[String]| problems.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
        let (lost, duplicated, unexpected) = (first(&self.lost), first(&self.duplicated), first(&self.unexpected));
        assert!(self.is_good(), "{self}\nlost:\n  {lost}\nduplicated:\n  {duplicated}\nunexpected:\n  {unexpected}");
        assert_eq!((self.unfinished, self.quarantined), (0, quarantined), "contacts not closed, inputs in quarantine: {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "attempted {}, acknowledged {}, effective {}, lost {}, duplicated {}, unexpected {}, recovered {}; \
             commands told {}, mails {} ({} repeated with the same Message-ID, {} of unknown outcome shown), text messages {} ({} of unknown outcome shown), \
             chats {} ({} messages of citizens, resumed {} times), \
             public events repeated {}, not closed {}, quarantined {}",
            self.attempted,
            self.acknowledged,
            self.effective,
            self.lost.len(),
            self.duplicated.len(),
            self.unexpected.len(),
            self.recovered,
            self.commands,
            self.mails,
            self.mails_repeated,
            self.mails_shown,
            self.texts,
            self.texts_shown,
            self.chats,
            self.chat_words,
            self.chats_resumed,
            self.events_repeated,
            self.unfinished,
            self.quarantined
        )
    }
}
