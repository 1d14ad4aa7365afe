//! The hot writes: many rows in one statement, from one description of each table. PostgreSQL takes one array per column
//! (UNNEST). SQLite takes VALUES in chunks of powers of two, so that few statements are prepared: reading rows out of one
//! JSON argument costs it about 70 µs a row, binding them 4. Texts are made once, from the constants here.

use std::sync::LazyLock;

use super::engine::{Dialect, Step};
use super::value::Value;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Flag,
}
use Kind::{Flag, Int, Text};

/// A column's value in one row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A number, a time, yes (1) or no (0).
    Int(i64),
    /// Nothing.
    Null,
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Int)
    }
}

/// The cells of a row, in the order of the table's columns.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::table::Cell::from($value)),*] };
}
pub(crate) use cells;

/// The most rows in one statement of SQLite, as a power of two.
const CHUNK_LOG2: usize = 6;

/// A statement for many rows, on both databases.
pub struct Table {
    columns: Vec<Kind>,
    postgres: String,
    /// For 1, 2, 4… rows.
    sqlite: Vec<String>,
}

impl Table {
    /// `insert into {name} … {conflict}`.
    fn insert(name: &str, columns: &[(&str, Kind)], conflict: &str) -> Self {
        let names = names(columns);
        let selected: Vec<String> =
            columns.iter().map(|(column, kind)| if *kind == Flag { format!("t.{column} <> 0") } else { format!("t.{column}") }).collect();
        let postgres =
            format!("insert into {name} ({names}) select {} from {} where true {conflict}", selected.join(", "), unnested(columns));
        let sqlite = chunked(columns, |values| format!("insert into {name} ({names}) values {values} {conflict}"));
        Self { columns: kinds(columns), postgres, sqlite }
    }

    /// `update {name} as it set {set} from … as t where {condition}`.
    fn update(name: &str, columns: &[(&str, Kind)], set: &str, condition: &str) -> Self {
        let names = names(columns);
        let postgres = format!("update {name} as it set {set} from {} where {condition}", unnested(columns));
        let sqlite = chunked(columns, |values| {
            format!("with t({names}) as (values {values}) update {name} as it set {set} from t where {condition}")
        });
        Self { columns: kinds(columns), postgres, sqlite }
    }

    /// The statements for these rows, in their order.
    pub fn steps(&'static self, dialect: Dialect, rows: Vec<Vec<Cell>>) -> Vec<Step> {
        debug_assert!(rows.iter().all(|row| row.len() == self.columns.len()), "a cell for each column");
        match dialect {
            Dialect::Postgres if rows.is_empty() => Vec::new(),
            Dialect::Postgres => vec![(self.postgres.as_str(), self.columnar(rows))],
            Dialect::Sqlite => self.in_chunks(rows),
        }
    }

    fn in_chunks(&'static self, rows: Vec<Vec<Cell>>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let log2 = CHUNK_LOG2.min(left.ilog2() as usize);
            let values = rows.by_ref().take(1 << log2).flatten().map(Value::from).collect();
            steps.push((self.sqlite[log2].as_str(), values));
            left -= 1 << log2;
        }
        steps
    }

    fn columnar(&self, rows: Vec<Vec<Cell>>) -> Vec<Value> {
        let mut columns: Vec<Value> = self
            .columns
            .iter()
            .map(|kind| match kind {
                Text => Value::Texts(Vec::with_capacity(rows.len())),
                Int | Flag => Value::Ints(Vec::with_capacity(rows.len())),
            })
            .collect();
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                match (column, cell) {
                    (Value::Texts(texts), Cell::Text(text)) => texts.push(Some(text)),
                    (Value::Texts(texts), _) => texts.push(None),
                    (Value::Ints(ints), Cell::Int(int)) => ints.push(Some(int)),
                    (Value::Ints(ints), _) => ints.push(None),
                    _ => unreachable!("columns are texts or numbers"),
                }
            }
        }
        columns
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Text(text) => Self::Text(Some(text)),
            Cell::Int(int) => Self::Int(Some(int)),
            Cell::Null => Self::Text(None),
        }
    }
}

fn kinds(columns: &[(&str, Kind)]) -> Vec<Kind> {
    columns.iter().map(|(_, kind)| *kind).collect()
}

fn names(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
}

fn unnested(columns: &[(&str, Kind)]) -> String {
    let array = |(index, (_, kind)): (usize, &(&str, Kind))| {
        let kind = if *kind == Text { "text[]" } else { "bigint[]" };
        format!("${}::{kind}", index + 1)
    };
    let arrays: Vec<String> = columns.iter().enumerate().map(array).collect();
    format!("unnest({}) as t({})", arrays.join(", "), names(columns))
}

fn chunked(columns: &[(&str, Kind)], text: impl Fn(&str) -> String) -> Vec<String> {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    (0..=CHUNK_LOG2).map(|log2| text(&vec![row.as_str(); 1 << log2].join(", "))).collect()
}

/// Final rows of contacts.
pub static CONTACT: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "contact",
        &[
            ("administration", Text),
            ("id", Text),
            ("pool", Text),
            ("office", Text),
            ("queue", Text),
            ("conversation", Text),
            ("citizen", Text),
            ("address", Text),
            ("channel", Text),
            ("mode", Text),
            ("direction", Text),
            ("state", Text),
            ("operator", Text),
            ("helper", Text),
            ("tier", Int),
            ("due", Int),
            ("key_seq", Int),
            ("filed_at", Int),
            ("opened_at", Int),
            ("queued_at", Int),
            ("changed_at", Int),
            ("finished_at", Int),
            ("abandoned_at", Int),
            ("version", Int),
            ("record", Text),
        ],
        "on conflict (administration, id) do update set office = excluded.office, queue = excluded.queue,
         conversation = excluded.conversation, citizen = excluded.citizen, address = excluded.address, channel = excluded.channel,
         mode = excluded.mode, state = excluded.state, operator = excluded.operator,
         helper = excluded.helper, tier = excluded.tier, due = excluded.due, key_seq = excluded.key_seq,
         queued_at = excluded.queued_at, changed_at = excluded.changed_at, finished_at = excluded.finished_at,
         abandoned_at = excluded.abandoned_at, version = excluded.version, record = excluded.record",
    )
});

/// Offers that ended.
pub static OFFER: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "offer",
        &[
            ("pool", Text),
            ("contact", Text),
            ("ordinal", Int),
            ("operator", Text),
            ("state", Text),
            ("made_at", Int),
            ("deadline", Int),
            ("ended_at", Int),
        ],
        "on conflict (pool, contact, ordinal) do nothing",
    )
});

/// Final rows of operators.
pub static OPERATOR: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "operator",
        &[("pool", Text), ("id", Text), ("enabled", Flag), ("presence", Text), ("version", Int), ("record", Text)],
        "on conflict (pool, id) do update set enabled = excluded.enabled, presence = excluded.presence,
         version = excluded.version, record = excluded.record",
    )
});

/// Final rows of queues' admission.
pub static QUEUE: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "queue_state",
        &[("pool", Text), ("queue", Text), ("closed", Flag), ("notice", Text)],
        "on conflict (pool, queue) do update set closed = excluded.closed, notice = excluded.notice",
    )
});

/// New conversations.
pub static CONVERSATION: LazyLock<Table> = LazyLock::new(|| {
    Table::insert("conversation", &[("administration", Text), ("id", Text), ("citizen", Text), ("subject", Text), ("opened_at", Int)], "")
});

/// New messages.
pub static MESSAGE: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "message",
        &[
            ("administration", Text),
            ("id", Text),
            ("pool", Text),
            ("conversation", Text),
            ("contact", Text),
            ("direction", Text),
            ("channel", Text),
            ("account", Text),
            ("author", Text),
            ("at", Int),
            ("place", Int),
            ("filed_at", Int),
            ("sender", Text),
            ("recipients", Text),
            ("subject", Text),
            ("text", Text),
            ("html", Text),
            ("attachments", Text),
            ("raw", Text),
            ("automatic", Text),
            ("provider_id", Text),
            ("header_id", Text),
            ("delivery", Text),
            ("attempts", Int),
            ("due", Int),
            ("failure", Text),
            ("origin", Text),
            ("settled", Text),
            ("attributes", Text),
        ],
        if crate::fault::is_broken("no_inbox") { "on conflict do nothing" } else { "" },
    )
});

/// New notes.
pub static NOTE: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "note",
        &[("administration", Text), ("id", Text), ("conversation", Text), ("contact", Text), ("author", Text), ("at", Int), ("text", Text)],
        "",
    )
});

/// Deliveries that changed: they update their messages.
pub static DELIVERY: LazyLock<Table> = LazyLock::new(|| {
    Table::update(
        "message",
        &[
            ("administration", Text),
            ("id", Text),
            ("delivery", Text),
            ("attempts", Int),
            ("due", Int),
            ("failure", Text),
            ("origin", Text),
            ("settled", Text),
        ],
        "delivery = t.delivery, attempts = t.attempts, due = t.due, failure = t.failure, origin = t.origin, settled = t.settled",
        "it.administration = t.administration and it.id = t.id",
    )
});

/// Citizens' addresses. What is known of who is behind one never becomes less by a later message that proves less.
pub static CITIZEN: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "citizen_address",
        &[
            ("administration", Text),
            ("key", Text),
            ("citizen", Text),
            ("channel", Text),
            ("address", Text),
            ("name", Text),
            ("level", Text),
            ("seen_at", Int),
        ],
        "on conflict (administration, key, citizen) do update set channel = excluded.channel, address = excluded.address,
         name = coalesce(excluded.name, citizen_address.name), seen_at = excluded.seen_at,
         level = case when citizen_address.level = 'spid' or (citizen_address.level = 'verified' and excluded.level = 'claimed')
                 then citizen_address.level else excluded.level end",
    )
});

/// The input log.
pub static INPUT: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "input",
        &[
            ("pool", Text),
            ("seq", Int),
            ("at", Int),
            ("kind", Text),
            ("source", Text),
            ("contact", Text),
            ("administration", Text),
            ("outcome", Text),
            ("body", Text),
        ],
        "",
    )
});

/// The event log.
pub static EVENT: LazyLock<Table> = LazyLock::new(|| {
    Table::insert(
        "event",
        &[
            ("pool", Text),
            ("seq", Int),
            ("input_seq", Int),
            ("at", Int),
            ("name", Text),
            ("administration", Text),
            ("contact", Text),
            ("operator", Text),
            ("body", Text),
        ],
        "",
    )
});
