//! The bytes between DATA and its end, strictly: only `CRLF . CRLF` ends a mail, and only a dot after CRLF is taken off
//! (RFC 5321, 4.5.2). Bare CR and LF are content, so no second mail can be smuggled in behind one. Pure.

/// Where in a line the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the start of a line.
    Start,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and CR at the start of a line.
    DotCr,
    /// Within a line.
    Middle,
    /// After CR.
    Cr,
}

/// Reads the content of one mail. Beyond the limit it goes on to the end and keeps nothing.
#[derive(Debug)]
pub struct DataReader {
    at: At,
    content: Vec<u8>,
    size_max: usize,
    overflowed: bool,
}

impl DataReader {
    /// A reader for a mail of at most `size_max` bytes.
    pub fn new(size_max: usize) -> Self {
        Self { at: At::Start, content: Vec::new(), size_max, overflowed: false }
    }

    /// Takes `bytes` in: how many of them belong to the mail if it ends among them, none if it goes on.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            self.at = match (self.at, *byte) {
                (At::Start, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => return Some(index + 1),
                (At::DotCr, byte) => {
                    self.keep(b'\r');
                    self.keep(byte);
                    if byte == b'\r' { At::Cr } else { At::Middle }
                }
                (At::Cr, b'\n') => {
                    self.keep(b'\n');
                    At::Start
                }
                (_, b'\r') => {
                    self.keep(b'\r');
                    At::Cr
                }
                (_, byte) => {
                    self.keep(byte);
                    At::Middle
                }
            };
        }
        None
    }

    fn keep(&mut self, byte: u8) {
        if self.content.len() < self.size_max {
            self.content.push(byte);
        } else {
            self.give_up();
        }
    }

    /// Keeps nothing of the mail any more.
    pub fn give_up(&mut self) {
        self.overflowed = true;
        self.size_max = 0;
        self.content = Vec::new();
    }

    /// Bytes kept so far.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// The content, or none if it was too large or given up.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.overflowed).then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(wire: &[u8], step: usize) -> Option<(Vec<u8>, usize)> {
        let mut reader = DataReader::new(1_000);
        let mut taken = 0;
        for chunk in wire.chunks(step) {
            match reader.push(chunk) {
                Some(used) => return Some((reader.finish().expect("fits"), taken + used)),
                None => taken += chunk.len(),
            }
        }
        None
    }

    #[test]
    fn only_a_strict_end_ends() {
        for (wire, expected) in [
            (&b"hi\r\n.\r\n"[..], Some(&b"hi\r\n"[..])),
            (b".\r\n", Some(b"")),
            (b"..\r\n.\r\n", Some(b".\r\n")),
            (b".a\r\n.\r\n", Some(b"a\r\n")),
            (b"a\n.\nb\r\n.\r\n", Some(b"a\n.\nb\r\n")),
            (b"a\n.\r\nb\r\n.\r\n", Some(b"a\n.\r\nb\r\n")),
            (b"a\r\n.\nb\r\n.\r\n", Some(b"a\r\n\nb\r\n")),
            (b"a\r.\r\nb\r\n.\r\n", Some(b"a\r.\r\nb\r\n")),
            (b"a\r\n.\r.\r\n\r\n.\r\n", Some(b"a\r\n\r.\r\n\r\n")),
            (b"a\r\n.\r\r\n.\r\n", Some(b"a\r\n\r\r\n")),
            (b"a\r\n.", None),
            (b"a\n.\n", None),
            (b"a\r\n.\r", None),
        ] {
            for step in 1..=wire.len() {
                let found = read(wire, step);
                assert_eq!(found.as_ref().map(|(content, _)| content.as_slice()), expected, "{:?}", String::from_utf8_lossy(wire));
            }
        }
    }

    #[test]
    fn what_is_too_large_is_read_to_its_end() {
        let mut reader = DataReader::new(3);
        assert_eq!(reader.push(b"abcdef\r\n.\r\nQUIT"), Some(11));
        assert_eq!(reader.finish(), None);
    }

    proptest! {
        #[test]
        fn stuffed_lines_come_back(lines in proptest::collection::vec("[ -~]{0,20}", 0..10), step in 1_usize..40) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire: String = lines.iter().map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") }).collect();
            let wire = format!("{wire}.\r\nRSET\r\n");
            let (read, taken) = read(wire.as_bytes(), step).expect("ends");
            prop_assert_eq!(read, content.into_bytes());
            prop_assert_eq!(&wire[taken..], "RSET\r\n");
        }
    }
}
