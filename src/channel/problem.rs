//! What a program is told when a request of its was not done: RFC 9457, the same for every channel that listens for HTTP.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::port::broker::PublishError;
pub use crate::port::problem::ProblemDocument;
use crate::port::store::StoreError;

/// A request that did not do what was asked: RFC 9457 with a stable code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem with a status, a code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(2);
        Self { status, code, detail: detail.into(), retry_after }
    }

    /// Nothing there, or another account's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing on this account")
    }

    /// A value that makes no sense.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// More than the broker carries.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a message has at most 64 KiB")
    }

    /// More requests than a token may make; `seconds` until the next is taken.
    pub fn too_many(seconds: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many requests with this token; send the same again later");
        problem.retry_after(seconds)
    }

    /// Says when to come again.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// No token, or not one that counts.
    pub fn unauthorised() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", "send a token of a channel account: `Authorization: Bearer …`")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = ProblemDocument::new(status, self.code, self.detail).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store did not answer a program");
        match error {
            StoreError::Unreadable(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed here; see the log"),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the database does not answer; try again"),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        tracing::warn!(%error, "the broker did not take a program's message");
        match error {
            PublishError::Invalid(_) => Self::too_large(),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable", "it was not accepted; send the same again"),
        }
    }
}
