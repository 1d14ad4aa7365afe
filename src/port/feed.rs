//! The feed from a pool's engine to every desk: what one commit made happen, with each event serialised once.

use std::sync::Arc;

use crate::model::event::Event;
use crate::model::id::PoolId;

/// What one commit made happen. Sequence numbers are shared by inputs and events, so the events between `first_seq` and
/// `last_seq` may be fewer than the numbers; from batch to batch the numbers have no gap. Whoever sees one reads the journal.
#[derive(Debug, Clone)]
pub struct FeedBatch {
    /// The pool.
    pub pool: PoolId,
    /// The first number of the commit.
    pub first_seq: i64,
    /// The last number of the commit.
    pub last_seq: i64,
    /// Its events, in order.
    pub events: Vec<FeedEvent>,
}

/// An event with its JSON.
#[derive(Debug, Clone)]
pub struct FeedEvent {
    /// The event.
    pub event: Arc<Event>,
    /// The event as JSON, serialised once for every console that gets it.
    pub json: Arc<str>,
    /// W3C trace context of the input that made it happen. Travels with the feed only: an event read from the journal has none.
    pub traceparent: Option<Arc<str>>,
}
