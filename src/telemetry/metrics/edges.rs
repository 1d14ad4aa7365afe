//! The edges: broker, mail in and out, desk, HTTP.

use std::time::Duration;

use prometheus::{CounterVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::family::Families;
use crate::model::id::AccountId;

/// Pages and API answer within tens of milliseconds; sign-in takes some hundreds on purpose (argon2).
const HTTP_SECONDS: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

pub(super) struct EdgeMetrics {
    broker_up: IntGaugeVec,
    broker_errors: IntCounterVec,
    email_received: IntCounterVec,
    email_quarantined: IntCounterVec,
    email_deferred: IntCounterVec,
    email_attempts: IntCounterVec,
    email_attempt_seconds: CounterVec,
    smtp_sessions: IntGauge,
    smtp_connections: IntCounter,
    smtp_refused: IntCounter,
    imap_up: IntGaugeVec,
    imap_failures: IntCounterVec,
    desk_sockets: IntGauge,
    desk_sockets_cut: IntCounterVec,
    desk_sign_ins: IntCounterVec,
    desk_commands: IntCounterVec,
    desk_frames: IntCounterVec,
    desk_feed_gaps: IntCounter,
    desk_panics: IntCounter,
    http_seconds: HistogramVec,
    http_refused: IntCounter,
}

/// What the email channel counts for one account, since the start of the process. Totals: [`Metrics::email`] shows them as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmailFigures {
    /// Mails published that a person wrote.
    pub person: u64,
    /// Mails published that no person wrote.
    pub automatic: u64,
    /// Mails published of which only the header could be read.
    pub unreadable: u64,
    /// Mails and orders held in quarantine.
    pub quarantined: u64,
    /// Mails that could not be taken at once.
    pub deferred: u64,
    /// Attempts to send: accepted by the next hop, failed for now, failed for good, of unknown end.
    pub attempts: [u64; 4],
    /// What they took together, in milliseconds.
    pub attempts_ms: u64,
    /// Whether the mailbox is open here; none: no mailbox of this process.
    pub mailbox_open: Option<bool>,
    /// Connections to the mailbox that broke.
    pub mailbox_failures: u64,
}

/// What the SMTP listener counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SmtpFigures {
    /// Connections accepted.
    pub connections: u64,
    /// Of these, ended.
    pub ended: u64,
    /// Connections, commands, recipients and mails refused for good.
    pub refused: u64,
}

/// What the desk counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeskFigures {
    /// Consoles connected now.
    pub sockets: i64,
    /// Consoles cut because they did not read, and lost because they did not answer.
    pub cut: [u64; 2],
    /// Sign-ins: good, refused, throttled.
    pub sign_ins: [u64; 3],
    /// Commands sent to the router, and of these without an answer.
    pub commands: [u64; 2],
    /// Frames put into consoles' queues, and frames from consoles that could not be read.
    pub frames: [u64; 2],
    /// Gaps in the feed that were read from the journal.
    pub feed_gaps: u64,
    /// Requests whose handler panicked.
    pub panics: u64,
}

const OUTCOMES: [&str; 4] = ["sent", "temporary", "permanent", "unknown"];

impl EdgeMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let version = families.gauge("sportello_build_info", &["version"], "Always 1; the label is the version that runs.");
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // Without labels there is nothing to wait for: shown from the start.
        let none: [&str; 0] = [];
        Self {
            broker_up: families.gauge("sportello_broker_up", &["kind"], "1 while the broker can be reached and takes messages."),
            broker_errors: families.counter(
                "sportello_broker_errors_total",
                &["kind", "operation"],
                "Failed calls to the broker: publish, unroutable, consume, declare.",
            ),
            email_received: families.counter(
                "sportello_email_received_total",
                &["account", "kind"],
                "Mails published, by whom they are of: person, automatic, or unreadable but for the header.",
            ),
            email_quarantined: families.counter(
                "sportello_email_quarantined_total",
                &["account"],
                "Mails, and orders to send one, held in quarantine.",
            ),
            email_deferred: families.counter(
                "sportello_email_deferred_total",
                &["account"],
                "Times a mail could not be taken at once; its sender, or the mailbox, keeps it meanwhile.",
            ),
            email_attempts: families.counter(
                "sportello_email_attempts_total",
                &["account", "outcome"],
                "Attempts to send: sent, temporary, permanent, unknown.",
            ),
            email_attempt_seconds: families.seconds(
                "sportello_email_attempt_seconds_total",
                &["account"],
                "What the attempts to send took together.",
            ),
            smtp_sessions: families.gauge("sportello_smtp_sessions", &[], "Connections to the SMTP listener now.").with_label_values(&none),
            smtp_connections: families
                .counter("sportello_smtp_connections_total", &[], "Connections that the SMTP listener accepted.")
                .with_label_values(&none),
            smtp_refused: families
                .counter("sportello_smtp_refused_total", &[], "SMTP connections, commands, recipients and mails refused for good.")
                .with_label_values(&none),
            imap_up: families.gauge("sportello_imap_up", &["account"], "1 while this process reads the mailbox."),
            imap_failures: families.counter(
                "sportello_imap_failures_total",
                &["account"],
                "Connections to the mailbox that broke or could not be made.",
            ),
            desk_sockets: families.gauge("sportello_desk_sockets", &[], "Consoles connected to this process.").with_label_values(&none),
            desk_sockets_cut: families.counter(
                "sportello_desk_sockets_cut_total",
                &["reason"],
                "Consoles cut: slow (did not read), lost (did not answer). They come back and miss nothing.",
            ),
            desk_sign_ins: families.counter("sportello_desk_sign_ins_total", &["outcome"], "Sign-ins: ok, refused, throttled."),
            desk_commands: families.counter("sportello_desk_commands_total", &["outcome"], "Commands to the router: answered, unanswered."),
            desk_frames: families.counter(
                "sportello_desk_frames_total",
                &["outcome"],
                "Frames: queued for consoles, or rejected because what a console sent could not be read.",
            ),
            desk_feed_gaps: families
                .counter("sportello_desk_feed_gaps_total", &[], "Gaps in the live feed that were read from the journal.")
                .with_label_values(&none),
            desk_panics: families.counter("sportello_desk_panics_total", &[], "Requests whose handler panicked.").with_label_values(&none),
            http_seconds: families.histogram(
                "sportello_http_request_duration_seconds",
                &["route", "method", "status"],
                &HTTP_SECONDS,
                "How long HTTP requests took, by route pattern and class of status.",
            ),
            http_refused: families
                .counter(
                    "sportello_http_connections_refused_total",
                    &[],
                    "Connections to the public listener closed at once: their address has as many as it may.",
                )
                .with_label_values(&none),
        }
    }
}

/// Shows a total that somebody else counts.
pub(super) fn show(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

impl Metrics {
    /// Whether the broker works. `kind` is [`crate::port::broker::Broker::kind`].
    pub fn broker_up(&self, kind: &'static str, up: bool) {
        self.edges.broker_up.with_label_values(&[kind]).set(i64::from(up));
    }

    /// A call to the broker failed. `operation` is `publish`, `unroutable`, `consume` or `declare`.
    pub fn broker_error(&self, kind: &'static str, operation: &'static str) {
        self.edges.broker_errors.with_label_values(&[kind, operation]).inc();
    }

    /// The email channel's figures of an account.
    pub fn email(&self, account: &AccountId, figures: &EmailFigures) {
        let (edges, account) = (&self.edges, account.as_str());
        for (kind, total) in [("person", figures.person), ("automatic", figures.automatic), ("unreadable", figures.unreadable)] {
            show(&edges.email_received.with_label_values(&[account, kind]), total);
        }
        show(&edges.email_quarantined.with_label_values(&[account]), figures.quarantined);
        show(&edges.email_deferred.with_label_values(&[account]), figures.deferred);
        for (outcome, total) in OUTCOMES.iter().zip(figures.attempts) {
            show(&edges.email_attempts.with_label_values(&[account, outcome]), total);
        }
        let seconds = edges.email_attempt_seconds.with_label_values(&[account]);
        seconds.inc_by((Duration::from_millis(figures.attempts_ms).as_secs_f64() - seconds.get()).max(0.0));
        if let Some(open) = figures.mailbox_open {
            edges.imap_up.with_label_values(&[account]).set(i64::from(open));
            show(&edges.imap_failures.with_label_values(&[account]), figures.mailbox_failures);
        }
    }

    /// The SMTP listener's figures.
    pub fn smtp(&self, figures: &SmtpFigures) {
        show(&self.edges.smtp_connections, figures.connections);
        show(&self.edges.smtp_refused, figures.refused);
        self.edges.smtp_sessions.set(i64::try_from(figures.connections.saturating_sub(figures.ended)).unwrap_or(i64::MAX));
    }

    /// The desk's figures.
    pub fn desk(&self, figures: &DeskFigures) {
        let edges = &self.edges;
        edges.desk_sockets.set(figures.sockets);
        let [commands, unanswered] = figures.commands;
        for (family, labels, totals) in [
            (&edges.desk_sockets_cut, &["slow", "lost"][..], &figures.cut[..]),
            (&edges.desk_sign_ins, &["ok", "refused", "throttled"], &figures.sign_ins),
            (&edges.desk_commands, &["answered", "unanswered"], &[commands.saturating_sub(unanswered), unanswered]),
            (&edges.desk_frames, &["queued", "rejected"], &figures.frames),
        ] {
            for (label, total) in labels.iter().zip(totals) {
                show(&family.with_label_values(&[label]), *total);
            }
        }
        show(&edges.desk_feed_gaps, figures.feed_gaps);
        show(&edges.desk_panics, figures.panics);
    }

    /// A connection was closed at once.
    pub fn http_connection_refused(&self) {
        self.edges.http_refused.inc();
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
