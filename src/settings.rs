//! Settings: compiled-in defaults < file < environment < flags.
