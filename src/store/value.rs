//! What goes into a statement and what comes out of it, the same for both databases.

use std::fmt;

use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use crate::model::id::{
    AccountId, AddressKey, AdministrationId, ChatSessionId, CitizenId, ContactId, ConversationId, InputId, MessageId, NoteId, OfficeId,
    OperatorId, PoolId, QueueId, TopicId,
};
use crate::model::time::Timestamp;
use crate::port::store::StoreError;

/// An argument of a statement.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text or nothing.
    Text(Option<String>),
    /// A number, a time in microseconds, or nothing.
    Int(Option<i64>),
    /// Yes or no.
    Flag(bool),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A column of texts: PostgreSQL only.
    Texts(Vec<Option<String>>),
    /// A column of numbers: PostgreSQL only.
    Ints(Vec<Option<i64>>),
}

macro_rules! shown_as_text {
    ($($id:ty),+ $(,)?) => {$(
        impl From<&$id> for Value {
            fn from(id: &$id) -> Self {
                Self::Text(Some(id.to_string()))
            }
        }
        impl From<Option<&$id>> for Value {
            fn from(id: Option<&$id>) -> Self {
                Self::Text(id.map(ToString::to_string))
            }
        }
    )+};
}

shown_as_text!(
    AccountId,
    AddressKey,
    AdministrationId,
    ChatSessionId,
    CitizenId,
    ContactId,
    ConversationId,
    InputId,
    MessageId,
    NoteId,
    OfficeId,
    OperatorId,
    PoolId,
    QueueId,
    TopicId,
);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(Some(number.into()))
    }
}
impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}
impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(Some(time.0))
    }
}
impl From<std::time::Duration> for Value {
    fn from(duration: std::time::Duration) -> Self {
        Self::Int(Some(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// Arguments of a statement, in the order of `$1`, `$2`…
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::value::Value::from($value)),*] };
}
pub(crate) use arguments;

/// Free text as a column can hold it: PostgreSQL knows no NUL, so it becomes U+FFFD on both.
pub fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// A list as one argument, `[["a"],["b"]]`: `select value ->> 0 from json_each($1)` reads it on both databases.
pub fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Value {
    let rows: Vec<[String; 1]> = items.into_iter().map(|item| [item.to_string()]).collect();
    Value::Text(Some(serde_json::to_string(&rows).expect("texts are JSON")))
}

/// A row of an answer. Columns go by position; what cannot be read is an error, never a panic.
pub enum Row {
    /// From PostgreSQL.
    Postgres(PgRow),
    /// From SQLite.
    Sqlite(SqliteRow),
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident -> $type:ty) => {
        $(#[$doc])*
        pub fn $name(&self, column: usize) -> Result<$type, StoreError> {
            match self {
                Self::Postgres(row) => row.try_get::<$type, _>(column),
                Self::Sqlite(row) => row.try_get::<$type, _>(column),
            }
            .map_err(|error| StoreError::Unreadable(error.to_string()))
        }
    };
}

impl Row {
    getter!(
        /// A text.
        text -> String
    );
    getter!(
        /// A text or nothing.
        text_option -> Option<String>
    );
    getter!(
        /// A number.
        int -> i64
    );
    getter!(
        /// A number or nothing.
        int_option -> Option<i64>
    );
    getter!(
        /// Yes or no.
        flag -> bool
    );
    getter!(
        /// Raw bytes.
        bytes -> Vec<u8>
    );

    /// A time.
    pub fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp)
    }

    /// A small number: an ordinal, a count.
    pub fn small(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| StoreError::Unreadable(format!("column {column} is out of range")))
    }

    /// Something with a text form: an id, a channel.
    pub fn parse<T>(&self, column: usize) -> Result<T, StoreError>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        self.text(column)?.parse().map_err(|error: T::Err| StoreError::Unreadable(error.to_string()))
    }

    /// The same, or nothing.
    pub fn parse_option<T>(&self, column: usize) -> Result<Option<T>, StoreError>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text_option(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| StoreError::Unreadable(error.to_string()))).transpose()
    }

    /// Something kept as JSON text.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(unreadable)
    }

    /// The same, or nothing.
    pub fn json_option<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.text_option(column)?.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
    }

    /// An enum whose JSON form is a plain word, kept as that word.
    pub fn word<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        word(&self.text(column)?)
    }

    /// The same, or nothing.
    pub fn word_option<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.text_option(column)?.map(|text| word(&text)).transpose()
    }
}

fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    use serde::de::IntoDeserializer;
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn unreadable(error: serde_json::Error) -> StoreError {
    // serde's own words may quote the content; where it stands is enough to find it.
    StoreError::Unreadable(format!("JSON of the wrong shape at line {} column {}", error.line(), error.column()))
}

/// JSON text of a value of ours.
pub fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    crate::model::json::to_string(value).map_err(|error| StoreError::Refused(format!("not to be written as JSON: {error}")))
}

/// The plain word that an enum is in JSON.
pub fn word_of<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Refused("not to be written as a word".into())),
    }
}
