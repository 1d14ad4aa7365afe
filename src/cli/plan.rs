//! `sportello plan`: arguments.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::model::contact::StateName;
use crate::model::id::PoolId;
use crate::plan::Plan;
use crate::port::store::ContactCount;

/// The plan of the first start: documented, and good for trying out.
pub const EXAMPLE_PLAN: &str = include_str!("../../config/example/plan.toml");

const APPLY_EXAMPLES: &str = "\
Examples:
  sportello plan apply plan.toml
  sportello plan apply plan.toml --config /etc/sportello.toml

The plan becomes the next version; routers take it up within seconds. Contacts that wait keep their
place. Nothing is changed when something is wrong with it (exit code 64), or when contacts are open
that it would leave behind: of a pool or a queue that it lacks, of an administration that it puts
into another pool (exit code 1). Running processes must use the same store.";

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

/// What a plan would leave behind of the contacts that are open in a pool, a sentence each with what to do: a pool's engine and desk
/// know only their own pool's, and place nothing in a queue that the plan does not have.
pub fn left_behind(plan: &Plan, pool: &PoolId, counts: &[ContactCount]) -> Vec<String> {
    let mut behind: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for count in counts.iter().filter(|count| !matches!(count.state, StateName::Closed | StateName::Abandoned)) {
        let (administration, queue) = (&count.administration, &count.queue);
        let moved = plan.administrations.get(administration).map(|known| &known.pool).filter(|now| *now != pool);
        let has_queue = plan.queues.get(queue).is_some_and(|known| known.administration == *administration);
        let (what, remedy) = match moved {
            _ if !plan.pools.contains(pool) => (
                format!("pool `{pool}`"),
                "the plan does not have it, so nobody would route them: close them first, or keep the pool".into(),
            ),
            Some(now) => (
                format!("administration `{administration}`"),
                format!("the plan puts it into pool `{now}`, and they stay in `{pool}`: close them first, or leave `pool = \"{pool}\"`"),
            ),
            None if !has_queue => (
                format!("queue `{queue}`"),
                "the plan does not have it: close them or transfer them to another queue first, or keep the queue".into(),
            ),
            None => continue,
        };
        behind.entry(what).or_insert((0, remedy)).0 += count.count;
    }
    behind.into_iter().map(|(what, (open, remedy))| format!("{what} has open contacts ({open}): {remedy}")).collect()
}

/// Runs `plan example`.
#[expect(clippy::print_stdout, reason = "this command's work is to print")]
pub fn print_example() -> ExitCode {
    print!("{EXAMPLE_PLAN}");
    ExitCode::from(super::EXIT_OK)
}
