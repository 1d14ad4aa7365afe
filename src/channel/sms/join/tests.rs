//! Joining as senders, networks and nonsense have it: any order, repeats, characters torn apart, gaps.

use proptest::prelude::*;

use super::*;
use crate::channel::sms::text::{Alphabet, encode};

/// A part as it would lie in the spool.
pub fn part(id: &str, reference: &str, total: u8, number: u8, coded: Coded) -> Taken {
    let text = pdu::decode(&coded.bytes, coded.coding);
    let part = Part::new(reference, total.into(), number.into(), Some(coded), &text);
    let (from, to) = ("+393331234567".to_owned(), "4040".to_owned());
    Taken {
        account: AccountId::new("urp-sms").expect("a name"),
        at: Timestamp(i64::from(number)),
        said: Said::Received(Received { id: id.into(), from, to, text, media: Vec::new(), part }),
        fingerprint: None,
    }
}

pub fn text_of(taken: &Taken) -> &str {
    match &taken.said {
        Said::Received(received) => &received.text,
        other => panic!("a message: {other:?}"),
    }
}

fn coded(coding: u8, bytes: &[u8]) -> Coded {
    Coded { coding, bytes: bytes.to_vec() }
}

/// Joined in the order given.
fn joined(parts: &[Taken]) -> Joining {
    let mut joining = Joining::begin(&parts[0]).expect("a part");
    for taken in &parts[1..] {
        let (number, piece) = piece(taken).expect("a part");
        assert_ne!(joining.add(number, piece), Added::Other);
    }
    joining
}

#[test]
fn numbers_that_make_no_sense_are_no_part() {
    for (reference, total, number, bytes) in [
        ("1", 0, 0, 5),
        ("1", 1, 1, 5),
        ("1", 2, 0, 5),
        ("1", 2, 3, 5),
        ("1", 256, 1, 5),
        ("1", 2, 257, 5),
        ("", 2, 1, 5),
        ("1", 2, 1, 1025),
    ] {
        assert_eq!(Part::new(reference, total, number, Some(coded(0, &vec![0; bytes])), ""), None, "{reference} {total} {number} {bytes}");
    }
    assert!(Part::new("1", 2, 1, None, &"a".repeat(1025)).is_none() && Part::new(&"1".repeat(65), 2, 1, None, "a").is_none());
    assert!(Part::new("1", 255, 255, Some(coded(0, b"")), "").is_some());
}

#[test]
fn gaps_say_which_parts_are_missing() {
    for (total, there, expected) in [
        (3, &[1, 3][..], "uno[… 2/3 …]tre"),
        (5, &[2], "[… 1/5 …]due[… 3-5/5 …]"),
        (4, &[3, 4], "[… 1-2/4 …]trequattro"),
        (255, &[1], "uno[… 2-255/255 …]"),
    ] {
        let words = ["uno", "due", "tre", "quattro"];
        let parts: Vec<Taken> =
            there.iter().map(|number| part("a", "1", total, *number, coded(0, words[usize::from(*number) - 1].as_bytes()))).collect();
        let parts: Vec<Taken> = parts
            .into_iter()
            .enumerate()
            .map(|(place, mut taken)| {
                if let Said::Received(received) = &mut taken.said {
                    received.id = place.to_string();
                }
                taken
            })
            .collect();
        let joining = joined(&parts);
        assert!(!joining.is_whole());
        assert_eq!(text_of(&joining.taken()), expected);
    }
    let last = joined(&[part("a", "1", 255, 255, coded(0, b"fine"))]);
    assert_eq!(text_of(&last.taken()), "[… 1-254/255 …]fine");
}

#[test]
fn each_alphabet_is_read_by_itself() {
    let parts = [
        part("1", "1", 3, 1, coded(0, b"Perch\x05 ")),
        part("2", "1", 3, 2, coded(8, &[0xd8, 0x3d, 0xdc, 0x4b])),
        part("3", "1", 3, 3, coded(3, b" s\xec")),
    ];
    assert_eq!(text_of(&joined(&parts).taken()), "Perché 👋 sì");
    assert_eq!(joined(&parts).taken().at, Timestamp(1), "filed when the first part came");
}

#[test]
fn what_is_gone_is_known_again() {
    let parts = [part("a", "7", 3, 1, coded(0, b"uno")), part("b", "7", 3, 3, coded(0, b"tre"))];
    let mut gone = Gone::of(&joined(&parts), Timestamp(9));
    let (number, again) = piece(&part("c", "7", 3, 3, coded(0, b"tre"))).expect("a part");
    assert!(!gone.had(&again) && gone.said(number, &again) && !gone.missed(number));
    let (number, late) = piece(&part("d", "7", 3, 2, coded(0, b"due"))).expect("a part");
    assert!(!gone.had(&late) && gone.missed(number));
    gone.note(number, &late);
    assert!(gone.had(&late) && !gone.missed(number));
    let kept = serde_json::to_string(&gone).expect("JSON");
    assert!(!kept.contains("uno") && !kept.contains("due"), "no text is kept: {kept}");
}

proptest! {
    /// Cut at any byte, in any order, some of them twice: the same text, the same id for the same first part.
    #[test]
    fn any_order_and_any_cut_gives_the_text(
        text in prop_oneof!["[a-zèà€\\[\\]^ ]{2,300}", "[a-z👍🇮🇹È]{2,200}"],
        cuts in proptest::collection::btree_set(1_usize..1000, 1..10),
        order in any::<u64>(),
        repeated in any::<u8>(),
    ) {
        let is_wide = text.chars().any(|character| !character.is_ascii() && !"èà€".contains(character));
        let (alphabet, coding) = if is_wide { (Alphabet::Ucs2, 8) } else { (Alphabet::Gsm7, 0) };
        let bytes = encode(&text, alphabet);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).filter(|cut| *cut > 0).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        prop_assume!(cuts.len() > 2);
        let total = u8::try_from(cuts.len() - 1).expect("few");
        let mut parts: Vec<Taken> =
            (1..=total).zip(cuts.windows(2)).map(|(number, cut)| part(&number.to_string(), "1", total, number, coded(coding, &bytes[cut[0]..cut[1]]))).collect();
        parts.push(parts[usize::from(repeated) % parts.len()].clone());
        parts.sort_by_key(|taken| Sha256::digest([order.to_be_bytes().as_slice(), &piece(taken).expect("a part").0.to_be_bytes()].concat()));
        let joining = joined(&parts);
        prop_assert!(joining.is_whole());
        let whole = joining.taken();
        prop_assert_eq!(text_of(&whole), text.as_str());
        prop_assert_eq!(joined(&parts).id, joining.id);
    }

    #[test]
    fn whatever_the_parts_are_they_join(parts in proptest::collection::vec((1_u8..6, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 1..8)) {
        let mut joining = None;
        for (place, (number, coding, bytes)) in parts.into_iter().enumerate() {
            let taken = part(&place.to_string(), "1", 5, number, coded(coding, &bytes));
            match &mut joining {
                None => joining = Joining::begin(&taken),
                Some(joining) => drop(piece(&taken).map(|(number, piece)| joining.add(number, piece))),
            }
        }
        let _ = joining.expect("a part").taken();
    }
}
