//! `sportello version`.

use std::process::ExitCode;

/// The version that runs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs `version`.
#[expect(clippy::print_stdout, reason = "this command's work is to print")]
pub fn run() -> ExitCode {
    println!("sportello {VERSION}");
    ExitCode::from(super::EXIT_OK)
}
