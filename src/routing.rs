//! The engine: decides, purely, which operator gets which contact.
