//! `--config`, `--set`, `--data`, and `sportello settings`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::settings::{DEFAULTS, Settings, SettingsProblem, Sources};

/// Where settings come from. They may stand before or behind the command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SettingsArgs {
    /// A TOML file with the settings that differ from the defaults
    #[arg(long, global = true, value_name = "FILE", env = "SPORTELLO_CONFIG")]
    pub config: Option<PathBuf>,
    /// One setting, such as --set desk.listen=127.0.0.1:9000; may be repeated, and wins over everything else
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Where the data is (same as --set data.folder=…)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<String>,
}

/// `settings`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:\n  sportello settings --config /etc/sportello.toml\n  sportello settings --default > sportello.toml")]
pub struct ShowArgs {
    /// The defaults with the meaning of each, to start a file of your own from
    #[arg(long)]
    pub default: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write section.key=value, such as desk.listen=127.0.0.1:9000".to_owned()),
    }
}

impl SettingsArgs {
    /// Reads the settings. `flags` are those of the command itself and win over `--set`.
    pub fn load(&self, flags: Vec<(String, String)>) -> Result<Settings, Vec<SettingsProblem>> {
        Settings::load(&self.sources(flags))
    }

    /// What is read.
    pub fn sources(&self, flags: Vec<(String, String)>) -> Sources {
        let data = self.data.clone().map(|folder| ("data.folder".to_owned(), folder));
        let overrides = self.set.iter().cloned().chain(data).chain(flags).collect();
        Sources::from_environment(self.config.clone(), overrides)
    }

    /// Reads the settings, or says on stderr what is wrong with them and gives the exit code 64.
    #[expect(clippy::print_stderr, reason = "the command line speaks to whoever typed it; logs are not set up yet")]
    pub fn load_or_explain(&self, flags: Vec<(String, String)>) -> Result<Settings, ExitCode> {
        self.load(flags).map_err(|problems| {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("the settings are not in order: {}", count(problems.len()));
            ExitCode::from(super::EXIT_USAGE)
        })
    }
}

/// `1 problem`, `3 problems`.
pub(super) fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// Runs `settings`.
#[expect(clippy::print_stdout, reason = "this command's work is to print")]
pub fn run(settings: &SettingsArgs, args: &ShowArgs) -> ExitCode {
    if args.default {
        print!("{DEFAULTS}");
        return ExitCode::from(super::EXIT_OK);
    }
    match settings.load_or_explain(Vec::new()) {
        Ok(settings) => {
            print!("{}", settings.to_toml());
            ExitCode::from(super::EXIT_OK)
        }
        Err(code) => code,
    }
}
