//! `sportello check`: what is wrong with settings and plan, with the place, before anything starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::settings::{SettingsArgs, count};
use crate::model::channel::Channel;
use crate::plan::{self, Plan};
use crate::settings::Settings;

const EXAMPLES: &str = "\
Examples:
  sportello check
  sportello check --config /etc/sportello.toml
  sportello check --plan plan.toml --config /etc/sportello.toml

Reads the settings and the files that hold their secrets, and the plan if one is named. Opens no
port and no connection. Each problem is one line: file, line, key, and what to do.";

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
    let loaded = settings.load(Vec::new());
    let mut problems: Vec<String> = loaded.as_ref().err().into_iter().flatten().map(ToString::to_string).collect();
    let Some(path) = &args.plan else { return problems };
    match read_plan(path) {
        Ok(plan) => problems.extend(loaded.iter().flat_map(|settings| mismatches(settings, &plan))),
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

/// Accounts that the settings speak of and the plan does not know, or knows on another channel.
pub fn mismatches(settings: &Settings, plan: &Plan) -> Vec<String> {
    let email = settings.email.mailbox.keys().chain(settings.email.sender.keys()).map(|account| (Channel::EMAIL, account));
    let named: BTreeSet<_> = email.chain(settings.sms.account.keys().map(|account| (Channel::SMS, account))).collect();
    let wrong = named.into_iter().filter_map(|(channel, account)| match plan.accounts.get(account) {
        Some(known) if known.channel.as_str() == channel => None,
        Some(known) => {
            Some(format!("settings: {channel} has the account `{account}`, which is on the channel {} in the plan", known.channel))
        }
        None => Some(format!(
            "settings: {channel} has the account `{account}`, which the plan does not know: add it to the plan or take it out"
        )),
    });
    wrong.collect()
}

/// Runs `check`: 0 if all is in order, 64 if not.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this command's work is to print")]
pub fn run(settings: &SettingsArgs, args: &CheckArgs) -> ExitCode {
    let problems = problems(settings, args);
    if problems.is_empty() {
        println!("{} in order", if args.plan.is_some() { "settings and plan are" } else { "the settings are" });
        return ExitCode::from(super::EXIT_OK);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    eprintln!("{}", count(problems.len()));
    ExitCode::from(super::EXIT_USAGE)
}
