//! The books of citizens at the web chat against the conversations in the database: each word in one conversation, once, and shown
//! to an operator; everything in the conversation came to the citizen, once, in its order.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::chat::Book;
use crate::ledger::Verdict;
use crate::pair::Pair;

/// A message: its id, its conversation, and its text if a citizen wrote it.
struct Row {
    id: String,
    conversation: String,
    written: Option<String>,
}

/// Compares the books with what there is; `shown` are the messages that operators saw.
pub async fn compare(books: &[Book], shown: &HashSet<String>, pair: &Pair, verdict: &mut Verdict) {
    let rows = "select id || ' ' || conversation || ' ' || direction || ' ' || text from message where channel = 'webchat' order by place";
    let rows: Vec<Row> = pair.ask(rows).await.iter().map(|row| read(row)).collect();
    let mut conversations: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut words: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in &rows {
        conversations.entry(&row.conversation).or_default().push(&row.id);
        if let Some(text) = &row.written {
            words.entry(text).or_default().push(row);
        }
    }
    for book in books {
        verdict.chats += 1;
        verdict.chats_resumed += book.resumed;
        verdict.unexpected.extend(book.wrong.iter().map(|wrong| format!("chat: {wrong}")));
        let mut own = BTreeSet::new();
        for (text, accepted) in &book.words {
            verdict.chat_words += 1;
            let found = words.remove(text.as_str()).unwrap_or_default();
            own.extend(found.iter().map(|row| row.conversation.as_str()));
            match found.as_slice() {
                [] => verdict.lost.push(format!("chat message {text}")),
                [row] if accepted.as_ref() != Some(&row.id) => verdict.unexpected.push(format!("{text} is {}, told {accepted:?}", row.id)),
                [row] if !shown.contains(&row.id) => verdict.lost.push(format!("chat message {text}, which nobody was shown")),
                [_] => {}
                several => verdict.duplicated.push(format!("chat message {text}: {} times", several.len())),
            }
        }
        if own.len() > 1 {
            verdict.duplicated.push(format!("chat {:?} is {} conversations", book.words[0].0, own.len()));
        }
        let there = own.first().and_then(|conversation| conversations.get(conversation)).map(Vec::as_slice).unwrap_or_default();
        compare_socket(book, there, verdict);
    }
    verdict.unexpected.extend(words.keys().map(|text| format!("chat message {text}")));
}

/// What came to the citizen's sockets, put together, is the conversation.
fn compare_socket(book: &Book, there: &[&str], verdict: &mut Verdict) {
    let (subject, received): (_, BTreeSet<&str>) = (&book.words[0].0, book.received.iter().map(String::as_str).collect());
    let missing = there.iter().filter(|id| !received.contains(*id));
    verdict.lost.extend(missing.map(|id| format!("{id} of {subject}, which did not come to the citizen's browser")));
    if received.len() < book.received.len() {
        verdict.duplicated.push(format!("{subject}: {} messages came, {} different ones", book.received.len(), received.len()));
    } else if received.len() == there.len() && book.received != there {
        verdict.unexpected.push(format!("{subject}: the messages came in another order"));
    }
    let strange = received.iter().filter(|id| !there.contains(*id));
    verdict.unexpected.extend(strange.map(|id| format!("{id} came to the browser of {subject}")));
}

fn read(row: &str) -> Row {
    let mut parts = row.splitn(4, ' ').map(str::to_owned);
    let mut next = || parts.next().expect("a message has every part");
    let (id, conversation, is_inbound) = (next(), next(), next() == "inbound");
    Row { id, conversation, written: is_inbound.then(next) }
}
