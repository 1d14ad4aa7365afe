//! The header block of a mail as raw fields: for the checks that must not depend on a full parse. Pure, linear, bounded.

/// The most bytes of a header block that are looked at.
pub const HEADER_BYTES_MAX: usize = 100 * 1024;
/// The most fields in it.
pub const HEADERS_MAX: usize = 1_000;

/// Header fields in order: names in lower case, values unfolded, invalid UTF-8 replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads at most [`HEADERS_MAX`] fields of the first [`HEADER_BYTES_MAX`] bytes of `block`. Lines that are no field are skipped.
    pub fn parse(block: &[u8]) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in block[..block.len().min(HEADER_BYTES_MAX)].split(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            if text.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(text.trim());
                }
            } else if let Some((name, value)) = text.split_once(':') {
                if fields.len() == HEADERS_MAX {
                    break;
                }
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Self(fields)
    }

    /// The first value of the field `name`, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Every value of the field `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// A mail taken apart at its first empty line. Without one, everything is header.
pub fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return (&raw[..at], &raw[at + line.len()..]);
        }
        at += line.len();
    }
    (raw, &[])
}

/// The Message-IDs in a field such as `References`: what stands in angle brackets, or the single word without them. Empty
/// ones, ones with white space and ones over 998 bytes are left out.
pub fn message_ids(value: &str) -> Vec<String> {
    let mut ids: Vec<&str> = value.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(id, _)| id)).collect();
    if ids.is_empty() && !value.contains('<') {
        ids = value.split_whitespace().collect();
    }
    ids.into_iter().map(str::trim).filter(|id| is_message_id(id)).map(str::to_owned).collect()
}

/// Whether `id` can be written into a header as a Message-ID: printable ASCII without spaces or brackets, with an `@`.
pub fn is_message_id(id: &str) -> bool {
    (3..=998).contains(&id.len()) && id.contains('@') && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unfolded_and_found_whatever_the_case() {
        let headers = Headers::parse(b"Subject: a\r\n b\r\nX-A:1\r\nx-a: 2\r\nnonsense\r\n\tlost? no\r\n");
        assert_eq!(headers.get("subject"), Some("a b"));
        assert_eq!(headers.all("x-a").collect::<Vec<_>>(), ["1", "2 lost? no"]);
        assert_eq!(headers.get("missing"), None);
    }

    #[test]
    fn splits_at_the_first_empty_line() {
        for (raw, head, body) in [
            (&b"A: b\r\n\r\nhi"[..], &b"A: b\r\n"[..], &b"hi"[..]),
            (b"A: b\n\nhi", b"A: b\n", b"hi"),
            (b"\r\nhi", b"", b"hi"),
            (b"A: b", b"A: b", b""),
            (b"", b"", b""),
        ] {
            assert_eq!(split(raw), (head, body));
        }
    }

    #[test]
    fn message_ids_are_picked_out() {
        for (value, expected) in [
            ("<a@b> <c@d>", vec!["a@b", "c@d"]),
            ("<a@b><c@d>", vec!["a@b", "c@d"]),
            ("a@b", vec!["a@b"]),
            ("<> <  > <noat>", vec![]),
            ("<a b@c>", vec![]),
            ("", vec![]),
            ("<unclosed@x", vec![]),
        ] {
            assert_eq!(message_ids(value), expected, "{value}");
        }
    }
}
