//! Citizens' chats: resumed on any node, changed without going back, seen by their own administration only, forgotten whole.

use sportello::model::channel::Language;
use sportello::model::id::{AccountId, AdministrationId, ChatSessionId, TopicId};
use sportello::port::chat::{ChatChange, ChatSession};

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(
    a_chat_is_resumed_and_forgotten,
    what_is_known_never_goes_back,
    absence_and_transcripts_are_found,
    an_end_is_told_once,
    everybody_has_their_turn_however_many_there_are
);

fn chat(n: u128) -> ChatSession {
    ChatSession {
        id: ChatSessionId(n),
        administration: comune(),
        account: AccountId::new("sito").expect("a name"),
        name: "Łucja <b>".into(),
        email: Some("lucja@example.it".into()),
        topic: Some(TopicId::new("tari").expect("a name")),
        language: Some(Language::ITALIAN),
        created_at: seconds(i64::try_from(n).expect("small")),
        expires_at: seconds(1_000),
        present_until: seconds(30),
        gone: false,
        ended: false,
        operator_read: 0,
        citizen_read: 0,
        transcript_to: None,
    }
}

async fn a_chat_is_resumed_and_forgotten(place: Place) {
    let store = &place.store;
    let bare = ChatSession { email: None, topic: None, language: None, ..chat(2) };
    for chat in [&chat(1), &bare] {
        store.open_chat(chat).await.expect("keeps");
    }
    let another = place.another().await;
    assert_eq!(another.chat(&comune(), ChatSessionId(1), seconds(10)).await.expect("reads"), Some(chat(1)));
    assert_eq!(another.chat(&comune(), ChatSessionId(2), seconds(10)).await.expect("reads"), Some(bare));
    let other = AdministrationId::new("altrove").expect("a name");
    assert_eq!(store.chat(&other, ChatSessionId(1), seconds(10)).await.expect("reads"), None, "another body's");
    assert_eq!(store.chat(&comune(), ChatSessionId(1), seconds(1_000)).await.expect("reads"), None, "its time is over");
    assert_eq!(store.forget_chats(&comune(), seconds(999)).await.expect("forgets"), 0);
    assert_eq!(store.forget_chats(&other, seconds(1_000)).await.expect("forgets"), 0);
    assert_eq!(store.forget_chats(&comune(), seconds(1_000)).await.expect("forgets"), 2);
    assert_eq!(store.chat(&comune(), ChatSessionId(1), seconds(10)).await.expect("reads"), None);
}

async fn what_is_known_never_goes_back(place: Place) {
    let store = &place.store;
    store.open_chat(&chat(1)).await.expect("keeps");
    let changes = [
        ChatChange::OperatorRead(9),
        ChatChange::OperatorRead(4),
        ChatChange::CitizenRead(7),
        ChatChange::CitizenRead(6),
        ChatChange::Present(seconds(60)),
        ChatChange::Present(seconds(50)),
        ChatChange::Email("altra@example.it".into(), seconds(5_000)),
        ChatChange::Ended,
    ];
    for change in changes {
        store.change_chat(&comune(), ChatSessionId(1), change).await.expect("changes");
    }
    let known = store.chat(&comune(), ChatSessionId(1), seconds(10)).await.expect("reads").expect("is there");
    assert_eq!((known.operator_read, known.citizen_read, known.present_until), (9, 7, seconds(60)));
    assert_eq!(known.expires_at, seconds(5_000), "who can be answered is kept until they were");
    assert!(known.ended && known.email.as_deref() == Some("altra@example.it"));
    store.change_chat(&comune(), ChatSessionId(99), ChatChange::Ended).await.expect("one that is not there is left alone");
}

async fn absence_and_transcripts_are_found(place: Place) {
    let store = &place.store;
    for n in 1..=3 {
        store.open_chat(&chat(n)).await.expect("keeps");
    }
    store.chats_present(&comune(), &[ChatSessionId(2), ChatSessionId(3)], seconds(90)).await.expect("changes");
    let absent = async |at| {
        let chats = store.absent_chats(&comune(), seconds(at), None, 10).await.expect("reads");
        chats.iter().map(|chat| chat.id.0).collect::<Vec<_>>()
    };
    assert_eq!(absent(31).await, [1]);
    assert_eq!(absent(91).await, [1, 2, 3]);
    let gone = async |known| {
        let change = ChatChange::Absent(seconds(40), seconds(known));
        store.change_chat(&comune(), ChatSessionId(3), change).await.expect("changes");
    };
    gone(89).await;
    assert_eq!(absent(41).await, [1], "another node knows more");
    gone(90).await;
    assert_eq!(absent(41).await, [1, 3], "the last connection was closed");
    store.change_chat(&comune(), ChatSessionId(1), ChatChange::Gone(seconds(29))).await.expect("changes");
    assert_eq!(absent(31).await, [1], "it came back meanwhile: what was said of the time before does not count");
    store.change_chat(&comune(), ChatSessionId(1), ChatChange::Gone(seconds(30))).await.expect("changes");
    assert_eq!(absent(31).await, [0_u128; 0]);
    store.change_chat(&comune(), ChatSessionId(1), ChatChange::Present(seconds(32))).await.expect("changes");
    assert_eq!(absent(33).await, [1], "who came back can go again");
    assert_eq!(store.absent_chats(&comune(), seconds(91), None, 2).await.expect("reads").len(), 2);

    let wanted = async || store.wanted_transcripts(&comune(), None, 10).await.expect("reads");
    let want = async |email: &str| store.want_transcript(&comune(), ChatSessionId(2), email, 2).await.expect("changes");
    assert!(want("x@example.it").await);
    assert_eq!(wanted().await.iter().map(|chat| chat.transcript_to.clone()).collect::<Vec<_>>(), [Some("x@example.it".to_owned())]);
    let sent = async |email: &str| {
        store.change_chat(&comune(), ChatSessionId(2), ChatChange::TranscriptSent(email.into())).await.expect("changes");
    };
    sent("w@example.it").await;
    assert_eq!(wanted().await.len(), 1, "that one was for another address");
    sent("x@example.it").await;
    assert_eq!(wanted().await, []);
    for (email, expected) in [("y@example.it", true), ("z@example.it", false), ("y@example.it", true), ("x@example.it", false)] {
        assert_eq!(want(email).await, expected, "{email}");
    }
    assert_eq!(wanted().await[0].transcript_to.as_deref(), Some("y@example.it"), "the last that was taken");
    assert!(!store.want_transcript(&comune(), ChatSessionId(99), "x@example.it", 2).await.expect("reads"), "no chat");
}

async fn an_end_is_told_once(place: Place) {
    let store = &place.store;
    for n in 1..=3 {
        store.open_chat(&chat(n)).await.expect("keeps");
    }
    let untold = async |after: Option<&ChatSession>| store.ended_chats(&comune(), after, 10).await.expect("reads");
    let change = async |n, change| store.change_chat(&comune(), ChatSessionId(n), change).await.expect("changes");
    assert_eq!(untold(None).await, []);
    change(3, ChatChange::EndTold).await;
    for n in [1, 2] {
        change(n, ChatChange::Ended).await;
    }
    let ended = untold(None).await;
    assert_eq!(ended.iter().map(|chat| chat.id.0).collect::<Vec<_>>(), [1, 2], "nobody ended the third");
    assert_eq!(untold(ended.first()).await, ended[1..]);
    change(1, ChatChange::EndTold).await;
    // a connection that is still open changes nothing of it
    change(1, ChatChange::Present(seconds(60))).await;
    store.chats_present(&comune(), &[1, 2].map(ChatSessionId), seconds(90)).await.expect("changes");
    assert_eq!(untold(None).await.iter().map(|chat| chat.id.0).collect::<Vec<_>>(), [2]);
    let absent = store.absent_chats(&comune(), seconds(200), None, 10).await.expect("reads");
    assert_eq!(absent.iter().map(|chat| chat.id.0).collect::<Vec<_>>(), [3, 2], "the first is gone for good");
}

/// Whether a chat is due its contact says, not its row: those that are not must hide nobody.
async fn everybody_has_their_turn_however_many_there_are(place: Place) {
    let store = &place.store;
    for n in 1..=250 {
        store.open_chat(&ChatSession { created_at: seconds(10), ..chat(n) }).await.expect("keeps");
    }
    // opened and gone a little later than all of these
    store.open_chat(&ChatSession { created_at: seconds(11), present_until: seconds(31), ..chat(251) }).await.expect("keeps");
    let other = AdministrationId::new("altro").expect("name");
    store.open_chat(&ChatSession { administration: other, ..chat(252) }).await.expect("keeps");

    let first = store.absent_chats(&comune(), seconds(60), None, 200).await.expect("reads");
    let rest = store.absent_chats(&comune(), seconds(60), first.last(), 200).await.expect("reads");
    assert_eq!((first.len(), rest.len(), rest.last().map(|chat| chat.id)), (200, 51, Some(ChatSessionId(251))));
    assert_eq!(store.absent_chats(&comune(), seconds(60), rest.last(), 200).await.expect("reads"), []);
    let mut seen: Vec<u128> = [first, rest].concat().iter().map(|chat| chat.id.0).collect();
    for id in &seen {
        assert!(store.want_transcript(&comune(), ChatSessionId(*id), "x@example.it", 2).await.expect("changes"));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 251, "each once");

    let first = store.wanted_transcripts(&comune(), None, 200).await.expect("reads");
    let rest = store.wanted_transcripts(&comune(), first.last(), 200).await.expect("reads");
    assert_eq!((first.len(), rest.len(), rest.last().map(|chat| chat.id)), (200, 51, Some(ChatSessionId(251))));
    assert_eq!(store.wanted_transcripts(&comune(), rest.last(), 200).await.expect("reads"), []);
}
