//! Composed replies as other mail software reads them.

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::model::channel::Channel;
use crate::model::conversation::{Automatic, BlobRef};
use crate::model::id::{AccountId, AdministrationId, ContactId, ConversationId, MessageId, OperatorId};
use crate::model::time::Timestamp;

fn message(id: u128, direction: Direction) -> Message {
    Message {
        id: MessageId(id),
        administration: AdministrationId::new("comune").expect("a name"),
        conversation: ConversationId(1),
        contact: ContactId(1),
        direction,
        channel: Channel::email(),
        account: AccountId::new("urp").expect("a name"),
        author: (direction == Direction::Outbound).then_some(OperatorId(7)),
        at: Timestamp::from_secs(1_795_000_000),
        filed_at: Timestamp::from_secs(1_795_000_000),
        from: None,
        to: vec![Party { address: "nicolò@example.it".replace('ò', "o"), name: Some("Nicolò \"R\" Rossi".into()) }],
        subject: None,
        text: "Buongiorno Nicolò,\necco la risposta.\n.\nfine".into(),
        html: None,
        attachments: vec![],
        raw: None,
        automatic: None,
        provider_id: None,
        header_id: (direction == Direction::Inbound).then(|| format!("in{id}@example.it")),
        attributes: std::collections::BTreeMap::new(),
        seq: 0,
        delivery: None,
        failure: None,
        settled: None,
    }
}

fn office() -> Party {
    Party { address: "urp@comune.example".into(), name: Some("Comune — URP".into()) }
}

fn composed(message: &Message, thread: &Thread) -> String {
    let from = office();
    let letter = Letter {
        message,
        from: &from,
        conversation_subject: Some("Perché la TARI?"),
        thread,
        message_id: "mine@comune.example",
        files: vec![],
    };
    String::from_utf8(compose(letter).expect("composes").bytes).expect("a mail of ours is UTF-8")
}

#[test]
fn an_answer_reads_back() {
    let thread = Thread { in_reply_to: Some("b@x".into()), references: vec!["a@x".into(), "b@x".into()] };
    let mut outgoing = message(1, Direction::Outbound);
    outgoing.to.push(Party { address: "caf@example.it".into(), name: None });
    let file = Attachment {
        name: "modulo perché.pdf".into(),
        media_type: "application/pdf".into(),
        content_id: None,
        blob: BlobRef { key: "k".into(), sha256: String::new(), size: 4 },
    };
    let from = office();
    let letter = Letter {
        message: &outgoing,
        from: &from,
        conversation_subject: Some("Perché la TARI?"),
        thread: &thread,
        message_id: "mine@comune.example",
        files: vec![(&file, b"%PDF".to_vec())],
    };
    let mail = compose(letter).expect("composes");
    let read = MessageParser::default().parse(&mail.bytes).expect("parses");
    assert_eq!(read.subject(), Some("Re: Perché la TARI?"));
    assert_eq!(read.from().and_then(|from| from.first()).and_then(|from| from.name()), Some("Comune — URP"));
    assert_eq!(read.to().and_then(|to| to.first()).and_then(|to| to.name()), Some("Nicolò \"R\" Rossi"));
    assert_eq!(read.cc().and_then(|cc| cc.first()).and_then(|cc| cc.address()), Some("caf@example.it"));
    assert_eq!(read.message_id(), Some("mine@comune.example"));
    assert_eq!(read.in_reply_to().as_text(), Some("b@x"));
    assert_eq!(read.references().as_text_list().map(<[_]>::len), Some(2));
    assert_eq!(read.body_text(0).expect("text").replace("\r\n", "\n").trim_end(), "Buongiorno Nicolò,\necco la risposta.\n.\nfine");
    let attached = read.attachment(0).expect("a file");
    assert_eq!((attached.attachment_name(), attached.contents()), (Some("modulo perché.pdf"), &b"%PDF"[..]));
    assert!(read.header("Auto-Submitted").is_none());
    assert_eq!(mail.envelope.to().len(), 2);
    assert_eq!(mail.envelope.from().map(ToString::to_string).as_deref(), Some("urp@comune.example"));
}

#[test]
fn an_automatic_answer_says_so_and_has_no_sender() {
    let mut outgoing = message(1, Direction::Outbound);
    outgoing.author = None;
    let from = office();
    let letter = Letter {
        message: &outgoing,
        from: &from,
        conversation_subject: None,
        thread: &Thread::default(),
        message_id: "m@x",
        files: vec![],
    };
    let mail = compose(letter).expect("composes");
    assert!(mail.envelope.from().is_none());
    assert!(String::from_utf8_lossy(&mail.bytes).contains("Auto-Submitted: auto-replied\r\n"));
}

#[test]
fn nothing_starts_a_header_field_of_its_own() {
    let evil = "x\r\nBcc: spy@example.org\r\n\r\nbody";
    let mut outgoing = message(1, Direction::Outbound);
    outgoing.subject = Some(evil.into());
    outgoing.to[0].name = Some(evil.into());
    let thread = Thread { in_reply_to: Some(format!("a@b>{evil}")), references: vec![format!("c@d>{evil}"), "ok@x".into()] };
    let mail = composed(&outgoing, &thread);
    let head = mail.split("\r\n\r\n").next().expect("a header");
    assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
    assert!(head.contains("References: <ok@x>") && !head.contains("In-Reply-To"), "{head}");
    for address in ["a@b.it\r\nBcc: c@d.it", "a b@c.it", "a", ""] {
        outgoing.to[0].address = address.into();
        let from = office();
        let letter =
            Letter { message: &outgoing, from: &from, conversation_subject: None, thread: &thread, message_id: "m@x", files: vec![] };
        assert_eq!(compose(letter).err(), Some(ComposeError::Address), "{address:?}");
    }
}

#[test]
fn subjects() {
    for (given, is_answer, expected) in [
        (Some("Richiesta"), true, "Re: Richiesta"),
        (Some("RE: Richiesta"), true, "RE: Richiesta"),
        (Some("R: Richiesta"), true, "R: Richiesta"),
        (Some("AW: Anfrage"), true, "AW: Anfrage"),
        (Some("Richiesta"), false, "Richiesta"),
        (None, true, "Re:"),
        (Some("a\r\nb"), false, "a b"),
    ] {
        assert_eq!(subject(given, is_answer), expected);
    }
}

#[test]
fn threads() {
    let ids = IdMaker::new([1; 32]);
    let ours = sign(&ids, MessageId(2), "nicolo@example.it", "comune.example");
    let mut newsletter = message(4, Direction::Inbound);
    newsletter.automatic = Some(Automatic::AutoReply);
    let earlier = [message(1, Direction::Inbound), message(2, Direction::Outbound), message(3, Direction::Inbound), newsletter];
    let found = thread(&ids, &earlier, "comune.example");
    assert_eq!(found.in_reply_to.as_deref(), Some("in3@example.it"));
    assert_eq!(found.references, ["in1@example.it", ours.as_str(), "in4@example.it", "in3@example.it"]);
    assert_eq!(thread(&ids, &earlier[1..2], "comune.example").in_reply_to, Some(ours));
    assert_eq!(thread(&ids, &[], "comune.example"), Thread::default());
    let many: Vec<Message> = (0..500).map(|id| message(id, Direction::Inbound)).collect();
    let long = thread(&ids, &many, "comune.example");
    assert_eq!((long.references.len(), long.references[0].as_str()), (20, "in0@example.it"));
    assert_eq!(long.references.last(), long.in_reply_to.as_ref());
}
