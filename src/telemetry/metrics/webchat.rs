//! Chats on web pages: browsers connected, chats opened, messages both ways, what was refused.

use std::collections::BTreeMap;

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Metrics;
use super::edges::show;
use super::family::Families;

pub(super) struct ChatMetrics {
    sockets: IntGauge,
    cut: IntCounterVec,
    sessions: IntCounter,
    messages: IntCounterVec,
    refused: IntCounterVec,
    feed_gaps: IntCounter,
}

/// What the web chat counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatFigures {
    /// Browsers connected now.
    pub sockets: i64,
    /// Of those that were, cut because they did not read, and lost because they did not answer.
    pub cut: [u64; 2],
    /// Chats opened.
    pub sessions: u64,
    /// Messages of citizens, and messages shown to citizens.
    pub messages: [u64; 2],
    /// Frames and requests refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Gaps in the feed that were read from the journal.
    pub feed_gaps: u64,
}

impl ChatMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let none: [&str; 0] = [];
        Self {
            sockets: families.gauge("sportello_webchat_sockets", &[], "Browsers connected to this process.").with_label_values(&none),
            cut: families.counter(
                "sportello_webchat_sockets_cut_total",
                &["reason"],
                "Browsers cut: slow (did not read), lost (did not answer). They come back and miss nothing.",
            ),
            sessions: families.counter("sportello_webchat_sessions_total", &[], "Chats opened.").with_label_values(&none),
            messages: families.counter(
                "sportello_webchat_messages_total",
                &["direction"],
                "Messages: inbound, accepted from citizens; outbound, shown to a browser.",
            ),
            refused: families.counter(
                "sportello_webchat_refused_total",
                &["reason"],
                "Frames and requests refused, by reason: unreadable, binary, too_large, origin, session, sessions (new chats), hellos, requests (for files), uploads, upload_bytes, too_many, later…",
            ),
            feed_gaps: families
                .counter("sportello_webchat_feed_gaps_total", &[], "Gaps in the live feed that were read from the journal.")
                .with_label_values(&none),
        }
    }
}

impl Metrics {
    /// The web chat's figures.
    pub fn webchat(&self, figures: &ChatFigures) {
        let chat = &self.webchat;
        chat.sockets.set(figures.sockets);
        show(&chat.sessions, figures.sessions);
        show(&chat.feed_gaps, figures.feed_gaps);
        for (family, labels, totals) in
            [(&chat.cut, ["slow", "lost"], figures.cut), (&chat.messages, ["inbound", "outbound"], figures.messages)]
        {
            for (label, total) in labels.iter().zip(totals) {
                show(&family.with_label_values(&[label]), total);
            }
        }
        for (reason, total) in &figures.refused {
            show(&chat.refused.with_label_values(&[reason]), *total);
        }
    }
}
