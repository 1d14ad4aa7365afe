//! Metrics, logs, traces, readiness.
