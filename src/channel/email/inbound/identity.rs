//! The identity of a mail: the digest of its bytes below the trace that the last hops wrote. The same mail fetched twice, or by
//! IMAP and by SMTP, has the same; a sender can only choose it by choosing the whole mail. Pure.

use sha2::{Digest, Sha256};

/// Fields that receiving servers put on top of a mail.
const TRACE: [&str; 12] = [
    "received",
    "return-path",
    "delivered-to",
    "envelope-to",
    "delivery-date",
    "received-spf",
    "authentication-results",
    "arc-seal",
    "arc-message-signature",
    "arc-authentication-results",
    "x-original-to",
    "x-envelope-to",
];

/// Lower-case hexadecimal SHA-256 of `raw` below its leading trace fields (`Received`, `Return-Path`, `X-…`), line ends counted
/// as `\n`. Of all of it, if there is nothing below.
pub fn digest(raw: &[u8]) -> String {
    let body = &raw[trace_len(raw)..];
    let body = if body.is_empty() { raw } else { body };
    let mut hash = Sha256::new();
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                hash.update(line);
                hash.update(b"\n");
            }
            None => hash.update(line),
        }
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("a half byte"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("a half byte"));
        text
    })
}

/// How many bytes of leading trace fields `raw` has.
fn trace_len(raw: &[u8]) -> usize {
    let mut at = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let continued = at > 0 && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if !continued && !is_trace(line) {
            break;
        }
        at += line.len();
    }
    at
}

fn is_trace(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let name = line[..colon].trim_ascii().to_ascii_lowercase();
    name.starts_with(b"x-") || TRACE.iter().any(|field| field.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: a@example.it\r\nReceived: by nobody\r\nSubject: x\r\n\r\nhi\r\n";

    #[test]
    fn the_same_mail_by_another_way_is_the_same() {
        let plain = digest(MAIL.as_bytes());
        for above in [
            "Return-Path: <a@example.it>\r\n",
            "Delivered-To: urp@comune.example\r\nReceived: from x\r\n\tby y; now\r\nX-Spam: no\r\n",
            "RECEIVED: from z\r\n by w\r\nAuthentication-Results: ok\r\n",
        ] {
            assert_eq!(digest(format!("{above}{MAIL}").as_bytes()), plain, "{above}");
            assert_eq!(digest(format!("{above}{MAIL}").replace("\r\n", "\n").as_bytes()), plain, "{above} with \\n");
        }
    }

    #[test]
    fn another_mail_is_another() {
        let plain = digest(MAIL.as_bytes());
        for other in [
            MAIL.replace("hi", "ho"),
            MAIL.replace("by nobody", "by somebody"),
            MAIL.replace("Subject: x", "Subject: x\r\nX-A: b"),
            String::new(),
            "Received: x\r\n".to_owned(),
            "Received: y\r\n".to_owned(),
        ] {
            assert_ne!(digest(other.as_bytes()), plain);
        }
        assert_ne!(digest(b"Received: x\r\n"), digest(b"Received: y\r\n"));
    }
}
