//! `[broker]`: the message broker.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Check, within};
use super::secret::{self, Secret};
use super::value::human_duration;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerKind {
    /// Durable queues in a file, all roles in one process.
    Embedded,
    /// RabbitMQ.
    Amqp,
}

/// The message broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSettings {
    /// Which one.
    pub kind: BrokerKind,
    /// `amqp://…` or `amqps://…`; holds a password.
    pub url: Secret,
    /// The file that holds `url`; empty: none.
    pub url_file: PathBuf,
    /// AMQP heartbeat.
    #[serde(with = "human_duration")]
    pub heartbeat: Duration,
    /// How long to wait for a connection.
    #[serde(with = "human_duration")]
    pub connect_timeout: Duration,
    /// How long to wait for the confirmation of a publish.
    #[serde(with = "human_duration")]
    pub publish_timeout: Duration,
    /// Embedded: the most messages in one queue.
    pub queue_len_max: u32,
}

impl Check for BrokerSettings {
    fn resolve(&mut self, problem: &mut dyn FnMut(&str, String)) {
        secret::resolve("url", &mut self.url, &self.url_file, problem);
    }

    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        match self.kind {
            BrokerKind::Amqp if self.url.is_empty() && self.url_file.as_os_str().is_empty() => {
                problem("url", "broker.kind is amqp: give the server's url, or url_file".into());
            }
            BrokerKind::Amqp
                if !self.url.is_empty() && !["amqp://", "amqps://"].iter().any(|scheme| self.url.expose().starts_with(scheme)) =>
            {
                problem("url", "an AMQP url begins with amqp:// or amqps://".into());
            }
            BrokerKind::Embedded if !self.url.is_empty() => {
                problem("url", "the embedded broker has no url: set broker.kind = \"amqp\", or take the url out".into());
            }
            _ => {}
        }
        // AMQP counts heartbeats in whole seconds.
        within("heartbeat", self.heartbeat, 1, 60, problem);
        within("connect_timeout", self.connect_timeout, 1, 60, problem);
        within("publish_timeout", self.publish_timeout, 1, 300, problem);
        if !(1..=10_000_000).contains(&self.queue_len_max) {
            problem("queue_len_max", "write a number from 1 to 10000000".into());
        }
    }
}
