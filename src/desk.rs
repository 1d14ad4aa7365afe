//! The desk: operators’ HTTP and WebSocket API, accounts and sessions.
