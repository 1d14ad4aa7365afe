//! Tests of the engine: tables for each rule, and a seeded simulation that rebuilds the engine from its rows after every step.

mod authority;
mod conflict;
mod failed;
mod inbound;
mod offers;
mod outcome;
mod overtaken;
mod people;
mod reservation;
mod silence;
mod simulation;
mod world;
