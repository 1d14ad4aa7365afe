//! The work on one mailbox: look, fetch, hand in, mark as read, remember how far; then wait for more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_imap::Session;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::connect::{Allowance, Bounded, connect, timed};
use super::{ImapError, pause};
use crate::channel::email::MailboxOptions;
use crate::channel::email::header::HEADER_BYTES_MAX;
use crate::channel::email::inbound::{AcceptError, IN_MAILBOX, Inbound};
use crate::channel::email::options::Start;
use crate::channel::outbound::back_off;
use crate::model::time::Timestamp;
use crate::port::clock;
use crate::port::store::{Store, Watermark};

/// After so many failed fetches a mail is passed by, so that those behind it come in.
const FETCHES_MAX: u32 = 5;
/// IDLE's longest (RFC 2177: servers hang up after 30 min).
const IDLE_MAX: Duration = Duration::from_secs(29 * 60);

/// A mailbox and how far it was read.
pub struct Mailbox {
    options: MailboxOptions,
    connector: Option<TlsConnector>,
    store: Arc<dyn Store>,
    inbound: Arc<Inbound>,
    /// Failed fetches by UID, kept over connections.
    failures: HashMap<u32, u32>,
    /// Whether anything went well on this connection.
    progressed: bool,
}

/// A signed-in connection.
struct Open {
    session: Session<Bounded>,
    allowance: Allowance,
    mark: Watermark,
    idles: bool,
    /// The folder's next UID, if the server says it.
    uid_next: Option<u32>,
}

/// A mail as it was fetched.
struct Fetched {
    meta: Meta,
    bytes: Bytes,
    /// Or its header only.
    is_whole: bool,
}

/// What is known of a mail before it is fetched.
struct Meta {
    size: usize,
    arrived: Timestamp,
}

impl Mailbox {
    /// A mailbox by its options.
    pub fn new(options: MailboxOptions, connector: Option<TlsConnector>, store: Arc<dyn Store>, inbound: Arc<Inbound>) -> Self {
        Self { options, connector, store, inbound, failures: HashMap::new(), progressed: false }
    }

    /// Reads until `stop` or a failure; also whether it got anywhere.
    pub async fn read(&mut self, stop: &CancellationToken) -> (Result<(), ImapError>, bool) {
        self.progressed = false;
        let ended = self.connected(stop).await;
        (ended, self.progressed)
    }

    async fn connected(&mut self, stop: &CancellationToken) -> Result<(), ImapError> {
        let mut open = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = self.open() => opened?,
        };
        if !self.settle(&mut open, stop).await? {
            return Ok(());
        }
        tracing::info!(account = %self.options.account, uid = open.mark.uid, idle = open.idles, "mailbox is open");
        self.inbound.counters().account(&self.options.account).imap_up.set(true);
        self.progressed = true;
        loop {
            self.look(&mut open, stop).await?;
            if stop.is_cancelled() {
                // Courtesy: the server closes the connection by itself when it is dropped.
                let _ = timed(Duration::from_secs(2), "LOGOUT", open.session.logout()).await;
                return Ok(());
            }
            open = self.wait(open, stop).await?;
        }
    }

    fn limit(&self) -> Duration {
        self.options.command_timeout
    }

    /// Connects and selects the folder. Nothing is written, so it may be dropped half way.
    async fn open(&self) -> Result<Open, ImapError> {
        let (mut session, allowance) = connect(&self.options, self.connector.as_ref()).await?;
        let capabilities = timed(self.limit(), "CAPABILITY", session.capabilities()).await?;
        let idles = capabilities.has_str("IDLE");
        let folder = timed(self.limit(), "SELECT", session.select(&self.options.folder)).await?;
        let uid_validity = folder.uid_validity.ok_or(ImapError::Nonsense("SELECT"))?;
        Ok(Open { session, allowance, mark: Watermark { uid_validity, uid: 0 }, idles, uid_next: folder.uid_next })
    }

    /// Finds out from where to read. False if `stop` came first.
    async fn settle(&mut self, open: &mut Open, stop: &CancellationToken) -> Result<bool, ImapError> {
        let uid_validity = open.mark.uid_validity;
        let known = self.store.watermark(&self.options.account).await.map_err(|error| ImapError::NotNow(error.to_string()))?;
        match known {
            Some(mark) if mark.uid_validity == uid_validity => {
                open.mark = mark;
                Ok(true)
            }
            Some(_) => {
                // The folder was rebuilt: every UID is another. What nobody read is taken; what was taken before is known by its digest.
                tracing::warn!(account = %self.options.account, uid_validity, "the mailbox has new UIDs; unread mail is taken again");
                self.first_look(open, Start::Unseen, stop).await
            }
            None => self.first_look(open, self.options.start, stop).await,
        }
    }

    /// Takes what `start` asks for of the mail that is there, and puts the watermark behind it. False if `stop` came first: then
    /// it begins anew next time, and what was taken is known by its digest.
    async fn first_look(&mut self, open: &mut Open, start: Start, stop: &CancellationToken) -> Result<bool, ImapError> {
        let query = match start {
            Start::All => return self.remember(open, 0).await.map(|()| true),
            Start::Now => None,
            Start::Unseen => Some("UNSEEN".to_owned()),
            Start::Since(time) => Some(format!("SINCE {}", imap_date(time))),
        };
        let last = match open.uid_next {
            Some(next) => next.saturating_sub(1),
            None => self.search(open, "ALL").await?.last().copied().unwrap_or(0),
        };
        if let Some(query) = query {
            for uid in self.search(open, &query).await?.into_iter().filter(|uid| *uid <= last) {
                if stop.is_cancelled() || !self.take(open, uid, stop).await? {
                    return Ok(false);
                }
            }
        }
        self.remember(open, last).await.map(|()| true)
    }

    /// UIDs by a search, in order.
    async fn search(&self, open: &mut Open, query: &str) -> Result<Vec<u32>, ImapError> {
        open.allowance.grant(0);
        let mut found: Vec<u32> = timed(self.limit(), "SEARCH", open.session.uid_search(query)).await?.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Takes every mail above the watermark, oldest first.
    async fn look(&mut self, open: &mut Open, stop: &CancellationToken) -> Result<(), ImapError> {
        while open.session.unsolicited_responses.try_recv().is_ok() {}
        let above = format!("UID {}:*", open.mark.uid.saturating_add(1));
        // `n:*` names the last mail even when it is below n.
        let found: Vec<u32> = self.search(open, &above).await?.into_iter().filter(|uid| *uid > open.mark.uid).collect();
        for uid in found {
            if stop.is_cancelled() {
                return Ok(());
            }
            if !self.take(open, uid, stop).await? {
                return Ok(());
            }
            self.remember(open, uid).await?;
        }
        Ok(())
    }

    async fn remember(&mut self, open: &mut Open, uid: u32) -> Result<(), ImapError> {
        open.mark.uid = uid;
        self.store.put_watermark(&self.options.account, open.mark).await.map_err(|error| ImapError::NotNow(error.to_string()))
    }

    /// Takes one mail in and marks it as read. False if `stop` came before it was in.
    async fn take(&mut self, open: &mut Open, uid: u32, stop: &CancellationToken) -> Result<bool, ImapError> {
        if self.failures.get(&uid).is_some_and(|failures| *failures >= FETCHES_MAX) {
            self.failures.remove(&uid);
            return self.pass_by(open, uid).await;
        }
        let fetched = match self.fetch(open, uid).await {
            Ok(fetched) => fetched,
            Err(error) => {
                *self.failures.entry(uid).or_default() += 1;
                return Err(error);
            }
        };
        self.failures.remove(&uid);
        let Some(fetched) = fetched else { return Ok(true) };
        if !self.hand_in(open, uid, &fetched, stop).await? {
            return Ok(false);
        }
        self.progressed = true;
        if fetched.is_whole {
            self.mark_read(open, uid).await?;
        }
        Ok(true)
    }

    /// The mail, or its header if it is too large; none if it is gone.
    async fn fetch(&self, open: &mut Open, uid: u32) -> Result<Option<Fetched>, ImapError> {
        let Some(meta) = self.meta(open, uid).await? else { return Ok(None) };
        let is_whole = meta.size <= self.inbound.size_max();
        let part = match is_whole {
            true => "(UID BODY.PEEK[])".to_owned(),
            false => format!("(UID BODY.PEEK[HEADER]<0.{HEADER_BYTES_MAX}>)"),
        };
        let bytes = self.fetch_part(open, uid, &part, meta.size, is_whole).await?;
        Ok(bytes.map(|bytes| Fetched { meta, bytes, is_whole }))
    }

    /// Size and arrival; none if the mail is gone.
    async fn meta(&self, open: &mut Open, uid: u32) -> Result<Option<Meta>, ImapError> {
        open.allowance.grant(0);
        let session = &mut open.session;
        let query = async {
            let fetched: Vec<_> = session.uid_fetch(uid.to_string(), "(UID RFC822.SIZE INTERNALDATE)").await?.try_collect().await?;
            Ok(fetched)
        };
        let fetched = timed(self.limit(), "FETCH", query).await?;
        let now = clock::now();
        Ok(fetched.iter().find(|fetch| fetch.uid == Some(uid)).map(|fetch| Meta {
            size: fetch.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0),
            arrived: fetch.internal_date().map_or(now, |date| Timestamp(date.timestamp_micros()).min(now)),
        }))
    }

    /// A part of a mail; none if it is gone. A server that sends more than it announced is cut off.
    async fn fetch_part(&self, open: &mut Open, uid: u32, part: &str, size: usize, whole: bool) -> Result<Option<Bytes>, ImapError> {
        open.allowance.grant(if whole { size.min(self.inbound.size_max()) } else { HEADER_BYTES_MAX });
        let session = &mut open.session;
        let query = async {
            let fetched: Vec<_> = session.uid_fetch(uid.to_string(), part).await?.try_collect().await?;
            Ok(fetched)
        };
        // A large mail on a slow line: 64 KiB/s at least.
        let slow = Duration::from_secs(u64::try_from(size / (64 * 1024)).unwrap_or(0));
        let fetched = timed(self.limit() + slow, "FETCH", query).await?;
        open.allowance.grant(0);
        let Some(fetch) = fetched.iter().find(|fetch| fetch.uid == Some(uid)) else { return Ok(None) };
        let bytes = if whole { fetch.body() } else { fetch.header() };
        bytes.map(|bytes| Some(Bytes::copy_from_slice(bytes))).ok_or(ImapError::Nonsense("FETCH"))
    }

    /// Hands the mail in, as often as it takes. False if `stop` came first.
    async fn hand_in(&self, open: &Open, uid: u32, fetched: &Fetched, stop: &CancellationToken) -> Result<bool, ImapError> {
        let Fetched { meta, bytes, is_whole } = fetched;
        let account = &self.options.account;
        let mut failures = 0;
        loop {
            let taken = if *is_whole {
                self.inbound.accept(account, bytes.clone(), meta.arrived, "imap").await
            } else {
                let key = format!("imap:{}:{uid}", open.mark.uid_validity);
                self.inbound.accept_header(account, bytes.clone(), meta.size, key, meta.arrived).await
            };
            match taken {
                Ok(_) => return Ok(true),
                Err(error @ AcceptError::UnknownAccount(_)) => return Err(ImapError::NotNow(error.to_string())),
                Err(AcceptError::NotNow(reason)) => {
                    failures += 1;
                    tracing::warn!(%account, uid, reason, "a mail waits in its mailbox");
                    pause(back_off(failures), stop).await;
                }
            }
            if stop.is_cancelled() {
                return Ok(false);
            }
        }
    }

    /// Marks a mail as read. A folder that refuses is no reason to stop: the watermark is what counts.
    async fn mark_read(&self, open: &mut Open, uid: u32) -> Result<(), ImapError> {
        let session = &mut open.session;
        let query = async {
            let _: Vec<_> = session.uid_store(uid.to_string(), "+FLAGS.SILENT (\\Seen)").await?.try_collect().await?;
            Ok(())
        };
        match timed(self.limit(), "STORE", query).await {
            Err(ImapError::Refused(_)) => {
                tracing::warn!(account = %self.options.account, uid, "a mail cannot be marked as read");
                Ok(())
            }
            other => other,
        }
    }

    /// Leaves a mail that cannot be fetched where it is, unread, and says so in the quarantine.
    async fn pass_by(&self, open: &Open, uid: u32) -> Result<bool, ImapError> {
        let place = format!("UID {uid} of UIDVALIDITY {} in {}", open.mark.uid_validity, self.options.folder);
        let reason = format!("the mail could not be fetched {FETCHES_MAX} times and is left in the mailbox, unread: {place}");
        let held = self.inbound.quarantine(IN_MAILBOX, &self.options.account, place.as_bytes(), reason).await;
        held.map(|_| true).map_err(|error| ImapError::NotNow(error.to_string()))
    }

    /// Waits until something may have come.
    async fn wait(&self, open: Open, stop: &CancellationToken) -> Result<Open, ImapError> {
        let look_every = self.options.look_every.min(IDLE_MAX);
        open.allowance.grant(0);
        if !open.idles {
            pause(look_every, stop).await;
            return Ok(open);
        }
        let Open { session, allowance, mark, idles, uid_next } = open;
        let mut idle = session.idle();
        timed(self.limit(), "IDLE", idle.init()).await?;
        {
            let (news, _interrupt) = idle.wait_with_timeout(look_every);
            tokio::select! {
                () = stop.cancelled() => {}
                // A time limit of its own: a server that says "still here" would put the end off for ever, and what came
                // between the last look and IDLE is found by the next look only.
                () = tokio::time::sleep(look_every) => {}
                news = news => {
                    timed(self.limit(), "IDLE", async { news }).await?;
                }
            }
        }
        let session = timed(self.limit(), "DONE", idle.done()).await?;
        Ok(Open { session, allowance, mark, idles, uid_next })
    }
}

/// `1-Jan-2026`, as SEARCH wants it.
fn imap_date(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).unwrap_or_default().strftime("%-d-%b-%Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_imap_writes_them() {
        assert_eq!(imap_date("2026-01-05T23:00:00Z".parse_time()), "5-Jan-2026");
    }

    trait ParseTime {
        fn parse_time(&self) -> Timestamp;
    }

    impl ParseTime for str {
        fn parse_time(&self) -> Timestamp {
            Timestamp(self.parse::<jiff::Timestamp>().expect("a time").as_microsecond())
        }
    }
}
