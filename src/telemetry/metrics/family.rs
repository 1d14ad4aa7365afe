//! Registers families, each once, and remembers what they are for the documentation.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{CounterVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::Description;

/// Names of labels, in the order of their values.
pub(super) type Labels = &'static [&'static str];

/// Builds the registry.
pub(super) struct Families {
    registry: Registry,
    descriptions: Vec<Description>,
}

impl Families {
    pub(super) fn new() -> Self {
        Self { registry: Registry::new(), descriptions: Vec::new() }
    }

    pub(super) fn counter(&mut self, name: &'static str, labels: Labels, help: &'static str) -> IntCounterVec {
        let family = IntCounterVec::new(Opts::new(name, help), labels).expect("names and labels are valid");
        self.register(Description { name, kind: "counter", labels, help }, family)
    }

    /// A counter of seconds.
    pub(super) fn seconds(&mut self, name: &'static str, labels: Labels, help: &'static str) -> CounterVec {
        let family = CounterVec::new(Opts::new(name, help), labels).expect("names and labels are valid");
        self.register(Description { name, kind: "counter", labels, help }, family)
    }

    pub(super) fn gauge(&mut self, name: &'static str, labels: Labels, help: &'static str) -> IntGaugeVec {
        let family = IntGaugeVec::new(Opts::new(name, help), labels).expect("names and labels are valid");
        self.register(Description { name, kind: "gauge", labels, help }, family)
    }

    pub(super) fn histogram(&mut self, name: &'static str, labels: Labels, buckets: &[f64], help: &'static str) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, labels).expect("names and labels are valid");
        self.register(Description { name, kind: "histogram", labels, help }, family)
    }

    fn register<F: Collector + Clone + 'static>(&mut self, description: Description, family: F) -> F {
        self.registry.register(Box::new(family.clone())).expect("every name is registered once");
        self.descriptions.push(description);
        family
    }

    pub(super) fn finish(self) -> (Registry, Vec<Description>) {
        self.registry.register(Box::new(ProcessCollector::for_self())).expect("the process is registered once");
        (self.registry, self.descriptions)
    }
}
