//! The desk through its own router: sessions, headers, rights, and sockets.

mod accounts;
mod live;
mod matrix;
mod own;
mod requests;
mod sessions;
