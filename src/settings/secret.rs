//! A secret: read from a file where possible, never printed, wiped from memory when dropped.

use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest secret in a file, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A text that nobody may see. Empty when it was not given.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself: for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "<none>" } else { "<redacted>" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "<redacted>" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Fills `secret` from the file named beside it. `key` is the secret's own, `broker.url`; its twin ends in `_file`.
pub(super) fn resolve(key: &str, secret: &mut Secret, file: &Path, problem: &mut dyn FnMut(&str, String)) {
    if file.as_os_str().is_empty() {
        return;
    }
    let file_key = format!("{key}_file");
    if !secret.is_empty() {
        problem(&file_key, format!("`{key}` is given as well: keep one of the two"));
        return;
    }
    match read(file) {
        Ok(text) => *secret = text.into(),
        Err(reason) => problem(&file_key, format!("the secret in {} cannot be read: {reason}", file.display())),
    }
}

/// The file's text without the line break at its end.
fn read(file: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > SECRET_BYTES_MAX {
        return Err(format!("it is not a file of at most {SECRET_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
}
