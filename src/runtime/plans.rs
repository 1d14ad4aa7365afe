//! The plan in force: other processes put one in force too, and who leads must not begin with an old one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::plan::{self, Plan};
use crate::port::store::{Store, StoreError};

/// How often somebody who is not told looks for a newer plan.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Puts the stored plan in force in this process, if it is newer.
///
/// # Errors
/// `Unreadable` if this release cannot read it, else what the store says.
pub async fn catch_up(store: &dyn Store, plans: &watch::Sender<Arc<Plan>>) -> Result<(), StoreError> {
    let known = plans.borrow().version;
    let Some((version, text)) = store.plan().await?.filter(|(version, _)| *version > known) else { return Ok(()) };
    let plan = plan::parse(&text).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        StoreError::Unreadable(format!("plan {version}, of a newer release perhaps: {first}"))
    })?;
    plans.send_if_modified(|current| {
        let is_newer = version > current.version;
        if is_newer {
            *current = Arc::new(Plan { version, ..plan });
        }
        is_newer
    });
    Ok(())
}

/// Follows what other processes put in force, until `stop`.
pub async fn follow(store: Arc<dyn Store>, plans: watch::Sender<Arc<Plan>>, stop: CancellationToken) {
    let mut said = None;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let failed = catch_up(&*store, &plans).await.err().map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|_| failed != said) {
            tracing::error!(error, "the plan in the database cannot be put in force here; the one before stays");
        }
        said = failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::testing::{FakeStore, plan};

    const EXAMPLE: &str = include_str!("../../config/example/plan.toml");

    #[tokio::test]
    async fn a_newer_plan_is_put_in_force_and_one_that_cannot_be_read_is_an_error() {
        let (store, plans) = (FakeStore::default(), watch::Sender::new(Arc::new(Plan { version: 1, ..plan() })));
        catch_up(&store, &plans).await.expect("there is none");
        *store.plan.lock().expect("whole") = Some((2, EXAMPLE.to_owned()));
        catch_up(&store, &plans).await.expect("reads");
        assert_eq!(plans.borrow().version, 2);
        let mut told = plans.subscribe();
        catch_up(&store, &plans).await.expect("reads");
        assert!(!told.has_changed().expect("it lives"), "nothing new");
        told.mark_unchanged();
        *store.plan.lock().expect("whole") = Some((3, "nonsense".to_owned()));
        assert!(matches!(catch_up(&store, &plans).await, Err(StoreError::Unreadable(_))));
        assert_eq!(plans.borrow().version, 2);
    }
}
