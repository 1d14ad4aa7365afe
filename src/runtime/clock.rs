//! The pool's clock: microseconds of UTC that never go back, whatever the machine's clock does.

use std::time::Instant;

use crate::model::time::Timestamp;

/// Starts at a take-over from the later of the database's time and the last time logged, then follows the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct PoolClock {
    base: Timestamp,
    started: Instant,
}

impl PoolClock {
    /// A clock that shows `database_time` or, if that is later, `last_logged`.
    pub fn start(database_time: Timestamp, last_logged: Timestamp) -> Self {
        Self { base: database_time.max(last_logged), started: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.base.plus(self.started.elapsed())
    }

    /// How long until `at`; zero if it is past.
    pub fn until(&self, at: Timestamp) -> std::time::Duration {
        at.since(self.now())
    }
}
