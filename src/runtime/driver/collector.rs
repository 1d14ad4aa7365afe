//! Waits for work and takes it in the order that is fair: operators' commands, then timers that are due, then contacts.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::routing::Engine;

use super::super::clock::PoolClock;
use super::super::commands::PendingCommand;
use super::super::consumer::{Ack, Inflow, IntakeBatch};
use super::Arrival;

/// What waiting for work ended with.
pub(super) enum Collected {
    /// Something to do: arrivals in their order, and what is acknowledged once they are committed.
    Work(Vec<Arrival>, Vec<Ack>),
    /// The pool is given up, or its lead is lost.
    Stop,
    /// Intake has ended unasked: no contact would come in any more.
    IntakeEnded,
}

/// What waiting for work needs of the driver: not its connection, which only one task may hold.
pub(super) struct Collector<'d> {
    pub(super) engine: &'d Engine,
    pub(super) clock: PoolClock,
    pub(super) lost: &'d CancellationToken,
    pub(super) batch_max: usize,
}

impl Collector<'_> {
    /// Waits for something to do, then takes what has come: commands first, then timers, then contacts.
    pub(super) async fn collect(
        &self,
        inflow: &mut Inflow,
        commands: &mut mpsc::Receiver<PendingCommand>,
        stop: &CancellationToken,
    ) -> Collected {
        let mut arrivals = Vec::new();
        let mut acks = Vec::new();
        let wait = self.engine.next_deadline().map_or(Duration::from_secs(1), |at| self.clock.until(at)).min(Duration::from_secs(1));
        tokio::select! {
            biased;
            () = self.lost.cancelled() => return Collected::Stop,
            () = stop.cancelled() => return Collected::Stop,
            Some(command) = commands.recv() => arrivals.push(Arrival::Command(Box::new(command))),
            batch = inflow.batches.recv() => match batch {
                Some(batch) => take_batch(batch, &mut arrivals, &mut acks),
                None if stop.is_cancelled() => return Collected::Stop,
                None => return Collected::IntakeEnded,
            },
            () = tokio::time::sleep(wait) => {}
        }
        let mut first: Vec<Arrival> = Vec::new();
        while first.len() < self.batch_max
            && let Ok(command) = commands.try_recv()
        {
            first.push(Arrival::Command(Box::new(command)));
        }
        if self.engine.next_deadline().is_some_and(|at| at <= self.clock.now()) {
            first.push(Arrival::Timers);
        }
        while first.len() + arrivals.len() < self.batch_max
            && let Ok(batch) = inflow.batches.try_recv()
        {
            take_batch(batch, &mut arrivals, &mut acks);
        }
        // the command that woke us stands first anyway; contacts that woke us stand behind commands and timers
        if matches!(arrivals.first(), Some(Arrival::Command(_))) {
            let contacts = arrivals.split_off(1);
            arrivals.extend(first);
            arrivals.extend(contacts);
        } else {
            first.append(&mut arrivals);
            arrivals = first;
        }
        Collected::Work(arrivals, acks)
    }
}

fn take_batch(batch: IntakeBatch, arrivals: &mut Vec<Arrival>, acks: &mut Vec<Ack>) {
    arrivals.extend(batch.items.into_iter().map(Arrival::Item));
    acks.clear(); // a later tag acknowledges the earlier ones
    acks.push(batch.ack);
}
