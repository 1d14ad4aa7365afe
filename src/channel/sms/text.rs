//! Text on its way through SMS: which alphabet it needs, where it is cut into parts, and what a part's bytes say. Pure and total.
//!
//! Alphabets and costs: 3GPP TS 23.038 (GSM 7 bit with its extension table, UCS-2 as UTF-16BE, where an emoji is two units), and ISO 8859-1
//! for those SMSCs that have it in the place of GSM 7 bit.
//! Concatenation: 3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8. National shift tables are not used: few networks carry them.

use unicode_normalization::UnicodeNormalization;

use crate::model::text_message::ShortAlphabet;

/// The GSM 7 bit default alphabet; place 0x1b is the escape.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];
/// Announces a character of the extension table.
const ESCAPE: u8 = 0x1b;
/// The extension table: two septets each.
const EXTENSION: [(u8, char); 10] =
    [(0x0a, '\u{c}'), (0x14, '^'), (0x28, '{'), (0x29, '}'), (0x2f, '\\'), (0x3c, '['), (0x3d, '~'), (0x3e, ']'), (0x40, '|'), (0x65, '€')];
/// What stands in a message for what its bytes do not say.
const UNREADABLE: char = '\u{fffd}';

/// How the characters of a message are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// GSM 7 bit: counted in septets.
    Gsm7,
    /// ISO 8859-1: counted in bytes.
    Latin1,
    /// UTF-16 in units of two bytes: one character outside the account's short alphabet makes the whole message so.
    Ucs2,
}

impl From<ShortAlphabet> for Alphabet {
    fn from(short: ShortAlphabet) -> Self {
        match short {
            ShortAlphabet::Gsm7 => Self::Gsm7,
            ShortAlphabet::Latin1 => Self::Latin1,
        }
    }
}

impl Alphabet {
    /// Units that fit into a message of one part.
    pub fn single(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Latin1 => 140,
            Self::Ucs2 => 70,
        }
    }

    /// Units that fit into one of several parts, beside the header that numbers them.
    pub fn each(self, reference: Reference) -> usize {
        match (self, reference) {
            (Self::Gsm7, Reference::Narrow) => 153,
            (Self::Gsm7, Reference::Wide) => 152,
            (Self::Latin1, Reference::Narrow) => 134,
            (Self::Latin1, Reference::Wide) => 133,
            (Self::Ucs2, Reference::Narrow) => 67,
            (Self::Ucs2, Reference::Wide) => 66,
        }
    }

    /// What a character costs; none if the alphabet has not got it.
    fn cost(self, character: char) -> Option<usize> {
        match self {
            Self::Ucs2 => Some(character.len_utf16()),
            Self::Latin1 => latin1(character).map(|_| 1),
            Self::Gsm7 if septet(character).is_some() => Some(1),
            Self::Gsm7 => extended(character).map(|_| 2),
        }
    }
}

/// How wide the number is that says which parts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// 8 bits: what every network carries.
    Narrow,
    /// 16 bits: fewer chances that two messages to one telephone have the same.
    Wide,
}

/// A text cut into parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The alphabet of all of them.
    pub alphabet: Alphabet,
    /// The parts, in order; an empty text is one empty part.
    pub texts: Vec<String>,
    /// Units of the last part: what is left in it is for nothing.
    pub last_units: usize,
}

/// Cuts a text where a message must be cut: no escape and no surrogate pair is torn. `short` is the alphabet it is in if it can be.
pub fn parts(text: &str, short: ShortAlphabet, reference: Reference) -> Parts {
    let short = Alphabet::from(short);
    let alphabet = if text.chars().all(|character| short.cost(character).is_some()) { short } else { Alphabet::Ucs2 };
    let cost = |character| alphabet.cost(character).unwrap_or_default();
    let units: usize = text.chars().map(cost).sum();
    let room = if units <= alphabet.single() { alphabet.single() } else { alphabet.each(reference) };
    let (mut texts, mut used) = (vec![String::new()], 0);
    for character in text.chars() {
        if used + cost(character) > room {
            texts.push(String::new());
            used = 0;
        }
        used += cost(character);
        texts.last_mut().expect("there is always one").push(character);
    }
    Parts { alphabet, texts, last_units: used }
}

/// The text in characters of the short alphabet as far as they mean the same to a reader: typographic marks become plain ones, accents
/// that the alphabet has not got go, a capital's Italian accent becomes an apostrophe. What has no such form, an emoji, stays.
pub fn transliterate(text: &str, short: ShortAlphabet) -> String {
    let has = |character: char| Alphabet::from(short).cost(character).is_some();
    let mut plain = String::with_capacity(text.len());
    for character in text.nfc() {
        if has(character) {
            plain.push(character);
        } else if let Some(known) = known_form(character) {
            plain.push_str(known);
        } else {
            let base: String =
                std::iter::once(character).nfkd().filter(|part| !unicode_normalization::char::is_combining_mark(*part)).collect();
            let readable = !base.is_empty() && base.chars().all(has);
            if readable { plain.push_str(&base) } else { plain.push(character) }
        }
    }
    plain
}

fn known_form(character: char) -> Option<&'static str> {
    Some(match character {
        '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' | 'ʼ' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        '‹' => "<",
        '›' => ">",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
        '•' | '·' => "*",
        '…' => "...",
        '\t' | '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' => " ",
        // not U+200D, which holds emoji together
        '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{feff}' => "",
        'À' => "A'",
        'È' => "E'",
        'Ì' => "I'",
        'Ò' => "O'",
        'Ù' => "U'",
        'á' | 'â' => "à",
        'ê' | 'ë' => "è",
        'í' | 'î' | 'ï' => "ì",
        'ó' | 'ô' => "ò",
        'ú' | 'û' => "ù",
        'Œ' => "OE",
        'œ' => "oe",
        'ẞ' => "ß",
        'đ' => "d",
        'Đ' => "D",
        'ł' => "l",
        'Ł' => "L",
        _ => return None,
    })
}

// ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

fn septet(character: char) -> Option<u8> {
    let place = BASIC.iter().position(|known| *known == character && character != '\u{1b}')?;
    u8::try_from(place).ok()
}

/// The byte of a character that can be printed, or of a line's end.
fn latin1(character: char) -> Option<u8> {
    u8::try_from(character).ok().filter(|byte| matches!(byte, b'\n' | b'\r' | 0x20..=0x7e | 0xa0..))
}

fn extended(character: char) -> Option<u8> {
    EXTENSION.iter().find(|(_, known)| *known == character).map(|(code, _)| *code)
}

/// A text's bytes: GSM 7 bit unpacked, a septet in each byte, as SMPP carries it, ISO 8859-1, or UTF-16BE. What the alphabet has not got
/// becomes a question mark: use the alphabet of [`parts`], which has everything.
pub fn encode(text: &str, alphabet: Alphabet) -> Vec<u8> {
    match alphabet {
        Alphabet::Ucs2 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Alphabet::Latin1 => text.chars().map(|character| latin1(character).unwrap_or(b'?')).collect(),
        Alphabet::Gsm7 => text
            .chars()
            .flat_map(|character| match (septet(character), extended(character)) {
                (Some(code), _) => [Some(code), None],
                (None, Some(code)) => [Some(ESCAPE), Some(code)],
                (None, None) => [Some(b'?'), None],
            })
            .flatten()
            .collect(),
    }
}

/// A part's text; what its bytes do not say is U+FFFD. An escape before a code that the extension table has not got shows the
/// basic character, as 23.038 wants; one at the very end shows nothing.
pub fn decode(bytes: &[u8], alphabet: Alphabet) -> String {
    match alphabet {
        Alphabet::Ucs2 => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let mut text: String =
                char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair))).map(|unit| unit.unwrap_or(UNREADABLE)).collect();
            text.extend((!rest.is_empty()).then_some(UNREADABLE));
            text
        }
        Alphabet::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Alphabet::Gsm7 => {
            let mut text = String::with_capacity(bytes.len());
            let mut escaped = false;
            for code in bytes {
                if *code == ESCAPE && !escaped {
                    escaped = true;
                    continue;
                }
                let extension = EXTENSION.iter().find(|(known, _)| known == code && escaped).map(|(_, character)| *character);
                let basic = BASIC.get(usize::from(*code)).copied().filter(|character| *character != '\u{1b}');
                text.push(extension.or(basic).unwrap_or(UNREADABLE));
                escaped = false;
            }
            text
        }
    }
}

/// Which part of which message a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concatenation {
    /// The same in all parts of one message.
    pub reference: u16,
    /// How many there are, at least 1.
    pub total: u8,
    /// Which one this is, from 1 to `total`.
    pub number: u8,
}

impl Concatenation {
    /// The user data header that says so, its length first.
    pub fn header(self, reference: Reference) -> Vec<u8> {
        let [high, low] = self.reference.to_be_bytes();
        match reference {
            Reference::Narrow => vec![5, 0x00, 3, low, self.total, self.number],
            Reference::Wide => vec![6, 0x08, 4, high, low, self.total, self.number],
        }
    }
}

/// Takes a user data header off a part: what it says of concatenation, and the text's bytes behind it. None if the header is
/// longer than the part. Elements that make no sense are passed over, as 23.040 wants; so is a part number out of its range.
pub fn split_header(bytes: &[u8]) -> Option<(Option<Concatenation>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (mut elements, text) = rest.split_at_checked(usize::from(*length))?;
    let mut concatenation = None;
    while let [kind, length, rest @ ..] = elements {
        let Some((value, next)) = rest.split_at_checked(usize::from(*length)) else { break };
        let said = match (*kind, value) {
            (0x00, [reference, total, number]) => Some((u16::from(*reference), *total, *number)),
            (0x08, [high, low, total, number]) => Some((u16::from_be_bytes([*high, *low]), *total, *number)),
            _ => None,
        };
        if let Some((reference, total, number)) = said
            && (1..=total).contains(&number)
        {
            concatenation = Some(Concatenation { reference, total, number });
        }
        elements = next;
    }
    Some((concatenation, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(text: &str) -> (Alphabet, usize, usize) {
        counted(text, ShortAlphabet::Gsm7)
    }

    fn counted(text: &str, short: ShortAlphabet) -> (Alphabet, usize, usize) {
        let parts = parts(text, short, Reference::Narrow);
        (parts.alphabet, parts.texts.len(), parts.last_units)
    }

    #[test]
    fn italian_is_counted_right() {
        use Alphabet::{Gsm7, Ucs2};
        for (text, expected) in [
            (String::new(), (Gsm7, 1, 0)),
            ("perché è già così, può più".into(), (Gsm7, 1, 26)),
            ("È".into(), (Ucs2, 1, 1)),
            ("l’ufficio".into(), (Ucs2, 1, 9)),
            ("l'ufficio".into(), (Gsm7, 1, 9)),
            ("costa 5 €".into(), (Gsm7, 1, 10)),
            ("[1]".into(), (Gsm7, 1, 5)),
            ("ok 👍".into(), (Ucs2, 1, 5)),
            ("👩‍👩‍👧".into(), (Ucs2, 1, 8)),
            ("a".repeat(160), (Gsm7, 1, 160)),
            ("a".repeat(161), (Gsm7, 2, 8)),
            ("a".repeat(306), (Gsm7, 2, 153)),
            ("a".repeat(307), (Gsm7, 3, 1)),
            ("€".repeat(80), (Gsm7, 1, 160)),
            // 76 euro signs are 152 septets: the 77th does not fit into what is left of the first part
            ("€".repeat(81), (Gsm7, 2, 10)),
            ("à".repeat(160), (Gsm7, 1, 160)),
            ("È".repeat(70), (Ucs2, 1, 70)),
            ("È".repeat(71), (Ucs2, 2, 4)),
            ("👍".repeat(35), (Ucs2, 1, 70)),
            // 33 emoji are 66 units: one unit of the part stays empty
            ("👍".repeat(36), (Ucs2, 2, 6)),
        ] {
            assert_eq!(count(&text), expected, "{} characters of {:?}…", text.chars().count(), text.chars().next());
        }
    }

    #[test]
    fn latin1_has_the_capitals_and_no_euro() {
        use Alphabet::{Latin1, Ucs2};
        for (text, expected) in [
            (String::new(), (Latin1, 1, 0)),
            ("È già così [1]".into(), (Latin1, 1, 14)),
            ("costa 5 €".into(), (Ucs2, 1, 9)),
            ("l’ufficio".into(), (Ucs2, 1, 9)),
            ("è\t".into(), (Ucs2, 1, 2)),
            ("È".repeat(140), (Latin1, 1, 140)),
            ("È".repeat(141), (Latin1, 2, 7)),
            ("a".repeat(268), (Latin1, 2, 134)),
            ("a".repeat(269), (Latin1, 3, 1)),
        ] {
            assert_eq!(
                counted(&text, ShortAlphabet::Latin1),
                expected,
                "{} characters of {:?}…",
                text.chars().count(),
                text.chars().next()
            );
        }
        assert_eq!((encode("È 5", Latin1), decode(b"\xc8 5", Latin1)), (b"\xc8 5".to_vec(), "È 5".to_owned()));
        for (typed, plain) in
            [("L’UFFICIO È CHIUSO…", "L'UFFICIO È CHIUSO..."), ("«Škofja Loka»", "«Skofja Loka»"), ("œuvre 👍", "oeuvre 👍")]
        {
            assert_eq!(transliterate(typed, ShortAlphabet::Latin1), plain);
        }
    }

    #[test]
    fn what_can_be_said_plainly_is() {
        for (typed, plain) in [
            ("L’ufficio è chiuso – “ferie”…", "L'ufficio è chiuso - \"ferie\"..."),
            ("È UNA CITTÀ", "E' UNA CITTA'"),
            ("perche\u{301} cosi\u{300}", "perché cosi".replace("cosi", "così").as_str()),
            ("città\u{a0}e \u{200b}paesi", "città e paesi"),
            ("Čeština, Škofja Loka, façade", "Cestina, Skofja Loka, facade"),
            ("naïve señor œuvre", "naìve señor oeuvre"),
            ("½ ① ﬁne", "½ 1 fine"),
            ("ok 👍 привет", "ok 👍 привет"),
        ] {
            assert_eq!(transliterate(typed, ShortAlphabet::Gsm7), plain);
        }
    }

    #[test]
    fn strange_bytes_become_text() {
        assert_eq!(decode(&[0x1b, 0x65, 0x1b], Alphabet::Gsm7), "€");
        assert_eq!(decode(&[0x1b, 0x41], Alphabet::Gsm7), "A", "no such extension");
        assert_eq!(decode(&[0x1b, 0x1b, 0x41], Alphabet::Gsm7), "\u{fffd}A");
        assert_eq!(decode(&[0x80, 0xff], Alphabet::Gsm7), "\u{fffd}\u{fffd}");
        assert_eq!(decode(&[0xd8, 0x3d], Alphabet::Ucs2), "\u{fffd}", "half a pair");
        assert_eq!(decode(&[0x00, 0x41, 0x00], Alphabet::Ucs2), "A\u{fffd}");
    }

    #[test]
    fn headers_read_as_written_and_lies_are_passed_over() {
        let part = Concatenation { reference: 0xab, total: 3, number: 2 };
        assert_eq!(part.header(Reference::Narrow), [5, 0, 3, 0xab, 3, 2]);
        assert_eq!(part.header(Reference::Wide), [6, 8, 4, 0, 0xab, 3, 2]);
        for short in [&[][..], &[5, 0, 3]] {
            assert_eq!(split_header(short), None, "{short:?}");
        }
        let other = Concatenation { reference: 7, total: 2, number: 1 };
        let told: &[(&[u8], Option<Concatenation>)] = &[
            (&[0, b'a'], None),
            (&[5, 0, 3, 1, 2, 3, b'a'], None),
            (&[5, 0, 3, 1, 2, 0, b'a'], None),
            (&[5, 0, 3, 1, 0, 0, b'a'], None),
            (&[2, 0, 200, b'a'], None),
            (&[1, 0, b'a'], None),
            // an element of another kind before ours
            (&[9, 0x24, 1, 1, 0x00, 3, 7, 2, 1, 0xff, b'a'], Some(other)),
        ];
        for (bytes, expected) in told {
            assert_eq!(split_header(bytes), Some((*expected, &b"a"[..])), "{bytes:?}");
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![".{0,400}", "[a-zàèéìòù€\\[\\]^ ]{0,500}", "[a-z👍🇮🇹È’]{0,300}"]
    }

    fn short() -> impl Strategy<Value = ShortAlphabet> {
        prop_oneof![Just(ShortAlphabet::Gsm7), Just(ShortAlphabet::Latin1)]
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text_and_each_fits(text in texts(), short in short(), wide in any::<bool>()) {
            let reference = if wide { Reference::Wide } else { Reference::Narrow };
            let Parts { alphabet, texts, last_units } = parts(&text, short, reference);
            prop_assert_eq!(texts.concat(), text);
            let bytes = if alphabet == Alphabet::Ucs2 { 2 } else { 1 };
            let room = if texts.len() == 1 { alphabet.single() } else { alphabet.each(reference) };
            for part in &texts {
                let encoded = encode(part, alphabet);
                prop_assert!(encoded.len() <= room * bytes);
                prop_assert_eq!(&decode(&encoded, alphabet), part, "each part is readable alone");
            }
            prop_assert_eq!(encode(texts.last().expect("one"), alphabet).len(), last_units * bytes);
        }

        #[test]
        fn plain_text_is_never_longer_in_parts(text in texts(), short in short()) {
            let (plain, count) = (transliterate(&text, short), |text: &str| parts(text, short, Reference::Narrow).texts.len());
            prop_assert!(count(&plain) <= count(&text) * 3);
            prop_assert_eq!(transliterate(&plain, short), plain.clone(), "doing it twice changes nothing");
        }

        #[test]
        fn whatever_the_bytes_are_they_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (decode(&bytes, Alphabet::Gsm7), decode(&bytes, Alphabet::Ucs2));
            if let Some((_, text)) = split_header(&bytes) {
                prop_assert!(bytes.ends_with(text));
            }
        }

        #[test]
        fn a_header_reads_back(reference in any::<u16>(), total in 1_u8.., number in 1_u8.., wide in any::<bool>()) {
            prop_assume!(number <= total);
            let (width, reference) = if wide { (Reference::Wide, reference) } else { (Reference::Narrow, reference & 0xff) };
            let part = Concatenation { reference, total, number };
            let mut bytes = part.header(width);
            bytes.extend(b"testo");
            prop_assert_eq!(split_header(&bytes), Some((Some(part), &b"testo"[..])));
        }
    }
}
