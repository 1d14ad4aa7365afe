//! Builds the daemon: the one place that names concrete backends.
