//! Our own signed `Message-ID`s: how an answer finds its conversation without a number in the subject. Pure.
//!
//! `<32 hex of the message>.<16 hex bound to the recipient>.<16 hex bound to nobody>@<domain>`. The first signature joins a
//! message to a conversation only when it comes from the address the answer went to; the second serves delivery reports,
//! which come from a mail server. Both are the first 64 bits of HMAC-SHA-256 under the installation's secret.

use super::channel::{Channel, normalise_address};
use super::id::{IdMaker, MessageId};

/// The `Message-ID` of `message` on its way to `address`, without angle brackets. The same on every attempt.
pub fn sign(ids: &IdMaker, message: MessageId, address: &str, domain: &str) -> String {
    format!("{:032x}.{:016x}.{:016x}@{domain}", message.0, bound(ids, message, address), unbound(ids, message))
}

/// Our message that `reference` names, if we signed it and it went to `address`.
pub fn verify(ids: &IdMaker, reference: &str, address: &str) -> Option<MessageId> {
    let (message, to_address, _) = take_apart(reference)?;
    same(to_address, bound(ids, message, address)).then_some(message)
}

/// Our message that `reference` names, whoever says so. Only for delivery reports and for recognising our own mail: it says
/// nothing about the sender.
pub fn verify_any(ids: &IdMaker, reference: &str) -> Option<MessageId> {
    let (message, _, to_nobody) = take_apart(reference)?;
    same(to_nobody, unbound(ids, message)).then_some(message)
}

fn bound(ids: &IdMaker, message: MessageId, address: &str) -> u64 {
    let address = normalise_address(&Channel::email(), address);
    short(ids.make("message-id/address", &[&message.0.to_be_bytes(), address.as_bytes()]))
}

fn unbound(ids: &IdMaker, message: MessageId) -> u64 {
    short(ids.make("message-id", &[&message.0.to_be_bytes()]))
}

/// The first half of a 128-bit id.
fn short(id: u128) -> u64 {
    u64::try_from(id >> 64).expect("128 bits shifted by 64 leave 64")
}

/// Compares without a branch on the digits, so that the time says nothing about where they differ.
fn same(given: u64, expected: u64) -> bool {
    std::hint::black_box(given ^ expected) == 0
}

fn take_apart(reference: &str) -> Option<(MessageId, u64, u64)> {
    let local = reference.trim().trim_start_matches('<').trim_end_matches('>').split_once('@')?.0;
    let mut parts = local.split('.');
    let message = u128::from_str_radix(hex(parts.next()?, 32)?, 16).ok()?;
    let to_address = u64::from_str_radix(hex(parts.next()?, 16)?, 16).ok()?;
    let to_nobody = u64::from_str_radix(hex(parts.next()?, 16)?, 16).ok()?;
    parts.next().is_none().then_some((MessageId(message), to_address, to_nobody))
}

/// `text` if it is exactly `digits` hexadecimal digits. Some mail systems change the case of a Message-ID.
fn hex(text: &str, digits: usize) -> Option<&str> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: MessageId = MessageId(0x00ab_cdef);

    fn ids() -> IdMaker {
        IdMaker::new([7; 32])
    }

    #[test]
    fn comes_back_from_the_same_address_only() {
        let reference = sign(&ids(), MESSAGE, "Mario.Rossi@Example.it", "comune.example");
        for (from, expected) in [
            ("mario.rossi@example.it", Some(MESSAGE)),
            (" MARIO.ROSSI@EXAMPLE.IT ", Some(MESSAGE)),
            ("neighbour@example.it", None),
            ("", None),
        ] {
            assert_eq!(verify(&ids(), &reference, from), expected, "{from}");
            assert_eq!(verify(&ids(), &format!("<{}>", reference.to_uppercase()), from), expected, "{from}, upper case");
        }
        assert_eq!(verify_any(&ids(), &reference), Some(MESSAGE));
    }

    #[test]
    fn another_secret_or_a_changed_digit_is_refused() {
        let reference = sign(&ids(), MESSAGE, "a@example.it", "comune.example");
        let other = IdMaker::new([8; 32]);
        assert_eq!(verify(&other, &reference, "a@example.it"), None);
        assert_eq!(verify_any(&other, &reference), None);
        let local = reference.split('@').next().expect("has a local part").to_owned();
        for position in 0..local.len() {
            let mut bytes = local.clone().into_bytes();
            bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
            let changed = format!("{}@comune.example", String::from_utf8(bytes).expect("ASCII"));
            let either = verify(&ids(), &changed, "a@example.it").is_some() && verify_any(&ids(), &changed).is_some();
            assert!(!either, "digit {position}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "@", "<>", "..@x", "abc@example.it", &"0".repeat(66), &format!("{}@x", "é".repeat(32)), "a.b.c.d@x"] {
            assert_eq!(verify(&ids(), text, "a@example.it"), None, "{text}");
            assert_eq!(verify_any(&ids(), text), None, "{text}");
        }
    }
}
