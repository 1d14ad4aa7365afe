//! The blob folder: one file per blob, `<administration>/<yyyy-mm>/<random>`, on disk before its key is given out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use sha2::{Digest, Sha256};

use crate::model::conversation::BlobRef;
use crate::model::id::AdministrationId;
use crate::model::time::Timestamp;
use crate::port::blobs::{BlobError, Blobs};

/// Blobs in a folder.
#[derive(Debug)]
pub struct FolderBlobs {
    root: PathBuf,
    folder: LocalFileSystem,
}

/// What `object_store` puts between a key and a number for a file that is not whole yet, or is about to be unlinked. It lists none of
/// them.
const UNFINISHED: char = '#';
/// Their numbers that are tried at a delete.
const UNFINISHED_MAX: u32 = 4;

impl FolderBlobs {
    /// Opens the folder, made if it is not there. File and folder are synced to disk with each blob, which `object_store`
    /// does not do unless told.
    ///
    /// # Errors
    /// `Unavailable` if the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder).map_err(|error| BlobError::Unavailable(format!("{}: {error}", folder.display())))?;
        let opened = LocalFileSystem::new_with_prefix(folder).map_err(|error| BlobError::Unavailable(error.to_string()))?;
        Ok(Self { root: folder.to_owned(), folder: opened.with_fsync(true) })
    }
}

/// The key, if it is one that [`Blobs::put`] could have made for the administration: nothing else leaves its folder.
fn checked(administration: &AdministrationId, key: &str) -> Result<Key, BlobError> {
    let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_month = |text: &str| text.len() == 7 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match key.split('/').collect::<Vec<_>>().as_slice() {
        [owner, month, name] if *owner == administration.as_str() && is_month(month) && name.len() == 32 && is_hexadecimal(name) => {
            Key::parse(key).map_err(|_| BlobError::NotFound)
        }
        _ => Err(BlobError::NotFound),
    }
}

fn failed(error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::NotFound,
        error => BlobError::Unavailable(error.to_string()),
    }
}

/// What is in a folder; nothing, if there is none.
async fn entries(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let unavailable = |error: std::io::Error| BlobError::Unavailable(format!("{}: {error}", folder.display()));
    let mut listed = match tokio::fs::read_dir(folder).await {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unavailable(error)),
    };
    let mut found = Vec::new();
    while let Some(entry) = listed.next_entry().await.map_err(unavailable)? {
        found.push(entry.path());
    }
    Ok(found)
}

async fn remove(file: &Path) -> Result<(), BlobError> {
    match tokio::fs::remove_file(file).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BlobError::Unavailable(format!("{}: {error}", file.display()))),
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, administration: &AdministrationId, bytes: Bytes) -> Result<BlobRef, BlobError> {
        let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
        let key = format!("{administration}/{month}/{}", hex::encode(rand::random::<[u8; 16]>()));
        let blob = BlobRef { sha256: hex::encode(Sha256::digest(&bytes)), size: bytes.len() as u64, key };
        let place = checked(administration, &blob.key)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.folder.put_opts(&place, PutPayload::from_bytes(bytes), options).await.map_err(failed)?;
        Ok(blob)
    }

    async fn get(&self, administration: &AdministrationId, blob: &BlobRef) -> Result<Bytes, BlobError> {
        let place = checked(administration, &blob.key)?;
        let found = self.folder.get(&place).await.map_err(failed)?;
        if found.meta.size != blob.size {
            return Err(BlobError::Damaged(blob.key.clone()));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        if hex::encode(Sha256::digest(&bytes)) != blob.sha256 {
            return Err(BlobError::Damaged(blob.key.clone()));
        }
        Ok(bytes)
    }

    /// The folder comes in no order: of what it holds the least `limit` keys are kept in hand.
    async fn kept_between(
        &self,
        administration: &AdministrationId,
        since: Timestamp,
        before: Timestamp,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, BlobError> {
        let mut listed = self.folder.list(Some(&Key::from(administration.as_str())));
        let mut first = BTreeSet::new();
        while let Some(blob) = listed.try_next().await.map_err(failed)? {
            let key = String::from(blob.location);
            let kept_at = Timestamp(blob.last_modified.timestamp_micros());
            if key.as_str() > after && (since..before).contains(&kept_at) && checked(administration, &key).is_ok() {
                first.insert(key);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        Ok(first.into_iter().collect())
    }

    async fn delete(&self, administration: &AdministrationId, key: &str) -> Result<(), BlobError> {
        let Ok(place) = checked(administration, key) else { return Ok(()) };
        // a crash in the midst of writing leaves a second name of the same bytes
        for number in 1..=UNFINISHED_MAX {
            remove(&self.root.join(format!("{key}{UNFINISHED}{number}"))).await?;
        }
        match self.folder.delete(&place).await.map_err(failed) {
            Ok(()) | Err(BlobError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_unfinished(&self, administration: &AdministrationId, before: Timestamp) -> Result<u64, BlobError> {
        let unavailable = |error: std::io::Error| BlobError::Unavailable(error.to_string());
        let mut deleted = 0;
        for month in entries(&self.root.join(administration.as_str())).await?.into_iter().filter(|entry| entry.is_dir()) {
            for file in entries(&month).await? {
                if !file.file_name().is_some_and(|name| name.to_string_lossy().contains(UNFINISHED)) {
                    continue;
                }
                let changed = match tokio::fs::metadata(&file).await {
                    Ok(known) => {
                        jiff::Timestamp::try_from(known.modified().map_err(unavailable)?).map_or(i64::MAX, |at| at.as_microsecond())
                    }
                    Err(_) => continue,
                };
                if changed < before.0 {
                    remove(&file).await?;
                    deleted += 1;
                }
            }
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn administration(name: &str) -> AdministrationId {
        AdministrationId::new(name).expect("name")
    }

    #[tokio::test]
    async fn keeps_reads_and_deletes() {
        let folder = tempfile::tempdir().expect("folder");
        let blobs = FolderBlobs::open(folder.path()).expect("opens");
        let comune = administration("comune");
        let blob = blobs.put(&comune, Bytes::from_static(b"testo")).await.expect("puts");
        assert!(blob.key.starts_with("comune/") && blob.size == 5, "{blob:?}");
        assert_eq!(blobs.get(&comune, &blob).await.expect("gets"), "testo");
        assert!(matches!(blobs.get(&administration("asl"), &blob).await, Err(BlobError::NotFound)));

        std::fs::write(folder.path().join(&blob.key), b"tesTo").expect("damages");
        assert!(matches!(blobs.get(&comune, &blob).await, Err(BlobError::Damaged(_))));
        std::fs::write(folder.path().join(&blob.key), b"longer").expect("damages");
        assert!(matches!(blobs.get(&comune, &blob).await, Err(BlobError::Damaged(_))));

        blobs.delete(&administration("asl"), &blob.key).await.expect("nothing of theirs");
        assert!(folder.path().join(&blob.key).exists());
        for _ in 0..2 {
            blobs.delete(&comune, &blob.key).await.expect("deletes, twice too");
        }
        assert!(matches!(blobs.get(&comune, &blob).await, Err(BlobError::NotFound)));
    }

    /// `object_store` writes beside a key, links, and unlinks: a crash in between leaves what no list shows.
    #[tokio::test]
    async fn what_a_crash_left_of_a_blob_goes_too() {
        let folder = tempfile::tempdir().expect("folder");
        let blobs = FolderBlobs::open(folder.path()).expect("opens");
        let comune = administration("comune");
        let put = async || blobs.put(&comune, Bytes::from_static(b"testo")).await.expect("puts").key;
        let beside = |key: &str| folder.path().join(format!("{key}#1"));
        let (erased, half) = (put().await, put().await);
        for key in [&erased, &half] {
            std::fs::hard_link(folder.path().join(key), beside(key)).expect("links");
        }
        blobs.delete(&comune, &erased).await.expect("deletes");
        assert!(!beside(&erased).exists(), "no second name of what was erased");
        let delete = async |before| blobs.delete_unfinished(&comune, before).await.expect("deletes");
        assert_eq!(delete(Timestamp::from_secs(1)).await, 0, "it may be being written");
        assert_eq!(delete(Timestamp::MAX).await, 1);
        assert!(!beside(&half).exists() && folder.path().join(&half).exists());
        assert_eq!(blobs.delete_unfinished(&administration("asl"), Timestamp::MAX).await.expect("deletes"), 0, "no folder");
    }

    #[tokio::test]
    async fn lists_in_parts_what_was_kept_in_time() {
        let folder = tempfile::tempdir().expect("folder");
        let blobs = FolderBlobs::open(folder.path()).expect("opens");
        let comune = administration("comune");
        let mut keys = BTreeSet::new();
        for text in ["uno", "due", "tre"] {
            keys.insert(blobs.put(&comune, Bytes::from_static(text.as_bytes())).await.expect("puts").key);
        }
        blobs.put(&administration("asl"), Bytes::from_static(b"altro")).await.expect("puts");
        std::fs::write(folder.path().join("comune").join("README"), b"not a blob").expect("writes");
        let keys: Vec<String> = keys.into_iter().collect();
        let list = async |since, before, after: &str, limit| blobs.kept_between(&comune, since, before, after, limit).await.expect("lists");
        let (past, future) = (Timestamp(0), Timestamp::MAX);
        assert_eq!(list(past, future, "", 2).await, keys[..2]);
        assert_eq!(list(past, future, &keys[1], 2).await, keys[2..]);
        assert_eq!(list(past, future, &keys[2], 2).await, [""; 0]);
        assert_eq!(list(past, Timestamp::from_secs(1), "", 2).await, [""; 0], "too young");
        assert_eq!(list(Timestamp::MAX.minus(std::time::Duration::from_secs(1)), future, "", 2).await, [""; 0], "too old");
        let nobody = blobs.kept_between(&administration("altro"), past, future, "", 2).await.expect("lists");
        assert_eq!(nobody, [""; 0], "no folder, no blobs");
    }

    #[tokio::test]
    async fn refuses_keys_it_did_not_make() {
        let folder = tempfile::tempdir().expect("folder");
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).expect("opens");
        std::fs::write(folder.path().join("secret"), b"x").expect("writes");
        let random = "0".repeat(32);
        for key in [
            "../secret".to_owned(),
            "comune/../../secret".to_owned(),
            format!("comune/2026-01/../{random}"),
            format!("asl/2026-01/{random}"),
            format!("comune/2026-01/%2e%2e/{random}"),
            format!("/comune/2026-01/{random}"),
            format!("comune/2026-01/{}", "Z".repeat(32)),
            String::new(),
        ] {
            let blob = BlobRef { key: key.clone(), sha256: String::new(), size: 1 };
            assert!(matches!(blobs.get(&administration("comune"), &blob).await, Err(BlobError::NotFound)), "{key}");
        }
    }
}
