//! Electronic mail.
