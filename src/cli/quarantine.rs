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
    /// Also what was handed in again, for as long as its bytes are kept. Not the whole list: see --limit
    #[arg(long)]
    pub all: bool,
    /// How many, at most 500. If there may be more, the last line says how to go on
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// How many to skip
    #[arg(long, default_value_t = 0)]
    pub offset: u32,
}

impl ListArgs {
    /// Where the list goes on, if it may: the page that was `shown` is full.
    pub fn more(&self, shown: usize) -> Option<String> {
        let is_full = usize::try_from(self.limit).is_ok_and(|limit| shown >= limit);
        let offset = self.offset.saturating_add(self.limit);
        is_full.then(|| format!("there may be more: go on with --limit {} --offset {offset}", self.limit))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_says_where_to_go_on() {
        let said = |offset, shown| ListArgs { all: false, limit: 50, offset }.more(shown);
        assert_eq!((said(0, 0), said(0, 49), said(100, 1)), (None, None, None));
        assert_eq!(said(0, 50).as_deref(), Some("there may be more: go on with --limit 50 --offset 50"));
        assert_eq!(said(100, 50).as_deref(), Some("there may be more: go on with --limit 50 --offset 150"));
    }
}
