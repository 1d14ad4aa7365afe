//! Desk nodes that fall silent: the engine is told, so that what their operators had comes back.
//!
//! Two things say which ones: the rows of nodes that were not heard of for a while, and, for whoever leads when the row is gone
//! already, the operators themselves: each names the node that holds their console.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::command::{Actor, Authority, Command, CommandBody};
use crate::model::id::{CommandId, PoolId};
use crate::model::operator::Operator;
use crate::port::commands::{CommandEnvelope, Commands};
use crate::port::store::{Store, StoreError};

/// How often the rows are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the operators are looked at.
const ASK_OPERATORS_EVERY: Duration = Duration::from_secs(30);
/// A lost node's row goes this long after it counted as lost.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Watches the desk nodes for the leader of a pool.
pub struct Nodes {
    /// Rows of nodes, and operators.
    pub store: Arc<dyn Store>,
    /// The way to the engine.
    pub commands: Arc<dyn Commands>,
    /// Whose operators.
    pub pool: PoolId,
    /// The node of this process.
    pub own: String,
    /// A node not heard of for this long is lost.
    pub late: Duration,
    /// Told whether there are desks in other processes, where there may be any.
    pub others: Option<Arc<AtomicBool>>,
}

impl Nodes {
    /// Watches until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut told = HashSet::new();
        // a node that has begun to work with its operators has a row by then
        let mut ask_operators = Instant::now() + self.late;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let is_time = Instant::now() >= ask_operators;
            match self.look(&mut told, is_time).await {
                Ok(()) if is_time => ask_operators = Instant::now() + ASK_OPERATORS_EVERY,
                Ok(()) => {}
                Err(error) => tracing::debug!(pool = %self.pool, %error, "the desk nodes cannot be looked at"),
            }
        }
    }

    /// Looks once. `told`: nodes with a row of which the engine knows that they are lost.
    async fn look(&self, told: &mut HashSet<String>, asks_operators: bool) -> Result<(), StoreError> {
        // first, so that a node which begins meanwhile is not missed among the known ones
        let operators = if asks_operators { self.store.operators(&self.pool).await? } else { Vec::new() };
        let mut lost = self.store.nodes_lost(self.late).await?;
        let looks_at_all = self.others.is_some() || asks_operators;
        let known = if looks_at_all { self.store.nodes_lost(Duration::ZERO).await? } else { Vec::new() };
        if let Some(others) = &self.others {
            others.store(known.iter().any(|node| *node != self.own && !lost.contains(node)), Ordering::Relaxed);
        }
        told.retain(|node| lost.contains(node));
        let heard = told.clone();
        lost.retain(|node| !told.contains(node));
        lost.extend(operators.into_iter().filter_map(node_of).filter(|node| !known.contains(node)));
        lost.sort_unstable();
        lost.dedup();
        for node in lost {
            if self.tell(&node).await {
                told.insert(node);
            }
        }
        for node in self.store.nodes_lost(self.late + FORGET_AFTER).await?.into_iter().filter(|node| heard.contains(node)) {
            // a pool whose engine has not heard of it sees it by its operators
            self.store.forget_node(&node).await?;
        }
        Ok(())
    }

    async fn tell(&self, node: &str) -> bool {
        let command = Command {
            id: CommandId(rand::random()),
            actor: Actor { operator: None, authority: Authority::Any },
            expected_version: None,
            body: CommandBody::LoseNode { node: node.to_owned() },
        };
        tracing::warn!(pool = %self.pool, node, "a desk node is not heard of any more");
        self.commands.send(&self.pool, CommandEnvelope { command, text: None, traceparent: None }).await.is_ok()
    }
}

/// The node that holds an operator's console, as far as the engine knows.
fn node_of(operator: Operator) -> Option<String> {
    operator.presence.node.filter(|_| operator.presence.lost_at.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::testing::{FakeRouter, FakeStore, operator, pool};

    const LATE: Duration = Duration::from_secs(10);

    /// The watch of one pool's leader.
    fn nodes(store: &Arc<FakeStore>, router: &Arc<FakeRouter>) -> Nodes {
        Nodes { store: store.clone(), commands: router.clone(), pool: pool(), own: "desk-1".into(), late: LATE, others: None }
    }

    /// A store with an operator at each of two nodes, of which the second has been silent for a time.
    fn store(silent: Duration) -> Arc<FakeStore> {
        let store = FakeStore::default();
        for (number, node) in [(1, "desk-1"), (2, "desk-2")] {
            let mut operator = operator(number, &["comune"], &[]);
            operator.presence.node = Some(node.into());
            store.rows().operators.insert(operator.id, operator);
        }
        store.rows().silent = [("desk-1".to_owned(), Duration::ZERO), ("desk-2".to_owned(), silent)].into();
        Arc::new(store)
    }

    fn lost(router: &FakeRouter) -> Vec<String> {
        let node_in = |body| match body {
            CommandBody::LoseNode { node } => node,
            other => panic!("nothing else is asked: {other:?}"),
        };
        router.bodies().into_iter().map(node_in).collect()
    }

    /// Runs a watch for a time.
    async fn watched(nodes: Nodes, time: Duration) {
        let stop = CancellationToken::new();
        let watching = tokio::spawn(nodes.watch(stop.clone()));
        tokio::time::sleep(time).await;
        stop.cancel();
        watching.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_told_once_and_forgotten_when_that_was_heard() {
        let (store, router) = (store(LATE), Arc::new(FakeRouter::default()));
        watched(nodes(&store, &router), LATE * 2).await;
        assert_eq!(lost(&router), ["desk-2"]);
        assert_eq!(store.rows().silent.len(), 2, "it is not old yet");
        store.rows().silent.insert("desk-2".into(), LATE + FORGET_AFTER);
        router.away.store(true, Ordering::Relaxed);
        watched(nodes(&store, &router), LATE * 2).await;
        assert_eq!(store.rows().silent.len(), 2, "nobody has heard of it");
        router.away.store(false, Ordering::Relaxed);
        watched(nodes(&store, &router), LATE * 2).await;
        assert_eq!(store.rows().silent.len(), 1);
    }

    /// Another pool's leader told its own engine of a node and forgot it, before this pool's asked.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_forgotten_already_is_known_by_its_operators() {
        let (store, router) = (store(LATE), Arc::new(FakeRouter::default()));
        store.rows().silent.remove("desk-2");
        watched(nodes(&store, &router), LATE * 2).await;
        assert_eq!(lost(&router), ["desk-2"]);
        for operator in store.rows().operators.values_mut() {
            operator.presence.lost_at = Some(crate::model::time::Timestamp(1));
        }
        watched(nodes(&store, &router), LATE * 20).await;
        assert_eq!(lost(&router), ["desk-2"], "the engine has heard of it");
    }
}
