//! What the figures were measured on, and who used the processor: read from `/proc`.

use std::collections::BTreeMap;
use std::path::Path;

/// Clock ticks of `/proc/<pid>/stat` in a second, on every Linux that Sportello is built for.
const TICKS_PER_SECOND: f64 = 100.0;
/// How far up a parent is looked for that started the servers.
const PARENTS_MAX: usize = 8;

/// CPU seconds by group since the processes began.
pub type Cpu = BTreeMap<&'static str, f64>;

struct Process {
    parent: u32,
    name: String,
    seconds: f64,
}

/// CPU seconds of broker, database, daemon and load generator. Only descendants of the script that started the servers count,
/// so another RabbitMQ on the machine does not.
pub fn cpu_seconds() -> Cpu {
    let all = processes();
    let root = root(&all);
    let mut groups = Cpu::new();
    for (id, process) in &all {
        let group = match process.name.as_str() {
            _ if *id == std::process::id() => "bench",
            "beam.smp" => "beam",
            "postgres" => "postgres",
            "sportello" => "sportello",
            _ => continue,
        };
        if root.is_none_or(|root| descends(&all, *id, root)) {
            *groups.entry(group).or_default() += process.seconds;
        }
    }
    groups
}

/// What was used between two readings.
pub fn used(before: &Cpu, after: &Cpu) -> Cpu {
    after.iter().map(|(group, seconds)| (*group, (seconds - before.get(group).copied().unwrap_or_default()).max(0.0))).collect()
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, read(&entry.path())?))).collect()
}

fn read(folder: &Path) -> Option<Process> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat[open + 1..close].to_owned();
    let fields: Vec<&str> = stat[close + 2..].split_whitespace().collect();
    let tick = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    // user, system, and of children that ended: the database's backends come and go
    let ended = if name == "postgres" { tick(13)? + tick(14)? } else { 0.0 };
    let seconds = (tick(11)? + tick(12)? + ended) / TICKS_PER_SECOND;
    Some(Process { parent: fields.get(1)?.parse().ok()?, name, seconds })
}

fn root(all: &BTreeMap<u32, Process>) -> Option<u32> {
    let mut id = std::process::id();
    for _ in 0..PARENTS_MAX {
        id = all.get(&id)?.parent;
        if all.get(&id)?.name.starts_with("python") {
            return Some(id);
        }
    }
    None
}

fn descends(all: &BTreeMap<u32, Process>, mut id: u32, root: u32) -> bool {
    while let Some(process) = all.get(&id) {
        if id == root {
            return true;
        }
        id = process.parent;
    }
    false
}

/// A line of `/proc/<pid>/status` in kB, as MB.
pub fn memory_mb(process: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or_default() / 1024.0
}

/// Processor, cores, memory, kernel and from how much on it writes back, in one line: the tail of the latency hangs on that.
pub fn describe() -> String {
    let first = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map_or(String::new(), |(_, v)| v.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = first("/proc/meminfo", "MemTotal");
    let dirty = std::fs::read_to_string("/proc/sys/vm/dirty_background_bytes").unwrap_or_default();
    let processor = first("/proc/cpuinfo", "model name");
    format!("{cores} cores ({processor}), {memory}, Linux {}, vm.dirty_background_bytes {}", kernel.trim(), dirty.trim())
}
