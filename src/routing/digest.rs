//! A digest of everything the engine keeps, derived indexes included: an engine rebuilt from rows must have the same.

use sha2::{Digest, Sha256};

use super::engine::Engine;

impl Engine {
    /// SHA-256 in lower-case hexadecimal over contacts, operators, deliveries, closed queues, timers, waiting and idle sets, and where
    /// contacts are looked up.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        };
        for entry in self.contacts.values() {
            add(&serde_json::to_string(&entry.contact).expect("a contact is plain data"));
        }
        for desk in self.operators.values() {
            add(&serde_json::to_string(&desk.operator).expect("an operator is plain data"));
            add(&format!("{:?} {:?}", desk.load, desk.wanted));
        }
        for delivery in self.deliveries.values() {
            add(&serde_json::to_string(delivery).expect("a delivery is plain data"));
        }
        for queue in &self.closed_queues {
            add(queue.as_str());
        }
        for found in &self.by_conversation {
            add(&format!("{found:?}"));
        }
        for found in &self.by_address {
            add(&format!("{found:?}"));
        }
        for found in &self.by_citizen {
            add(&format!("{found:?}"));
        }
        for timer in self.timers.all() {
            add(&format!("{timer:?}"));
        }
        // classes and profiles are numbered as history had it: only what is in them counts
        let mut waiting: Vec<_> = self.demand.classes.iter().flat_map(|class| class.waiting.iter()).collect();
        waiting.sort_unstable();
        add(&format!("{waiting:?} {:?} {:?} {:?}", self.idle.keys(0), self.idle.keys(1), self.reserved));
        for desk in self.operators.values() {
            add(&format!("{}", self.demand.profiles[desk.profile as usize].flexibility));
        }
        hex::encode(hash.finalize())
    }
}
