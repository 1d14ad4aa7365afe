//! Where raw mail, long bodies and attachments are kept: written before anything refers to them.

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::conversation::BlobRef;
use crate::model::id::AdministrationId;
use crate::model::time::Timestamp;

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Nothing is stored there, or it belongs to another administration.
    #[error("there is no such blob")]
    NotFound,
    /// What is stored is not what was put: the digest differs.
    #[error("blob {0} is damaged: its digest differs from the recorded one")]
    Damaged(String),
    /// The store behind it failed; try again.
    #[error("the blob store is not available: {0}")]
    Unavailable(String),
}

/// A store of immutable byte strings, one space per administration.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps `bytes` durably under a new random key of the administration. Returns once they would survive a power cut.
    async fn put(&self, administration: &AdministrationId, bytes: Bytes) -> Result<BlobRef, BlobError>;

    /// The bytes; refuses a key outside the administration and bytes whose digest differs.
    async fn get(&self, administration: &AdministrationId, blob: &BlobRef) -> Result<Bytes, BlobError>;

    /// Keys of the administration's blobs that were kept from `since` on and before `before`: the first `limit` above `after` in
    /// their order.
    async fn kept_between(
        &self,
        administration: &AdministrationId,
        since: Timestamp,
        before: Timestamp,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, BlobError>;

    /// Removes it; removing what is not there is no error.
    async fn delete(&self, administration: &AdministrationId, key: &str) -> Result<(), BlobError>;

    /// Removes what is left of blobs of the administration whose writing was cut off before `before`; how many that were.
    async fn delete_unfinished(&self, administration: &AdministrationId, before: Timestamp) -> Result<u64, BlobError> {
        let _nothing = (administration, before);
        Ok(0)
    }
}

/// Digits of the name at the end of a key: what is random of it, so it stands for the whole.
const NAME_DIGITS: usize = 32;

/// The name at the end of a key.
pub fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Names of blobs in a text, whatever the text is: JSON of ours, JSON of somebody else with its own way to write a slash.
pub fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.split(move |c| !is_digit(c)).filter(|run| run.len() == NAME_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_json() {
        let name = "0123456789abcdef0123456789abcdef";
        let sha256 = name.repeat(2);
        let texts = [
            format!(r#"{{"key":"comune/2026-01/{name}","sha256":"{sha256}","size":3}}"#),
            format!(r#"{{"key":"comune\/2026-01\/{name}"}}"#),
            format!("comune/2026-01/{name}"),
        ];
        for text in texts {
            assert_eq!(names_in(&text).collect::<Vec<_>>(), [name], "{text}");
        }
        for text in ["", "comune/2026-01/", "0123", sha256.as_str()] {
            assert_eq!(names_in(text).count(), 0, "{text}");
        }
        assert_eq!(name_of(&format!("comune/2026-01/{name}")), name);
    }
}
