//! One suite for every backend of a port: what the port promises is checked here, on each of them.

mod broker;
mod store;
