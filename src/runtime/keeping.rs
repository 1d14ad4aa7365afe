//! Erasing a conversation with the blobs that were its own, and finding the blobs that no row names any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::id::{AdministrationId, ConversationId};
use crate::port::blobs::{BlobError, Blobs, name_of};
use crate::port::keeping::{Erased, Erasure, Keeping};
use crate::port::store::StoreError;

/// Rows looked at in one question.
const PAGE: u32 = 1_000;
/// Items of the quarantine looked at in one question: each may have 64 KiB.
const QUARANTINE_PAGE: u32 = 100;

/// Why something is not erased or swept yet: try again.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Database and blobs, which keep and lose things together.
#[derive(Clone)]
pub struct Keeper {
    /// The database.
    pub keeping: Arc<dyn Keeping>,
    /// The blobs.
    pub blobs: Arc<dyn Blobs>,
    /// Between two questions: who works beside contacts lets them go first.
    pub pause: Duration,
}

impl Keeper {
    /// Erases a conversation. Its blobs go with it, but for those that something else names. Cut off between the two, the rest is
    /// swept when it is old enough.
    pub async fn erase(&self, administration: &AdministrationId, conversation: ConversationId) -> Result<Erasure, KeepError> {
        let erasure = self.keeping.erase(administration, conversation).await?;
        if let Erasure::Done(Erased { blobs, .. }) = &erasure {
            self.delete_unnamed(administration, blobs.clone()).await?;
            self.keeping.scrub().await?;
        }
        Ok(erasure)
    }

    /// Deletes those of these blobs that no row names; returns how many.
    pub async fn delete_unnamed(&self, administration: &AdministrationId, keys: Vec<String>) -> Result<u64, KeepError> {
        let unnamed = self.unnamed(administration, keys).await?;
        let mut deleted = 0;
        for key in unnamed {
            self.blobs.delete(administration, &key).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Reads every row that could name one of them: no index knows blobs, for each message would pay for it.
    async fn unnamed(&self, administration: &AdministrationId, keys: Vec<String>) -> Result<Vec<String>, KeepError> {
        let mut left: HashMap<String, String> = keys.into_iter().map(|key| (name_of(&key).to_owned(), key)).collect();
        let mut after = Some(String::new());
        while let (Some(from), false) = (&after, left.is_empty()) {
            let part = self.keeping.named_by_messages(administration, from, PAGE).await?;
            part.found.iter().for_each(|name| drop(left.remove(name)));
            after = part.next;
            tokio::time::sleep(self.pause).await;
        }
        let mut after = Some(String::new());
        while let (Some(from), false) = (&after, left.is_empty()) {
            let part = self.keeping.named_in_quarantine(from, QUARANTINE_PAGE).await?;
            part.found.iter().for_each(|name| drop(left.remove(name)));
            after = part.next;
            tokio::time::sleep(self.pause).await;
        }
        Ok(left.into_values().collect())
    }
}
