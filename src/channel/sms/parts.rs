//! Parts of messages that are not whole yet, on this disk beside the spool, until the rest has come or is not waited for any more.
//!
//! A part comes here out of the spool, and only then leaves it. Three folders under a lock, so that several processes may use them:
//! `open` has a file for each message that waits for parts; `ready` those to be handed on, whole or not; `done`, for a day and without
//! text, by what a part is known that comes again or late. A message moves from one to the next by a rename: a crash at any point leads
//! to the same message under the same id.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SmsCounters;
use super::join::{self, Added, Gone, Joining};
use super::spool::make_folder;
use super::webhook::Taken;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;

/// How long the next part is waited for. Parts of one message leave a telephone within seconds; minutes are an SMSC that tries again.
/// An operator should not wait longer for what there is. The time in which no process ran does not count.
pub const WAIT: Duration = Duration::from_mins(5);
/// How long a part is known again by its id: as long as a provider repeats a webhook (Vonage: 24 hours).
const KNOWN_FOR: Duration = Duration::from_hours(24);
/// Messages of one account that may wait for parts, and their bytes on the disk. Beyond it the one that has waited longest goes as it is.
const OPEN_MAX: usize = 1000;
const OPEN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Messages of one reference that are remembered.
const KNOWN_MAX: usize = 8;
/// Files of what is remembered; beyond it the oldest go.
const KNOWN_FILES_MAX: usize = 20_000;

/// Where parts wait.
#[derive(Debug)]
pub struct Parts {
    folder: PathBuf,
    /// Since when this process could have heard of a part.
    since: Timestamp,
    counters: Arc<SmsCounters>,
    open_max: usize,
}

/// A message to be handed on.
#[derive(Debug)]
pub struct Ready {
    /// It, or the bytes of a file that cannot be read.
    pub message: Result<Joining, Bytes>,
    path: PathBuf,
}

impl Parts {
    /// Opens the folder, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path, since: Timestamp, counters: Arc<SmsCounters>) -> io::Result<Self> {
        for part in ["open", "ready", "done"] {
            make_folder(&folder.join(part))?;
        }
        Ok(Self { folder: folder.into(), since, counters, open_max: OPEN_MAX })
    }

    /// Keeps a part; what becomes whole by it is ready. What is not a part is passed over. The same twice does nothing.
    ///
    /// # Errors
    /// The disk does not take it: try again.
    pub fn add(&self, taken: &Taken) -> io::Result<()> {
        let (Some((number, piece)), Some(key), Some(fresh)) = (join::piece(taken), join::key(taken), Joining::begin(taken)) else {
            return Ok(());
        };
        let _lock = self.lock()?;
        let name = format!("{}.{key}", taken.account);
        let mut gone = self.gone(&name);
        let mut waiting = self.waiting(&name, taken.at)?;
        if let Some(joining) = waiting.take_if(|joining| gone.iter().any(|gone| gone.id == joining.id)) {
            // the process died while it was being closed
            self.close(&name, &joining, taken.at, "parts_whole")?;
        }
        if gone.iter().any(|gone| gone.had(&piece)) {
            return Ok(());
        }
        let joining = match waiting {
            Some(mut joining) => match joining.add(number, piece) {
                Added::New | Added::Repeated => joining,
                Added::Other => {
                    self.close(&name, &joining, taken.at, "parts_reused")?;
                    fresh
                }
            },
            None => {
                let near = |gone: &&mut Gone| taken.at.since(gone.at) <= WAIT;
                if gone.iter_mut().filter(near).any(|gone| gone.said(number, &piece)) {
                    return Ok(());
                }
                if let Some(late) = gone.iter_mut().filter(near).rfind(|gone| gone.missed(number)) {
                    late.note(number, &piece);
                    self.write(&self.ready_path(&name, &fresh), &fresh)?;
                    self.counters.count(&taken.account, "parts_late");
                    return self.write(&self.folder.join("done").join(&name), &gone);
                }
                fresh
            }
        };
        self.write(&self.folder.join("open").join(&name), &joining)?;
        if joining.is_whole() {
            return self.close(&name, &joining, taken.at, "parts_whole");
        }
        self.keep_within_limits(&taken.account, &name, taken.at)
    }

    /// The accounts of which something waits for parts or is to be handed on.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn accounts(&self) -> io::Result<BTreeSet<AccountId>> {
        let (open, ready) = (files(&self.folder.join("open"))?, files(&self.folder.join("ready"))?);
        let account = |file: DirEntry| file.file_name().to_str()?.split_once('.')?.0.parse().ok();
        Ok(open.into_iter().chain(ready).filter_map(account).collect())
    }

    /// What has waited long enough for its missing parts, of one account, is ready as it is.
    ///
    /// # Errors
    /// The disk does not take it: try again.
    pub fn give_up(&self, account: &AccountId, clock: Timestamp) -> io::Result<()> {
        let _lock = self.lock()?;
        for file in self.files_of(account, "open")? {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(joining) = self.waiting(&name, clock)? else { continue };
            if clock.since(joining.last_at().max(self.since)) > WAIT {
                self.close(&name, &joining, clock, if joining.is_whole() { "parts_whole" } else { "parts_timeout" })?;
            }
        }
        Ok(())
    }

    /// Everything of an account that is to be handed on.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn ready(&self, account: &AccountId) -> io::Result<Vec<Ready>> {
        let mut paths: Vec<PathBuf> = self.files_of(account, "ready")?.iter().map(DirEntry::path).collect();
        paths.sort();
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(bytes) => Some(Ok(Ready { message: serde_json::from_slice(&bytes).map_err(|_| bytes.into()), path })),
            // another process has handed it on
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        };
        paths.into_iter().filter_map(read).collect()
    }

    /// It is handed on.
    ///
    /// # Errors
    /// The file cannot be removed: it would come again, under the same id.
    pub fn done(&self, ready: &Ready) -> io::Result<()> {
        fs::remove_file(&ready.path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    /// Forgets what need not be known any more.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn forget(&self) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut known: Vec<(SystemTime, PathBuf)> =
            files(&self.folder.join("done"))?.iter().filter_map(|file| Some((modified(file)?, file.path()))).collect();
        known.sort();
        let too_many = known.len().saturating_sub(KNOWN_FILES_MAX);
        for (place, (at, path)) in known.iter().enumerate() {
            if place < too_many || at.elapsed().is_ok_and(|age| age > KNOWN_FOR) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<File> {
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// The files of one account in a folder: no account's name has a full stop.
    fn files_of(&self, account: &AccountId, part: &str) -> io::Result<Vec<DirEntry>> {
        let prefix = format!("{account}.");
        let mut found = files(&self.folder.join(part))?;
        found.retain(|file| file.file_name().to_string_lossy().starts_with(&prefix));
        Ok(found)
    }

    fn ready_path(&self, name: &str, joining: &Joining) -> PathBuf {
        self.folder.join("ready").join(format!("{name}.{}", joining.id))
    }

    /// The message that waits under a name. A file that cannot be read is ready: it goes to quarantine.
    fn waiting(&self, name: &str, at: Timestamp) -> io::Result<Option<Joining>> {
        let path = self.folder.join("open").join(name);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(joining) => Ok(Some(joining)),
                Err(_) => fs::rename(&path, self.folder.join("ready").join(format!("{name}.{}", at.0))).map(|()| None),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is remembered of a name. Not being able to read it costs only that.
    fn gone(&self, name: &str) -> Vec<Gone> {
        read(&self.folder.join("done").join(name)).unwrap_or_default()
    }

    /// It waits no more. First it is remembered, so that after a crash nobody adds to it; then it goes to what is ready.
    fn close(&self, name: &str, joining: &Joining, at: Timestamp, why: &'static str) -> io::Result<()> {
        let mut gone = self.gone(name);
        gone.retain(|gone| gone.id != joining.id && at.since(gone.at) <= KNOWN_FOR);
        gone.push(Gone::of(joining, at));
        gone.drain(..gone.len().saturating_sub(KNOWN_MAX));
        self.write(&self.folder.join("done").join(name), &gone)?;
        fs::rename(self.folder.join("open").join(name), self.ready_path(name, joining))?;
        self.sync("ready")?;
        self.sync("open")?;
        self.counters.count(joining.account(), why);
        Ok(())
    }

    fn keep_within_limits(&self, account: &AccountId, newest: &str, at: Timestamp) -> io::Result<()> {
        let mut all: Vec<(SystemTime, String, u64)> = Vec::new();
        for file in self.files_of(account, "open")? {
            let name = file.file_name().to_string_lossy().into_owned();
            all.push((modified(&file).unwrap_or(SystemTime::UNIX_EPOCH), name, file.metadata().map_or(0, |data| data.len())));
        }
        all.sort();
        let (mut count, mut bytes) = (all.len(), all.iter().map(|(.., bytes)| bytes).sum::<u64>());
        for (_, name, size) in all.iter().filter(|(_, name, _)| name != newest) {
            if count <= self.open_max && bytes <= OPEN_BYTES_MAX {
                break;
            }
            if let Some(joining) = self.waiting(name, at)? {
                self.close(name, &joining, at, "parts_limit")?;
            }
            count -= 1;
            bytes -= size;
        }
        Ok(())
    }

    /// A file, whole or not at all, also after a power cut.
    fn write(&self, path: &Path, content: &impl Serialize) -> io::Result<()> {
        let draft = self.folder.join("draft");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        // the oldest goes first at the limits, and the system's own stamp moves in ticks of milliseconds
        file.set_modified(SystemTime::now())?;
        file.sync_data()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn sync(&self, part: &str) -> io::Result<()> {
        File::open(self.folder.join(part))?.sync_all()
    }
}

fn files(folder: &Path) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(folder)?.collect()
}

fn modified(file: &DirEntry) -> Option<SystemTime> {
    file.metadata().and_then(|data| data.modified()).ok()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests;
