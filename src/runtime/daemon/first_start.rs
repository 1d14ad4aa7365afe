//! The first start on an empty database: the example plan, two operators with different skills, a supervisor, a token for
//! trying the channel API. Their passwords are made here and shown once.

use std::time::Duration;

use crate::desk::accounts::{self, AccountError, NewOperator, NewToken, Passwords};
use crate::model::channel::Language;
use crate::model::id::{AccountId, AdministrationId, OfficeId, PoolId, SkillId};
use crate::model::operator::{Grant, OperatorProfile, Role, Scope};
use crate::plan::{self, Plan};
use crate::port::clock;
use crate::port::store::Store;

use super::super::commands::LocalCommands;
use super::{DaemonError, part};

/// The plan of the first start; also the documented example.
const EXAMPLE_PLAN: &str = include_str!("../../../config/example/plan.toml");
/// How long the sample accounts wait for the pool's first leader.
const LEADER_WITHIN: Duration = Duration::from_secs(30);

/// Somebody who can sign in.
#[derive(Debug, Clone)]
pub struct SampleAccount {
    /// What they type.
    pub login: &'static str,
    /// Shown once.
    pub password: String,
    /// What they are good for.
    pub what: &'static str,
}

/// What was made at the first start.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Two operators and a supervisor.
    pub accounts: Vec<SampleAccount>,
    /// A token of the channel API for the example's telephone.
    pub token: String,
}

/// The stored plan; on an empty database the example, stored. Whether it is the example that a first start stored.
pub async fn plan_in_force(store: &dyn Store) -> Result<(Plan, bool), DaemonError> {
    let stored = store.plan().await.map_err(|error| part("store")(error.to_string()))?;
    let (version, text) = match stored {
        Some(stored) => stored,
        None => (store.put_plan(EXAMPLE_PLAN).await.map_err(|error| part("store")(error.to_string()))?, EXAMPLE_PLAN.to_owned()),
    };
    let plan = plan::parse(&text)
        .map_err(|problems| DaemonError::Plan(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    Ok((Plan { version, ..plan }, version == 1 && text == EXAMPLE_PLAN))
}

/// Makes the sample accounts of the example plan, where nobody has an account yet: a first start that failed half-way, on a port
/// that was taken perhaps, is not the last chance. None: somebody has.
pub async fn make_samples(store: &dyn Store, commands: &LocalCommands) -> Result<Option<Samples>, DaemonError> {
    let wrong = |error: AccountError| part("sample accounts")(error.to_string());
    let pool: PoolId = name("main");
    if !is_ours_to_make(store, commands, &pool).await? {
        return Ok(None);
    }
    let passwords = Passwords::new().map_err(wrong)?;
    let mut made = Vec::new();
    for (login, person, what, skills, office, role) in PEOPLE {
        let password = readable_password();
        let new = NewOperator {
            pool: pool.clone(),
            login: (*login).to_owned(),
            name: (*person).to_owned(),
            password: password.clone(),
            language: "it".to_owned(),
            profile: OperatorProfile {
                administrations: [name::<AdministrationId>("comune")].into(),
                offices: office.iter().map(|office| name::<OfficeId>(office)).collect(),
                skills: skills.iter().map(|(skill, level)| (name::<SkillId>(skill), *level)).collect(),
                languages: ["it", "de"].iter().filter_map(|code| Language::new(code).ok()).collect(),
                ..OperatorProfile::default()
            },
            grants: grants(*role, &pool),
        };
        match accounts::create_operator(store, commands, &passwords, new).await {
            // another process starts at the same moment, and shows them
            Err(AccountError::Taken(_)) => return Ok(None),
            made => made.map_err(wrong)?,
        };
        made.push(SampleAccount { login, password, what });
    }
    let token =
        NewToken { name: "prova-telefono".to_owned(), account: Some(name::<AccountId>("telefono")), operator: None, expires_at: None };
    let token = accounts::create_token(store, token, clock::now()).await.map_err(wrong)?;
    Ok(Some(Samples { accounts: made, token }))
}

type Person = (&'static str, &'static str, &'static str, &'static [(&'static str, u8)], &'static [&'static str], Role);

const PEOPLE: &[Person] = &[
    (
        "anna",
        "Anna Rossi",
        "operatrice: accoglienza, anagrafe",
        &[("accoglienza", 5), ("anagrafe", 5)],
        &["urp", "anagrafe"],
        Role::Operator,
    ),
    ("bruno", "Bruno Gruber", "operatore: tributi", &[("tributi", 5)], &["tributi"], Role::Operator),
    ("carla", "Carla Verdi", "supervisora e amministratrice", &[("accoglienza", 3)], &["urp"], Role::Supervisor),
];

fn grants(role: Role, pool: &PoolId) -> Vec<Grant> {
    let scope = Scope::Pool(pool.clone());
    match role {
        Role::Operator => vec![Grant { role, scope, content: true }],
        _ => [Role::Operator, Role::Supervisor, Role::Admin].map(|role| Grant { role, scope: scope.clone(), content: true }).into(),
    }
}

/// Waits until this process leads the pool, or somebody has an account: then another process leads it, or it is no first start.
async fn is_ours_to_make(store: &dyn Store, commands: &LocalCommands, pool: &PoolId) -> Result<bool, DaemonError> {
    let deadline = tokio::time::Instant::now() + LEADER_WITHIN;
    loop {
        if !store.logins(pool).await.map_err(|error| part("sample accounts")(error.to_string()))?.is_empty() {
            return Ok(false);
        }
        if commands.leads(pool) {
            return Ok(true);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(part("sample accounts")("the pool has no leader yet; make accounts with `sportello operator add`".into()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Four groups of four letters and digits that nobody takes for one another: 80 bits.
fn readable_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let groups: [[u8; 4]; 4] = rand::random();
    let group = |group: [u8; 4]| group.map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()] as char).iter().collect::<String>();
    groups.map(group).join("-")
}

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("names of the example are names")
}
