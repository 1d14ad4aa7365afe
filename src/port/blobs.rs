//! Where raw mail, long bodies and attachments are kept: written before anything refers to them.

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::conversation::BlobRef;
use crate::model::id::AdministrationId;

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

    /// Removes it; removing what is not there is no error.
    async fn delete(&self, administration: &AdministrationId, key: &str) -> Result<(), BlobError>;
}
