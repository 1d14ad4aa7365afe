//! The routes of the desk, one file per subject. Each says in its attribute what the OpenAPI document says of it.

pub mod accounts;
pub mod commands;
pub mod documents;
pub mod files;
pub mod quarantine;
pub mod reading;
pub mod room;
pub mod session;
pub mod state;
pub mod tokens;
