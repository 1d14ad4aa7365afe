//! Keeps one connection up: builds an incarnation, watches it, drops it on the first doubt, and builds the next after a capped
//! and jittered pause, for ever.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Connection, Event};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::broker::amqp::declare::Topology;
use crate::broker::amqp::dial::Dialer;

/// The shortest pause between two attempts.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// How often the connection's own state is looked at, beside its events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One life of a connection.
#[derive(Clone)]
pub(super) struct Incarnation {
    /// Counts up from 1.
    pub(super) number: u64,
    /// Channels are opened on it.
    pub(super) connection: Arc<Connection>,
}

/// How the link is.
#[derive(Clone)]
enum State {
    /// No attempt has ended yet.
    New,
    /// Connected.
    Up(Incarnation),
    /// The broker takes no publishes: a memory or disk alarm, by its own words.
    Blocked(Incarnation, String),
    /// Not connected, and why.
    Down(String),
}

/// A connection that comes back.
pub(super) struct Link {
    state: watch::Receiver<State>,
    doubt: watch::Sender<u64>,
    _stops_the_keeper: DropGuard,
}

impl Link {
    /// Starts the keeper; it ends with the link.
    pub(super) fn keep(role: &'static str, dialer: Arc<Dialer>, topology: Arc<Topology>, backoff_max: Duration) -> Self {
        let (state_in, state) = watch::channel(State::New);
        let (doubt, doubted) = watch::channel(0);
        let stop = CancellationToken::new();
        let keeper = Keeper { role, dialer, topology, backoff_max, state: state_in, doubted, stop: stop.clone() };
        tokio::spawn(keeper.run());
        Self { state, doubt, _stops_the_keeper: stop.drop_guard() }
    }

    /// Waits until the first attempt has ended, well or not.
    pub(super) async fn first_attempt(&self) {
        let mut state = self.state.clone();
        // An error means the keeper is gone, which only happens together with the link.
        let _ = state.wait_for(|state| !matches!(state, State::New)).await;
    }

    /// Waits until there is an incarnation that nobody doubts, at most for `deadline`.
    pub(super) async fn wait(&self, deadline: Duration) {
        let doubted = *self.doubt.borrow();
        let mut state = self.state.clone();
        let is_sound = |state: &State| matches!(state, State::Up(incarnation) if incarnation.number > doubted);
        // Without one the caller finds out by itself and says why.
        let _ = tokio::time::timeout(deadline, state.wait_for(is_sound)).await;
    }

    /// The present incarnation for consuming; the reason if there is none.
    pub(super) fn current(&self) -> Result<Incarnation, String> {
        let doubted = *self.doubt.borrow();
        match &*self.state.borrow() {
            State::Up(incarnation) | State::Blocked(incarnation, _) if incarnation.number <= doubted => Err("connecting again".into()),
            State::Up(incarnation) | State::Blocked(incarnation, _) => Ok(incarnation.clone()),
            State::New => Err("connecting".into()),
            State::Down(reason) => Err(reason.clone()),
        }
    }

    /// The present incarnation for publishing: none while the broker blocks publishers.
    pub(super) fn current_for_publishing(&self) -> Result<Incarnation, String> {
        if let State::Blocked(_, reason) = &*self.state.borrow() {
            return Err(format!("it takes no messages now: {reason}"));
        }
        self.current()
    }

    /// Connected and not blocked.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(incarnation) if incarnation.connection.status().connected())
    }

    /// Something is wrong with an incarnation: it is dropped and another built.
    pub(super) fn doubt(&self, number: u64) {
        self.doubt.send_if_modified(|doubted| {
            let grows = number > *doubted;
            *doubted = (*doubted).max(number);
            grows
        });
    }
}

struct Keeper {
    role: &'static str,
    dialer: Arc<Dialer>,
    topology: Arc<Topology>,
    backoff_max: Duration,
    state: watch::Sender<State>,
    doubted: watch::Receiver<u64>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(mut self) {
        let stop = self.stop.clone();
        let mut number = 0;
        let mut backoff = BACKOFF_MIN;
        loop {
            // Stopping drops whatever is under way, and with it the connection.
            let built = tokio::select! {
                () = stop.cancelled() => return,
                built = self.build() => built,
            };
            let reason = match built {
                Ok(connection) => {
                    number += 1;
                    backoff = BACKOFF_MIN;
                    info!(role = self.role, incarnation = number, "connected to the broker");
                    let reason = self.watch(Incarnation { number, connection: Arc::new(connection) }, &stop).await;
                    match reason {
                        Some(reason) => reason,
                        None => return,
                    }
                }
                Err(reason) => reason,
            };
            warn!(role = self.role, %reason, "the broker is away");
            self.state.send_replace(State::Down(reason));
            let pause = backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            backoff = (backoff * 2).min(self.backoff_max);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Topology first, on a connection of its own, so that what publishes and consumes here finds its queues.
    async fn build(&self) -> Result<Connection, String> {
        self.topology.declare_again().await?;
        self.dialer.connect(self.role).await
    }

    /// Returns why the incarnation ended; none if the link itself ends.
    async fn watch(&mut self, incarnation: Incarnation, stop: &CancellationToken) -> Option<String> {
        let mut events = Box::pin(incarnation.connection.events_listener());
        self.state.send_replace(State::Up(incarnation.clone()));
        let mut look = tokio::time::interval(LOOK_EVERY);
        let reason = loop {
            tokio::select! {
                () = stop.cancelled() => break None,
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        warn!(role = self.role, %reason, "the broker takes no messages: look at its memory and disk");
                        self.state.send_replace(State::Blocked(incarnation.clone(), reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        info!(role = self.role, "the broker takes messages again");
                        self.state.send_replace(State::Up(incarnation.clone()));
                    }
                    Some(Event::Error(error)) => break Some(error.to_string()),
                    None => break Some("the connection ended".into()),
                    Some(_) => {}
                },
                changed = self.doubted.changed() => match changed {
                    Ok(()) if *self.doubted.borrow() >= incarnation.number => break Some("given up after a doubt".into()),
                    Ok(()) => {}
                    Err(_) => break None,
                },
                _ = look.tick() => if !incarnation.connection.status().connected() {
                    break Some("the connection ended".into());
                },
            }
        };
        if let Some(reason) = &reason {
            self.state.send_replace(State::Down(reason.clone()));
        }
        drop_connection(incarnation, self.dialer.deadline);
        reason
    }
}

/// Closes in the background: a broker that does not answer must not hold up the next incarnation.
fn drop_connection(incarnation: Incarnation, deadline: Duration) {
    tokio::spawn(async move {
        // Either it says goodbye in time or its socket is dropped; there is nothing more to do about it.
        let _ = tokio::time::timeout(deadline, incarnation.connection.close(200, "incarnation over".into())).await;
    });
}
