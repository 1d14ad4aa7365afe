//! A citizen's chat as citizen and operator meet it: one story a file, each on both pairs of backends.

mod bad;
mod files;
mod kill;
mod talk;
mod time;
mod transcript;
