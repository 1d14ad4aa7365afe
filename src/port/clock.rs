//! Wall time for edges (filing times, sessions). The pool's own time is the driver's: see `runtime::driver`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::time::Timestamp;

/// Now, by the machine's clock.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}
