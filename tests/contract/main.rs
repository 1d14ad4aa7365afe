//! One suite for every backend: what the ports promise, each promise on each engine.

mod broker;
