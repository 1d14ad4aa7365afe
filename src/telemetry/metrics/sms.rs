//! Text messages: what providers say, what is sent, what waits on this disk.

use std::time::Duration;

use prometheus::{CounterVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::edges::show;
use super::family::Families;

pub(super) struct SmsMetrics {
    webhooks: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: CounterVec,
    quarantined: IntCounterVec,
    keywords: IntCounterVec,
    media_missing: IntCounterVec,
    sessions_ended: IntCounterVec,
    multipart: IntCounterVec,
    receipts: IntCounterVec,
    spool_entries: IntGauge,
    spool_bytes: IntGauge,
    spool_oldest: IntGauge,
}

/// How much a spool holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How long the oldest has waited.
    pub oldest: Duration,
}

impl SmsMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let none: [&str; 0] = [];
        let alone = |family: IntGaugeVec| family.with_label_values(&none);
        Self {
            webhooks: families.counter(
                "sportello_sms_webhooks_total",
                &["account", "outcome"],
                "Requests of providers: taken, nothing (needs no action), repeated (an SMSC that lost our answer), unproven, unreadable, refused (the spool does not take it).",
            ),
            attempts: families.counter(
                "sportello_sms_attempts_total",
                &["account", "outcome"],
                "Attempts to send: sent, temporary, permanent, unknown.",
            ),
            attempt_seconds: families.seconds(
                "sportello_sms_attempt_seconds_total",
                &["account"],
                "What the attempts to send took together.",
            ),
            quarantined: families.counter("sportello_sms_quarantined_total", &["account"], "Orders to send held in quarantine."),
            keywords: families.counter(
                "sportello_sms_keywords_total",
                &["account", "keyword"],
                "Citizens who want no messages any more (stop), or want them again (start).",
            ),
            media_missing: families.counter(
                "sportello_sms_media_missing_total",
                &["account"],
                "Pictures and files that could not be fetched from the provider.",
            ),
            sessions_ended: families.counter(
                "sportello_sms_sessions_ended_total",
                &["account"],
                "Sessions with an SMSC that ended, or could not be begun.",
            ),
            multipart: families.counter(
                "sportello_sms_multipart_total",
                &["account", "outcome"],
                "Messages of several parts handed on: whole, or with parts missing (timeout, limit, reused); late: a part after its message.",
            ),
            receipts: families.counter(
                "sportello_sms_receipts_total",
                &["account", "outcome"],
                "Receipts of an SMSC that count for no message: unclaimed (nobody's, or its id was not kept), ambiguous (it could be several).",
            ),
            spool_entries: alone(families.gauge("sportello_sms_spool_entries", &[], "Webhooks on this disk that are not published yet.")),
            spool_bytes: alone(families.gauge("sportello_sms_spool_bytes", &[], "Their bytes.")),
            spool_oldest: alone(families.gauge("sportello_sms_spool_oldest_seconds", &[], "How long the oldest of them has waited.")),
        }
    }
}

impl Metrics {
    /// A total of an account since the start of the process, by the name under which the channel counts it.
    pub fn sms(&self, account: &str, name: &str, total: u64) {
        let sms = &self.sms;
        match name {
            "taken" | "nothing" | "repeated" | "unproven" | "unreadable" | "refused" => {
                show(&sms.webhooks.with_label_values(&[account, name]), total)
            }
            "sent" | "temporary" | "permanent" | "unknown" => show(&sms.attempts.with_label_values(&[account, name]), total),
            "stop" | "start" => show(&sms.keywords.with_label_values(&[account, name]), total),
            "quarantined" => show(&sms.quarantined.with_label_values(&[account]), total),
            "media_missing" => show(&sms.media_missing.with_label_values(&[account]), total),
            "smpp_ended" => show(&sms.sessions_ended.with_label_values(&[account]), total),
            "parts_whole" | "parts_timeout" | "parts_limit" | "parts_reused" | "parts_late" => {
                show(&sms.multipart.with_label_values(&[account, name.trim_start_matches("parts_")]), total);
            }
            "receipt_unclaimed" | "receipt_ambiguous" => {
                show(&sms.receipts.with_label_values(&[account, name.trim_start_matches("receipt_")]), total);
            }
            "send_ms" => {
                let seconds = sms.attempt_seconds.with_label_values(&[account]);
                seconds.inc_by((Duration::from_millis(total).as_secs_f64() - seconds.get()).max(0.0));
            }
            other => tracing::error!(name = other, "a figure of text messages has no family"),
        }
    }

    /// What waits on this disk to be published.
    pub fn sms_spool(&self, figures: &SpoolFigures) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.sms.spool_entries.set(number(figures.entries as u64));
        self.sms.spool_bytes.set(number(figures.bytes));
        self.sms.spool_oldest.set(number(figures.oldest.as_secs()));
    }
}
