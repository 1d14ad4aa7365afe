//! Publishes with confirmation: a small actor takes all waiting batches, puts them on the channel as one, waits for every
//! confirm, and answers each caller. One batch in flight is what makes returned messages tell the truth: lapin pairs returns
//! with confirms wrongly, but after the barrier their union is exact.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPErrorKind;
use lapin::{Channel, Confirmation, ErrorKind};
use tokio::sync::{mpsc, oneshot};

use crate::broker::amqp::convert::properties;
use crate::broker::amqp::dial::within;
use crate::broker::amqp::link::Link;
use crate::broker::topology::{Route, check, route};
use crate::port::broker::{Outgoing, PublishError, Publisher};

/// Callers that may wait for the actor; more wait for a place.
const JOBS_MAX: usize = 1_024;
/// Messages after which no more callers are taken into the same barrier.
const BARRIER_LEN: usize = 1_000;
/// Bytes after which no more callers are taken into the same barrier.
const BARRIER_BYTES: usize = 8 * 1024 * 1024;
/// Between two looks at a connection that is closing.
const CLOSING_PAUSE: Duration = Duration::from_millis(50);

/// A message with its way, worked out once.
struct Routed {
    message: Outgoing,
    route: Route,
}

/// One caller's batch.
struct Job {
    batch: Vec<Routed>,
    answer: oneshot::Sender<Result<(), PublishError>>,
}

/// Hands batches to the actor; the actor ends with the last handle.
pub(super) struct AmqpPublisher {
    jobs: mpsc::Sender<Job>,
}

impl AmqpPublisher {
    pub(super) fn start(link: Arc<Link>, deadline: Duration) -> Self {
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        tokio::spawn(Actor { link, deadline, channel: None }.run(waiting));
        Self { jobs }
    }
}

#[async_trait]
impl Publisher for AmqpPublisher {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        if batch.is_empty() {
            return Ok(());
        }
        batch.iter().try_for_each(check)?;
        let batch = batch.into_iter().map(|message| Routed { route: route(&message.destination), message }).collect();
        let (answer, answered) = oneshot::channel();
        let gone = || PublishError::Unavailable("the publisher has ended".into());
        self.jobs.send(Job { batch, answer }).await.map_err(|_| gone())?;
        // A caller that goes away does not cancel: what is on the channel is confirmed all the same.
        answered.await.map_err(|_| gone())?
    }
}

/// How a barrier failed.
#[derive(Clone)]
enum Trouble {
    /// The broker is away or slow; the incarnation is over.
    Away(String),
    /// The broker closed the channel over one of the messages.
    Channel { code: u16, text: String },
}

struct Actor {
    link: Arc<Link>,
    deadline: Duration,
    channel: Option<(u64, Channel)>,
}

impl Actor {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut jobs = vec![first];
            let (mut len, mut bytes) = size(&jobs[0]);
            while len < BARRIER_LEN && bytes < BARRIER_BYTES {
                let Ok(job) = waiting.try_recv() else { break };
                let (more, more_bytes) = size(&job);
                len += more;
                bytes += more_bytes;
                jobs.push(job);
            }
            self.settle(jobs).await;
        }
    }

    /// Publishes the jobs as one barrier and answers each.
    async fn settle(&mut self, jobs: Vec<Job>) {
        match self.barrier(&jobs).await {
            Ok(outcomes) => answer_all(jobs, outcomes),
            // Whose message it was is not said, so each caller gets a barrier alone.
            Err(Trouble::Channel { .. }) if jobs.len() > 1 => {
                let until = tokio::time::Instant::now() + self.deadline;
                for job in jobs {
                    self.settle_alone(job, until).await;
                }
            }
            Err(trouble) => jobs.into_iter().for_each(|job| fail(job, trouble.clone())),
        }
    }

    /// Publishes one job on the next incarnation. The broken connection may still be closing: that is nobody's fault, and is
    /// waited for.
    async fn settle_alone(&mut self, job: Job, until: tokio::time::Instant) {
        loop {
            self.link.wait(self.deadline).await;
            match self.barrier(std::slice::from_ref(&job)).await {
                Ok(outcomes) => return answer_all(vec![job], outcomes),
                Err(Trouble::Away(_)) if tokio::time::Instant::now() < until => tokio::time::sleep(CLOSING_PAUSE).await,
                Err(trouble) => return fail(job, trouble),
            }
        }
    }

    /// One outcome per job. On an error nothing is known of any message.
    async fn barrier(&mut self, jobs: &[Job]) -> Result<Vec<Result<(), PublishError>>, Trouble> {
        let (number, channel) = self.channel().await?;
        let published = tokio::time::timeout(self.deadline, confirm_all(&channel, jobs)).await;
        let trouble = match published {
            Ok(Ok(confirmations)) => return Ok(verdicts(jobs, confirmations)),
            Ok(Err(error)) => trouble(&error),
            Err(_) => Trouble::Away(format!("no confirmation within {} ms", self.deadline.as_millis())),
        };
        // A channel that the broker has closed takes the connection along: lapin may still have frames for it on their way,
        // and RabbitMQ answers those by closing the connection (504).
        self.channel = None;
        self.link.doubt(number);
        Err(trouble)
    }

    /// The channel of the present incarnation, opened if need be.
    async fn channel(&mut self) -> Result<(u64, Channel), Trouble> {
        let incarnation = self.link.current_for_publishing().map_err(Trouble::Away)?;
        if let Some((number, channel)) = &self.channel
            && *number == incarnation.number
            && channel.status().connected()
        {
            return Ok((*number, channel.clone()));
        }
        let opening = async {
            let channel = incarnation.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            lapin::Result::Ok(channel)
        };
        match within(self.deadline, "opening a channel", opening).await {
            Ok(channel) => {
                self.channel = Some((incarnation.number, channel.clone()));
                Ok((incarnation.number, channel))
            }
            Err(reason) => {
                self.channel = None;
                self.link.doubt(incarnation.number);
                Err(Trouble::Away(reason))
            }
        }
    }
}

fn size(job: &Job) -> (usize, usize) {
    (job.batch.len(), job.batch.iter().map(|routed| routed.message.body.len()).sum())
}

/// Puts every message on the channel, in order, and waits for every confirm.
async fn confirm_all(channel: &Channel, jobs: &[Job]) -> lapin::Result<Vec<Confirmation>> {
    // The first poll of each publish queues its frames, so all of them go out together and in this order.
    let writes = jobs.iter().flat_map(|job| &job.batch).map(|Routed { message, route }| {
        let options = BasicPublishOptions { mandatory: route.mandatory, immediate: false };
        channel.basic_publish(route.exchange.as_str().into(), route.key.as_str().into(), options, &message.body, properties(message))
    });
    let mut pending = Vec::new();
    let mut failure = None;
    for written in join_all(writes).await {
        match written {
            Ok(confirm) => pending.push(confirm),
            Err(error) => failure = prefer(failure, error),
        }
    }
    let mut confirmations = Vec::with_capacity(pending.len());
    for confirm in pending {
        match confirm.await {
            Ok(confirmation) => confirmations.push(confirmation),
            Err(error) => failure = prefer(failure, error),
        }
    }
    match failure {
        None => Ok(confirmations),
        Some(error) => Err(error),
    }
}

/// Of several errors the one in which the broker says why.
fn prefer(known: Option<lapin::Error>, new: lapin::Error) -> Option<lapin::Error> {
    match known {
        Some(known) if known.is_amqp_error() => Some(known),
        _ => Some(new),
    }
}

fn trouble(error: &lapin::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if matches!(answer.kind(), AMQPErrorKind::Soft(_)) => {
            Trouble::Channel { code: answer.kind().get_id(), text: answer.to_string() }
        }
        _ => Trouble::Away(error.to_string()),
    }
}

/// What became of each job: a message failed if it is among the returned ones, whichever confirm carried it.
fn verdicts(jobs: &[Job], confirmations: Vec<Confirmation>) -> Vec<Result<(), PublishError>> {
    let acknowledged: Vec<bool> = confirmations.iter().map(Confirmation::is_ack).collect();
    let returned: HashSet<(String, String, String)> = confirmations
        .into_iter()
        .filter_map(Confirmation::take_message)
        .map(|message| {
            let id = message.delivery.properties.message_id().as_ref().map_or_else(String::new, ToString::to_string);
            (message.delivery.exchange.to_string(), message.delivery.routing_key.to_string(), id)
        })
        .collect();
    let mut position = 0;
    jobs.iter()
        .map(|job| {
            let acknowledged = &acknowledged[position..position + job.batch.len()];
            position += job.batch.len();
            verdict(job, acknowledged, &returned)
        })
        .collect()
}

fn verdict(job: &Job, acknowledged: &[bool], returned: &HashSet<(String, String, String)>) -> Result<(), PublishError> {
    let is_returned = |routed: &&Routed| {
        !returned.is_empty() && returned.contains(&(routed.route.exchange.clone(), routed.route.key.clone(), routed.message.id.clone()))
    };
    let unroutable: Vec<String> = job.batch.iter().filter(is_returned).map(|routed| routed.message.id.clone()).collect();
    if !unroutable.is_empty() {
        return Err(PublishError::Unroutable(unroutable));
    }
    match job.batch.iter().zip(acknowledged).find(|(_, acknowledged)| !**acknowledged) {
        Some((routed, _)) => Err(PublishError::Refused(format!("the queue behind `{}` is full", routed.route.key))),
        None => Ok(()),
    }
}

fn answer_all(jobs: Vec<Job>, outcomes: Vec<Result<(), PublishError>>) {
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        // The caller may have gone away.
        let _ = job.answer.send(outcome);
    }
}

fn fail(job: Job, trouble: Trouble) {
    let error = match trouble {
        Trouble::Away(reason) => PublishError::Unavailable(reason),
        // No such exchange.
        Trouble::Channel { code: 404, .. } => PublishError::Unroutable(job.batch.iter().map(|routed| routed.message.id.clone()).collect()),
        // No right to (403), or in use by another (405): a matter of the broker's settings, not of the message.
        Trouble::Channel { code: 403 | 405, text } => PublishError::Refused(text),
        Trouble::Channel { text, .. } => PublishError::Invalid(text),
    };
    answer_all(vec![job], vec![Err(error)]);
}
