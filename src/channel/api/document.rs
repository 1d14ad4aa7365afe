//! The OpenAPI 3.1 document of the channel API; schemas come from the types that go over the wire.

use std::sync::LazyLock;

use serde_json::Value;

use super::request::{NewContact, NewMessage, NewSignal};
use super::routes::Accepted;
use super::status::Status;
use crate::port::openapi::{self, Head, bodies};

bodies!(NewContact, NewMessage, NewSignal, Accepted, Status);

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);

/// The document, as served at `/channel/v1/openapi.json`.
pub fn openapi_document() -> &'static Value {
    &DOCUMENT
}

fn build() -> Value {
    let (_, paths) = super::api_routes().split_for_parts();
    let head = Head {
        title: "Sportello channel API",
        description: "For programs that bring contacts: a telephone system, a counter, a home-visit desk.",
        url: "/channel/v1",
    };
    openapi::document(paths, register, head)
}
