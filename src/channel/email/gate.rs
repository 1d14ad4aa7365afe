//! The gate before any mail parser: size, header block, nesting and parts, counted on raw bytes in one pass without recursion.
//!
//! 700 kB of mail are enough for 22,000 nested messages, and a parser that drops such a tree recursively overflows its stack,
//! which nothing can catch. So the gate counts, and what it lets through is parsed from a copy in which nested messages are
//! opaque ([`Passed::bytes`]): whatever the parser makes of odd headers, it never builds a tree.

use std::borrow::Cow;
use std::collections::HashMap;

use super::header::{HEADER_BYTES_MAX, HEADERS_MAX, Headers, split};

/// What a mail may be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Bytes of the whole mail.
    pub size_max: usize,
    /// Levels of multiparts and embedded messages.
    pub nesting_max: usize,
    /// Parts over all levels.
    pub parts_max: usize,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self { size_max: 25 * 1024 * 1024, nesting_max: 100, parts_max: 1_000 }
    }
}

/// Why a mail is not parsed. It still becomes a contact: header fields only, the original kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than the limit.
    #[error("{size} bytes, at most {max} are read")]
    TooLarge {
        /// What it has.
        size: usize,
        /// What it may have.
        max: usize,
    },
    /// The first header block is too large.
    #[error("header of more than {HEADER_BYTES_MAX} bytes or {HEADERS_MAX} fields")]
    HeaderTooLarge,
    /// Multiparts and messages within one another.
    #[error("parts nested deeper than {0}")]
    NestedTooDeep(usize),
    /// Too many parts.
    #[error("more than {0} parts")]
    TooManyParts(usize),
    /// The parser gave up or stumbled.
    #[error("not understood")]
    NotUnderstood,
}

/// A mail that may be parsed.
#[derive(Debug)]
pub struct Passed<'a> {
    /// What the parser gets: as long as the raw mail and the same but for the subtypes of embedded messages (`rfc822` →
    /// `rfc82x`), so offsets hold.
    pub bytes: Cow<'a, [u8]>,
}

/// The subtype that stands for `rfc822` in [`Passed::bytes`].
pub const EMBEDDED_MESSAGE: &str = "rfc82x";

/// Checks `raw` and prepares it for the parser.
pub fn check<'a>(raw: &'a [u8], limits: &GateLimits) -> Result<Passed<'a>, Refused> {
    if raw.len() > limits.size_max {
        return Err(Refused::TooLarge { size: raw.len(), max: limits.size_max });
    }
    let (head, _) = split(raw);
    let fields = head.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t")).count();
    if head.len() > HEADER_BYTES_MAX || fields > HEADERS_MAX + 1 {
        return Err(Refused::HeaderTooLarge);
    }
    Walk::new(limits).run(raw)?;
    Ok(Passed { bytes: opaque(raw) })
}

/// A level of the mail that is open.
enum Level {
    /// A multipart with its boundary.
    Multipart(Vec<u8>),
    /// An embedded message.
    Message,
}

/// One pass over the lines, with the open levels as a stack of bounded height.
struct Walk<'l> {
    limits: &'l GateLimits,
    levels: Vec<Level>,
    /// Boundary → its place in `levels`.
    open: HashMap<Vec<u8>, usize>,
    parts: usize,
    in_headers: bool,
    /// The header block being read, cut.
    block: Vec<u8>,
}

impl<'l> Walk<'l> {
    fn new(limits: &'l GateLimits) -> Self {
        Self { limits, levels: Vec::new(), open: HashMap::new(), parts: 1, in_headers: true, block: Vec::new() }
    }

    fn run(mut self, raw: &[u8]) -> Result<(), Refused> {
        for line in raw.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"--") && self.boundary(line)? {
                continue;
            }
            if !self.in_headers {
                continue;
            }
            if matches!(line, b"\n" | b"\r\n") {
                self.end_of_headers()?;
            } else if self.block.len() < HEADER_BYTES_MAX {
                self.block.extend_from_slice(line);
            }
        }
        Ok(())
    }

    /// A line that starts with `--`: true if it is an open level's delimiter.
    fn boundary(&mut self, line: &[u8]) -> Result<bool, Refused> {
        let text = line[2..].trim_ascii_end();
        let (place, closing) = match self.open.get(text) {
            Some(place) => (*place, false),
            None => match text.strip_suffix(b"--").and_then(|text| self.open.get(text)) {
                Some(place) => (*place, true),
                None => return Ok(false),
            },
        };
        self.close_to(if closing { place } else { place + 1 });
        self.block.clear();
        self.in_headers = !closing;
        if !closing {
            self.parts += 1;
            if self.parts > self.limits.parts_max {
                return Err(Refused::TooManyParts(self.limits.parts_max));
            }
        }
        Ok(true)
    }

    fn close_to(&mut self, height: usize) {
        for level in self.levels.drain(height..) {
            if let Level::Multipart(boundary) = level {
                self.open.remove(&boundary);
            }
        }
    }

    fn end_of_headers(&mut self) -> Result<(), Refused> {
        let headers = Headers::parse(&std::mem::take(&mut self.block));
        let content_type = headers.get("content-type").unwrap_or_default();
        let lower = content_type.to_ascii_lowercase();
        self.in_headers = false;
        if lower.trim_start().starts_with("multipart") {
            if let Some(boundary) = boundary_of(content_type).filter(|boundary| !self.open.contains_key(*boundary)) {
                self.open.insert(boundary.to_vec(), self.levels.len());
                self.levels.push(Level::Multipart(boundary.to_vec()));
            }
        } else if lower.trim_start().starts_with("message") && (lower.contains("rfc822") || lower.contains("global")) {
            self.levels.push(Level::Message);
            self.in_headers = true;
        }
        if self.levels.len() > self.limits.nesting_max {
            return Err(Refused::NestedTooDeep(self.limits.nesting_max));
        }
        Ok(())
    }
}

/// The boundary parameter of a content type, quoted or not; none if it is missing, empty or over 998 bytes.
fn boundary_of(content_type: &str) -> Option<&[u8]> {
    let lower = content_type.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find("boundary") {
        from += found + "boundary".len();
        let Some(value) = content_type[from..].trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        let boundary = match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => value.split([';', ' ', '\t']).next(),
        };
        return boundary.map(str::trim_end).filter(|boundary| (1..=998).contains(&boundary.len())).map(str::as_bytes);
    }
    None
}

/// The words that make a parser descend into a part, and what they become: the same length, and nobody descends.
const DESCENDING: [(&[u8], &[u8]); 3] = [(b"rfc822", b"rfc82x"), (b"global", b"globax"), (b"digest", b"digesx")];

/// `raw` with every `Content-Type` line's descending words replaced, wherever in the mail the line stands: more lines than are
/// header fields, never fewer.
fn opaque(raw: &[u8]) -> Cow<'_, [u8]> {
    let mut copy: Option<Vec<u8>> = None;
    let mut at = 0;
    let mut in_content_type = false;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if is_content_type(line) {
            in_content_type = true;
        } else if !line.first().is_some_and(u8::is_ascii_whitespace) {
            in_content_type = false;
        }
        if in_content_type {
            for (place, replacement) in descending_words(line) {
                let copy = copy.get_or_insert_with(|| raw.to_vec());
                copy[at + place..at + place + replacement.len()].copy_from_slice(replacement);
            }
        }
        at += line.len();
    }
    copy.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// Whether a lenient parser could take the line for a `Content-Type` field: white space and leading colons do not count.
fn is_content_type(line: &[u8]) -> bool {
    let mut letters = line.iter().filter(|byte| !byte.is_ascii_whitespace()).skip_while(|byte| **byte == b':');
    b"content-type".iter().all(|expected| letters.next().is_some_and(|byte| byte.to_ascii_lowercase() == *expected))
}

/// Where whole descending words stand in `line`, other than as a parameter's value.
fn descending_words(line: &[u8]) -> impl Iterator<Item = (usize, &'static [u8])> + '_ {
    let starts = (0..line.len()).filter(|at| *at == 0 || !in_word(line[at - 1]));
    starts.filter_map(|at| {
        let (word, replacement) =
            DESCENDING.iter().find(|(word, _)| line[at..].get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)))?;
        let ends = line.get(at + word.len()).is_none_or(|next| !in_word(*next));
        let is_value = line[..at].trim_ascii_end().trim_suffix_byte(b'"').trim_ascii_end().ends_with(b"=");
        (ends && !is_value).then_some((at, *replacement))
    })
}

/// Whether a parser could take the byte for part of a word.
fn in_word(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"()/;=\"\\,".contains(&byte)
}

/// Taking one byte off the end.
trait TrimByte {
    /// `self` without `byte` at its end, if it ends so.
    fn trim_suffix_byte(&self, byte: u8) -> &Self;
}

impl TrimByte for [u8] {
    fn trim_suffix_byte(&self, byte: u8) -> &Self {
        self.strip_suffix(&[byte]).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> GateLimits {
        GateLimits { size_max: 4 * 1024 * 1024, ..GateLimits::default() }
    }

    fn nested_messages(levels: usize) -> Vec<u8> {
        let mut mail = b"Content-Type: message/rfc822\r\n\r\n".repeat(levels);
        mail.extend_from_slice(b"Subject: x\r\n\r\nhi\r\n");
        mail
    }

    fn nested_multiparts(levels: usize) -> Vec<u8> {
        let level = |i| format!("Content-Type: multipart/mixed; boundary=\"b{i}\"\r\n\r\n--b{i}\r\n");
        let mut mail: Vec<u8> = (0..levels).flat_map(|i| level(i).into_bytes()).collect();
        mail.extend_from_slice(b"Content-Type: text/plain\r\n\r\nhi\r\n");
        mail
    }

    fn flat_parts(parts: usize) -> Vec<u8> {
        let mut mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        mail.extend(b"--b\r\n\r\nx\r\n".repeat(parts));
        mail.extend_from_slice(b"--b--\r\n");
        mail
    }

    #[test]
    fn hostile_shapes_are_refused_in_time() {
        let started = std::time::Instant::now();
        for (name, mail, expected) in [
            ("22,000 nested messages", nested_messages(22_000), Some(Refused::NestedTooDeep(100))),
            ("100 nested messages", nested_messages(100), None),
            ("101 nested messages", nested_messages(101), Some(Refused::NestedTooDeep(100))),
            ("100,000 nested multiparts", nested_multiparts(30_000), Some(Refused::NestedTooDeep(100))),
            ("100 nested multiparts", nested_multiparts(100), None),
            ("999 flat parts", flat_parts(999), None),
            ("1,000 flat parts", flat_parts(1_000), Some(Refused::TooManyParts(1_000))),
            ("header of 100,000 fields", b"X: y\r\n".repeat(100_000), Some(Refused::HeaderTooLarge)),
            ("header of one long field", [b"X: ".to_vec(), vec![b'y'; 200_000]].concat(), Some(Refused::HeaderTooLarge)),
            ("large", vec![b'\n'; 4 * 1024 * 1024 + 1], Some(Refused::TooLarge { size: 4_194_305, max: 4_194_304 })),
            ("empty", Vec::new(), None),
            ("a million delimiters of nobody", b"\r\n--\n".repeat(600_000), None),
        ] {
            assert_eq!(check(&mail, &small()).err(), expected, "{name}");
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "took {:?}", started.elapsed());
    }

    #[test]
    fn embedded_messages_are_opaque_however_written() {
        for (line, expected) in [
            ("Content-Type: message/rfc822", "Content-Type: message/rfc82x"),
            ("content-TYPE:\r\n\tMESSAGE/RFC822; name=x", "content-TYPE:\r\n\tMESSAGE/rfc82x; name=x"),
            ("C o n t e n t-type: message (c) / rfc822", "C o n t e n t-type: message (c) / rfc82x"),
            ("::Content-Type: message/global", "::Content-Type: message/globax"),
            (" Content-Type: multipart/digest; boundary=digest", " Content-Type: multipart/digesx; boundary=digest"),
            ("Content-Type: message/rfc822-headers", "Content-Type: message/rfc822-headers"),
            ("Content-Type: x/y; name=\"global.pdf\"", "Content-Type: x/y; name=\"global.pdf\""),
            ("Final-Recipient: rfc822; a@b", "Final-Recipient: rfc822; a@b"),
        ] {
            let mail = format!("{line}\r\n\r\nrfc822\r\n");
            let passed = check(mail.as_bytes(), &small()).expect("passes");
            assert_eq!(String::from_utf8_lossy(&passed.bytes), format!("{expected}\r\n\r\nrfc822\r\n"));
        }
    }

    #[test]
    fn boundaries_are_read() {
        for (content_type, expected) in [
            ("multipart/mixed; boundary=abc", Some("abc")),
            ("multipart/mixed; BOUNDARY = \"a b;c\"; x=y", Some("a b;c")),
            ("multipart/mixed; boundary=\"\"", None),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary", None),
            ("multipart/mixed; boundaryx=1; boundary=2", Some("2")),
        ] {
            assert_eq!(boundary_of(content_type), expected.map(str::as_bytes), "{content_type}");
        }
    }
}
