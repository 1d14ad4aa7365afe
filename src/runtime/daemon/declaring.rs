//! Keeps the broker's queues as the plan in force needs them, and says why when it cannot. Only a router has the right to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::id::{AccountId, PoolId};
use crate::plan::Plan;
use crate::port::broker::{Broker, PublishError};

/// Between two attempts while the broker refuses.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Between two when all is well: somebody may have deleted a queue.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);
/// After which a failure that lasts is said again.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Declares, again and again.
pub(super) struct Declaring {
    broker: Arc<dyn Broker>,
    plans: watch::Receiver<Arc<Plan>>,
    complaint: Complaint,
}

impl Declaring {
    pub(super) fn new(broker: Arc<dyn Broker>, plans: watch::Receiver<Arc<Plan>>) -> Self {
        Self { broker, plans, complaint: Complaint::default() }
    }

    /// Declares what the plan in force needs; whether the broker did it.
    pub(super) async fn once(&mut self) -> bool {
        let plan = Arc::clone(&self.plans.borrow_and_update());
        let pools: Vec<PoolId> = plan.pools.iter().cloned().collect();
        let done = self.broker.declare(&pools, &senders(&plan)).await;
        match &done {
            Ok(()) if self.complaint.ends() => tracing::info!("the broker's queues are declared"),
            Err(error) if self.complaint.is_due(error, Instant::now()) => say(error),
            Ok(()) | Err(_) => {}
        }
        done.is_ok()
    }

    /// Declares again whenever another plan is in force, soon after a failure, and now and then. `declared`: whether it is done.
    pub(super) async fn keep(mut self, mut declared: bool, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.plans.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(if declared { AGAIN_AFTER } else { RETRY_AFTER }) => {}
            }
            declared = self.once().await;
        }
    }
}

/// What the broker will never take as it is, somebody has to put right; all else passes.
fn say(error: &PublishError) {
    match error {
        PublishError::Invalid(_) => tracing::error!(%error, "the broker's queues cannot be declared as they are; trying again"),
        PublishError::Unavailable(_) | PublishError::Unroutable(_) | PublishError::Refused(_) => {
            tracing::warn!(%error, "the broker's queues are not declared yet; trying again");
        }
    }
}

/// Accounts whose answers an adapter of ours carries.
fn senders(plan: &Plan) -> Vec<AccountId> {
    plan.accounts.iter().filter(|(_, account)| account.channel.has_sender()).map(|(id, _)| id.clone()).collect()
}

/// What was said of a failure that lasts: said again when it is another one, or after a while.
#[derive(Default)]
struct Complaint(Option<(PublishError, Instant)>);

impl Complaint {
    /// Whether to say it now; from then on it counts as said.
    fn is_due(&mut self, error: &PublishError, now: Instant) -> bool {
        let is_said = self.0.as_ref().is_some_and(|(said, at)| said == error && now.duration_since(*at) < SAID_AGAIN_AFTER);
        if !is_said {
            self.0 = Some((error.clone(), now));
        }
        !is_said
    }

    /// The failure is over; whether there was one.
    fn ends(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_is_said_once_a_minute_and_another_at_once() {
        let (mut complaint, begin) = (Complaint::default(), Instant::now());
        let away = || PublishError::Unavailable("connection refused".into());
        let other = || PublishError::Invalid("inequivalent arg 'x-overflow' for queue 'sportello.router.main'".into());
        for (after_s, error, due) in [
            (0, away(), true),
            (2, away(), false),
            (4, other(), true),
            (6, other(), false),
            (62, other(), false),
            (64, other(), true),
            (66, other(), false),
            (68, away(), true),
        ] {
            assert_eq!(complaint.is_due(&error, begin + Duration::from_secs(after_s)), due, "{error} after {after_s} s");
        }
        assert!(complaint.ends() && !complaint.ends());
        assert!(complaint.is_due(&away(), begin + Duration::from_secs(70)), "after it went well it is a new failure");
    }
}
