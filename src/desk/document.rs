//! The OpenAPI 3.1 document of the desk: paths from the routes, schemas from the very types that go over the wire.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::routes::{accounts, commands, files, quarantine, reading, room, session, state, tokens};
use super::{command, view};
use crate::port::openapi::{self, Head, bodies};

bodies!(
    view::Me,
    view::ContactView,
    view::PlanView,
    command::Answer,
    command::Done,
    session::SignIn,
    session::ChangePassword,
    state::Snapshot,
    reading::ContactList,
    reading::Conversation,
    reading::ReadBody,
    room::Room,
    commands::SetPresence,
    commands::RejectBody,
    commands::PendBody,
    commands::DeferBody,
    commands::CloseBody,
    commands::TransferBody,
    commands::AssignBody,
    commands::NoteBody,
    commands::SettleBody,
    commands::CloseQueueBody,
    files::Upload,
    accounts::OperatorAccount,
    accounts::OperatorList,
    accounts::NewAccount,
    accounts::AccountChange,
    accounts::NewPassword,
    tokens::TokenList,
    tokens::NewToken,
    tokens::TokenSecret,
    quarantine::QuarantineList,
    crate::model::contact::CaseReference,
    crate::model::event::Event,
);

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);

/// The document, as served at `/api/v1/openapi.json`.
pub fn openapi_document() -> &'static Value {
    &DOCUMENT
}

fn build() -> Value {
    let (_, paths) = super::api_routes().split_for_parts();
    let head = Head {
        title: "Sportello desk API",
        description: "The API of the operators' console. A command may carry `Idempotency-Key` (`cm_` and 32 hexadecimal digits): \
            sent twice, it is done once. `If-Match` with a contact's version refuses it if the contact has moved on.",
        url: "/api/v1",
    };
    let mut document = openapi::document(paths, register, head);
    document["components"]["securitySchemes"]["session"] = json!({"type": "apiKey", "in": "cookie", "name": "__Host-sportello"});
    document["security"] = json!([{ "session": [] }, { "token": [] }]);
    document["paths"]["/session"]["post"]["security"] = json!([]);
    document
}
