//! The OpenAPI 3.1 document of the desk: paths from the routes, schemas from the very types that go over the wire.

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::routes::{accounts, commands, files, quarantine, reading, room, session, state, tokens};
use super::{command, problem, view};

/// Every type of a body; `utoipa` knows them by name, their schemas come from `schemars` like those of every other document.
macro_rules! bodies {
    ($($body:ty),+ $(,)?) => {
        $(
            impl utoipa::PartialSchema for $body {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                    utoipa::openapi::ObjectBuilder::new().into()
                }
            }
            impl utoipa::ToSchema for $body {
                fn name() -> std::borrow::Cow<'static, str> {
                    <$body as schemars::JsonSchema>::schema_name()
                }
            }
        )+
        fn register(generator: &mut SchemaGenerator) {
            $(let _reference = generator.subschema_for::<$body>();)+
        }
    };
}

bodies!(
    problem::ProblemDocument,
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
    room::Room,
    commands::SetPresence,
    commands::RejectBody,
    commands::PendBody,
    commands::DeferBody,
    commands::CloseBody,
    commands::TransferBody,
    commands::AssignBody,
    commands::NoteBody,
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
    let mut document = serde_json::to_value(paths).unwrap_or_else(|_| json!({}));
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    register(&mut generator);
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Sportello desk API",
        "version": "1",
        "description": "The API of the operators' console. A command may carry `Idempotency-Key` (`cm_` and 32 hexadecimal digits): \
            sent twice, it is done once. `If-Match` with a contact's version refuses it if the contact has moved on.",
        "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
    });
    document["servers"] = json!([{ "url": "/api/v1" }]);
    document["components"] = json!({
        "schemas": generator.take_definitions(true),
        "securitySchemes": {
            "session": {"type": "apiKey", "in": "cookie", "name": "__Host-sportello"},
            "token": {"type": "http", "scheme": "bearer"},
        },
    });
    document["security"] = json!([{ "session": [] }, { "token": [] }]);
    document["paths"]["/session"]["post"]["security"] = json!([]);
    document
}
