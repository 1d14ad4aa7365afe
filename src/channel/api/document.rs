//! The OpenAPI 3.1 document of the channel API; schemas come from the types that go over the wire.

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::request::{NewContact, NewMessage, ProblemDocument};
use super::routes::Accepted;
use super::status::Status;

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

bodies!(NewContact, NewMessage, ProblemDocument, Accepted, Status);

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);

/// The document, as served at `/channel/v1/openapi.json`.
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
        "title": "Sportello channel API",
        "version": "1",
        "description": "For programs that bring contacts: a telephone system, a counter, a home-visit desk.",
        "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
    });
    document["servers"] = json!([{ "url": "/channel/v1" }]);
    document["components"] = json!({
        "schemas": generator.take_definitions(true),
        "securitySchemes": { "token": {"type": "http", "scheme": "bearer"} },
    });
    document["security"] = json!([{ "token": [] }]);
    document
}
