//! Accounts: hashed passwords, opaque tokens, and making both. The command line uses these functions too.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::model::command::{Actor, Authority, Command, CommandBody, Reply};
use crate::model::id::{AccountId, CommandId, OperatorId, PoolId};
use crate::model::operator::{Grant, OperatorProfile};
use crate::model::time::Timestamp;
use crate::port::commands::{CommandEnvelope, CommandError, Commands};
use crate::port::store::{ApiToken, Login, Store, StoreError};

/// The shortest password, in characters.
pub const PASSWORD_CHARACTERS_MIN: usize = 12;
/// The longest password, in bytes: more is a way to keep the hasher busy.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// The longest name of a person or of a token, in characters.
pub const NAME_CHARACTERS_MAX: usize = 128;
/// The longest login, in characters.
const LOGIN_CHARACTERS_MAX: usize = 64;
/// Hashes computed at once: each takes 19 MiB and one core.
const HASHES_AT_ONCE: usize = 2;
/// How many may wait for their turn: some seconds of work. Who comes later is told to come again.
const HASHES_WAITING_MAX: usize = 50;

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Too short or too long.
    #[error("a password has at least {PASSWORD_CHARACTERS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes")]
    Password,
    /// Empty, too long, or with other characters.
    #[error("a login is 1 to {LOGIN_CHARACTERS_MAX} letters, digits and . _ @ -")]
    Login,
    /// Empty, too long, or with control characters.
    #[error("`{0}` must be 1 to {NAME_CHARACTERS_MAX} printable characters")]
    Name(&'static str),
    /// Somebody else has it.
    #[error("the {0} is taken; choose another")]
    Taken(&'static str),
    /// No such person.
    #[error("there is no such operator")]
    NotFound,
    /// Too many wait for the hasher.
    #[error("too many passwords are being checked; try again in some seconds")]
    Busy,
    /// The hasher failed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The router did not take the new operator; the account is kept: do the same again.
    #[error(transparent)]
    Router(#[from] CommandError),
    /// The router refused.
    #[error("the router refused: {0}")]
    Refused(crate::model::command::Refusal),
}

/// Hashes and checks passwords with argon2id, off the async threads and never more than two at once. The line is limited.
#[derive(Debug)]
pub struct Passwords {
    /// A place for each that is computed or waits.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    nobody: &'static str,
}

/// The hash that a password is compared with when nobody has the login; made once per process.
static NOBODY: OnceLock<String> = OnceLock::new();

impl Passwords {
    /// Hashes one password at once, to have something to compare with when nobody has the login.
    pub fn new() -> Result<Self, AccountError> {
        let nobody = match NOBODY.get() {
            Some(nobody) => nobody,
            None => {
                let made = hash(&random_token("none"))?;
                NOBODY.get_or_init(|| made)
            }
        };
        let places = Arc::new(Semaphore::new(HASHES_AT_ONCE + HASHES_WAITING_MAX));
        Ok(Self { places, turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)), nobody })
    }

    /// The PHC string of a password; refuses one that is too short or too long.
    pub async fn hash(&self, password: &str) -> Result<String, AccountError> {
        check_password(password)?;
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether `password` is the one. Takes the same time when nobody has the login (`stored` is none).
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, AccountError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let known = stored.is_some();
        let (password, stored) = (password.to_owned(), stored.unwrap_or(self.nobody).to_owned());
        let matches = self.in_turn(move || verify(&password, &stored)).await?;
        Ok(matches && known)
    }

    /// Does one piece of work when it is its turn; refuses if too many wait. Place and turn last as long as the work does, also when
    /// nobody waits for its end any more: who hangs up makes no room for another.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountError> {
        let failed = |error: &dyn std::error::Error| AccountError::Hash(error.to_string());
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| AccountError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|error| failed(&error))
    }
}

fn hash(password: &str) -> Result<String, AccountError> {
    let hashed: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| AccountError::Hash(error.to_string()))?;
    Ok(hashed.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
}

/// Refuses a password that is too short or too long.
pub fn check_password(password: &str) -> Result<(), AccountError> {
    let long_enough = password.chars().count() >= PASSWORD_CHARACTERS_MIN;
    if long_enough && password.len() <= PASSWORD_BYTES_MAX { Ok(()) } else { Err(AccountError::Password) }
}

/// A login as it is kept and compared: in small letters, without the spaces around it.
pub fn login_of(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// A new login as it is kept; refuses one that is empty, too long, or has other characters than letters, digits and `. _ @ -`.
pub fn new_login(typed: &str) -> Result<String, AccountError> {
    let login = login_of(typed);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    if (1..=LOGIN_CHARACTERS_MAX).contains(&login.len()) && login.chars().all(allowed) { Ok(login) } else { Err(AccountError::Login) }
}

/// Refuses a name that is empty, too long, or has control characters.
pub fn check_name(field: &'static str, name: &str) -> Result<(), AccountError> {
    let length = name.chars().count();
    let printable = !name.chars().any(char::is_control) && name.trim() == name;
    if (1..=NAME_CHARACTERS_MAX).contains(&length) && printable { Ok(()) } else { Err(AccountError::Name(field)) }
}

/// 256 random bits in hexadecimal after `prefix` and an underscore.
pub fn random_token(prefix: &str) -> String {
    format!("{prefix}_{}", hex::encode(rand::random::<[u8; 32]>()))
}

/// What the store keeps of a token: its SHA-256 in hexadecimal.
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// 128 random bits: a command's id, a new operator's id.
pub fn random_id() -> u128 {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// A person to be made.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// Where they are routed.
    pub pool: PoolId,
    /// What they type to sign in.
    pub login: String,
    /// Their name.
    pub name: String,
    /// Their first password.
    pub password: String,
    /// `it` or `en`.
    pub language: String,
    /// What they can do.
    pub profile: OperatorProfile,
    /// What they may do.
    pub grants: Vec<Grant>,
}

/// Makes a person who can sign in, and tells the router of the operator. If the router is away the account is there and the
/// error says so: the same again, with whatever password, brings it to its end.
pub async fn create_operator(
    store: &dyn Store,
    commands: &dyn Commands,
    passwords: &Passwords,
    new: NewOperator,
) -> Result<OperatorId, AccountError> {
    let name = new_login(&new.login)?;
    check_name("name", &new.name)?;
    let password_hash = passwords.hash(&new.password).await?;
    let login = match store.login(&name).await? {
        None => {
            let (operator, NewOperator { pool, name: person, language, grants, .. }) = (OperatorId(random_id()), new.clone());
            let login = Login { operator, pool, login: name, name: person, password_hash, grants, enabled: true, language };
            store.put_login(&login).await?;
            login
        }
        Some(begun) if is_begun(store, &begun, &new).await? => {
            store.set_password(begun.operator, &password_hash).await?;
            begun
        }
        Some(_) => return Err(AccountError::Taken("login")),
    };
    announce_operator(commands, &login, new.profile, None).await?;
    Ok(login.operator)
}

/// Whether this account is the one that is to be made, and the router has not heard of it yet.
async fn is_begun(store: &dyn Store, login: &Login, new: &NewOperator) -> Result<bool, StoreError> {
    let is_the_same = (&login.pool, &login.name, &login.grants) == (&new.pool, &new.name, &new.grants);
    Ok(is_the_same && !store.operators(&login.pool).await?.iter().any(|known| known.id == login.operator))
}

/// Tells the router what an operator can do and whether they may work.
pub async fn announce_operator(
    commands: &dyn Commands,
    login: &Login,
    profile: OperatorProfile,
    actor: Option<OperatorId>,
) -> Result<(), AccountError> {
    let command = Command {
        id: CommandId(random_id()),
        actor: Actor { operator: actor, authority: Authority::Any },
        expected_version: None,
        body: CommandBody::PutOperator { operator: login.operator, profile, enabled: login.enabled },
    };
    match commands.send(&login.pool, CommandEnvelope { command, text: None, traceparent: None }).await? {
        Reply::Refused { code } => Err(AccountError::Refused(code)),
        Reply::Applied { .. } | Reply::Duplicate => Ok(()),
    }
}

/// Sets a person's password. Their sessions end.
pub async fn set_password(store: &dyn Store, passwords: &Passwords, operator: OperatorId, password: &str) -> Result<(), AccountError> {
    let password_hash = passwords.hash(password).await?;
    if store.set_password(operator, &password_hash).await? { Ok(()) } else { Err(AccountError::NotFound) }
}

/// A token for a program: for an account of the channel API, or in the name of an operator.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// What it is for; unique.
    pub name: String,
    /// The account whose contacts it brings.
    pub account: Option<AccountId>,
    /// The person in whose name it acts at the desk.
    pub operator: Option<OperatorId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token and returns it: the only time that it can be seen.
pub async fn create_token(store: &dyn Store, new: NewToken, now: Timestamp) -> Result<String, AccountError> {
    check_name("name", &new.name)?;
    if store.tokens().await?.iter().any(|token| token.name == new.name) {
        return Err(AccountError::Taken("name"));
    }
    let token = random_token("spt");
    let kept = ApiToken {
        token_hash: token_hash(&token),
        name: new.name,
        account: new.account,
        operator: new.operator,
        created_at: now,
        expires_at: new.expires_at,
    };
    store.put_token(&kept).await?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn passwords_match_only_themselves() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash("correct horse battery").await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse battery", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("correct horse batterz", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("anything", None).await.unwrap());
        assert!(!passwords.verify("anything", Some("not a hash")).await.unwrap());
        assert!(matches!(passwords.hash("too short").await, Err(AccountError::Password)));
    }

    #[tokio::test]
    async fn the_line_before_the_hasher_is_limited() {
        let passwords = Passwords::new().unwrap();
        let both = passwords.turns.acquire_many(2).await.unwrap();
        let mut line: Vec<_> = (0..HASHES_AT_ONCE + HASHES_WAITING_MAX).map(|_| Box::pin(passwords.verify("anything", None))).collect();
        assert!(line.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        let late = passwords.verify("anything", None).now_or_never();
        assert!(matches!(late, Some(Err(AccountError::Busy))), "{late:?}");
        drop((line, both));
        assert!(!passwords.verify("anything", None).await.unwrap(), "who left has made room");
    }

    #[tokio::test]
    async fn who_hangs_up_keeps_their_turn_until_the_work_is_done() {
        let passwords = Passwords::new().unwrap();
        let (go_on, told) = std::sync::mpsc::channel();
        let mut work = Box::pin(passwords.in_turn(move || told.recv()));
        assert!((&mut work).now_or_never().is_none());
        drop(work);
        assert_eq!(passwords.turns.available_permits(), HASHES_AT_ONCE - 1);
        go_on.send(()).unwrap();
        let _all = passwords.turns.acquire_many(2).await.unwrap();
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (random_token("spt"), random_token("spt"));
        assert_eq!(a.len(), 68);
        assert_ne!(a, b);
        assert_eq!(token_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn logins() {
        for (typed, kept) in [
            ("anna", Some("anna")),
            (" Anna.Rossi@comune.it ", Some("anna.rossi@comune.it")),
            ("Anna Rossi", None),
            ("", None),
            ("è", None),
            (&"x".repeat(65), None),
        ] {
            assert_eq!(new_login(typed).ok().as_deref(), kept, "{typed:?}");
        }
    }

    #[test]
    fn names() {
        for (name, ok) in
            [("anna", true), ("Anna Rossi", true), ("", false), (" anna", false), ("a\u{7}b", false), (&"x".repeat(129), false)]
        {
            assert_eq!(check_name("name", name).is_ok(), ok, "{name:?}");
        }
    }
}
