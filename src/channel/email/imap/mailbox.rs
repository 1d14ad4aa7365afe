//! The work on one mailbox: look, fetch, hand in, mark as read, remember how far; then wait for more.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_imap::Session;
use bytes::Bytes;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::command::{self, Attributes};
use super::connect::{Allowance, Bounded, connect, timed};
use super::trouble::Troubles;
use super::{ImapError, pause};
use crate::channel::email::MailboxOptions;
use crate::channel::email::header::HEADER_BYTES_MAX;
use crate::channel::email::inbound::{AcceptError, IN_MAILBOX, Inbound};
use crate::channel::email::options::Start;
use crate::channel::outbound::{back_off, digest};
use crate::model::time::Timestamp;
use crate::port::clock;
use crate::port::store::{Store, Watermark};

/// IDLE's longest (RFC 2177: servers hang up after 30 min).
const IDLE_MAX: Duration = Duration::from_secs(29 * 60);

/// A mailbox and how far it was read.
pub struct Mailbox {
    options: MailboxOptions,
    connector: Option<TlsConnector>,
    store: Arc<dyn Store>,
    inbound: Arc<Inbound>,
    /// What `done` and `troubles` are about, and what follows, kept over connections.
    uid_validity: u32,
    /// Mails above the watermark that are done with: one before them is not.
    done: BTreeSet<u32>,
    troubles: Troubles,
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

/// From where a mailbox is read.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// Above what was read.
    Mark(Watermark),
    /// It was never read: what the settings say.
    First,
    /// Another server, user or folder: what the settings say.
    OtherPlace,
    /// The folder was rebuilt, or put back from a copy: UIDs say nothing about what was read.
    NewUids,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is in, or gone, or passed by.
    Done,
    /// It cannot be fetched now; others can.
    Later,
    /// The end of the work came first.
    Stopped,
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
        let (done, troubles) = (BTreeSet::new(), Troubles::default());
        Self { options, connector, store, inbound, uid_validity: 0, done, troubles, progressed: false }
    }

    /// Reads until `stop` or a failure; also whether it got anywhere: a mail was taken, or the mailbox watched in peace for a while.
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
        if self.uid_validity != open.mark.uid_validity {
            self.uid_validity = open.mark.uid_validity;
            self.troubles.clear();
            self.done.clear();
        }
        let mut is_settled = false;
        loop {
            if !is_settled {
                is_settled = self.settle(&mut open, stop).await?;
            }
            if is_settled {
                self.look(&mut open, stop).await?;
            }
            if stop.is_cancelled() {
                // Courtesy: the server closes the connection by itself when it is dropped.
                let _ = timed(Duration::from_secs(2), "LOGOUT", open.session.logout()).await;
                return Ok(());
            }
            self.inbound.counters().account(&self.options.account).imap_up.set(!self.troubles.hold_up_all());
            open = self.wait(open, stop).await?;
            self.progressed |= !self.troubles.hold_up_all();
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
        let mark = Watermark { uid_validity, uid: 0, place: Some(self.options.place()) };
        Ok(Open { session, allowance, mark, idles, uid_next: folder.uid_next })
    }

    /// Finds out from where to read. False if `stop` came first, or a mail of the first look is still to come.
    async fn settle(&mut self, open: &mut Open, stop: &CancellationToken) -> Result<bool, ImapError> {
        let account = &self.options.account;
        let known = self.store.watermark(account).await.map_err(|error| ImapError::NotNow(error.to_string()))?;
        let uid_validity = open.mark.uid_validity;
        let start = match from_where(known, open.mark, open.uid_next) {
            Beginning::Mark(mark) => {
                open.mark = mark;
                tracing::info!(%account, uid = mark.uid, idle = open.idles, "mailbox is open");
                // earlier releases did not keep the place
                if known != Some(mark) {
                    self.remember(open, mark.uid).await?;
                }
                return Ok(true);
            }
            Beginning::First => self.options.start,
            Beginning::OtherPlace => {
                tracing::warn!(%account, uid_validity, start = ?self.options.start, "the account has another mailbox than before (server, user or folder): it is begun as `start` says");
                self.options.start
            }
            Beginning::NewUids => {
                // What nobody read is taken; what was taken before is known by its digest.
                tracing::warn!(%account, uid_validity, "the mailbox has new UIDs; unread mail is taken again");
                Start::Unseen
            }
        };
        let is_settled = self.first_look(open, start, stop).await?;
        tracing::info!(account = %self.options.account, uid = open.mark.uid, idle = open.idles, is_settled, "mailbox is open");
        Ok(is_settled)
    }

    /// Takes what `start` asks for of the mail that is there, and puts the watermark behind it. False if it is not all in: then it
    /// begins anew, and what was taken is known by its digest.
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
        let mut is_all = true;
        if let Some(query) = query {
            let found: Vec<u32> = self.search(open, &query).await?.into_iter().filter(|uid| *uid <= last).collect();
            self.troubles.keep(&found);
            for uid in self.in_order(found) {
                match self.take(open, uid, stop).await? {
                    Taken::Done => {}
                    Taken::Later => is_all = false,
                    Taken::Stopped => return Ok(false),
                }
            }
        }
        if is_all {
            self.done.clear();
            self.remember(open, last).await?;
        }
        Ok(is_all)
    }

    /// UIDs by a search, in order.
    async fn search(&self, open: &mut Open, query: &str) -> Result<Vec<u32>, ImapError> {
        open.allowance.grant(0);
        timed(self.limit(), "SEARCH", command::search(&mut open.session, query)).await
    }

    /// Takes every mail above the watermark, oldest first. The watermark goes no further than the first that is not in.
    async fn look(&mut self, open: &mut Open, stop: &CancellationToken) -> Result<(), ImapError> {
        while open.session.unsolicited_responses.try_recv().is_ok() {}
        let above = format!("UID {}:*", open.mark.uid.saturating_add(1));
        // `n:*` names the last mail even when it is below n.
        let found: Vec<u32> = self.search(open, &above).await?.into_iter().filter(|uid| *uid > open.mark.uid).collect();
        self.troubles.keep(&found);
        let mut ahead = VecDeque::from(found.clone());
        for uid in self.in_order(found) {
            if uid <= open.mark.uid {
                continue;
            }
            match self.take(open, uid, stop).await? {
                Taken::Done => self.advance(open, &mut ahead).await?,
                Taken::Later => {}
                Taken::Stopped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Oldest first, but those that failed before come after the others.
    fn in_order(&self, found: Vec<u32>) -> impl Iterator<Item = u32> + use<> {
        let (later, first): (Vec<u32>, Vec<u32>) = found.into_iter().partition(|uid| self.troubles.has(*uid));
        first.into_iter().chain(later)
    }

    /// Puts the watermark behind the mails of `ahead` that are done with.
    async fn advance(&mut self, open: &mut Open, ahead: &mut VecDeque<u32>) -> Result<(), ImapError> {
        let mut last = None;
        while ahead.front().is_some_and(|uid| self.done.contains(uid)) {
            last = ahead.pop_front();
        }
        let Some(last) = last else { return Ok(()) };
        self.remember(open, last).await?;
        self.done = self.done.split_off(&last.saturating_add(1));
        Ok(())
    }

    async fn remember(&mut self, open: &mut Open, uid: u32) -> Result<(), ImapError> {
        open.mark.uid = uid;
        self.store.put_watermark(&self.options.account, open.mark).await.map_err(|error| ImapError::NotNow(error.to_string()))
    }

    /// Takes one mail in and marks it as read.
    async fn take(&mut self, open: &mut Open, uid: u32, stop: &CancellationToken) -> Result<Taken, ImapError> {
        if stop.is_cancelled() {
            return Ok(Taken::Stopped);
        }
        if self.done.contains(&uid) {
            return Ok(Taken::Done);
        }
        if !self.troubles.may_try(uid, Instant::now()) {
            return Ok(Taken::Later);
        }
        let fetched = match self.fetch(open, uid).await {
            Ok(fetched) => fetched,
            Err(error) => {
                if self.troubles.failed(uid, Instant::now(), &self.options.retries) {
                    self.pass_by(open, uid).await?;
                }
                return Err(error);
            }
        };
        let Some(fetched) = fetched else {
            self.troubles.forget(uid);
            self.done.insert(uid);
            return Ok(Taken::Done);
        };
        self.troubles.fetched(uid);
        if !self.hand_in(uid, &fetched, stop).await? {
            return Ok(Taken::Stopped);
        }
        self.progressed = true;
        self.done.insert(uid);
        if fetched.is_whole {
            self.mark_read(open, uid).await?;
        }
        Ok(Taken::Done)
    }

    /// The mail, or its header if it is too large; none if it is gone.
    async fn fetch(&self, open: &mut Open, uid: u32) -> Result<Option<Fetched>, ImapError> {
        open.allowance.grant(0);
        let Some(known) = self.fetch_part(open, uid, "(UID RFC822.SIZE INTERNALDATE)", self.limit()).await? else { return Ok(None) };
        let now = clock::now();
        let meta = Meta { size: known.size.unwrap_or(0), arrived: known.arrived.map_or(now, |arrived| arrived.min(now)) };
        let is_whole = meta.size <= self.inbound.size_max();
        let (part, bytes) = match is_whole {
            true => ("(UID BODY.PEEK[])".to_owned(), meta.size),
            false => (format!("(UID BODY.PEEK[HEADER]<0.{HEADER_BYTES_MAX}>)"), HEADER_BYTES_MAX),
        };
        // A server that sends more than it announced is cut off.
        open.allowance.grant(bytes);
        // A large mail on a slow line: 64 KiB/s at least.
        let slow = Duration::from_secs(u64::try_from(meta.size / (64 * 1024)).unwrap_or(0));
        let Some(fetched) = self.fetch_part(open, uid, &part, self.limit() + slow).await? else { return Ok(None) };
        open.allowance.grant(0);
        let bytes = if is_whole { fetched.body } else { fetched.header };
        Ok(Some(Fetched { meta, bytes: bytes.ok_or(ImapError::Nonsense("FETCH"))?, is_whole }))
    }

    async fn fetch_part(&self, open: &mut Open, uid: u32, what: &str, limit: Duration) -> Result<Option<Attributes>, ImapError> {
        timed(limit, "FETCH", command::fetch(&mut open.session, uid, what)).await
    }

    /// Hands the mail in, as often as it takes. False if `stop` came first.
    async fn hand_in(&self, uid: u32, fetched: &Fetched, stop: &CancellationToken) -> Result<bool, ImapError> {
        let Fetched { meta, bytes, is_whole } = fetched;
        let account = &self.options.account;
        let mut failures = 0;
        loop {
            let taken = if *is_whole {
                self.inbound.accept(account, bytes.clone(), meta.arrived, "imap").await
            } else {
                // Not by its UID: after a restore that is another mail's. With the trace of the servers that it came by, which tells two
                // mails apart whose sender wrote one header.
                let key = format!("header:{}:{}", digest(bytes), meta.size);
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
        match timed(self.limit(), "STORE", command::store(&mut open.session, uid, "+FLAGS.SILENT (\\Seen)")).await {
            Err(ImapError::Refused(_)) => {
                tracing::warn!(account = %self.options.account, uid, "a mail cannot be marked as read");
                Ok(())
            }
            other => other,
        }
    }

    /// Leaves a mail that cannot be fetched where it is, unread, and says so in the quarantine.
    async fn pass_by(&mut self, open: &Open, uid: u32) -> Result<(), ImapError> {
        let place = format!("UID {uid} of UIDVALIDITY {} in {}", open.mark.uid_validity, self.options.folder);
        let reason = format!("the mail cannot be fetched, again and again, and is left in the mailbox, unread: {place}");
        let held = self.inbound.quarantine(IN_MAILBOX, &self.options.account, place.as_bytes(), reason).await;
        held.map_err(|error| ImapError::NotNow(error.to_string()))?;
        self.troubles.forget(uid);
        self.done.insert(uid);
        Ok(())
    }

    /// Waits until something may have come.
    async fn wait(&self, open: Open, stop: &CancellationToken) -> Result<Open, ImapError> {
        let again_in = self.troubles.next_in(Instant::now()).unwrap_or(IDLE_MAX).max(self.options.retries.first);
        let look_every = self.options.look_every.min(IDLE_MAX).min(again_in);
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

/// Where to go on, by what is `known` of the last time and what the server says `now`.
fn from_where(known: Option<Watermark>, now: Watermark, uid_next: Option<u32>) -> Beginning {
    let Some(known) = known else { return Beginning::First };
    if known.place.is_some() && known.place != now.place {
        return Beginning::OtherPlace;
    }
    // A mailbox put back from a copy gives out anew UIDs that were read.
    if known.uid_validity != now.uid_validity || uid_next.is_some_and(|next| next <= known.uid) {
        return Beginning::NewUids;
    }
    Beginning::Mark(Watermark { uid: known.uid, ..now })
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

    #[test]
    fn from_where_a_mailbox_is_read() {
        let mark = |uid_validity, uid, place| Watermark { uid_validity, uid, place };
        let now = mark(7, 0, Some(1));
        for (known, uid_next, expected) in [
            (None, Some(9), Beginning::First),
            (Some(mark(7, 5, Some(1))), Some(9), Beginning::Mark(mark(7, 5, Some(1)))),
            (Some(mark(7, 5, Some(1))), Some(6), Beginning::Mark(mark(7, 5, Some(1)))),
            (Some(mark(7, 5, Some(1))), None, Beginning::Mark(mark(7, 5, Some(1)))),
            (Some(mark(7, 0, Some(1))), Some(1), Beginning::Mark(mark(7, 0, Some(1)))),
            // put back from a copy
            (Some(mark(7, 5, Some(1))), Some(5), Beginning::NewUids),
            (Some(mark(6, 5, Some(1))), Some(9), Beginning::NewUids),
            // another folder, whatever its UIDs are like
            (Some(mark(7, 5, Some(2))), Some(9), Beginning::OtherPlace),
            (Some(mark(6, 5, Some(2))), Some(9), Beginning::OtherPlace),
            // of an earlier release
            (Some(mark(7, 5, None)), Some(9), Beginning::Mark(mark(7, 5, Some(1)))),
            (Some(mark(6, 5, None)), Some(9), Beginning::NewUids),
        ] {
            assert_eq!(from_where(known, now, uid_next), expected, "{known:?} {uid_next:?}");
        }
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
