//! Chats and their tokens: opened on request, found again by the token alone, on any node.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::Shared;
use super::access::Visitor;
use super::codec::{is_email, is_longer};
use super::limits::{ANSWERABLE_FOR, NAME_CHARACTERS_MAX, PRESENT_FOR, TOKEN_BYTES_MAX};
use crate::channel::problem::Problem;
use crate::model::channel::Language;
use crate::model::id::{ChatSessionId, IdMaker, TopicId};
use crate::port::chat::ChatSession;
use crate::port::clock::now;

/// What a citizen says of themself before a chat.
#[derive(Debug, Deserialize)]
pub struct NewSession {
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    privacy_accepted: bool,
}

/// Opens a chat; returns its token, which is not kept.
pub async fn open(chat: &Shared, visitor: &Visitor, new: NewSession) -> Result<String, Problem> {
    let session = check(chat, visitor, new)?;
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let session = ChatSession { id: id_of(&chat.ids, &token), ..session };
    chat.chats.open_chat(&session).await?;
    Ok(token)
}

fn check(chat: &Shared, visitor: &Visitor, new: NewSession) -> Result<ChatSession, Problem> {
    let invalid = |detail: &'static str| Err(Problem::invalid(detail));
    if !new.privacy_accepted {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "privacy", "the privacy notice must be accepted"));
    }
    let name: String = new.name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || is_longer(&name, NAME_CHARACTERS_MAX) {
        return invalid("`name` has 1 to 80 characters");
    }
    let email = new.email.map(|email| email.trim().to_owned()).filter(|email| !email.is_empty());
    if email.as_deref().is_some_and(|email| !is_email(email)) {
        return invalid("`email` is not an email address");
    }
    let topics = chat.topics(visitor);
    let topic = match new.topic.filter(|topic| !topic.is_empty()).map(|topic| topic.parse::<TopicId>()) {
        None => None,
        Some(Ok(topic)) if topics.iter().any(|(id, _)| *id == topic) => Some(topic),
        Some(_) => return invalid("`topic` is not one of the account's topics"),
    };
    let now = now();
    Ok(ChatSession {
        id: ChatSessionId(0),
        administration: visitor.administration.clone(),
        account: visitor.account.clone(),
        name,
        topic,
        language: new.language.and_then(|code| Language::new(&code).ok()),
        created_at: now,
        expires_at: now.plus(if email.is_some() { ANSWERABLE_FOR } else { chat.options.session_life }),
        email,
        present_until: now.plus(PRESENT_FOR),
        gone: false,
        ended: false,
        operator_read: 0,
        citizen_read: 0,
        transcript_to: None,
    })
}

/// The chat that a token names: the same on every node, and nobody learns the token from it.
fn id_of(ids: &IdMaker, token: &str) -> ChatSessionId {
    ChatSessionId(ids.make("chat-session", &[token.as_bytes()]))
}

/// The chat of a token, if it is of the account and not forgotten.
pub async fn find(chat: &Shared, visitor: &Visitor, token: &str) -> Result<Option<ChatSession>, Problem> {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let found = chat.chats.chat(&visitor.administration, id_of(&chat.ids, token), now()).await?;
    Ok(found.filter(|session| session.account == visitor.account))
}

/// The chat of a request's `Authorization`.
pub async fn of_request(chat: &Shared, visitor: &Visitor, headers: &HeaderMap) -> Result<ChatSession, Problem> {
    chat.measures.token(visitor.peer).map_err(|seconds| {
        chat.counters.refuse("requests");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many requests from this address; send it again later");
        problem.retry_after(seconds)
    })?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).unwrap_or_default();
    find(chat, visitor, token).await?.ok_or_else(|| {
        chat.counters.refuse("session");
        Problem::new(StatusCode::UNAUTHORIZED, "no_session", "the session is unknown or over: start another")
    })
}
