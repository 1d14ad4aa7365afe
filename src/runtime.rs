//! Driver, intake, relay, leadership, lifecycle.
