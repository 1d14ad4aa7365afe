//! The blob folder, with fsync.
