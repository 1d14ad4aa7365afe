//! What fails at the broker is counted here, once for everybody who uses it; and how long HTTP requests take.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::model::id::{AccountId, PoolId};
use crate::port::broker::{Broker, ConsumeError, Consumer, Incoming, Outgoing, PublishError, Publisher, Source};
use crate::telemetry::metrics::Metrics;

/// A broker whose failures are counted.
pub struct MeasuredBroker {
    inner: Arc<dyn Broker>,
    metrics: Arc<Metrics>,
}

impl MeasuredBroker {
    /// Counts what fails at `inner`.
    pub fn wrap(inner: Arc<dyn Broker>, metrics: Arc<Metrics>) -> Arc<dyn Broker> {
        Arc::new(Self { inner, metrics })
    }
}

#[async_trait]
impl Broker for MeasuredBroker {
    async fn declare(&self, pools: &[PoolId], accounts: &[AccountId]) -> Result<(), PublishError> {
        self.inner.declare(pools, accounts).await.inspect_err(|_| self.metrics.broker_error(self.kind(), "declare"))
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        let inner = self.inner.publisher().await?;
        Ok(Arc::new(MeasuredPublisher { inner, kind: self.kind(), metrics: Arc::clone(&self.metrics) }))
    }

    async fn consumer(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        let opened = self.inner.consumer(source, prefetch).await;
        let inner = opened.inspect_err(|_| self.metrics.broker_error(self.kind(), "consume"))?;
        Ok(Box::new(MeasuredConsumer { inner, kind: self.kind(), metrics: Arc::clone(&self.metrics) }))
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}

struct MeasuredPublisher {
    inner: Arc<dyn Publisher>,
    kind: &'static str,
    metrics: Arc<Metrics>,
}

#[async_trait]
impl Publisher for MeasuredPublisher {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        self.inner.publish(batch).await.inspect_err(|error| {
            let operation = if matches!(error, PublishError::Unroutable(_)) { "unroutable" } else { "publish" };
            self.metrics.broker_error(self.kind, operation);
        })
    }
}

struct MeasuredConsumer {
    inner: Box<dyn Consumer>,
    kind: &'static str,
    metrics: Arc<Metrics>,
}

#[async_trait]
impl Consumer for MeasuredConsumer {
    fn queue(&self) -> &str {
        self.inner.queue()
    }

    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        self.inner.next(max).await.inspect_err(|_| self.metrics.broker_error(self.kind, "consume"))
    }

    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError> {
        self.inner.ack(tag).await.inspect_err(|_| self.metrics.broker_error(self.kind, "consume"))
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

/// Times a request. What has no route of its own, pages and their files, is one label.
pub async fn time_request(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("pages", MatchedPath::as_str);
    metrics.http_request(route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}
