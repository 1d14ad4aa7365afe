//! What stands between a provider's request and the broker: whoever is told "I have it" lies on this disk first.
//!
//! One thread appends what has come and syncs it once for all; the answers follow. Handed on, an entry is done; a file whose
//! entries are all done, in whatever order, is cleared. What was not done comes again after a crash, in its order: so an entry may come
//! twice, and its reader recognises it by an id of its own.
//!
//! A file is a row of records: length (4 bytes, little-endian), the first 8 bytes of the SHA-256 of the content, the content.
//! A record that is not whole was never answered for, and ends its file.

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::model::time::Timestamp;
use crate::port::clock::now;

/// The largest entry.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Another file is begun when one is as large as this.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Requests that may wait for the disk at once.
const WAITING_MAX: usize = 1024;
/// Entries synced together.
const TOGETHER_MAX: usize = 256;
/// Processes that may use one folder.
const PLACES_MAX: u32 = 16;
/// Held in a place while its process lives.
const LOCK: &str = "lock";
/// Length and digest before a content.
const HEAD_BYTES: usize = 12;

/// Why an entry was not taken. The provider is told to come again.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// What waits to be handed on is as much as may wait.
    #[error("the spool is full: {0} bytes wait to be handed on; is the broker there?")]
    Full(u64),
    /// More than [`ENTRY_BYTES_MAX`].
    #[error("an entry of {0} bytes is larger than the spool takes")]
    TooLarge(usize),
    /// The disk did not take it.
    #[error("the spool's disk does not take it: {0}")]
    Disk(String),
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    writes: mpsc::Sender<Request>,
    waiting: Arc<Waiting>,
    bytes_max: u64,
    folder: Arc<Path>,
    outflow: mpsc::UnboundedSender<Entry>,
}

/// One entry on its way to the disk.
#[derive(Debug)]
struct Request {
    content: Bytes,
    answer: oneshot::Sender<Result<(), SpoolError>>,
}

/// An entry to be handed on.
#[derive(Debug)]
pub struct Entry {
    /// What was put.
    pub content: Bytes,
    /// Since when it waits.
    at: Timestamp,
    file: Arc<Segment>,
    waiting: Arc<Waiting>,
}

impl Entry {
    /// It is handed on: it will not come again.
    pub fn done(self) {
        self.waiting.less(self.content.len(), self.at);
        self.file.less();
    }
}

/// How much waits in a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Since when the oldest waits.
    pub oldest: Option<Timestamp>,
}

/// What is kept and not handed on, in whatever order it is.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicU64,
    entries: AtomicUsize,
    /// How many came when.
    since: Mutex<BTreeMap<Timestamp, usize>>,
    /// Our place's lock: given back with the last handle.
    #[expect(dead_code, reason = "held, never read")]
    lock: Option<Arc<File>>,
}

impl Waiting {
    fn since(&self) -> MutexGuard<'_, BTreeMap<Timestamp, usize>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn more(&self, bytes: usize, at: Timestamp) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
        *self.since().entry(at).or_default() += 1;
    }

    fn less(&self, bytes: usize, at: Timestamp) {
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if let btree_map::Entry::Occupied(mut count) = self.since().entry(at) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A file while something in it waits, or while it is written.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// While it is written.
    file: Option<File>,
    state: Mutex<SegmentState>,
    /// Of an earlier life: nobody else takes its place until it is done.
    _lock: Option<Arc<File>>,
}

#[derive(Debug, Default)]
struct SegmentState {
    /// Entries that are not done, and such as are being written.
    open: u64,
    len: u64,
    is_closed: bool,
}

impl Segment {
    fn state(&self) -> MutexGuard<'_, SegmentState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn less(&self) {
        let mut state = self.state();
        state.open -= 1;
        self.clear_if_done(&mut state);
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.clear_if_done(&mut state);
    }

    /// Nothing that is handed on stays here: what citizens wrote can be erased where it went. A file that is still written is
    /// made empty, another is removed.
    fn clear_if_done(&self, state: &mut SegmentState) {
        if state.open > 0 {
            return;
        }
        let cleared = match &self.file {
            _ if state.is_closed => std::fs::remove_file(&self.path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
            Some(file) if state.len > 0 => file.set_len(0).inspect(|()| state.len = 0),
            _ => Ok(()),
        };
        if let Err(error) = cleared {
            tracing::warn!(file = %self.path.display(), %error, "a spool file that is done cannot be cleared");
        }
    }
}

/// Opens the spool in a folder, made if it is not there. Entries of an earlier life come first. It ends when the last handle is
/// dropped. Several processes may use one folder: each has a place in it that no other takes while it lives, and whoever starts
/// takes up what the dead have left, as [`Spool::take_over`] does now and then.
///
/// # Errors
/// The folder or a file in it cannot be made or read, or there are too many processes.
pub fn open(folder: &Path, bytes_max: u64) -> io::Result<(Spool, mpsc::UnboundedReceiver<Entry>)> {
    let (outflow, entries) = mpsc::unbounded_channel();
    let (place, lock) = own_place(folder)?;
    let waiting = Arc::new(Waiting { lock: Some(Arc::clone(&lock)), ..Waiting::default() });
    let last = take_up(&place, &lock, &outflow, &waiting)?;
    let (writes, requests) = mpsc::channel(WAITING_MAX);
    let writer = Writer { folder: place, next: last + 1, current: None, outflow: outflow.clone(), waiting: Arc::clone(&waiting) };
    std::thread::Builder::new().name("spool".into()).spawn(move || writer.run(requests))?;
    let spool = Spool { writes, waiting, bytes_max, folder: folder.into(), outflow };
    spool.take_over()?;
    Ok((spool, entries))
}

/// A place that no living process has, and the lock that keeps it ours.
fn own_place(folder: &Path) -> io::Result<(PathBuf, Arc<File>)> {
    for number in 0..PLACES_MAX {
        let place = folder.join(number.to_string());
        make_folder(&place)?;
        if let Some(lock) = lock(&place)? {
            return Ok((place, lock));
        }
    }
    Err(io::Error::other("other processes have every place in it"))
}

/// Makes a folder, with those above it that are missing. Their names, too, must survive a power cut.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let missing = folder.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty() && !above.exists()).count();
    std::fs::create_dir_all(folder)?;
    for above in folder.ancestors().skip(1).take(missing + 1).filter(|above| !above.as_os_str().is_empty()) {
        match File::open(above).and_then(|above| above.sync_all()) {
            // not ours to read: whoever made it has seen to it
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// The lock of a place, unless a living process has it.
fn lock(place: &Path) -> io::Result<Option<Arc<File>>> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(place.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Arc::new(lock))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Sends on what a place has of an earlier life; the place is locked until all of it is done. The number of its last file, or 0.
fn take_up(place: &Path, lock: &Arc<File>, outflow: &mpsc::UnboundedSender<Entry>, waiting: &Arc<Waiting>) -> io::Result<u64> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(place)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| number_of(path).is_some());
    paths.sort();
    let last = paths.last().and_then(|path| number_of(path)).unwrap_or(0);
    for path in paths {
        let contents = read(&path)?;
        let written_at = written_at(&path);
        let state = SegmentState { open: contents.len() as u64, ..SegmentState::default() };
        let segment = Arc::new(Segment { path, file: None, state: Mutex::new(state), _lock: Some(Arc::clone(lock)) });
        for content in contents {
            waiting.more(content.len(), written_at);
            // nobody reads any more: it comes again after the next start
            let _ = outflow.send(Entry { content, at: written_at, file: Arc::clone(&segment), waiting: Arc::clone(waiting) });
        }
        segment.close();
    }
    Ok(last)
}

impl Spool {
    /// Takes up what processes have left that used the same folder and are dead.
    ///
    /// # Errors
    /// Another place cannot be read.
    pub fn take_over(&self) -> io::Result<()> {
        let places = (0..PLACES_MAX).map(|number| self.folder.join(number.to_string())).filter(|place| place.exists());
        for place in places {
            if let Some(lock) = lock(&place)? {
                take_up(&place, &lock, &self.outflow, &self.waiting)?;
            }
        }
        Ok(())
    }

    /// Keeps an entry. It would survive a power cut when this returns.
    pub async fn put(&self, content: Bytes) -> Result<(), SpoolError> {
        if content.len() > ENTRY_BYTES_MAX {
            return Err(SpoolError::TooLarge(content.len()));
        }
        let waiting = self.waiting.bytes.load(Ordering::Relaxed);
        if waiting + content.len() as u64 > self.bytes_max {
            return Err(SpoolError::Full(waiting));
        }
        let (answer, answered) = oneshot::channel();
        let ended = || SpoolError::Disk("the spool has ended".into());
        self.writes.send(Request { content, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// What waits to be handed on.
    pub fn depth(&self) -> Depth {
        let oldest = self.waiting.since().keys().next().copied();
        let Waiting { bytes, entries, .. } = &*self.waiting;
        Depth { entries: entries.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed), oldest }
    }
}

struct Writer {
    folder: PathBuf,
    next: u64,
    /// The file that is written now.
    current: Option<Arc<Segment>>,
    outflow: mpsc::UnboundedSender<Entry>,
    waiting: Arc<Waiting>,
}

impl Writer {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut together = VecDeque::from([first]);
            while together.len() < TOGETHER_MAX
                && let Ok(more) = requests.try_recv()
            {
                together.push_back(more);
            }
            let outcome = self.write(&together);
            for Request { content, answer } in together {
                match &outcome {
                    Ok(segment) => {
                        let at = now();
                        self.waiting.more(content.len(), at);
                        let entry = Entry { content, at, file: Arc::clone(segment), waiting: Arc::clone(&self.waiting) };
                        // nobody reads any more: it comes again after the next start
                        let _ = self.outflow.send(entry);
                        let _ = answer.send(Ok(()));
                    }
                    Err(error) => drop(answer.send(Err(SpoolError::Disk(error.to_string())))),
                }
            }
        }
        if let Some(current) = self.current.take() {
            current.close();
        }
    }

    /// Appends the records and syncs. On an error the file is given up as it was: what it held before is still good.
    fn write(&mut self, entries: &VecDeque<Request>) -> io::Result<Arc<Segment>> {
        let current = match self.current.take() {
            Some(full) if full.state().len >= FILE_BYTES_MAX => {
                full.close();
                self.begin()?
            }
            Some(current) => current,
            None => self.begin()?,
        };
        let mut bytes = Vec::with_capacity(entries.iter().map(|entry| entry.content.len() + HEAD_BYTES).sum());
        for entry in entries {
            let length = u32::try_from(entry.content.len()).map_err(io::Error::other)?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(&Sha256::digest(&entry.content)[..8]);
            bytes.extend(&entry.content);
        }
        // counted before they are there: from now on nobody clears the file
        let before = {
            let mut state = current.state();
            state.open += entries.len() as u64;
            state.len
        };
        let mut file = current.file.as_ref().expect("a file that is written is open");
        match file.write_all(&bytes).and_then(|()| file.sync_data()) {
            Ok(()) => {
                current.state().len = before + bytes.len() as u64;
                self.current = Some(Arc::clone(&current));
                Ok(current)
            }
            Err(error) => {
                // half a record would hide whole ones behind it
                let cut = file.set_len(before).and_then(|()| file.sync_data());
                tracing::error!(file = %current.path.display(), %error, cut = cut.is_ok(), "the spool cannot be written");
                for _ in entries {
                    current.less();
                }
                current.close();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> io::Result<Arc<Segment>> {
        let path = self.folder.join(format!("{:012}.spool", self.next));
        self.next += 1;
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        // the name, too, must survive a power cut
        File::open(&self.folder)?.sync_all()?;
        Ok(Arc::new(Segment { path, file: Some(file), state: Mutex::default(), _lock: None }))
    }
}

/// When a file was last written: the time of its newest entry, and as near as can be known for the others.
fn written_at(path: &Path) -> Timestamp {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let since_epoch = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since_epoch.and_then(|time| i64::try_from(time.as_micros()).ok()).map_or_else(now, Timestamp)
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".spool")?.parse().ok()
}

/// The whole records of a file.
fn read(path: &Path) -> io::Result<Vec<Bytes>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (mut rest, mut contents) = (Bytes::from(bytes), Vec::new());
    while let Some(head) = rest.first_chunk::<HEAD_BYTES>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let digest = [head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]];
        if length > ENTRY_BYTES_MAX || rest.len() < HEAD_BYTES + length {
            break;
        }
        let content = rest.slice(HEAD_BYTES..HEAD_BYTES + length);
        if Sha256::digest(&content)[..8] != digest {
            break;
        }
        rest = rest.slice(HEAD_BYTES + length..);
        contents.push(content);
    }
    if !rest.is_empty() {
        tracing::warn!(file = %path.display(), bytes = rest.len(), "the end of a spool file is not whole: it was never answered for");
    }
    Ok(contents)
}

#[cfg(test)]
mod tests;
