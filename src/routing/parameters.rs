//! The engine's constants. Each is a decision that replay depends on: changing one means a new [`ENGINE_VERSION`].

use std::time::Duration;

use crate::model::channel::Channel;

/// Grows whenever the same inputs would give other effects. Replay refuses a log written by another version.
pub const ENGINE_VERSION: u32 = 6;

/// Offers missed in a row before an operator counts as away.
pub(super) const MISSES_MAX: u8 = 2;
/// How long the exclusion lasts when nobody else could take the contact: the one-person office.
pub(super) const COOL_OFF_ALONE: Duration = Duration::from_secs(10);
/// A console lost for so long gives its live contacts back.
pub(super) const LIVE_OWNER_GONE: Duration = Duration::from_secs(60);
/// A console lost for so long gives its deferrable contacts back.
pub(super) const DEFERRABLE_OWNER_GONE: Duration = Duration::from_secs(4 * 3600);
/// An abandoned contact comes back to its place within this time.
pub(super) const ABANDONED_GRACE: Duration = Duration::from_secs(600);
/// Leaving so early does not count as a failure of the office.
pub(super) const SHORT_ABANDON: Duration = Duration::from_secs(10);
/// After a take-over open offers, untouched contacts and wrap-ups have at least this long.
pub(super) const TAKE_OVER_GRACE: Duration = Duration::from_secs(10);
/// An attempt to deliver whose end nobody reported counts as unknown after this time. No sender's attempt may last as long.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Waits before the second, third… attempt to deliver; after the last the message has failed.
pub(super) const RETRIES: [Duration; 7] = [
    Duration::from_secs(30),
    Duration::from_secs(300),
    Duration::from_secs(1800),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];
/// The share of a queue's target at which a deferrable contact goes to operators who are busy with live ones: a quarter left.
pub(super) const PROMOTION_DIVISOR: u32 = 4;

/// The least that a live contact takes.
pub(super) const LIVE_COST_LEAST: u16 = 33;

/// Units of live capacity that a contact of `channel` takes, of an operator's hundred.
pub(super) fn live_cost(channel: &Channel) -> u16 {
    match channel.as_str() {
        Channel::WEBCHAT => LIVE_COST_LEAST,
        _ => 100,
    }
}
