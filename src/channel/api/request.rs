//! Reading requests of programs: the token, the body, and what is wrong with either.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{REMEMBERED_MAX, Shared, TOKEN_AGE_MAX};
pub use crate::channel::problem::{Problem, ProblemDocument};
use crate::model::channel::{Channel, Language};
use crate::model::contact::Mode;
use crate::model::conversation::Party;
use crate::model::id::{AccountId, AdministrationId, InputId, PoolId};
use crate::model::inbound::TEXT_BYTES_MAX;
use crate::port::clock::now;
use crate::port::trace::TraceParent;

/// The longest `external_id`, in characters.
const ID_CHARACTERS_MAX: usize = 998;
/// The longest `external_id` of a signal, in characters.
const SIGNAL_ID_CHARACTERS_MAX: usize = 255;
/// The longest subject, in characters.
const SUBJECT_CHARACTERS_MAX: usize = 998;
/// The longest address, in characters.
const ADDRESS_CHARACTERS_MAX: usize = 320;
/// The longest name of a citizen, in characters: the wire takes no more.
const NAME_CHARACTERS_MAX: usize = 255;
/// The most attributes.
const ATTRIBUTES_MAX: usize = 32;
/// The longest name of an attribute, in characters.
const ATTRIBUTE_NAME_MAX: usize = 64;
/// The longest value of an attribute, in characters.
const ATTRIBUTE_VALUE_MAX: usize = 1_000;

/// The account that a program's token is for.
pub struct Program {
    /// The account.
    pub account: AccountId,
    /// Its administration.
    pub administration: AdministrationId,
    /// The pool that serves it.
    pub pool: PoolId,
    /// Its channel.
    pub channel: Channel,
    /// The request's trace: the program's own, if it sent a `traceparent`.
    pub trace: TraceParent,
}

impl FromRequestParts<Shared> for Program {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).ok_or_else(Problem::unauthorised)?;
        if !(16..=128).contains(&token.len()) {
            return Err(Problem::unauthorised());
        }
        let hash = hex::encode(Sha256::digest(token.as_bytes()));
        let account = account_of(api, &hash).await?.ok_or_else(Problem::unauthorised)?;
        api.limits.count(&hash).map_err(Problem::too_many)?;
        let plan = std::sync::Arc::clone(&api.plan.borrow());
        // An account that left the plan brings nothing any more.
        let known = plan.accounts.get(&account).ok_or_else(Problem::unauthorised)?;
        let pool = plan.pool_of(&account).cloned().ok_or_else(Problem::unauthorised)?;
        let trace = TraceParent::read_or_start(parts.headers.get("traceparent").and_then(|value| value.to_str().ok()));
        Ok(Self { administration: known.administration.clone(), channel: known.channel.clone(), pool, account, trace })
    }
}

async fn account_of(api: &Shared, hash: &str) -> Result<Option<AccountId>, Problem> {
    let remembered = || api.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((asked, account)) = remembered().get(hash)
        && asked.elapsed() < TOKEN_AGE_MAX
    {
        return Ok(Some(account.clone()));
    }
    let asked = Instant::now();
    let account = api.store.token(hash, now()).await?.and_then(|token| token.account);
    let mut tokens = remembered();
    if tokens.len() >= REMEMBERED_MAX {
        tokens.clear();
    }
    match &account {
        Some(account) => tokens.insert(hash.to_owned(), (asked, account.clone())),
        None => tokens.remove(hash),
    };
    Ok(account)
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/json") {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "send `Content-Type: application/json`"));
        }
        read(&bytes(request, state).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub struct OptionalBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = bytes(request, state).await?;
        let given = if body.is_empty() { None } else { read::<Option<T>>(&body)? };
        Ok(Self(given.unwrap_or_default()))
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "invalid", "the body broke off"),
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "invalid", error.to_string())
    })
}

/// The input in the path; what is no id names nothing.
pub struct Input(pub InputId);

impl<S: Send + Sync> FromRequestParts<S> for Input {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(input) = Path::<InputId>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        Ok(Self(input))
    }
}

/// A contact to be opened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct NewContact {
    /// The program's own id for it: sent twice, it is one contact.
    #[schemars(length(min = 1, max = 998))]
    pub external_id: String,
    /// Whether somebody is standing there; by default as the channel is.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Who it is; none if nobody knows.
    #[serde(default)]
    pub from: Option<Party>,
    /// What it is about.
    #[serde(default)]
    pub subject: Option<String>,
    /// What they said, at most 32 KiB.
    #[serde(default)]
    pub text: String,
    /// The language to answer in.
    #[serde(default)]
    pub language: Option<Language>,
    /// Facts for the rules and the operator: a telephone menu's choice, a form's topic. At most 32.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// Something added to a contact.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct NewMessage {
    /// The program's own id for it.
    #[schemars(length(min = 1, max = 998))]
    pub external_id: String,
    /// What they said, at most 32 KiB.
    pub text: String,
    /// Who it is.
    #[serde(default)]
    pub from: Option<Party>,
    /// What it is about.
    #[serde(default)]
    pub subject: Option<String>,
    /// The language to answer in.
    #[serde(default)]
    pub language: Option<Language>,
    /// Facts for the rules and the operator.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// That the citizen left. The body may be left out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct NewSignal {
    /// The program's own id for it, if it may happen more than once: a citizen who came back can leave again. Without one each signal
    /// counts once for a contact.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    pub external_id: Option<String>,
}

impl NewSignal {
    /// Refuses what is too long, empty, or not one line.
    pub fn check(&self) -> Result<(), Problem> {
        self.external_id.as_ref().map_or(Ok(()), |id| check_line("external_id", id, SIGNAL_ID_CHARACTERS_MAX))
    }
}

impl From<NewMessage> for NewContact {
    fn from(message: NewMessage) -> Self {
        let NewMessage { external_id, text, from, subject, language, attributes } = message;
        Self { external_id, mode: None, from, subject, text, language, attributes }
    }
}

impl NewContact {
    /// Refuses what is too long, empty where it must not be, or not one line.
    pub fn check(&self) -> Result<(), Problem> {
        check_line("external_id", &self.external_id, ID_CHARACTERS_MAX)?;
        if let Some(subject) = &self.subject {
            check_line("subject", subject, SUBJECT_CHARACTERS_MAX)?;
        }
        if let Some(from) = &self.from {
            check_line("from.address", &from.address, ADDRESS_CHARACTERS_MAX)?;
            check_line("from.name", from.name.as_deref().unwrap_or("-"), NAME_CHARACTERS_MAX)?;
        }
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(Problem::invalid(format!("`text` has at most {TEXT_BYTES_MAX} bytes")));
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return Err(Problem::invalid(format!("`attributes` has at most {ATTRIBUTES_MAX} entries")));
        }
        for (name, value) in &self.attributes {
            check_line("attributes", name, ATTRIBUTE_NAME_MAX)?;
            if value.chars().count() > ATTRIBUTE_VALUE_MAX {
                return Err(Problem::invalid(format!("attribute `{name}` has at most {ATTRIBUTE_VALUE_MAX} characters")));
            }
        }
        Ok(())
    }
}

fn check_line(field: &str, text: &str, characters_max: usize) -> Result<(), Problem> {
    let fits = !text.trim().is_empty() && text.chars().count() <= characters_max && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Problem::invalid(format!("`{field}` must be one line of 1 to {characters_max} characters"))) }
}
