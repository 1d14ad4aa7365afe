//! What goes over an SMPP 3.4 session, as our own words: messages and receipts in, parts of a message out. Pure.

use rusmpp::pdus::{BindTransceiver, DeliverSm, SubmitSm};
use rusmpp::tlvs::TlvValue;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{
    DataCoding, EsmClass, InterfaceVersion, IntermediateNotification, MCDeliveryReceipt, MessageState, Npi, RegisteredDelivery,
    SmeOriginatedAcknowledgement, Ton,
};
use sha2::{Digest as _, Sha256};

use crate::channel::sms::join::{Coded, Part};
use crate::channel::sms::provider::{Progress, Received, Said, Status, code};
use crate::channel::sms::text::{self, Alphabet, Concatenation, Reference, encode, parts, split_header};
use crate::model::address::Address;
use crate::model::text_message::ShortAlphabet;

/// The bit of `esm_class` that says a header stands before the text.
const UDHI: u8 = 0x40;
/// The bits of `esm_class` that say a `deliver_sm` is a receipt, of the end or of a step on the way.
const RECEIPT: u8 = 0x24;

/// The `data_coding` of the SMSC's own alphabet, and of ISO 8859-1.
const OWN: u8 = 0;
const LATIN1: u8 = 3;

/// Asks for a session.
pub fn bind(user: &str, password: &str, system_type: &str) -> Result<BindTransceiver, &'static str> {
    Ok(BindTransceiver::new(
        terminated(user).ok_or("the user has more than 15 characters")?,
        terminated(password).ok_or("the password has more than 8 characters")?,
        terminated(system_type).ok_or("the system type has more than 12 characters")?,
        InterfaceVersion::Smpp3_4,
        Ton::Unknown,
        Npi::Unknown,
        COctetString::empty(),
    ))
}

/// A message as `submit_sm`, one for each part, in order. A receipt is asked for each.
pub fn submit(from: &str, to: &str, text: &str, short: ShortAlphabet, reference: u16) -> Result<Vec<SubmitSm>, &'static str> {
    let parts = parts(text, short, Reference::Narrow);
    let total = u8::try_from(parts.texts.len()).map_err(|_| "too_many_parts")?;
    let (source, source_ton, source_npi) = address(from).ok_or("bad_sender")?;
    let (target, target_ton, target_npi) = address(to).ok_or("bad_recipient")?;
    let one = |(number, text): (u8, &String)| {
        let concatenation = Concatenation { reference, total, number };
        let header = if total > 1 { concatenation.header(Reference::Narrow) } else { Vec::new() };
        let content = [header, encode(text, parts.alphabet)].concat();
        Ok(SubmitSm::builder()
            .source_addr(source.clone())
            .source_addr_ton(source_ton)
            .source_addr_npi(source_npi)
            .destination_addr(target.clone())
            .dest_addr_ton(target_ton)
            .dest_addr_npi(target_npi)
            .esm_class(EsmClass::from(if total > 1 { UDHI } else { 0 }))
            .registered_delivery(receipt_wanted())
            .data_coding(match parts.alphabet {
                // the SMSC's own, whichever it is
                Alphabet::Gsm7 | Alphabet::Latin1 => DataCoding::McSpecific,
                Alphabet::Ucs2 => DataCoding::Ucs2,
            })
            .short_message(OctetString::from_vec(content).map_err(|_| "too_long")?)
            .build())
    };
    (1..=total).zip(&parts.texts).map(one).collect()
}

fn receipt_wanted() -> RegisteredDelivery {
    let receipt = MCDeliveryReceipt::McDeliveryReceiptRequestedWhereFinalDeliveryOutcomeIsSuccessOrFailure;
    RegisteredDelivery::new(receipt, SmeOriginatedAcknowledgement::default(), IntermediateNotification::default(), 0)
}

/// What a `deliver_sm` says. `id` names a message that comes without an id of its own; `own` is the SMSC's own alphabet.
pub fn read(pdu: &DeliverSm, own: ShortAlphabet, id: String) -> Said {
    let payload = pdu.tlvs().iter().find_map(|tlv| match tlv.value() {
        Some(TlvValue::MessagePayload(payload)) => Some(payload.value.as_ref().to_vec()),
        _ => None,
    });
    let short: &[u8] = pdu.short_message().as_ref();
    let content = if short.is_empty() { payload.unwrap_or_default() } else { short.to_vec() };
    let class = u8::from(pdu.esm_class);
    if class & RECEIPT != 0 {
        return receipt(pdu, &content);
    }
    let (concatenation, bytes) = match split_header(&content) {
        Some(split) if class & UDHI != 0 => split,
        _ => (None, &content[..]),
    };
    // from here on it is said what it is: parts are read when all are there
    let coding = match (u8::from(pdu.data_coding), own) {
        (OWN, ShortAlphabet::Latin1) => LATIN1,
        (coding, _) => coding,
    };
    let text = decode(bytes, coding);
    let part = concatenation.or_else(|| segment(pdu)).and_then(|Concatenation { reference, total, number }| {
        let coded = Coded { coding, bytes: bytes.to_vec() };
        Part::new(&reference.to_string(), total.into(), number.into(), Some(coded), &text)
    });
    Said::Received(Received {
        id,
        from: written(&pdu.source_addr, pdu.source_addr_ton),
        to: written(&pdu.destination_addr, pdu.dest_addr_ton),
        text,
        media: Vec::new(),
        part,
    })
}

/// Which part it is by the fields `sar_msg_ref_num`, `sar_total_segments`, `sar_segment_seqnum`: all three, or none counts.
fn segment(pdu: &DeliverSm) -> Option<Concatenation> {
    let (mut reference, mut total, mut number) = (None, None, None);
    for tlv in pdu.tlvs() {
        match tlv.value() {
            Some(TlvValue::SarMsgRefNum(said)) => reference = Some(*said),
            Some(TlvValue::SarTotalSegments(said)) => total = Some(*said),
            Some(TlvValue::SarSegmentSeqnum(said)) => number = Some(*said),
            _ => {}
        }
    }
    Some(Concatenation { reference: reference?, total: total?, number: number? })
}

/// What an SMSC that sends a `deliver_sm` again sends alike: addresses, class, coding, content, and the fields that name a message.
/// Not the sequence number, which is of the session.
pub fn fingerprint(pdu: &DeliverSm) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    add(pdu.source_addr.as_str().as_bytes());
    add(pdu.destination_addr.as_str().as_bytes());
    add(&[u8::from(pdu.esm_class), u8::from(pdu.data_coding), u8::from(pdu.source_addr_ton), u8::from(pdu.dest_addr_ton)]);
    add(pdu.short_message().as_ref());
    for tlv in pdu.tlvs() {
        match tlv.value() {
            Some(TlvValue::MessagePayload(payload)) => add(payload.value.as_ref()),
            Some(TlvValue::UserMessageReference(said)) => add(&said.value.to_be_bytes()),
            Some(TlvValue::ReceiptedMessageId(id)) => add(id.as_str().as_bytes()),
            Some(TlvValue::SarMsgRefNum(said)) => add(&said.to_be_bytes()),
            Some(TlvValue::SarTotalSegments(said) | TlvValue::SarSegmentSeqnum(said)) => add(&[*said]),
            _ => {}
        }
    }
    hash.finalize().into()
}

/// The same of one that cannot be read: all that stands behind its head.
pub fn fingerprint_of(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// A receipt: by its fields of its own where there are such, else by the text that the specification proposes.
fn receipt(pdu: &DeliverSm, content: &[u8]) -> Said {
    let text = String::from_utf8_lossy(content);
    let field = |name: &str| {
        let lower = text.to_ascii_lowercase();
        let start = lower.find(&format!("{name}:"))? + name.len() + 1;
        text.get(start..)?.split_whitespace().next().map(str::to_owned)
    };
    let (mut id, mut state) = (None, None);
    for tlv in pdu.tlvs() {
        match tlv.value() {
            Some(TlvValue::ReceiptedMessageId(known)) => id = Some(known.as_str().to_owned()),
            Some(TlvValue::MessageState(known)) => state = Some(*known),
            _ => {}
        }
    }
    let Some(id) = id.or_else(|| field("id")).filter(|id| !id.is_empty() && id.len() <= 64) else { return Said::Nothing };
    let said = field("stat").unwrap_or_default().to_ascii_uppercase();
    let failed =
        || Progress::Failed(code(&field("err").filter(|error| !error.trim_matches('0').is_empty()).unwrap_or_else(|| said.clone())));
    let progress = match (said.as_str(), state) {
        ("DELIVRD", _) | (_, Some(MessageState::Delivered)) => Progress::Delivered,
        ("EXPIRED" | "DELETED" | "UNDELIV" | "REJECTD", _) => failed(),
        (_, Some(MessageState::Expired | MessageState::Deleted | MessageState::Undeliverable | MessageState::Rejected)) => failed(),
        // accepted, on its way, or nobody knows
        _ => return Said::Nothing,
    };
    Said::Status(Status { reference: None, id, progress })
}

/// The spellings under which one id may come: an SMSC may answer an order in hexadecimal and write its receipt in decimal, or the
/// other way round, with zeros before it or without. The id as it is comes first.
pub fn spellings(id: &str) -> Vec<String> {
    let trimmed = id.trim().trim_start_matches('0').to_ascii_lowercase();
    let decimal = trimmed.parse::<u128>().ok().map(|number| format!("{number:x}"));
    let hexadecimal = u128::from_str_radix(&trimmed, 16).ok().map(|number| number.to_string());
    let mut all = vec![trimmed];
    all.extend(decimal.into_iter().chain(hexadecimal));
    all.dedup();
    all
}

fn terminated<const MAX: usize>(text: &str) -> Option<COctetString<1, MAX>> {
    if !text.is_ascii() {
        return None;
    }
    COctetString::from_vec([text.as_bytes(), b"\0"].concat()).ok()
}

/// An address with type and plan of its number.
fn address(text: &str) -> Option<(COctetString<1, 21>, Ton, Npi)> {
    let (text, ton, npi) = match Address::read(text) {
        Address::Number(number) => (number.trim_start_matches('+').to_owned(), Ton::International, Npi::Isdn),
        Address::ShortCode(code) => (code, Ton::NetworkSpecific, Npi::Unknown),
        Address::Name(name) => (name, Ton::Alphanumeric, Npi::Unknown),
    };
    Some((terminated(&text).filter(|_| !text.is_empty())?, ton, npi))
}

fn written(address: &COctetString<1, 21>, ton: Ton) -> String {
    let text = address.as_str();
    match ton {
        Ton::International if !text.starts_with('+') => format!("+{text}"),
        _ => text.to_owned(),
    }
}

/// The text by `data_coding` (SMPP 3.4, 5.2.19): the network's own alphabet is GSM 7 bit here, one septet a byte.
pub fn decode(bytes: &[u8], coding: u8) -> String {
    match coding {
        8 => text::decode(bytes, Alphabet::Ucs2),
        1 | LATIN1 => text::decode(bytes, Alphabet::Latin1),
        _ => text::decode(bytes, Alphabet::Gsm7),
    }
}

#[cfg(test)]
mod tests {
    use rusmpp::tlvs::MessageDeliveryRequestTlvValue;

    use super::*;

    #[test]
    fn a_message_is_as_many_orders_as_parts() {
        let orders = submit("+390471000001", "+393331234567", "Perché?", ShortAlphabet::Gsm7, 7).expect("fits");
        let [order] = &orders[..] else { panic!("one part") };
        assert_eq!((order.source_addr.as_str(), order.destination_addr.as_str()), ("390471000001", "393331234567"));
        assert_eq!((order.source_addr_ton, u8::from(order.esm_class)), (Ton::International, 0));
        assert_eq!(order.short_message().as_ref(), b"Perch\x05?");
        let orders = submit("Comune", "4040", &"è👋".repeat(60), ShortAlphabet::Gsm7, 0x0107).expect("fits");
        assert_eq!(orders.len(), 3);
        for (number, order) in (1..).zip(&orders) {
            assert_eq!(order.short_message().as_ref()[..6], [5, 0, 3, 7, 3, number]);
            assert_eq!((u8::from(order.esm_class), order.data_coding, order.source_addr_ton), (UDHI, DataCoding::Ucs2, Ton::Alphanumeric));
            assert_eq!(u8::from(order.registered_delivery), 1);
            assert!(order.short_message().len() <= 140);
        }
        for from in ["a".repeat(30), "Perché".into()] {
            assert!(submit(&from, "4040", "ciao", ShortAlphabet::Gsm7, 1).is_err());
        }
        assert!(bind("u", "otto8888", "").is_ok() && bind("u", "nove99999", "").is_err());
    }

    fn deliver(class: u8, coding: DataCoding, content: &[u8]) -> DeliverSm {
        DeliverSm::builder()
            .source_addr(terminated("393331234567").expect("short"))
            .source_addr_ton(Ton::International)
            .destination_addr(terminated("4040").expect("short"))
            .esm_class(EsmClass::from(class))
            .data_coding(coding)
            .short_message(OctetString::from_slice(content).expect("short"))
            .build()
    }

    #[test]
    fn messages_read_in_their_alphabet() {
        for (class, coding, content, expected) in [
            (0, DataCoding::McSpecific, &b"Perch\x05?"[..], "Perché?"),
            (0, DataCoding::Latin1, b"Perch\xe9?", "Perché?"),
            (0, DataCoding::Ucs2, &[0xd8, 0x3d, 0xdc, 0x4b], "👋"),
            (UDHI, DataCoding::McSpecific, b"\x05\x00\x03\x07\x02\x01ciao", "ciao"),
            (UDHI, DataCoding::McSpecific, b"\x7fciao", "\u{fffd}ciao"),
            (0, DataCoding::Ucs2, &[0xd8], "\u{fffd}"),
        ] {
            let Said::Received(received) = read(&deliver(class, coding, content), ShortAlphabet::Gsm7, "1".into()) else {
                panic!("a message")
            };
            assert_eq!((received.from.as_str(), received.to.as_str()), ("+393331234567", "4040"));
            if content[0] != 0x7f {
                assert_eq!(received.text, expected);
            }
        }
    }

    #[test]
    fn an_smsc_may_have_an_alphabet_of_its_own() {
        let [order] = &submit("4040", "+393331234567", "È così", ShortAlphabet::Latin1, 7).expect("fits")[..] else { panic!("one part") };
        assert_eq!((order.data_coding, order.short_message().as_ref()), (DataCoding::McSpecific, &b"\xc8 cos\xec"[..]));
        let orders = submit("4040", "+393331234567", &"È".repeat(269), ShortAlphabet::Latin1, 7).expect("fits");
        assert_eq!(orders.iter().map(|order| order.short_message().len()).collect::<Vec<_>>(), [140, 140, 7]);
        let [order] = &submit("4040", "+393331234567", "5 €", ShortAlphabet::Latin1, 7).expect("fits")[..] else { panic!("one part") };
        assert_eq!(order.data_coding, DataCoding::Ucs2);
        for (coding, content, expected) in [
            (DataCoding::McSpecific, &b"\xc8 cos\xec"[..], "È così"),
            (DataCoding::Latin1, b"\xc8 cos\xec", "È così"),
            (DataCoding::Ucs2, b"\0\xc8", "È"),
        ] {
            let Said::Received(received) = read(&deliver(0, coding, content), ShortAlphabet::Latin1, "1".into()) else {
                panic!("a message")
            };
            assert_eq!(received.text, expected);
        }
        let part = deliver(UDHI, DataCoding::McSpecific, b"\x05\x00\x03\x07\x02\x01\xc8");
        let Said::Received(received) = read(&part, ShortAlphabet::Latin1, "1".into()) else { panic!("a message") };
        let coded = received.part.and_then(|part| part.coded).expect("bytes");
        assert_eq!(decode(&coded.bytes, coded.coding), "È", "when all parts are there");
    }

    #[test]
    fn parts_are_told_by_header_and_by_field() {
        let read = |pdu: &DeliverSm| match read(pdu, ShortAlphabet::Gsm7, "1".into()) {
            Said::Received(received) => received.part,
            other => panic!("a message: {other:?}"),
        };
        let part = |reference: &str| Part::new(reference, 2, 1, Some(Coded { coding: 0, bytes: b"ciao".to_vec() }), "ciao");
        assert_eq!(read(&deliver(UDHI, DataCoding::McSpecific, b"\x05\x00\x03\x07\x02\x01ciao")), part("7"));
        assert_eq!(read(&deliver(UDHI, DataCoding::McSpecific, b"\x06\x08\x04\x01\x07\x02\x01ciao")), part("263"));
        assert_eq!(read(&deliver(0, DataCoding::McSpecific, b"\x05\x00\x03\x07\x02\x01ciao")), None, "no header without its bit");
        let with = |total, number| {
            let mut pdu = deliver(0, DataCoding::McSpecific, b"ciao");
            pdu.push_tlv(MessageDeliveryRequestTlvValue::SarMsgRefNum(263));
            pdu.push_tlv(MessageDeliveryRequestTlvValue::SarTotalSegments(total));
            pdu.push_tlv(MessageDeliveryRequestTlvValue::SarSegmentSeqnum(number));
            pdu
        };
        assert_eq!(read(&with(2, 1)), part("263"));
        for (total, number) in [(0, 0), (1, 1), (2, 0), (2, 3), (0, 255)] {
            assert_eq!(read(&with(total, number)), None, "{number} of {total}");
        }
        assert_ne!(fingerprint(&with(2, 1)), fingerprint(&with(2, 2)));
        assert_eq!(fingerprint(&with(2, 1)), fingerprint(&with(2, 1)));
        assert_ne!(fingerprint(&with(2, 1)), fingerprint(&deliver(0, DataCoding::McSpecific, b"ciao")));
    }

    #[test]
    fn receipts_say_what_became_of_it() {
        let told = |text: &str| read(&deliver(4, DataCoding::McSpecific, text.as_bytes()), ShortAlphabet::Gsm7, String::new());
        let status = |id: &str, progress| Said::Status(Status { reference: None, id: id.into(), progress });
        let text = "id:0000012345 sub:001 dlvrd:001 submit date:2601311200 done date:2601311201 stat:DELIVRD err:000 text:ciao";
        assert_eq!(told(text), status("0000012345", Progress::Delivered));
        assert_eq!(
            told(&text.replace("DELIVRD", "UNDELIV").replace("err:000", "err:0B1")),
            status("0000012345", Progress::Failed("0B1".into()))
        );
        assert_eq!(told(&text.replace("DELIVRD", "EXPIRED")), status("0000012345", Progress::Failed("EXPIRED".into())));
        for nothing in ["", "stat:DELIVRD", "id: stat:", "id:1", "id:1 stat:ENROUTE", "\u{fffd}", &text.replace("DELIVRD", "ACCEPTD")] {
            assert_eq!(told(nothing), Said::Nothing, "{nothing}");
        }
    }

    #[test]
    fn one_id_in_any_base() {
        for (answered, receipted) in
            [("3039", "12345"), ("12345", "12345"), ("3039", "0000012345"), ("0x", "0X"), ("a-b-c", "A-B-C"), ("003039", "12345")]
        {
            assert!(spellings(receipted).contains(&spellings(answered)[0]), "{answered} {receipted}");
        }
        assert!(!spellings("12345").contains(&"54321".to_owned()));
        assert_eq!(spellings("")[0], "");
    }
}
