//! End to end with the real servers, each started privately and stopped by its process id.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod email;
mod email_smtp;

#[path = "../support/dovecot.rs"]
mod dovecot;
#[path = "../support/smtp_server.rs"]
mod smtp_server;
#[path = "../support/world.rs"]
mod world;
