//! Errors as the desk's clients see them: RFC 9457 problem documents with a stable code.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::command::Refusal;
use crate::port::blobs::BlobError;
use crate::port::commands::CommandError;
pub use crate::port::problem::ProblemDocument;
use crate::port::store::StoreError;

/// A request that did not do what was asked. `application/problem+json` on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable word for programs: `not_found`, `wrong_state`…
    pub code: Cow<'static, str>,
    /// What happened and what to do, for people.
    pub detail: Cow<'static, str>,
    /// In how many seconds it may go better.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem with a status, a code and a sentence.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), retry_after: None }
    }

    /// Nothing there, or nothing the caller may know of: one answer for both.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing")
    }

    /// Nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "session_ended", "sign in first")
    }

    /// The caller's role does not reach that far.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "your role does not allow this")
    }

    /// The caller may know of the contact, but not read what was written.
    pub fn no_right_to_content() -> Self {
        Self::new(StatusCode::FORBIDDEN, "no_right_to_content", "you have no right to read what was written here")
    }

    /// The request makes no sense.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// It is there already, or in a state that does not allow this.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Something of ours failed.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed here; it was written into the log")
    }

    /// Something that Sportello stands on is away.
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }
}

/// The name of a refusal on the wire.
pub fn refusal_code(refusal: Refusal) -> String {
    match serde_json::to_value(refusal) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "refused".to_owned(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::NotFound {
            return Self::not_found();
        }
        Self::new(StatusCode::CONFLICT, refusal_code(refusal), refusal.to_string())
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        tracing::warn!(%error, "a command got no answer from the router");
        Self::unavailable("router_unavailable", "the router did not answer; send the same command again with the same id")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Fenced => {
                tracing::warn!(%error, "the store did not answer a request of the desk");
                Self::unavailable("store_unavailable", "the database does not answer; try again")
            }
            StoreError::Refused(_) => {
                tracing::warn!(%error, "the store refused what the desk asked");
                Self::conflict("refused", "the database does not take this value")
            }
            StoreError::Unreadable(_) => {
                tracing::error!(%error, "the store holds a row that the desk cannot read");
                Self::internal()
            }
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::not_found(),
            BlobError::Damaged(_) => {
                tracing::error!(%error, "a blob is damaged");
                Self::internal()
            }
            BlobError::Unavailable(_) => {
                tracing::warn!(%error, "the blob store did not answer a request of the desk");
                Self::unavailable("files_unavailable", "the file store does not answer; try again")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = ProblemDocument::new(self.status, self.code, self.detail).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
