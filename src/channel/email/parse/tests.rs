//! Mails of every kind, hostile ones too, through gate and parser.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const OWN: &str = "urp@comune.example";

fn own() -> Receiver {
    Receiver { address: Some(OWN.to_owned()), domains: ["unione.example".to_owned()].into() }
}

fn sample(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_sample(name: &str) -> ParsedMail {
    parse(&sample(name), &GateLimits::default(), &own())
}

#[test]
fn a_letter_in_latin1() {
    let mail = read_sample("plain_latin1.eml");
    assert_eq!(mail.from, Some(Party { address: "Mario.Rossi@example.it".into(), name: Some("Nicolò Rossi".into()) }));
    assert_eq!(mail.subject.as_deref(), Some("Perché la TARI è così alta?"));
    assert_eq!(mail.text, "Buongiorno,\nperché la TARI è così alta?\nNicolò");
    let to: Vec<_> = mail.to.iter().map(|to| to.address.as_str()).collect();
    assert_eq!(to, ["urp@comune.example", "tributi@comune.example"]);
    assert_eq!(mail.to[0].name.as_deref(), Some("URP, Comune"));
    assert_eq!(mail.header_id.as_deref(), Some("abc.123@example.it"));
    assert_eq!(mail.references, ["zero@comune.example", "prima@comune.example"]);
    assert_eq!((mail.html, mail.automatic, mail.unreadable, mail.attachments.len()), (None, None, None, 0));
}

#[test]
fn html_with_an_inline_image_a_file_and_a_forwarded_mail() {
    let mail = read_sample("html_with_inline_image.eml");
    assert_eq!(mail.text, "Buongiorno,\n\nallego il modulo.");
    let html = mail.html.expect("has HTML");
    assert!(html.contains("cid:logo@example.it") && html.contains("<b>modulo</b>"), "{html}");
    assert!(!html.contains("alert") && !html.contains("onerror") && !html.contains("tracker"), "{html}");
    let files: Vec<_> = mail.attachments.iter().map(|file| (file.name.as_str(), file.media_type.as_str(), file.bytes.len())).collect();
    assert_eq!(files[0], ("logo.png", "image/png", 8));
    assert_eq!(files[1], ("modulofdp.pdf", "application/pdf", 8));
    assert_eq!((files[2].0, files[2].1, files.len()), ("allegato-3.eml", "message/rfc822", 3));
    assert!(String::from_utf8_lossy(&mail.attachments[2].bytes).contains("inoltrato"));
    assert_eq!(mail.attachments[0].content_id.as_deref(), Some("logo@example.it"));
    assert_eq!(mail.reply_to.map(|party| party.address).as_deref(), Some("studio@caf.example"));
}

#[test]
fn a_form_on_web_pages_is_the_citizens_letter() {
    for (from, reply_to, expected, answer_to) in [
        ("urp@comune.example", "mario@example.it", "mario@example.it", None),
        ("urp@comune.example", "URP@comune.example", "urp@comune.example", None),
        ("sito@COMUNE.example", "mario@example.it", "mario@example.it", None),
        ("sito@Unione.example", "mario@example.it", "mario@example.it", None),
        ("sito@altra-unione.example", "mario@example.it", "sito@altra-unione.example", Some("mario@example.it")),
        ("No-Reply.moduli@gestore.example", "mario@example.it", "mario@example.it", None),
        ("noemi@gestore.example", "mario@example.it", "noemi@gestore.example", Some("mario@example.it")),
        ("mario@example.it", "caf@example.it", "mario@example.it", Some("caf@example.it")),
        ("mario@example.it", "mario@example.it", "mario@example.it", None),
    ] {
        let raw = format!("From: Sito <{from}>\r\nReply-To: {reply_to}\r\nSubject: Modulo\r\n\r\nciao");
        let mail = parse(raw.as_bytes(), &GateLimits::default(), &own());
        assert_eq!(mail.from.map(|party| party.address).as_deref(), Some(expected));
        assert_eq!(mail.reply_to.map(|party| party.address).as_deref(), answer_to);
        assert_eq!(mail.automatic, None);
    }
}

#[test]
fn machines() {
    let ours = "000000000000000000000000000000aa.1111111111111111.2222222222222222@comune.example";
    for (name, automatic, status) in [
        ("exchange_out_of_office.eml", Automatic::AutoReply, None),
        ("postfix_bounce.eml", Automatic::Bounce, Some((Outcome::Failed, "5.1.1"))),
        ("exchange_bounce.eml", Automatic::Bounce, Some((Outcome::Failed, "5.1.10"))),
        ("gmail_delayed.eml", Automatic::Bounce, Some((Outcome::Delayed, "4.4.1"))),
        ("read_receipt.eml", Automatic::Receipt, None),
    ] {
        let mail = read_sample(name);
        assert_eq!(mail.automatic, Some(automatic), "{name}");
        assert!(!mail.text.is_empty() && mail.unreadable.is_none(), "{name}");
        assert_eq!(mail.status.as_ref().map(|status| (status.outcome, status.code.as_str())), status, "{name}");
        if let Some(status) = mail.status {
            assert_eq!(status.originals[0], ours, "{name}");
        }
    }
    assert_eq!(read_sample("exchange_out_of_office.eml").text, "Sono assente fino al 30 novembre.");
}

#[test]
fn broken_charsets_nul_and_an_empty_message_id() {
    let mail = read_sample("broken_charset.eml");
    assert_eq!((mail.header_id.clone(), mail.references.len()), (None, 0));
    assert!(mail.text.starts_with("caf") && mail.text.ends_with("ciao"), "{:?}", mail.text);
    assert!(!mail.text.contains(['\0', '\u{1}']));
    assert!(mail.subject.expect("has a subject").ends_with("rotto"));
}

#[test]
fn what_the_gate_refuses_still_becomes_a_contact() {
    let bomb = b"Content-Type: message/rfc822\r\n\r\n".repeat(22_000);
    let mut raw =
        b"From: =?utf-8?Q?Nicol=C3=B2?= <n@example.it>\r\nSubject: =?utf-8?Q?Perch=C3=A9=3F?=\r\nMessage-ID: <m@example.it>\r\n".to_vec();
    raw.extend(bomb);
    let mail = parse(&raw, &GateLimits::default(), &own());
    assert_eq!(mail.text, "(message not readable: parts nested deeper than 100; original kept)");
    assert_eq!(mail.subject.as_deref(), Some("Perché?"));
    assert_eq!(mail.from.map(|from| from.address), Some("n@example.it".to_owned()));
    assert_eq!(mail.header_id.as_deref(), Some("m@example.it"));

    let header_bomb = [b"Subject: x\r\n".to_vec(), b"X-A: b\r\n".repeat(200_000), b"\r\nhi".to_vec()].concat();
    let mail = parse(&header_bomb, &GateLimits::default(), &Receiver::default());
    assert_eq!((mail.subject.as_deref(), mail.unreadable), (Some("x"), Some(Refused::HeaderTooLarge)));
}

#[test]
fn many_parts_of_html_cost_no_more_than_one() {
    let part = |number| format!("--b\r\nContent-Type: text/html\r\n\r\n<p>parola{number}</p>{}\r\n", "<div></div>".repeat(1_000));
    let parts: String = (0..900).map(part).collect();
    let raw = format!("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
    let mail = parse(raw.as_bytes(), &GateLimits::default(), &Receiver::default());
    assert_eq!(mail.unreadable, None);
    for shown in [mail.text, mail.html.expect("there is some")] {
        assert!(shown.contains("parola0") && !shown.contains("parola899"), "{} bytes", shown.len());
    }
}

#[test]
fn text_and_html_parts_stand_together_in_their_order() {
    let parts = [("plain", "uno"), ("html", "<p>due</p>"), ("html", "<p>tre</p>"), ("plain", "quattro")];
    let parts = parts.map(|(kind, text)| format!("--b\r\nContent-Type: text/{kind}\r\n\r\n{text}\r\n")).concat();
    let raw = format!("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
    let mail = parse(raw.as_bytes(), &GateLimits::default(), &Receiver::default());
    assert_eq!(mail.text, "uno\n\ndue\n\ntre\n\nquattro");
}

#[test]
fn embedded_messages_are_never_taken_apart() {
    // 22,000 levels hidden in base64: nothing in the raw bytes shows them.
    let inner = b"Content-Type: message/rfc822\n\n".repeat(22_000);
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, inner);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    let raw = format!("Subject: x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n", lines.join("\r\n"));
    let mail = parse(raw.as_bytes(), &GateLimits::default(), &Receiver::default());
    assert_eq!(mail.unreadable, None);
    assert_eq!((mail.attachments.len(), mail.attachments[0].bytes.len()), (1, 22_000 * 30));
    assert_eq!(mail.attachments[0].media_type, "message/rfc822");
}

#[test]
fn bombs_are_read_in_time() {
    let div = format!("Subject: x\r\nContent-Type: text/html\r\n\r\n{}", "<div>".repeat(200_000));
    let parts = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(999));
    let words = format!("Subject: {}\r\n\r\nhi", "=?utf-8?B?QQ==?= ".repeat(5_000));
    let comments = format!("From: {}x{} <a@b.it>\r\n\r\nhi", "(".repeat(20_000), ")".repeat(20_000));
    for (name, raw) in [("1 MB of div", div), ("999 parts", parts), ("encoded words", words), ("comments", comments)] {
        let started = Instant::now();
        let mail = parse(raw.as_bytes(), &GateLimits::default(), &Receiver::default());
        let limit = if cfg!(debug_assertions) { Duration::from_secs(30) } else { Duration::from_millis(250) };
        assert!(started.elapsed() < limit, "{name} took {:?}", started.elapsed());
        assert_eq!(mail.unreadable, None, "{name}");
    }
}

/// Pieces that mails are made of, broken ones among them.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"Content-Type: multipart/mixed; boundary=\"b\"\r\n".to_vec()),
        Just(b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=b\r\n".to_vec()),
        Just(b"Content-Type: text/html; charset=utf-7\r\n".to_vec()),
        Just(b"Content-Type: message/delivery-status\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: quoted-printable\r\n".to_vec()),
        Just(b"Content-Disposition: attachment; filename*0*=utf-8''%e2; filename*1=\"x\r\n\ty\"\r\n".to_vec()),
        Just(b"From: =?utf-8?B?/w==?= <a@b>, group: x;\r\n".to_vec()),
        Just(b"Received:\n\t\r\n".to_vec()),
        Just(b"References: <a@b> <>\r\n".to_vec()),
        Just(b"Status: 5.1.1\r\nAction: failed\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"--b\r\n".to_vec()),
        Just(b"--b--\r\n".to_vec()),
        Just(b"<b><table><a href=x>&#0;&#x202e;".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn never_panics_on_pieces(pieces in proptest::collection::vec(piece(), 0..40)) {
        let mail = parse(&pieces.concat(), &GateLimits::default(), &own());
        // A panic inside is caught and shows here.
        prop_assert_eq!(mail.unreadable.filter(|refused| *refused == Refused::NotUnderstood && !pieces.concat().is_empty() && has_header(&pieces.concat())), None);
        prop_assert!(!mail.text.contains('\0'));
    }

    #[test]
    fn never_panics_on_bytes(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mail = parse(&raw, &GateLimits::default(), &own());
        prop_assert!(mail.text.len() <= TEXT_BYTES_MAX);
        for file in mail.attachments {
            prop_assert!(!file.name.is_empty() && !file.name.contains(['/', '\\', '\0', '\n']));
        }
    }
}

/// Whether the parser can be expected to find a header: without one it says that it understands nothing, which is no panic.
fn has_header(raw: &[u8]) -> bool {
    MessageParser::default()
        .parse(&gate::check(raw, &GateLimits::default()).map(|passed| passed.bytes.into_owned()).unwrap_or_default())
        .is_some()
}
