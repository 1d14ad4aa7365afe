//! `[data]`: where files are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::load::Check;

/// Where files are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// Holds databases, blobs and the maildir.
    pub folder: PathBuf,
}

impl DataSettings {
    /// The SQLite database.
    pub fn store_file(&self) -> PathBuf {
        self.folder.join("sportello.db")
    }

    /// The embedded broker's file.
    pub fn broker_file(&self) -> PathBuf {
        self.folder.join("broker.db")
    }

    /// The blobs.
    pub fn blobs_folder(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    /// Where mail is written that no server takes.
    pub fn maildir_folder(&self) -> PathBuf {
        self.folder.join("maildir")
    }
}

impl Check for DataSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        if self.folder.as_os_str().is_empty() {
            problem("folder", "this is empty: name a folder, such as /var/lib/sportello".into());
        } else if self.folder.exists() && !self.folder.is_dir() {
            problem("folder", format!("{} is not a folder", self.folder.display()));
        }
    }
}
