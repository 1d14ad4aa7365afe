//! How often a program may ask: each token has a measure of its own, so that one that runs wild leaves the others theirs.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{ChannelApiOptions, REMEMBERED_MAX};

/// Requests by the digest of the token.
pub struct ProgramLimits {
    by_token: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl ProgramLimits {
    /// So many at once, and so many more each second.
    pub fn new(options: ChannelApiOptions) -> Self {
        let some = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(some(options.requests_per_second)).allow_burst(some(options.burst));
        Self { by_token: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Counts a request of a token that is good; if there were too many, in how many seconds the next is taken.
    pub fn count(&self, token_hash: &str) -> Result<(), u64> {
        // tokens that ended are as good as never seen
        if self.by_token.len() >= REMEMBERED_MAX {
            self.by_token.retain_recent();
        }
        let counted = self.by_token.check_key(&token_hash.to_owned());
        counted.map_err(|until| until.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}
