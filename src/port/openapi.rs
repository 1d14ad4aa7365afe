//! What the OpenAPI 3.1 documents have in common: paths come from the routes, schemas from the very types that go over the wire.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::problem::ProblemDocument;

/// Every type of a body; `utoipa` knows them by name, their schemas come from `schemars` like those of every other document.
/// Makes `register` for [`document`].
macro_rules! bodies {
    ($($body:ty),+ $(,)?) => {
        $($crate::port::openapi::known_by_name!($body);)+
        fn register(generator: &mut schemars::SchemaGenerator) {
            $(let _reference = generator.subschema_for::<$body>();)+
        }
    };
}
pub(crate) use bodies;

macro_rules! known_by_name {
    ($body:ty) => {
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
    };
}
pub(crate) use known_by_name;

known_by_name!(ProblemDocument);

/// A document of these paths; `head` says what it is (`title`, `description`) and where it is served (`url`).
pub fn document(paths: utoipa::openapi::OpenApi, register: fn(&mut SchemaGenerator), head: Head<'_>) -> Value {
    let mut document = serde_json::to_value(paths).unwrap_or_else(|_| json!({}));
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let _reference = generator.subschema_for::<ProblemDocument>();
    register(&mut generator);
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": head.title,
        "version": "1",
        "description": head.description,
        "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
    });
    document["servers"] = json!([{ "url": head.url }]);
    document["components"] = json!({
        "schemas": generator.take_definitions(true),
        "securitySchemes": { "token": {"type": "http", "scheme": "bearer"} },
    });
    document["security"] = json!([{ "token": [] }]);
    document
}

/// What a document says of itself.
pub struct Head<'a> {
    /// Its name.
    pub title: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// The path under which its paths are.
    pub url: &'a str,
}
