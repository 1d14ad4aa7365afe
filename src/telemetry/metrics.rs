//! Every metric there is: families registered once, labels resolved once, one method for each thing that happens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{Registry, TextEncoder};

mod contacts;
mod edges;
mod engine;
mod family;
mod sms;
#[cfg(test)]
mod tests;
mod webchat;

pub use edges::{DeskFigures, EmailFigures, SmtpFigures};
pub use sms::SpoolFigures;
pub use webchat::ChatFigures;

use contacts::ContactMetrics;
use edges::EdgeMetrics;
use engine::EngineMetrics;
use family::Families;
use sms::SmsMetrics;
use webchat::ChatMetrics;

/// A family as `docs/metrics.md` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// `sportello_contacts_received_total`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

/// All metrics of this process, in a registry of their own. Cheap to call from anywhere; share it in an `Arc`.
pub struct Metrics {
    registry: Registry,
    descriptions: Vec<Description>,
    contacts: ContactMetrics,
    engine: EngineMetrics,
    edges: EdgeMetrics,
    sms: SmsMetrics,
    webchat: ChatMetrics,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("families", &self.descriptions.len()).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry with every family in it and the process's own figures.
    pub fn new() -> Self {
        let mut families = Families::new();
        let contacts = ContactMetrics::new(&mut families);
        let engine = EngineMetrics::new(&mut families);
        let edges = EdgeMetrics::new(&mut families);
        let sms = SmsMetrics::new(&mut families);
        let webchat = ChatMetrics::new(&mut families);
        let (registry, descriptions) = families.finish();
        Self { registry, descriptions, contacts, engine, edges, sms, webchat }
    }

    /// Every family, in the order of registration; the process's own figures (`process_…`) are not among them.
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// The text that `/metrics` answers, in the format `text/plain; version=0.0.4`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }
}

/// A poisoned lock only means that somebody else panicked; the figures are still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
