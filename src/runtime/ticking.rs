//! The main loop's sign of life while it waits for the database: who waits within a limit does not stand still.

use std::pin::pin;
use std::time::Duration;

/// Between two signs of life.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for `work`, which has a limit of its own, and ticks meanwhile.
pub async fn ticking<T>(tick: &(dyn Fn() + Send + Sync), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PAUSE) => tick(),
        }
    }
}
