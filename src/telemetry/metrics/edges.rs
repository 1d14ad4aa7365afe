//! The edges: broker, mail in and out, desk, HTTP.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::family::Families;
use crate::model::id::AccountId;

/// Pages and API answer within tens of milliseconds; sign-in takes some hundreds on purpose (argon2).
const HTTP_SECONDS: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// A mail server may think for half a minute before it answers.
const ATTEMPT_SECONDS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

pub(super) struct EdgeMetrics {
    broker_up: IntGaugeVec,
    broker_blocked: IntGaugeVec,
    broker_errors: IntCounterVec,
    email: IntCounterVec,
    smtp_sessions: IntGauge,
    smtp_messages: IntCounterVec,
    imap_up: IntGaugeVec,
    imap_messages: IntCounterVec,
    outbound_attempts: IntCounterVec,
    outbound_seconds: HistogramVec,
    desk_sockets: IntGauge,
    desk_sockets_cut: IntCounterVec,
    desk_sign_ins: IntCounterVec,
    http_seconds: HistogramVec,
}

/// How the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// Cannot be reached.
    Down,
    /// Can be reached, takes nothing: an alarm on memory or disk.
    Blocked,
    /// Works.
    Up,
}

impl EdgeMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let version = families.gauge("sportello_build_info", &["version"], "Always 1; the label is the version that runs.");
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // Without labels there is nothing to wait for: shown from the start.
        let none: [&str; 0] = [];
        Self {
            broker_up: families.gauge("sportello_broker_up", &["kind"], "1 while the broker can be reached."),
            broker_blocked: families.gauge(
                "sportello_broker_blocked",
                &["kind"],
                "1 while the broker takes nothing: its memory or disk is short.",
            ),
            broker_errors: families.counter(
                "sportello_broker_errors_total",
                &["kind", "operation"],
                "Failed calls to the broker: publish, unroutable, consume, declare.",
            ),
            email: families.counter("sportello_email_total", &["what"], "What the email channel counts, mail in and out."),
            smtp_sessions: families.gauge("sportello_smtp_sessions", &[], "Connections to the SMTP listener.").with_label_values(&none),
            smtp_messages: families.counter(
                "sportello_smtp_messages_total",
                &["outcome"],
                "Messages handed to the SMTP listener: accepted, deferred (4xx), refused (5xx), quarantined.",
            ),
            imap_up: families.gauge("sportello_imap_up", &["account"], "1 while the mailbox is being read by this process."),
            imap_messages: families.counter(
                "sportello_imap_messages_total",
                &["account", "outcome"],
                "Messages read from mailboxes: published, quarantined, failed.",
            ),
            outbound_attempts: families.counter(
                "sportello_outbound_attempts_total",
                &["account", "outcome"],
                "Attempts to send: sent, temporary, permanent, unknown.",
            ),
            outbound_seconds: families.histogram(
                "sportello_outbound_attempt_duration_seconds",
                &["account"],
                &ATTEMPT_SECONDS,
                "How long an attempt to send took.",
            ),
            desk_sockets: families.gauge("sportello_desk_sockets", &[], "Consoles connected to this process.").with_label_values(&none),
            desk_sockets_cut: families.counter(
                "sportello_desk_sockets_cut_total",
                &["reason"],
                "Consoles cut: slow, gap, session, shutdown. They come back and lose nothing.",
            ),
            desk_sign_ins: families.counter("sportello_desk_sign_ins_total", &["outcome"], "Sign-ins: ok, refused, throttled."),
            http_seconds: families.histogram(
                "sportello_http_request_duration_seconds",
                &["route", "method", "status"],
                &HTTP_SECONDS,
                "How long HTTP requests took, by route pattern and class of status.",
            ),
        }
    }
}

impl Metrics {
    /// How the broker is. `kind` is [`crate::port::broker::Broker::kind`].
    pub fn broker(&self, kind: &'static str, state: BrokerState) {
        self.edges.broker_up.with_label_values(&[kind]).set(i64::from(state != BrokerState::Down));
        self.edges.broker_blocked.with_label_values(&[kind]).set(i64::from(state == BrokerState::Blocked));
    }

    /// A call to the broker failed. `operation` is `publish`, `unroutable`, `consume` or `declare`.
    pub fn broker_error(&self, kind: &'static str, operation: &'static str) {
        self.edges.broker_errors.with_label_values(&[kind, operation]).inc();
    }

    /// A figure of the email channel, as it stands since the start of the process.
    pub fn email(&self, what: &'static str, total: u64) {
        let counter = self.edges.email.with_label_values(&[what]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Connections to the SMTP listener now.
    pub fn smtp_sessions(&self, sessions: usize) {
        self.edges.smtp_sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// The SMTP listener answered a message. `outcome` is `accepted`, `deferred` (4xx), `refused` (5xx) or `quarantined`.
    pub fn smtp_message(&self, outcome: &'static str) {
        self.edges.smtp_messages.with_label_values(&[outcome]).inc();
    }

    /// Whether this process reads a mailbox now.
    pub fn imap_up(&self, account: &AccountId, up: bool) {
        self.edges.imap_up.with_label_values(&[account.as_str()]).set(i64::from(up));
    }

    /// A message was read from a mailbox. `outcome` is `published`, `quarantined` or `failed`.
    pub fn imap_message(&self, account: &AccountId, outcome: &'static str) {
        self.edges.imap_messages.with_label_values(&[account.as_str(), outcome]).inc();
    }

    /// An attempt to send ended. `outcome` is `sent`, `temporary`, `permanent` or `unknown`.
    pub fn outbound_attempt(&self, account: &AccountId, outcome: &'static str, took: Duration) {
        self.edges.outbound_attempts.with_label_values(&[account.as_str(), outcome]).inc();
        self.edges.outbound_seconds.with_label_values(&[account.as_str()]).observe(took.as_secs_f64());
    }

    /// Consoles connected now.
    pub fn desk_sockets(&self, sockets: usize) {
        self.edges.desk_sockets.set(i64::try_from(sockets).unwrap_or(i64::MAX));
    }

    /// A console was cut. `reason` is `slow`, `gap`, `session` or `shutdown`.
    pub fn desk_socket_cut(&self, reason: &'static str) {
        self.edges.desk_sockets_cut.with_label_values(&[reason]).inc();
    }

    /// Somebody tried to sign in. `outcome` is `ok`, `refused` or `throttled`.
    pub fn desk_sign_in(&self, outcome: &'static str) {
        self.edges.desk_sign_ins.with_label_values(&[outcome]).inc();
    }

    /// A request was answered. `route` is the pattern (`/api/contacts/{id}`), never the path: paths hold ids.
    pub fn http_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        // Methods are what a client writes: everything unusual is one label.
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
            _ => "other",
        };
        self.edges.http_seconds.with_label_values(&[route, method, class]).observe(took.as_secs_f64());
    }
}
