//! What an IMAP server announces before it sends it: literals of `{n}` bytes (RFC 3501, 4.3). The client library makes room for
//! whatever is announced, so a huge announcement must be seen before it is believed. Pure.

/// How much of a line's end is looked at: `{`, 20 digits, `}`, CRLF.
const TAIL_MAX: usize = 24;

/// Follows a server's stream through lines and literals.
#[derive(Debug, Default)]
pub struct Frames {
    /// The end of the line so far.
    tail: Vec<u8>,
    /// Bytes of a literal that are still to come.
    literal: usize,
}

impl Frames {
    /// Takes in what the server sent. False if it announces a literal of more than `max` bytes.
    pub fn push(&mut self, mut bytes: &[u8], max: usize) -> bool {
        while !bytes.is_empty() {
            let skipped = self.literal.min(bytes.len());
            self.literal -= skipped;
            bytes = &bytes[skipped..];
            let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            if line == 0 {
                continue;
            }
            self.tail.extend_from_slice(&bytes[line.saturating_sub(TAIL_MAX)..line]);
            let surplus = self.tail.len().saturating_sub(TAIL_MAX);
            self.tail.drain(..surplus);
            bytes = &bytes[line..];
            if self.tail.ends_with(b"\n") {
                match announced(&self.tail) {
                    Some(size) if size > max => return false,
                    size => self.literal = size.unwrap_or(0),
                }
                self.tail.clear();
            }
        }
        true
    }
}

/// The size of the literal that a line's end announces; the largest there is if it has more digits than that.
fn announced(tail: &[u8]) -> Option<usize> {
    let text = tail.strip_suffix(b"}\r\n")?;
    let digits = &text[text.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1)..];
    if digits.is_empty() {
        return None;
    }
    let opened = text.len() == digits.len() || text[text.len() - digits.len() - 1] == b'{';
    opened.then(|| std::str::from_utf8(digits).expect("digits").parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_announcements_are_seen_and_content_is_not_mistaken_for_one() {
        for (stream, expected) in [
            ("* 1 FETCH (BODY[] {5}\r\nhello)\r\na OK\r\n", true),
            ("* 1 FETCH (BODY[] {11}\r\n{99999}\r\n{})\r\na OK\r\n", true),
            ("* 1 FETCH (BODY[] {101}\r\n", false),
            ("* 1 FETCH (BODY[] {5}\r\nhello {101}\r\n", false),
            ("* OK {101} is no announcement\r\n", true),
            ("* OK 101}\r\n", true),
            ("{99999999999999999999999999999999}\r\n", false),
            ("* 1 FETCH (BODY[] {0}\r\n)\r\n", true),
        ] {
            for step in 1..=stream.len() {
                let mut frames = Frames::default();
                let seen = stream.as_bytes().chunks(step).all(|chunk| frames.push(chunk, 100));
                assert_eq!(seen, expected, "{stream:?} in steps of {step}");
            }
        }
    }
}
