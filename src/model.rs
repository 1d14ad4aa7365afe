//! The words of Sportello as plain types: what a contact, a conversation, an operator, a message is. Pure: no I/O.
//!
//! One word for one thing, here and on the wire, in the database, in metrics and on the pages.

pub mod address;
pub mod channel;
pub mod command;
pub mod contact;
pub mod contract;
pub mod conversation;
pub mod delivery;
pub mod event;
pub mod id;
pub mod inbound;
pub mod input;
pub mod json;
pub mod operator;
pub mod price;
pub mod requirement;
pub mod signature;
pub mod text_message;
pub mod time;
pub mod wire;
