//! `sportello quarantine`: arguments.

use clap::Subcommand;

/// `quarantine …`.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineCommand {
    /// List what is held, newest first: number, time, source, key, reason
    List(ListArgs),
    /// Print the raw bytes of one item
    #[command(after_help = "Examples:\n  sportello quarantine show 12 > letter.eml")]
    Show(ItemArgs),
    /// Hand items in again, for instance after an upgrade
    #[command(after_help = "Examples:\n  sportello quarantine retry 12 13")]
    Retry(ItemsArgs),
    /// Give items up, or erase what was retried: their bytes go, the row stays
    #[command(after_help = "Examples:\n  sportello quarantine discard 12")]
    Discard(ItemsArgs),
}

/// `quarantine list`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sportello quarantine list\n  sportello quarantine list --limit 500 --offset 500")]
pub struct ListArgs {
    /// Also what was handed in again, for as long as its bytes are kept
    #[arg(long)]
    pub all: bool,
    /// How many, at most 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// How many to skip
    #[arg(long, default_value_t = 0)]
    pub offset: u32,
}

/// One item.
#[derive(Debug, Clone, clap::Args)]
pub struct ItemArgs {
    /// Its number in the list
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub item: i64,
}

/// Several items.
#[derive(Debug, Clone, clap::Args)]
pub struct ItemsArgs {
    /// Their numbers in the list
    #[arg(value_name = "NUMBER", required = true, num_args = 1..=100, value_parser = clap::value_parser!(i64).range(1..))]
    pub items: Vec<i64>,
}
