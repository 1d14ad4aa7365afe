//! `sportello plan`: arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

/// The plan of the first start: documented, and good for trying out.
pub const EXAMPLE_PLAN: &str = include_str!("../../config/example/plan.toml");

const APPLY_EXAMPLES: &str = "\
Examples:
  sportello plan apply plan.toml
  sportello plan apply plan.toml --config /etc/sportello.toml

The plan becomes the next version; routers take it up within seconds. Contacts that wait keep their
place. Nothing is changed when something is wrong with it (exit code 64). Running processes must use
the same store.";

/// `plan …`.
#[derive(Debug, Clone, Subcommand)]
pub enum PlanCommand {
    /// Check a plan and put it in force
    Apply(ApplyArgs),
    /// Print the plan in force, or an earlier version
    Show(ShowArgs),
    /// Print the documented example, to start a plan of your own from
    #[command(after_help = "Examples:\n  sportello plan example > plan.toml")]
    Example,
}

/// `plan apply`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub struct ApplyArgs {
    /// The plan file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `plan show`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:\n  sportello plan show > plan.toml\n  sportello plan show --plan-version 3")]
pub struct ShowArgs {
    /// Which version; without, the one in force
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub plan_version: Option<i64>,
}

/// Runs `plan example`.
#[expect(clippy::print_stdout, reason = "this command's work is to print")]
pub fn print_example() -> ExitCode {
    print!("{EXAMPLE_PLAN}");
    ExitCode::from(super::EXIT_OK)
}
