//! Commands whose answer counts only with the server's OK. The client library's own `uid_fetch`, `uid_search` and `uid_store` end at the
//! tagged answer whatever its status: with them a mail that the server cannot give now looks like one that is gone.

use async_imap::Session;
use async_imap::error::{Error, Result};
use async_imap::imap_proto::{AttributeValue, MailboxDatum, MessageSection, Response, SectionPath, Status};
use bytes::Bytes;

use super::connect::Bounded;
use crate::model::time::Timestamp;

/// What the server said of one mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Its size in bytes.
    pub size: Option<usize>,
    /// When it reached the mailbox.
    pub arrived: Option<Timestamp>,
    /// All of it.
    pub body: Option<Bytes>,
    /// Its header, or the beginning of that.
    pub header: Option<Bytes>,
}

/// UIDs by a search, in order.
///
/// # Errors
/// The server says NO or BAD, or the connection ends before it says OK.
pub async fn search(session: &mut Session<Bounded>, query: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    run(session, &format!("UID SEARCH {query}"), |response| {
        if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
            found.extend_from_slice(uids);
        }
    })
    .await?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// `what` of a mail; none if the server says OK without it: it is gone.
///
/// # Errors
/// As [`search`].
pub async fn fetch(session: &mut Session<Bounded>, uid: u32, what: &str) -> Result<Option<Attributes>> {
    let mut found: Option<Attributes> = None;
    run(session, &format!("UID FETCH {uid} {what}"), |response| {
        if let Response::Fetch(_, values) = response
            && values.iter().any(|value| matches!(value, AttributeValue::Uid(other) if *other == uid))
        {
            let mail = found.get_or_insert_default();
            values.iter().for_each(|value| mail.take(value));
        }
    })
    .await?;
    Ok(found)
}

/// Changes a mail's flags.
///
/// # Errors
/// As [`search`].
pub async fn store(session: &mut Session<Bounded>, uid: u32, flags: &str) -> Result<()> {
    run(session, &format!("UID STORE {uid} {flags}"), |_| ()).await
}

/// Sends a command and shows `each` response up to the tagged one, which must be OK. Errors never have a server's own words.
async fn run(session: &mut Session<Bounded>, command: &str, mut each: impl FnMut(&Response<'_>)) -> Result<()> {
    let sent = session.run_command(command).await?;
    while let Some(response) = session.read_response().await? {
        match response.parsed() {
            Response::Done { tag, status, .. } if *tag == sent => {
                return match status {
                    Status::Ok => Ok(()),
                    Status::No => Err(Error::No(String::new())),
                    _ => Err(Error::Bad(String::new())),
                };
            }
            Response::Data { status: Status::Bye, .. } => return Err(Error::ConnectionLost),
            response => each(response),
        }
    }
    Err(Error::ConnectionLost)
}

impl Attributes {
    fn take(&mut self, value: &AttributeValue<'_>) {
        let copy = Bytes::copy_from_slice;
        match value {
            AttributeValue::Rfc822Size(size) => self.size = usize::try_from(*size).ok(),
            AttributeValue::InternalDate(date) => self.arrived = internal_date(date),
            AttributeValue::BodySection { section: None, data: Some(data), .. } => self.body = Some(copy(data)),
            AttributeValue::BodySection { section: Some(SectionPath::Full(MessageSection::Header)), data: Some(data), .. } => {
                self.header = Some(copy(data));
            }
            _ => {}
        }
    }
}

/// ` 1-Jan-2026 10:00:00 +0100` (RFC 3501, 9: `date-time`).
fn internal_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start()).ok()?.to_timestamp().ok()?;
    Some(Timestamp(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_servers_write_them() {
        for (text, expected) in [
            ("23-Nov-2026 09:00:00 +0100", Some("2026-11-23T08:00:00Z")),
            (" 1-Jan-2026 00:30:00 +0100", Some("2025-12-31T23:30:00Z")),
            ("1-Jan-2026 00:30:00 -0000", Some("2026-01-01T00:30:00Z")),
            ("31-Jun-2026 00:30:00 +0000", None),
            ("yesterday", None),
        ] {
            let expected = expected.map(|time| Timestamp(time.parse::<jiff::Timestamp>().expect("a time").as_microsecond()));
            assert_eq!(internal_date(text), expected, "{text}");
        }
    }
}
