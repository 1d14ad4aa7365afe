//! The whole body of a request: not too long, not too slow, and, for files, within the memory that all of them share.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::access::UploadBytes;
use super::counters::ChatCounters;
use super::limits::{BODY_PROGRESS_BYTES, BODY_PROGRESS_WITHIN};
use crate::channel::problem::Problem;

/// As much of a body is read for nothing, beyond twice what is taken, before the connection is cut.
const DROPPED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than allowed.
    TooLarge,
    /// It stalled.
    TooSlow,
    /// The connection broke.
    Broken,
    /// No memory is left for what others send.
    Full,
    /// The network address has brought too many bytes; in so many seconds they are taken.
    TooMany(u64),
}

impl BodyError {
    /// Counts it; what the page is told.
    pub fn refuse(self, counters: &ChatCounters, bytes_max: usize) -> Problem {
        let (reason, status, code, detail) = match self {
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("at most {bytes_max} bytes are taken")),
            Self::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT, "too_slow", "the body does not arrive; send it again".into()),
            Self::Broken => ("unreadable", StatusCode::BAD_REQUEST, "invalid", "the body broke off".into()),
            Self::Full => {
                let detail = "too many files are on their way; send it again";
                ("uploads_full", StatusCode::SERVICE_UNAVAILABLE, "files_unavailable", detail.into())
            }
            Self::TooMany(_) => {
                let detail = "too many bytes of files from this address; send it later";
                ("upload_bytes", StatusCode::TOO_MANY_REQUESTS, "too_many", detail.into())
            }
        };
        counters.refuse(reason);
        let problem = Problem::new(status, code, detail);
        if let Self::TooMany(seconds) = self { problem.retry_after(seconds) } else { problem }
    }
}

/// A file's share of the memory for bodies on their way, and of the bytes of its network address. It grows with what has come, so
/// who is slow holds little.
pub struct Share {
    memory: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    of_address: UploadBytes,
}

impl Share {
    /// Nothing yet, of `memory` in bytes.
    pub fn of(memory: &Arc<Semaphore>, of_address: UploadBytes) -> Self {
        Self { memory: Arc::clone(memory), held: None, of_address }
    }

    /// Waits for nobody: who holds a part of it may wait for more of it, too.
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.of_address.add(bytes).map_err(BodyError::TooMany)?;
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::TooLarge)?;
        let more = Arc::clone(&self.memory).try_acquire_many_owned(bytes).map_err(|_| BodyError::Full)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    fn give_back(&mut self) {
        self.held = None;
    }
}

/// The whole body, at most `bytes_max`. What is not taken is read and dropped, up to as much again and a little: a browser that is
/// cut while it sends never sees why.
pub async fn whole_body(body: Body, bytes_max: usize, mut share: Option<&mut Share>) -> Result<Bytes, BodyError> {
    let mut arriving = Arriving::new(body);
    let mut kept = BytesMut::new();
    while let Some(chunk) = arriving.next().await? {
        let mut taken = if kept.len() + chunk.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(()) };
        if let (Ok(()), Some(share)) = (taken, &mut share) {
            taken = share.grow(chunk.len());
        }
        if let Err(error) = taken {
            drop(kept);
            if let Some(share) = share {
                share.give_back();
            }
            arriving.drop_rest(2 * bytes_max + DROPPED_BYTES_MAX).await?;
            return Err(error);
        }
        kept.extend_from_slice(&chunk);
    }
    Ok(kept.freeze())
}

/// Reads a refused request's body for nothing and for a short while, so that the browser sees why.
pub async fn drop_body(body: Body, within: Duration) {
    let _late = tokio::time::timeout(within, Arriving::new(body).drop_rest(usize::MAX)).await;
}

/// A body on its way, which has to get on.
struct Arriving {
    stream: BodyDataStream,
    until: Instant,
    came: usize,
}

impl Arriving {
    fn new(body: Body) -> Self {
        Self { stream: body.into_data_stream(), until: Instant::now() + BODY_PROGRESS_WITHIN, came: 0 }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let chunk = timeout_at(self.until, self.stream.next()).await.map_err(|_| BodyError::TooSlow)?;
        let Some(chunk) = chunk.transpose().map_err(|_| BodyError::Broken)? else { return Ok(None) };
        self.came += chunk.len();
        if self.came >= BODY_PROGRESS_BYTES {
            (self.came, self.until) = (0, Instant::now() + BODY_PROGRESS_WITHIN);
        }
        Ok(Some(chunk))
    }

    async fn drop_rest(&mut self, bytes_max: usize) -> Result<(), BodyError> {
        let mut dropped = 0;
        while dropped <= bytes_max
            && let Some(chunk) = self.next().await?
        {
            dropped += chunk.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;
    use crate::channel::webchat::access::{Maxima, Measures};

    /// Chunks of so many bytes, each after a pause.
    fn body(chunks: Vec<(u64, usize)>) -> Body {
        Body::from_stream(stream::iter(chunks).then(async |(seconds, bytes)| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes]))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_whole_or_refused() {
        const MAX: usize = 100 * 1024;
        let steady = vec![(9, BODY_PROGRESS_BYTES); 5];
        let trickling: Vec<(u64, usize)> = vec![(1, 100); 30];
        let stalling = [steady.clone(), vec![(11, 1)]].concat();
        for (what, chunks, expected) in [
            ("nothing", vec![], Ok(0)),
            ("one byte", vec![(9, 1)], Ok(1)),
            ("a slow line", steady, Ok(5 * BODY_PROGRESS_BYTES)),
            ("as much as is taken", vec![(0, MAX)], Ok(MAX)),
            ("one byte more", vec![(0, MAX), (0, 1)], Err(BodyError::TooLarge)),
            ("silence", vec![(11, 1)], Err(BodyError::TooSlow)),
            ("a trickle", trickling, Err(BodyError::TooSlow)),
            ("a stop half-way", stalling, Err(BodyError::TooSlow)),
            ("too much, and then a stop", vec![(0, MAX + 1), (11, 1)], Err(BodyError::TooSlow)),
        ] {
            let came = whole_body(body(chunks), MAX, None).await;
            assert_eq!(came.map(|bytes| bytes.len()), expected, "{what}");
        }
    }

    #[tokio::test]
    async fn files_on_their_way_share_the_memory() {
        let memory = Arc::new(Semaphore::new(1_000));
        let measures = Measures::new(30, 10_000, Maxima { node: 1, account: 1, address: 1 });
        let share = || Share::of(&memory, measures.upload_bytes([192, 0, 2, 1].into()));
        let (mut first, mut second) = (share(), share());
        assert_eq!(whole_body(body(vec![(0, 300), (0, 300)]), 800, Some(&mut first)).await.map(|bytes| bytes.len()), Ok(600));
        assert_eq!(memory.available_permits(), 400, "as much as came");
        assert_eq!(whole_body(body(vec![(0, 300), (0, 300)]), 800, Some(&mut second)).await, Err(BodyError::Full));
        assert_eq!(memory.available_permits(), 400, "who is refused holds nothing");
        drop(first);
        assert!(whole_body(body(vec![(0, 300), (0, 300)]), 800, Some(&mut second)).await.is_ok());
        drop(second);
        assert_eq!(memory.available_permits(), 1_000);
    }
}
