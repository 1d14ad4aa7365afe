//! Handles of uploaded files: the reference itself, signed and bound to one contact, so that the desk keeps no table of uploads
//! and nobody attaches a file that they did not upload there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::model::conversation::Attachment;
use crate::model::id::{AdministrationId, ContactId, IdMaker};
use crate::model::time::Timestamp;

/// How long a handle is good for.
pub const LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
/// The longest handle that is looked at, in bytes.
const HANDLE_BYTES_MAX: usize = 4096;

/// Why a handle is refused. One answer for all, so that nobody learns from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attachment is unknown, of another contact, or older than a day; upload it again")]
pub struct BadHandle;

#[derive(Serialize, Deserialize)]
struct Content {
    contact: ContactId,
    administration: AdministrationId,
    expires: Timestamp,
    attachment: Attachment,
}

/// Makes a handle for a file that was uploaded for `contact`.
pub fn sign(ids: &IdMaker, contact: ContactId, administration: &AdministrationId, attachment: Attachment, now: Timestamp) -> String {
    let content = Content { contact, administration: administration.clone(), expires: now.plus(LIFE), attachment };
    let content = serde_json::to_vec(&content).expect("plain types serialise");
    let tag = tag(ids, &content);
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&content), URL_SAFE_NO_PAD.encode(tag))
}

/// The file behind a handle that was made for this very contact and has not expired.
pub fn verify(
    ids: &IdMaker,
    handle: &str,
    contact: ContactId,
    administration: &AdministrationId,
    now: Timestamp,
) -> Result<Attachment, BadHandle> {
    if handle.len() > HANDLE_BYTES_MAX {
        return Err(BadHandle);
    }
    let (content, given) = handle.split_once('.').ok_or(BadHandle)?;
    let content = URL_SAFE_NO_PAD.decode(content).map_err(|_| BadHandle)?;
    let given = URL_SAFE_NO_PAD.decode(given).map_err(|_| BadHandle)?;
    if !bool::from(tag(ids, &content).ct_eq(&given)) {
        return Err(BadHandle);
    }
    let content: Content = serde_json::from_slice(&content).map_err(|_| BadHandle)?;
    let valid = content.contact == contact && content.administration == *administration && now < content.expires;
    if valid { Ok(content.attachment) } else { Err(BadHandle) }
}

fn tag(ids: &IdMaker, content: &[u8]) -> [u8; 16] {
    ids.make("attachment-handle", &[content]).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::conversation::BlobRef;

    #[test]
    fn only_the_very_contact_and_only_for_a_day() {
        let ids = IdMaker::new([3; 32]);
        let comune = AdministrationId::new("comune").unwrap();
        let blob = BlobRef { key: "comune/2026-01/x".into(), sha256: "00".into(), size: 3 };
        let file = Attachment { name: "a.pdf".into(), media_type: "application/pdf".into(), content_id: None, blob };
        let now = Timestamp::from_secs(1_000_000);
        let handle = sign(&ids, ContactId(1), &comune, file.clone(), now);
        assert_eq!(verify(&ids, &handle, ContactId(1), &comune, now), Ok(file));
        let other = AdministrationId::new("asl").unwrap();
        assert!(verify(&ids, &handle, ContactId(2), &comune, now).is_err(), "other contact");
        assert!(verify(&ids, &handle, ContactId(1), &other, now).is_err(), "other administration");
        assert!(verify(&ids, &handle, ContactId(1), &comune, now.plus(LIFE)).is_err(), "expired");
        assert!(verify(&IdMaker::new([4; 32]), &handle, ContactId(1), &comune, now).is_err(), "other secret");
        let mut forged = handle.clone().into_bytes();
        forged[10] ^= 1;
        assert!(verify(&ids, &String::from_utf8_lossy(&forged), ContactId(1), &comune, now).is_err(), "changed");
        for garbage in ["", ".", "a.b", "äöü.x", &"x".repeat(10_000)] {
            assert!(verify(&ids, garbage, ContactId(1), &comune, now).is_err());
        }
    }
}
