//! The command line: what can be said, and the commands that need nothing running. `--help` teaches, with examples that a
//! test reads back.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
pub mod erase;
pub mod healthcheck;
pub mod operator;
pub mod plan;
pub mod quarantine;
mod run;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod token;
pub mod version;

pub use run::run;

/// Done.
pub const EXIT_OK: u8 = 0;
/// Something went wrong while doing it.
pub const EXIT_FAILURE: u8 = 1;
/// What was asked for makes no sense: arguments, settings, plan (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;

const EXAMPLES: &str = "\
Examples:
  sportello serve                                    everything in one process, data in .data
  sportello serve --config /etc/sportello.toml       with settings of your own
  sportello check --plan plan.toml                   says what is wrong, with the line
  sportello operator add anna --name 'Anna Rossi' --administration comune --skill tributi=5

Settings come from the compiled-in defaults (sportello settings --default shows them with their
meaning), the file of --config, the environment (SPORTELLO__SECTION__KEY), --set and --data, the
later the stronger. Exit codes: 0 done, 1 it did not work, 64 arguments, settings or plan are wrong.";

/// One counter for every channel: routes citizens' contacts to the operators of a public administration.
#[derive(Debug, Clone, Parser)]
#[command(name = "sportello", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// Where settings come from.
    #[command(flatten)]
    pub settings: settings::SettingsArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run: all of it, or the roles of this process
    Serve(ServeArgs),
    /// Say what is wrong with settings and plan, without starting anything
    Check(check::CheckArgs),
    /// Show the settings in force, secrets left out
    Settings(settings::ShowArgs),
    /// Bring the database to this release's schema
    Migrate(MigrateArgs),
    /// Put a plan in force, or show it
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Add operators, list them, change profiles and passwords, disable and enable accounts
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Tokens for other programs
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// What could not be processed: list it, try it again, discard it
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Erase what was said in a conversation, or in all of a citizen
    Erase(erase::EraseArgs),
    /// Print the AsyncAPI document of what goes over the broker
    #[command(after_help = "Examples:\n  sportello asyncapi > asyncapi.json")]
    Asyncapi,
    /// Print the OpenAPI document of desk and channel API
    #[command(after_help = "Examples:\n  sportello openapi > openapi.json")]
    Openapi,
    /// Ask a running process whether it is ready: for containers and monitors
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Show the version
    #[command(after_help = "Examples:\n  sportello version")]
    Version,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  sportello serve
  sportello serve --roles router --config /etc/sportello.toml
  sportello serve --set desk.listen=0.0.0.0:8080 --set log.filter=debug
  SPORTELLO__STORE__KIND=postgres SPORTELLO__STORE__URL_FILE=/run/secrets/store sportello serve

The first start makes the data folder, puts the example plan in force, and prints the passwords of
its sample operators once. SIGTERM finishes what is begun and ends; a second one ends at once.";

/// `serve`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// What this process does: all, or some of router,desk,email,sms,webchat,api (same as --set roles=…)
    #[arg(long, value_name = "ROLES")]
    pub roles: Option<String>,
}

impl ServeArgs {
    /// Its flags as `--set` would say them.
    pub fn overrides(&self) -> Vec<(String, String)> {
        self.roles.iter().map(|roles| ("roles".to_owned(), roles.clone())).collect()
    }
}

/// `migrate`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  sportello migrate --config /etc/sportello.toml\n\n`serve` does this by itself; by hand it is for whoever wants to see it done before a new release starts."
)]
pub struct MigrateArgs {}

/// Reads the arguments of this process. `Err`: help was asked for and is printed, or the arguments make no sense and stderr
/// says why; end with that code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|error| {
        let code = if error.use_stderr() { EXIT_USAGE } else { EXIT_OK };
        // Nobody is left to hear that stderr is closed.
        let _ = error.print();
        ExitCode::from(code)
    })
}

/// Runs the commands that need nothing running and nothing connected: check, settings, version, plan example. `None`: the
/// command needs more. (`healthcheck` needs a runtime: [`healthcheck::run`].)
pub fn run_alone(cli: &Cli) -> Option<ExitCode> {
    match &cli.command {
        Command::Check(args) => Some(check::run(&cli.settings, args)),
        Command::Settings(args) => Some(settings::run(&cli.settings, args)),
        Command::Version => Some(version::run()),
        Command::Plan(plan::PlanCommand::Example) => Some(plan::print_example()),
        _ => None,
    }
}
