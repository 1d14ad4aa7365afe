//! The whole daemon as its users meet it: one story a file, each on both pairs of backends.

mod browser;
mod calls;
mod command_line;
mod contract;
mod conversation;
mod doors;
mod end;
mod erase;
mod kill;
mod live;
mod pictures;
mod roles;
mod samples;
mod signatures;
mod slow_hop;
mod smpp;
mod sms;
mod stock_client;
