//! Mail into a maildir: complete and synced in `tmp` before it appears in `new`. The name is the message's, so a second attempt
//! writes the same file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes `bytes` as `name` into `<folder>/new`; readable by the owner only. Returns its path once it would survive a power cut.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    for part in ["tmp", "new", "cur"] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(part))?;
    }
    let (draft, place) = (folder.join("tmp").join(name), folder.join("new").join(name));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, &place)?;
    File::open(folder.join("new"))?.sync_all()?;
    Ok(place)
}
