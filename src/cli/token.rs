//! `sportello token`: arguments.

use std::time::Duration;

use clap::Subcommand;

use crate::model::id::AccountId;
use crate::plan::duration;

const ADD_EXAMPLES: &str = "\
Examples:
  sportello token add centralino --account telefono
  sportello token add statistiche --operator anna --expires 90d

The token is printed once and kept only as a digest. One for an account hands in contacts by the
channel API and reads what became of them; one for an operator acts at the desk in their name.";

/// `token …`.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token
    Add(AddArgs),
    /// List tokens: what for, since when, until when
    #[command(after_help = "Examples:\n  sportello token list")]
    List,
    /// End a token at once
    End(EndArgs),
}

/// `token add`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = ADD_EXAMPLES)]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["account", "operator"]))]
pub struct AddArgs {
    /// What it is for, shown in lists: 1 to 64 characters
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// The plan's account whose contacts it hands in
    #[arg(long)]
    pub account: Option<AccountId>,
    /// The login of the operator in whose name it acts
    #[arg(long, value_name = "LOGIN")]
    pub operator: Option<String>,
    /// After how long it ends: 90d; without, never
    #[arg(long, value_name = "DURATION", value_parser = expiry)]
    pub expires: Option<Duration>,
}

/// `token end`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello token end centralino")]
pub struct EndArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
}

fn name(text: &str) -> Result<String, String> {
    if (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 64 characters".to_owned())
    }
}

fn expiry(text: &str) -> Result<Duration, String> {
    let value = duration::parse(text).map_err(|error| error.to_string())?;
    let day = Duration::from_secs(86_400);
    if value.is_zero() || value > 3_660 * day { Err("write a duration up to 3660d".to_owned()) } else { Ok(value) }
}
