//! Figures and readiness that nobody pushes: sampled every few seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::channel::email::EmailCounters;
use crate::channel::email::counters::Counter;
use crate::channel::sms::SmsCounters;
use crate::channel::sms::spool::Spool;
use crate::channel::webchat::ChatCounters;
use crate::desk::counters::Counters as DeskCounters;
use crate::plan::Plan;
use crate::port::broker::Broker;
use crate::port::clock;
use crate::port::store::Store;
use crate::telemetry::metrics::{ChatFigures, DeskFigures, EmailFigures, Metrics, SmtpFigures, SpoolFigures};
use crate::telemetry::readiness::Watchdog;

use super::super::commands::LocalCommands;
use super::Latches;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at everything that has figures.
pub struct Sampler {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Where they go.
    pub metrics: Arc<Metrics>,
    /// Pools.
    pub plans: watch::Receiver<Arc<Plan>>,
    /// Which pools are led here.
    pub local: LocalCommands,
    /// Readiness.
    pub latches: Latches,
    /// The email channel's own figures.
    pub email: Option<Arc<EmailCounters>>,
    /// The SMS channel's own figures, and what it has not published yet.
    pub sms: Option<(Arc<SmsCounters>, Spool)>,
    /// The web chat's own figures.
    pub chat: Option<Arc<ChatCounters>>,
    /// The desk's own figures.
    pub desk: Arc<DeskCounters>,
    /// A process without a router has no loop of its own to show: this one is it.
    pub watchdog: Watchdog,
}

impl Sampler {
    /// Until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn look(&self) {
        if self.latches.leader.is_none() {
            self.watchdog.tick();
        }
        let store = self.store.ping().await;
        self.metrics.store_up(self.store.kind(), store.is_ok());
        match store {
            Ok(()) => self.latches.store.ready(),
            Err(error) => self.latches.store.not_ready(error.to_string()),
        }
        let up = self.broker.is_up();
        self.metrics.broker_up(self.broker.kind(), up);
        match up {
            true => self.latches.broker.ready(),
            false => self.latches.broker.not_ready("the broker is away, or takes no messages: its memory or disk is short"),
        }
        if let Some(leader) = &self.latches.leader {
            // a router that does not lead stands by: it is ready for that
            leader.ready();
        }
        if let Some(email) = &self.email {
            self.show_email(email);
        }
        if let Some((counters, spool)) = &self.sms {
            self.show_sms(counters, spool);
        }
        if let Some(chat) = &self.chat {
            self.metrics.webchat(&chat_figures(chat));
        }
        self.metrics.desk(&desk_figures(&self.desk));
        let pools: Vec<_> = self.plans.borrow().pools.iter().cloned().collect();
        for pool in pools.into_iter().filter(|pool| self.local.leads(pool)) {
            if let Ok(counts) = self.store.contact_counts(&pool).await {
                self.metrics.contact_counts(&pool, &counts, clock::now());
            }
        }
        if let Ok(counts) = self.store.quarantine_counts().await {
            self.metrics.quarantine_held(&counts);
        }
    }

    fn show_sms(&self, counters: &SmsCounters, spool: &Spool) {
        for (account, name, total) in counters.all() {
            self.metrics.sms(account.as_str(), name, total);
        }
        let depth = spool.depth();
        let oldest = depth.oldest.map(|oldest| clock::now().since(oldest)).unwrap_or_default();
        self.metrics.sms_spool(&SpoolFigures { entries: depth.entries, bytes: depth.bytes, oldest });
    }

    fn show_email(&self, email: &EmailCounters) {
        for (account, counters) in email.accounts() {
            let (automatic, unreadable) = (counters.automatic.get(), counters.unreadable.get());
            self.metrics.email(
                &account,
                &EmailFigures {
                    person: counters.received.get().saturating_sub(automatic + unreadable),
                    automatic,
                    unreadable,
                    quarantined: counters.quarantined.get(),
                    deferred: counters.deferred.get(),
                    attempts: [&counters.sent, &counters.send_temporary, &counters.send_permanent, &counters.send_unknown]
                        .map(Counter::get),
                    attempts_ms: counters.send_ms.get(),
                    mailbox_open: counters.imap_up.get(),
                    mailbox_failures: counters.imap_failures.get(),
                },
            );
        }
        self.metrics.smtp(&SmtpFigures {
            ended: email.smtp_ended.get(),
            connections: email.smtp_connections.get(),
            refused: email.smtp_refused.get(),
        });
    }
}

fn chat_figures(chat: &ChatCounters) -> ChatFigures {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    ChatFigures {
        sockets: chat.sockets.load(Ordering::Relaxed),
        cut: [get(&chat.cut), get(&chat.lost)],
        sessions: get(&chat.sessions),
        messages: [get(&chat.received), get(&chat.shown)],
        refused: chat.refused(),
        feed_gaps: get(&chat.feed_gaps),
    }
}

fn desk_figures(desk: &DeskCounters) -> DeskFigures {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    DeskFigures {
        sockets: desk.sockets.load(Ordering::Relaxed),
        cut: [get(&desk.sockets_cut), get(&desk.sockets_lost)],
        sign_ins: [get(&desk.sessions_started), get(&desk.login_failures), get(&desk.logins_limited)],
        commands: [get(&desk.commands), get(&desk.commands_unanswered)],
        frames: [get(&desk.frames_queued), get(&desk.frames_rejected)],
        feed_gaps: get(&desk.feed_gaps),
        panics: get(&desk.panics),
    }
}
