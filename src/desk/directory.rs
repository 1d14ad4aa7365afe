//! The people of a pool, names and profiles, read from the store and believed for about a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::id::{OperatorId, PoolId};
use crate::model::operator::{Operator, OperatorProfile};
use crate::port::store::{Store, StoreError};

/// How old what is believed may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The people of one pool at one moment.
#[derive(Debug, Default)]
pub struct People {
    /// What the router knows of each.
    pub operators: HashMap<OperatorId, Operator>,
    /// Their names.
    pub names: HashMap<OperatorId, Arc<str>>,
}

impl People {
    /// A person's name, or a dash for somebody who is not known any more.
    pub fn name(&self, operator: OperatorId) -> Arc<str> {
        self.names.get(&operator).cloned().unwrap_or_else(|| Arc::from("–"))
    }

    /// A person's profile; the empty one for somebody of whom the router has not heard yet.
    pub fn profile(&self, operator: OperatorId) -> OperatorProfile {
        self.operators.get(&operator).map(|operator| operator.profile.clone()).unwrap_or_default()
    }
}

/// The people of every pool that was asked for.
pub struct Directory {
    store: Arc<dyn Store>,
    pools: Mutex<HashMap<PoolId, Known>>,
    /// One reads, the others wait for what it finds.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// What was found, and when it was asked for.
    found: Option<(Instant, Arc<People>)>,
    /// What was asked for earlier counts no more.
    forgotten: Option<Instant>,
}

impl Directory {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, pools: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// The people of a pool, at most a second old.
    pub async fn people(&self, pool: &PoolId) -> Result<Arc<People>, StoreError> {
        if let Some(people) = self.fresh(pool) {
            return Ok(people);
        }
        let _one_at_a_time = self.reading.lock().await;
        if let Some(people) = self.fresh(pool) {
            return Ok(people);
        }
        let asked = Instant::now();
        let operators = self.store.operators(pool).await?.into_iter().map(|operator| (operator.id, operator)).collect();
        let names = self.store.logins(pool).await?.into_iter().map(|login| (login.operator, Arc::from(login.name))).collect();
        let people = Arc::new(People { operators, names });
        self.lock().entry(pool.clone()).or_default().found = Some((asked, Arc::clone(&people)));
        Ok(people)
    }

    fn fresh(&self, pool: &PoolId) -> Option<Arc<People>> {
        let pools = self.lock();
        let known = pools.get(pool)?;
        let (asked, people) = known.found.as_ref()?;
        let counts = asked.elapsed() < AGE_MAX && known.forgotten.is_none_or(|forgotten| *asked > forgotten);
        counts.then(|| Arc::clone(people))
    }

    /// Reads anew at the next question.
    pub fn forget(&self, pool: &PoolId) {
        self.lock().entry(pool.clone()).or_default().forgotten = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PoolId, Known>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
