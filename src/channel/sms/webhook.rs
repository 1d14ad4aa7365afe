//! Providers' webhooks: believed only when signed, answered only when what they say lies on this disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tower_http::timeout::TimeoutLayer;
use url::Url;

use super::SmsCounters;
use super::provider::{Said, Unreadable, generic, twilio, vonage};
use super::signature::{self, Standard, TwilioRequest, Unproven};
use super::smpp::unproven::Fingerprint;
use super::spool::{Spool, SpoolError};
use crate::channel::problem::Problem;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;
use crate::port::clock::now;

/// The largest webhook, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a request may take, its body included: providers give up after 10 to 15 s.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// How an account's provider signs, with its secrets: several while they change.
#[derive(Debug, Clone)]
pub enum Signer {
    /// Twilio: auth tokens or shared keys.
    Twilio(Vec<SecretString>),
    /// Vonage: signature secrets.
    Vonage(Vec<SecretString>),
    /// A standard webhook.
    Standard(Vec<SecretString>),
}

/// What the webhooks stand on.
pub struct Webhooks {
    /// Accounts that may be called, with how.
    pub signers: BTreeMap<AccountId, Signer>,
    /// The address under which providers call, without the path: what they signed, whatever a proxy made of it.
    pub public_url: Url,
    /// Where what they say lies until it is published.
    pub spool: Spool,
    /// Figures.
    pub counters: Arc<SmsCounters>,
}

/// What lies in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The account that was called.
    pub account: AccountId,
    /// When (filing time).
    pub at: Timestamp,
    /// What was said.
    pub said: Said,
    /// By what an SMSC's repetition of it is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// The webhooks as a router: `POST /sms/v1/<account>`.
pub fn router(webhooks: Arc<Webhooks>) -> Router {
    router_within(webhooks, REQUEST_WITHIN)
}

fn router_within(webhooks: Arc<Webhooks>, within: Duration) -> Router {
    Router::new()
        .route("/sms/v1/{account}", post(called))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, within))
        .with_state(webhooks)
}

async fn called(
    State(webhooks): State<Arc<Webhooks>>,
    Path(account): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let signers = &webhooks.signers;
    let known = account.parse::<AccountId>().ok().and_then(|account| signers.get_key_value(&account));
    let (account, signer) = known.ok_or_else(Problem::not_found)?;
    let at = now();
    let said = match hear(&webhooks.public_url, signer, &uri, &headers, &body, at) {
        Ok(Said::Nothing) => {
            webhooks.counters.count(account, "nothing");
            return Ok(StatusCode::NO_CONTENT);
        }
        Ok(said) => said,
        Err(refusal) => {
            webhooks.counters.count(account, refusal.name());
            tracing::warn!(%account, reason = %refusal, "a webhook is refused");
            return Err(refusal.into());
        }
    };
    let taken = Taken { account: account.clone(), at, said, fingerprint: None };
    let content = serde_json::to_vec(&taken).expect("texts and numbers are JSON");
    webhooks.spool.put(content.into()).await.map_err(|error| {
        webhooks.counters.count(account, "refused");
        tracing::error!(%account, %error, "a webhook cannot be kept now; the provider is asked to come again");
        Problem::from(error)
    })?;
    webhooks.counters.count(account, "taken");
    Ok(StatusCode::NO_CONTENT)
}

/// Why a webhook is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Unproven(#[from] Unproven),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Refusal {
    fn name(&self) -> &'static str {
        match self {
            Self::Unproven(_) => "unproven",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // which of the reasons it was is for the log, not for whoever tries
            Refusal::Unproven(_) => Self::new(StatusCode::FORBIDDEN, "unproven", "the signature does not prove who sent this"),
            Refusal::Unreadable(error) => Self::invalid(error.to_string()),
        }
    }
}

impl From<SpoolError> for Problem {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::TooLarge(_) => Self::too_large(),
            SpoolError::Full(_) | SpoolError::Disk(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "spool_unavailable", "it was not kept; send the same again")
            }
        }
    }
}

/// Checks the signature, then reads. Nothing of an unsigned body is looked at.
fn hear(
    public_url: &Url,
    signer: &Signer,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &[u8],
    at: Timestamp,
) -> Result<Said, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = at.0.div_euclid(1_000_000);
    match signer {
        Signer::Twilio(secrets) => {
            let is_form = text(header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
            let form: Vec<(String, String)> = if is_form { url::form_urlencoded::parse(body).into_owned().collect() } else { Vec::new() };
            let mut url = public_url.clone();
            url.set_path(&format!("{}{}", public_url.path().trim_end_matches('/'), uri.path()));
            url.set_query(uri.query());
            let request = TwilioRequest {
                url: &url,
                signature: text("x-twilio-signature"),
                settings: text("x-twilio-webhooks-signature-settings"),
                fields: &form,
                body,
            };
            signature::twilio(request, &exposed(secrets))?;
            let said = if is_form { twilio::read(&form) } else { twilio::fields_of_json(body).and_then(|fields| twilio::read(&fields)) }?;
            Ok(with_reference(said, &url))
        }
        Signer::Vonage(secrets) => {
            signature::vonage(text(header::AUTHORIZATION.as_str()), body, seconds, &exposed(secrets))?;
            Ok(vonage::read(body)?)
        }
        Signer::Standard(secrets) => {
            let standard = Standard { id: text("webhook-id"), timestamp: text("webhook-timestamp"), signature: text("webhook-signature") };
            signature::standard(standard, body, seconds, &exposed(secrets))?;
            Ok(generic::read(body)?)
        }
    }
}

/// Twilio gives back the address that it was told to report to: our message is named in its query.
fn with_reference(said: Said, url: &Url) -> Said {
    match said {
        Said::Status(mut status) => {
            status.reference = url.query_pairs().find(|(name, _)| name == "message").map(|(_, message)| message.into_owned());
            Said::Status(status)
        }
        said => said,
    }
}

fn exposed(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

#[cfg(test)]
mod tests;
