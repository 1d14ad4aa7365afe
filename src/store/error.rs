//! Which failures of a database are for ever and which pass: decides between quarantine and another try.

use sqlx::error::DatabaseError;

use crate::port::store::StoreError;

/// Classes of SQLSTATE that say the data will never be taken: cardinality, data, integrity, WITH CHECK, program limits.
/// Everything else (connection, resources, locks, operator intervention, a missing table or privilege) may pass or is for the
/// administrator to mend: no contact goes to quarantine for it.
const REFUSED_SQLSTATE: [&str; 5] = ["21", "22", "23", "44", "54"];

/// Primary result codes of SQLite that say the same: TOOBIG, CONSTRAINT, MISMATCH, RANGE.
const REFUSED_SQLITE: [i32; 4] = [18, 19, 20, 25];

/// Puts an error of sqlx into the store's words. An unknown outcome counts as unavailable.
pub fn classify(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => classify_database(error.as_ref()),
        sqlx::Error::Encode(error) => StoreError::Refused(error.to_string()),
        sqlx::Error::InvalidArgument(error) => StoreError::Refused(error),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Unreadable(error.to_string())
        }
        error => StoreError::Unavailable(error.to_string()),
    }
}

fn classify_database(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
    let refused = if sqlite {
        // The extended code's low byte is the primary one.
        code.parse::<i32>().is_ok_and(|code| REFUSED_SQLITE.contains(&(code & 0xff)))
    } else {
        REFUSED_SQLSTATE.iter().any(|class| code.starts_with(class))
    };
    if !refused {
        return StoreError::Unavailable(format!("{} ({code})", error.message()));
    }
    // The message of an integrity error names a constraint; that of a data error may quote a citizen's text.
    let about = if sqlite || code.starts_with("23") { error.message() } else { "a value it cannot hold" };
    StoreError::Refused(format!("{about} ({code})"))
}
