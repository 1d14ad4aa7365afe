//! The embedded broker: a file of its own, all roles in one process.
