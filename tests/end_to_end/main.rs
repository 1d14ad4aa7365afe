//! End to end with the real servers, each started privately and stopped by its process id.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

#[macro_use]
mod stories;

mod chat;
mod email;
mod email_smtp;
mod whole;

#[path = "../support/citizen.rs"]
mod citizen;
#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/dovecot.rs"]
mod dovecot;
#[path = "../support/gateway.rs"]
mod gateway;
#[path = "../support/people.rs"]
mod people;
#[path = "../support/production.rs"]
mod production;
#[path = "../support/script.rs"]
mod script;
#[path = "../support/sms_peer.rs"]
mod sms_peer;
#[path = "../support/smsc.rs"]
mod smsc;
#[path = "../support/smtp_server.rs"]
mod smtp_server;
#[path = "../support/twilio.rs"]
mod twilio;
#[path = "../support/world.rs"]
mod world;
