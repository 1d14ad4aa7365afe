//! `sportello check`: what is wrong with settings and plan, with the place, before anything starts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::settings::{SettingsArgs, count};
use crate::plan::{self, Plan};
use crate::settings::Settings;

const EXAMPLES: &str = "\
Examples:
  sportello check
  sportello check --config /etc/sportello.toml
  sportello check --plan plan.toml --config /etc/sportello.toml

Reads the settings and the files that hold their secrets, and the plan if one is named; says which
files were read. Opens no port and no connection. Each problem is one line: file, line, key, and
what to do. With a plan, every account of the settings must be one of the plan's.";

/// `check`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// A plan to check as well
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

/// Everything wrong with settings and plan, one line each.
pub fn problems(settings: &SettingsArgs, args: &CheckArgs) -> Vec<String> {
    let sources = settings.sources(Vec::new());
    let loaded = Settings::load(&sources);
    let mut problems: Vec<String> = loaded.as_ref().err().into_iter().flatten().map(ToString::to_string).collect();
    let Some(path) = &args.plan else { return problems };
    match read_plan(path) {
        Ok(plan) => {
            let mismatches = loaded.iter().flat_map(|settings| settings.mismatches(&plan));
            problems.extend(mismatches.map(|mismatch| format!("{}: {mismatch}", sources.origin_of(&mismatch.key))));
        }
        Err(wrong) => problems.extend(wrong),
    }
    problems
}

/// Reads a plan file; what is wrong with it, one line each, begins with the file's name.
pub fn read_plan(path: &Path) -> Result<Plan, Vec<String>> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| vec![format!("{shown}: the plan cannot be read: {error}")])?;
    if metadata.len() > 4 * 1024 * 1024 {
        return Err(vec![format!("{shown}: this is too large to be a plan")]);
    }
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{shown}: the plan cannot be read: {error}")])?;
    plan::parse(&text).map_err(|problems| problems.iter().map(|problem| format!("{shown}, {problem}")).collect())
}

/// Runs `check`: 0 if all is in order, 64 if not.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this command's work is to print")]
pub fn run(settings: &SettingsArgs, args: &CheckArgs) -> ExitCode {
    if settings.config.is_none() {
        eprintln!("no settings file was named: --config FILE or SPORTELLO_CONFIG does");
    }
    let problems = problems(settings, args);
    if problems.is_empty() {
        println!("the settings are in order: {}", settings.sources(Vec::new()).described());
        match &args.plan {
            Some(plan) => println!("the plan is in order, and they fit it: {}", plan.display()),
            None => println!("no plan was compared with them: name one with --plan"),
        }
        return ExitCode::from(super::EXIT_OK);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    eprintln!("{}", count(problems.len()));
    ExitCode::from(super::EXIT_USAGE)
}
