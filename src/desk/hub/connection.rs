//! One console's end of the feed: a bounded queue of frames that the hub fills and the socket's task empties.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::desk::session::Caller;
use crate::model::id::OperatorId;

/// RFC 6455: the server goes away.
pub const CLOSE_STOPPING: u16 = 1001;
/// The session ended.
pub const CLOSE_SESSION_ENDED: u16 = 4001;
/// The console does not read.
pub const CLOSE_TOO_SLOW: u16 = 4008;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Utf8Bytes>,
    bytes: usize,
}

/// A console that is connected.
pub struct Connection {
    operator: OperatorId,
    caller: Mutex<Arc<Caller>>,
    queue: Mutex<Queue>,
    frames_max: usize,
    bytes_max: usize,
    /// Nothing up to this number is sent: the console has it.
    from: AtomicI64,
    close: AtomicU16,
    recheck: AtomicBool,
    wake: Notify,
    ended: CancellationToken,
}

impl Connection {
    /// A console of `caller` whose queue holds at most so many frames and bytes.
    pub fn new(caller: Arc<Caller>, frames_max: usize, bytes_max: usize) -> Self {
        Self {
            operator: caller.operator(),
            caller: Mutex::new(caller),
            queue: Mutex::default(),
            frames_max,
            bytes_max,
            from: AtomicI64::new(0),
            close: AtomicU16::new(0),
            recheck: AtomicBool::new(false),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Whose console it is.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }

    /// Whose console it is, with what they may do.
    pub fn caller(&self) -> Arc<Caller> {
        Arc::clone(&self.caller.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The person's rights changed.
    pub fn set_caller(&self, caller: Arc<Caller>) {
        *self.caller.lock().unwrap_or_else(PoisonError::into_inner) = caller;
    }

    /// Sends nothing up to `seq` from now on.
    pub(super) fn begin_after(&self, seq: i64) {
        self.from.store(seq, Ordering::Release);
    }

    /// Puts a frame into the queue. If it is full the console is cut: it lost nothing, for it resumes from what it saw.
    pub(super) fn push(&self, seq: i64, frame: &Utf8Bytes) -> bool {
        if seq <= self.from.load(Ordering::Acquire) || self.closing().is_some() {
            return false;
        }
        let mut queue = self.queue();
        if queue.frames.len() >= self.frames_max || queue.bytes + frame.len() > self.bytes_max {
            queue.frames.clear();
            queue.bytes = 0;
            drop(queue);
            self.close(CLOSE_TOO_SLOW);
            return false;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame.clone());
        drop(queue);
        self.wake.notify_one();
        true
    }

    /// Puts a frame into the queue that may be lost.
    pub fn push_if_room(&self, frame: Utf8Bytes) {
        let mut queue = self.queue();
        if self.closing().is_some() || queue.frames.len() >= self.frames_max / 2 {
            return;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.wake.notify_one();
    }

    /// Puts a frame that is no event first: the console must take a snapshot.
    pub(super) fn restart(&self, seq: i64, frame: Utf8Bytes) {
        self.begin_after(seq);
        let mut queue = self.queue();
        queue.frames.clear();
        queue.bytes = frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.wake.notify_one();
    }

    /// Moves what waits into `into`.
    pub fn drain(&self, into: &mut Vec<Utf8Bytes>) {
        let mut queue = self.queue();
        queue.bytes = 0;
        into.extend(queue.frames.drain(..));
    }

    /// Ends the console with a code; the first one counts.
    pub fn close(&self, code: u16) {
        let _first = self.close.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        self.ended.cancel();
        self.wake.notify_one();
    }

    /// Waits until it is to be closed; returns the code. Cancel safe.
    pub async fn closed(&self) -> u16 {
        self.ended.cancelled().await;
        self.close.load(Ordering::Acquire)
    }

    /// The code it is to be closed with, if it is.
    pub fn closing(&self) -> Option<u16> {
        Some(self.close.load(Ordering::Acquire)).filter(|code| *code != 0)
    }

    /// Asks its task to look whether the session still stands.
    pub fn recheck(&self) {
        self.recheck.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it was asked to; once.
    pub fn take_recheck(&self) -> bool {
        self.recheck.swap(false, Ordering::AcqRel)
    }

    /// Waits until there is something to send or to do. Cancel safe.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
