//! Every name on the broker, which destination goes by which exchange and key, and the limits of a message. Both backends
//! read them here, and so does the page for people with a stock client.

use crate::model::id::{AccountId, PoolId};
use crate::model::inbound::BODY_BYTES_MAX;
use crate::port::broker::{Destination, Outgoing, PublishError, Source};

/// Topic exchange: contacts in.
pub const INBOUND: &str = "sportello.inbound";
/// Direct exchange: operators' commands.
pub const COMMAND: &str = "sportello.command";
/// Direct exchange: orders to send a message.
pub const OUTBOUND: &str = "sportello.outbound";
/// Fan-out exchange: what is said beside chats.
pub const ASIDE: &str = "sportello.aside";
/// Topic exchange: CloudEvents for whoever binds.
pub const EVENTS: &str = "sportello.events";
/// Fan-out exchange and queue of what could not be processed.
pub const DEAD: &str = "sportello.dead";

/// Deliveries without an acknowledgement before a message is a dead letter. Never the broker's default: 3.10 has none, 4.x
/// has 20.
pub const DELIVERY_LIMIT: u32 = 50;
/// How long a command may wait, in milliseconds. A later one would act on a room that has changed.
pub const COMMAND_TTL_MS: u32 = 10_000;
/// How long an aside may wait, in milliseconds. That somebody typed a while ago is no news.
pub const ASIDE_TTL_MS: u32 = 5_000;
/// The most messages a queue of one process (feed, replies) holds; beyond it the oldest are dropped.
pub const PROCESS_QUEUE_LEN_MAX: u32 = 4_096;
/// The most bytes a queue of one process (feed, replies) holds; beyond it the oldest are dropped.
pub const PROCESS_QUEUE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// The longest body of a feed message, in bytes: RabbitMQ 4 takes 16 MiB.
pub const FEED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest short string of AMQP 0-9-1 (section 4.2.5.3), in bytes: keys, ids, queue names.
const SHORT_STRING_BYTES_MAX: usize = 255;

/// The queue of contacts of a pool.
pub fn router_queue(pool: &PoolId) -> String {
    format!("sportello.router.{pool}")
}

/// The queue of commands of a pool.
pub fn command_queue(pool: &PoolId) -> String {
    format!("sportello.command.{pool}")
}

/// The fan-out exchange of a pool's feed.
pub fn feed_exchange(pool: &PoolId) -> String {
    format!("sportello.feed.{pool}")
}

/// The queue of orders of an account.
pub fn outbound_queue(account: &AccountId) -> String {
    format!("sportello.outbound.{account}")
}

/// The key by which a pool's queue is bound to [`INBOUND`]: three segments, so that a malformed key comes back to its sender.
pub fn inbound_binding(pool: &PoolId) -> String {
    format!("{pool}.*.*")
}

/// A message's way into the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Exchange; empty: straight to the queue that the key names.
    pub exchange: String,
    /// Routing key.
    pub key: String,
    /// Whether it comes back when no queue takes it.
    pub mandatory: bool,
}

/// The way to a destination.
pub fn route(destination: &Destination) -> Route {
    let (exchange, key, mandatory) = match destination {
        Destination::Inbound { pool, administration, channel } => (INBOUND.to_owned(), format!("{pool}.{administration}.{channel}"), true),
        Destination::Command { pool } => (COMMAND.to_owned(), pool.to_string(), true),
        Destination::Feed { pool } => (feed_exchange(pool), String::new(), false),
        Destination::Aside => (ASIDE.to_owned(), String::new(), false),
        Destination::Outbound { account } => (OUTBOUND.to_owned(), account.to_string(), true),
        Destination::Events { pool, administration, name } => {
            // `_` is no administration: names begin with a letter.
            let administration = administration.as_ref().map_or("_", |administration| administration.as_str());
            (EVENTS.to_owned(), format!("{pool}.{administration}.{name}"), false)
        }
        Destination::Direct { queue } => (String::new(), queue.clone(), true),
    };
    Route { exchange, key, mandatory }
}

/// The durable queue behind a source; none for the queues of one process.
pub fn durable_queue(source: &Source) -> Option<String> {
    match source {
        Source::Router(pool) => Some(router_queue(pool)),
        Source::Commands(pool) => Some(command_queue(pool)),
        Source::Outbound(account) => Some(outbound_queue(account)),
        Source::Dead => Some(DEAD.to_owned()),
        Source::Feed(_) | Source::Aside | Source::Replies => None,
    }
}

/// Refuses what no broker would take: a long body, id or key. What passes here cannot break a publisher's channel.
pub fn check(message: &Outgoing) -> Result<(), PublishError> {
    let bytes_max = if matches!(message.destination, Destination::Feed { .. }) { FEED_BYTES_MAX } else { BODY_BYTES_MAX };
    if message.body.len() > bytes_max {
        let bytes = message.body.len();
        return Err(PublishError::Invalid(format!("body of {bytes} bytes, at most {bytes_max}: put long parts into the blob store")));
    }
    let route = route(&message.destination);
    let texts = [
        ("message id", Some(message.id.as_str())),
        ("routing key", Some(route.key.as_str())),
        ("traceparent", message.traceparent.as_deref()),
        ("reply_to", message.reply_to.as_deref()),
    ];
    for (what, text) in texts {
        if text.is_some_and(|text| text.len() > SHORT_STRING_BYTES_MAX) {
            return Err(PublishError::Invalid(format!("{what} longer than {SHORT_STRING_BYTES_MAX} bytes")));
        }
    }
    if message.id.is_empty() {
        return Err(PublishError::Invalid("a message needs an id of its own".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;
    use crate::model::id::AdministrationId;
    use crate::port::broker::parse_inbound_key;

    #[test]
    fn an_inbound_key_says_what_it_was_made_of() {
        let (pool, administration) = (PoolId::new("main").expect("name"), AdministrationId::new("comune").expect("name"));
        let destination = Destination::Inbound { pool: pool.clone(), administration: administration.clone(), channel: Channel::email() };
        assert_eq!(parse_inbound_key(&route(&destination).key), Some((pool, administration, Channel::email())));
    }

    #[test]
    fn long_things_are_refused_before_they_reach_a_channel() {
        let feed = Destination::Feed { pool: PoolId::new("main").expect("name") };
        let direct = |queue: String| Destination::Direct { queue };
        for (destination, id, bytes, ok) in [
            (direct("q".into()), "a".to_owned(), BODY_BYTES_MAX, true),
            (direct("q".into()), "a".to_owned(), BODY_BYTES_MAX + 1, false),
            (feed.clone(), "a".to_owned(), BODY_BYTES_MAX + 1, true),
            (feed, "a".to_owned(), FEED_BYTES_MAX + 1, false),
            (direct("q".repeat(256)), "a".to_owned(), 1, false),
            (direct("q".into()), "i".repeat(256), 1, false),
            (direct("q".into()), String::new(), 1, false),
        ] {
            let message = Outgoing::new(destination, id, vec![b'x'; bytes]);
            assert_eq!(check(&message).is_ok(), ok, "{:?} {bytes}", message.destination);
        }
    }
}
