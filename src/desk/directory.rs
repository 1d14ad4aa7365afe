//! The people of a pool, names and profiles, read from the store and believed for about a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::model::id::{OperatorId, PoolId};
use crate::model::operator::Operator;
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
}

/// The people of every pool that was asked for.
pub struct Directory {
    store: Arc<dyn Store>,
    pools: Mutex<HashMap<PoolId, (Instant, Arc<People>)>>,
}

impl Directory {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, pools: Mutex::default() }
    }

    /// The people of a pool, at most a second old.
    pub async fn people(&self, pool: &PoolId) -> Result<Arc<People>, StoreError> {
        let mut pools = self.pools.lock().await;
        if let Some((read, people)) = pools.get(pool)
            && read.elapsed() < AGE_MAX
        {
            return Ok(Arc::clone(people));
        }
        let read = Instant::now();
        let operators = self.store.operators(pool).await?.into_iter().map(|operator| (operator.id, operator)).collect();
        let names = self.store.logins(pool).await?.into_iter().map(|login| (login.operator, Arc::from(login.name))).collect();
        let people = Arc::new(People { operators, names });
        pools.insert(pool.clone(), (read, Arc::clone(&people)));
        Ok(people)
    }

    /// Reads anew at the next question.
    pub async fn forget(&self, pool: &PoolId) {
        self.pools.lock().await.remove(pool);
    }
}
