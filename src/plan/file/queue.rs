//! `[administration.<name>.queue.<name>]`: where contacts wait, what they ask for, and the times that hold there.

use std::time::Duration;

use super::super::reader::{Node, Table};
use super::super::{Policy, Queue, SilenceLimits};
use super::{Names, office, requirement};
use crate::model::id::AdministrationId;
use crate::model::requirement::Requirement;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// What holds where a queue does not say otherwise. `docs/plan.md` has the same table.
pub(super) const TARGET: Duration = DAY;
/// Long enough to put down a letter, short enough that somebody on the telephone still waits.
pub(super) const OFFER_TIMEOUT: Duration = Duration::from_secs(20);
/// An assigned letter that nobody opened within half an hour is better off with a colleague.
pub(super) const UNTOUCHED_FOR: Duration = Duration::from_secs(30 * 60);
pub(super) const WRAP_UP: Duration = Duration::from_secs(120);
pub(super) const COOL_OFF: Duration = Duration::from_secs(120);
pub(super) const RETURNS_MAX: u32 = 5;
pub(super) const WAITING_MAX: u32 = 100_000;
/// Telephones cut sockets within seconds; two minutes are a lift and a tunnel.
pub(super) const ABANDON_AFTER: Duration = Duration::from_secs(120);

pub(super) fn read(id: &AdministrationId, table: &Table<'_>, names: &Names) -> Option<Queue> {
    let office = table.need("office", "the office that owns the queue").and_then(|node| office(&node, id, names));
    let name = table.need("name", "the queue's name").and_then(|node| node.text().map(str::to_owned));
    let require = table.get("require").map_or(Some(Requirement::Anybody), |node| requirement::read(&node, names));
    let match_language = table.get("match_language").and_then(|node| node.boolean()).unwrap_or(false);
    let policy = table.get("policy").and_then(|node| policy(&node)).unwrap_or_default();
    let duration =
        |key, least: Duration, most: Duration, default: Duration| table.get(key).map_or(Some(default), |node| node.duration(least..=most));
    let target = duration("target", SECOND, 365 * DAY, TARGET);
    let head_start = duration("head_start", Duration::ZERO, 30 * DAY, Duration::ZERO);
    let offer_timeout = duration("offer_timeout", 5 * SECOND, 10 * MINUTE, OFFER_TIMEOUT);
    let untouched_for = duration("untouched_for", MINUTE, 30 * DAY, UNTOUCHED_FOR);
    let wrap_up = duration("wrap_up", Duration::ZERO, HOUR, WRAP_UP);
    let cool_off = duration("cool_off", Duration::ZERO, DAY, COOL_OFF);
    let returns_max = table.get("returns_max").map_or(Some(RETURNS_MAX), |node| node.number(1..=1_000));
    let waiting_max = table.get("waiting_max").map_or(Some(WAITING_MAX), |node| node.number(1..=1_000_000));
    let abandon_after = duration("abandon_after", 5 * SECOND, HOUR, ABANDON_AFTER);
    let silence = silence(table);
    table.finish();
    Some(Queue {
        administration: id.clone(),
        office: office?,
        name: name?,
        requirement: require?,
        match_language,
        policy,
        target: target?,
        head_start: head_start?,
        offer_timeout: offer_timeout?,
        untouched_for: untouched_for?,
        wrap_up: wrap_up?,
        cool_off: cool_off?,
        returns_max: returns_max?,
        waiting_max: waiting_max?,
        silence: silence?,
        abandon_after: abandon_after?,
    })
}

/// Both or none: who is not warned is not sent away.
fn silence(table: &Table<'_>) -> Option<Option<SilenceLimits>> {
    let (warn, close) = (table.get("silence_warn"), table.get("silence_close"));
    let limit = |node: &Node<'_>| node.duration(10 * SECOND..=DAY);
    match (warn, close) {
        (None, None) => Some(None),
        (Some(warn), Some(close)) => {
            let (warn, limits) = (limit(&warn)?, (limit(&close)?, close));
            let (close, node) = limits;
            if close <= warn {
                node.problem("silence_close must be longer than silence_warn: the citizen needs time to answer");
                return None;
            }
            Some(Some(SilenceLimits { warn, close }))
        }
        (Some(node), None) | (None, Some(node)) => {
            node.problem("write both silence_warn and silence_close, or neither");
            None
        }
    }
}

const POLICIES: &str = "\"best_fit\", \"longest_idle\", \"least_loaded\", \"most_skilled\" or { most_skilled = { tolerance = 1 } }";

fn policy(node: &Node<'_>) -> Option<Policy> {
    if let toml::de::DeValue::Table(_) = node.value {
        let table = node.table()?;
        let tolerance = match table.get("most_skilled").and_then(|node| node.table()) {
            Some(inner) => {
                let tolerance = inner.get("tolerance").map_or(Some(0), |node| node.number(0..=100));
                inner.finish();
                tolerance?
            }
            None => {
                table.problem(format!("this is not a policy: write {POLICIES}"));
                return None;
            }
        };
        table.finish();
        return Some(Policy::MostSkilled { tolerance: u8::try_from(tolerance).unwrap_or(u8::MAX) });
    }
    match node.text()? {
        "best_fit" => Some(Policy::BestFit),
        "longest_idle" => Some(Policy::LongestIdle),
        "least_loaded" => Some(Policy::LeastLoaded),
        "most_skilled" => Some(Policy::MostSkilled { tolerance: 0 }),
        other => {
            node.problem(format!("`{}` is not a policy: write {POLICIES}", other.chars().take(64).collect::<String>()));
            None
        }
    }
}
