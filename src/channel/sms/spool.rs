//! What stands between a provider's request and the broker: whoever is told "I have it" lies on this disk first.
//!
//! One thread appends what has come and syncs it once for all; the answers follow. Handed on, an entry is done; a file whose
//! entries are all done goes. What was not done comes again after a crash, in its order: so an entry may come twice, and its
//! reader recognises it by an id of its own.
//!
//! A file is a row of records: length (4 bytes, little-endian), the first 8 bytes of the SHA-256 of the content, the content.
//! A record that is not whole was never answered for, and ends its file.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

/// The largest entry.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Another file is begun when one is as large as this.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Requests that may wait for the disk at once.
const WAITING_MAX: usize = 1024;
/// Entries synced together.
const TOGETHER_MAX: usize = 256;
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
    waiting: Arc<AtomicU64>,
    bytes_max: u64,
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
    file: Arc<Segment>,
    waiting: Arc<AtomicU64>,
}

impl Entry {
    /// It is handed on: it will not come again.
    pub fn done(self) {
        self.waiting.fetch_sub(self.content.len() as u64, Ordering::Relaxed);
        self.file.less();
    }
}

/// A file while something in it waits, or while it is written.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    open: AtomicU64,
    is_closed: AtomicBool,
}

impl Segment {
    fn less(&self) {
        if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.remove_if_over();
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.remove_if_over();
    }

    /// Both ways lead here, so whoever comes last removes it; twice does no harm.
    fn remove_if_over(&self) {
        if self.is_closed.load(Ordering::SeqCst)
            && self.open.load(Ordering::SeqCst) == 0
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.path.display(), %error, "a spool file that is done cannot be removed");
        }
    }
}

/// Opens the spool in a folder, made if it is not there. Entries of an earlier life come first. It ends when the last handle is
/// dropped.
///
/// # Errors
/// The folder or a file in it cannot be made or read.
pub fn open(folder: &Path, bytes_max: u64) -> io::Result<(Spool, mpsc::UnboundedReceiver<Entry>)> {
    std::fs::create_dir_all(folder)?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| number_of(path).is_some());
    paths.sort();
    let (outflow, entries) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicU64::new(0));
    let next = paths.last().and_then(|path| number_of(path)).map_or(1, |last| last + 1);
    for path in paths {
        let contents = read(&path)?;
        let segment = Arc::new(Segment { path, open: AtomicU64::new(contents.len() as u64), is_closed: AtomicBool::new(false) });
        for content in contents {
            waiting.fetch_add(content.len() as u64, Ordering::Relaxed);
            // the receiver is in our hand
            let _ = outflow.send(Entry { content, file: Arc::clone(&segment), waiting: Arc::clone(&waiting) });
        }
        segment.close();
    }
    let (writes, requests) = mpsc::channel(WAITING_MAX);
    let writer = Writer { folder: folder.to_owned(), next, current: None, outflow, waiting: Arc::clone(&waiting) };
    std::thread::Builder::new().name("spool".into()).spawn(move || writer.run(requests))?;
    Ok((Spool { writes, waiting, bytes_max }, entries))
}

impl Spool {
    /// Keeps an entry. It would survive a power cut when this returns.
    pub async fn put(&self, content: Bytes) -> Result<(), SpoolError> {
        if content.len() > ENTRY_BYTES_MAX {
            return Err(SpoolError::TooLarge(content.len()));
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting + content.len() as u64 > self.bytes_max {
            return Err(SpoolError::Full(waiting));
        }
        let (answer, answered) = oneshot::channel();
        let ended = || SpoolError::Disk("the spool has ended".into());
        self.writes.send(Request { content, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Bytes that wait to be handed on.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The file that is written now.
struct Current {
    file: File,
    segment: Arc<Segment>,
    len: u64,
}

struct Writer {
    folder: PathBuf,
    next: u64,
    current: Option<Current>,
    outflow: mpsc::UnboundedSender<Entry>,
    waiting: Arc<AtomicU64>,
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
                        self.waiting.fetch_add(content.len() as u64, Ordering::Relaxed);
                        let entry = Entry { content, file: Arc::clone(segment), waiting: Arc::clone(&self.waiting) };
                        // nobody reads any more: it comes again after the next start
                        let _ = self.outflow.send(entry);
                        let _ = answer.send(Ok(()));
                    }
                    Err(error) => drop(answer.send(Err(SpoolError::Disk(error.to_string())))),
                }
            }
        }
        if let Some(current) = self.current.take() {
            current.segment.close();
        }
    }

    /// Appends the records and syncs. On an error the file is given up as it was: what it held before is still good.
    fn write(&mut self, entries: &VecDeque<Request>) -> io::Result<Arc<Segment>> {
        let mut current = match self.current.take() {
            Some(current) if current.len < FILE_BYTES_MAX => current,
            Some(full) => {
                full.segment.close();
                self.begin()?
            }
            None => self.begin()?,
        };
        let mut bytes = Vec::with_capacity(entries.iter().map(|entry| entry.content.len() + HEAD_BYTES).sum());
        for entry in entries {
            let length = u32::try_from(entry.content.len()).map_err(io::Error::other)?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(&Sha256::digest(&entry.content)[..8]);
            bytes.extend(&entry.content);
        }
        // counted before they are there, so that the file cannot go in between
        current.segment.open.fetch_add(entries.len() as u64, Ordering::SeqCst);
        match current.file.write_all(&bytes).and_then(|()| current.file.sync_data()) {
            Ok(()) => {
                current.len += bytes.len() as u64;
                let segment = Arc::clone(&current.segment);
                self.current = Some(current);
                Ok(segment)
            }
            Err(error) => {
                // half a record would hide whole ones behind it
                let cut = current.file.set_len(current.len).and_then(|()| current.file.sync_data());
                tracing::error!(file = %current.segment.path.display(), %error, cut = cut.is_ok(), "the spool cannot be written");
                for _ in entries {
                    current.segment.less();
                }
                current.segment.close();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> io::Result<Current> {
        let path = self.folder.join(format!("{:012}.spool", self.next));
        self.next += 1;
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        // the name, too, must survive a power cut
        File::open(&self.folder)?.sync_all()?;
        let segment = Arc::new(Segment { path, open: AtomicU64::new(0), is_closed: AtomicBool::new(false) });
        Ok(Current { file, segment, len: 0 })
    }
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
mod tests {
    use super::*;

    const MUCH: u64 = 1 << 30;

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).expect("a folder").count()
    }

    async fn next(entries: &mut mpsc::UnboundedReceiver<Entry>) -> Entry {
        tokio::time::timeout(std::time::Duration::from_secs(10), entries.recv()).await.expect("in time").expect("an entry")
    }

    async fn wait_for(condition: impl Fn() -> bool) {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the condition did not come true");
    }

    #[tokio::test]
    async fn what_was_not_handed_on_comes_again_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        for text in ["uno", "due", "tre"] {
            spool.put(text.into()).await.expect("kept");
        }
        next(&mut entries).await.done();
        let unfinished = next(&mut entries).await;
        assert_eq!((&unfinished.content[..], spool.waiting_bytes()), (&b"due"[..], 6));
        drop((spool, entries, unfinished));

        let (spool, mut entries) = open(folder.path(), MUCH).expect("opens again");
        spool.put("quattro".into()).await.expect("kept");
        // a file is done as a whole: its first entry may come twice
        for text in ["uno", "due", "tre", "quattro"] {
            let entry = next(&mut entries).await;
            assert_eq!(entry.content, text.as_bytes());
            entry.done();
        }
        assert_eq!(spool.waiting_bytes(), 0);
        drop((spool, entries));
        wait_for(|| files(folder.path()) == 0).await;
    }

    #[tokio::test]
    async fn a_torn_end_hides_nothing_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, entries) = open(folder.path(), MUCH).expect("opens");
        spool.put("intero".into()).await.expect("kept");
        spool.put("strappato".into()).await.expect("kept");
        drop((spool, entries));
        let path = folder.path().join("000000000001.spool");
        let whole = std::fs::read(&path).expect("is there");
        for (len, damaged) in [(whole.len() - 1, None), (whole.len() - 9 - 12 + 3, None), (whole.len(), Some(whole.len() - 1))] {
            let mut bytes = whole[..len].to_vec();
            if let Some(place) = damaged {
                bytes[place] ^= 1;
            }
            std::fs::write(&path, bytes).expect("written");
            let (_spool, mut entries) = open(folder.path(), MUCH).expect("opens");
            assert_eq!(next(&mut entries).await.content, &b"intero"[..]);
            assert!(entries.try_recv().is_err(), "{len}");
        }
        std::fs::write(&path, [0xff; 64]).expect("written");
        let (_spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        assert!(entries.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_limit_refuses_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, mut entries) = open(folder.path(), 10).expect("opens");
        spool.put("12345678".into()).await.expect("kept");
        assert!(matches!(spool.put("abc".into()).await, Err(SpoolError::Full(8))));
        assert!(matches!(spool.put(vec![0; ENTRY_BYTES_MAX + 1].into()).await, Err(SpoolError::TooLarge(_))));
        next(&mut entries).await.done();
        spool.put("abc".into()).await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_the_next_file_is_tried() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        std::os::unix::fs::symlink("/dev/full", folder.path().join("000000000001.spool")).expect("a device that is full");
        let refused = spool.put("prima".into()).await;
        assert!(matches!(refused, Err(SpoolError::Disk(_))), "{refused:?}");
        spool.put("dopo".into()).await.expect("the next file is on a disk with room");
        assert_eq!(next(&mut entries).await.content, &b"dopo"[..]);
    }

    #[tokio::test]
    async fn many_at_once_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        let puts = (0..2000).map(|number| {
            let spool = spool.clone();
            tokio::spawn(async move { spool.put(format!("{number}").repeat(1000).into()).await })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.expect("no panic").expect("kept");
        }
        for _ in 0..2000 {
            next(&mut entries).await.done();
        }
        wait_for(|| files(folder.path()) <= 1).await;
        assert_eq!(spool.waiting_bytes(), 0);
    }
}
