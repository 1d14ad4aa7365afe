//! Mails that cannot be fetched: when each is tried again, and when it is the mail and not the server. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A mail is not given up before so many failures, however long ago the first was: between them the server may have been away.
const FAILURES_MIN: u32 = 5;
/// A mail with which no other can be compared is given up only after so many times the usual time.
const ALONE: u32 = 4;

/// How what fails is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// The first pause, doubled each time.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// A mail that fails for so long while others come is passed by.
    pub give_up_after: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), give_up_after: Duration::from_secs(15 * 60) }
    }
}

impl Retries {
    /// How long to wait after the `failures`-th failure.
    pub fn pause(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }
}

/// The mails in trouble, by UID.
#[derive(Debug, Default)]
pub struct Troubles(BTreeMap<u32, Trouble>);

#[derive(Debug)]
struct Trouble {
    since: Instant,
    failures: u32,
    again_at: Instant,
    /// Another mail was fetched meanwhile.
    overtaken: bool,
}

impl Troubles {
    /// A fetch failed. True if the mail is to be passed by: it fails for long, and the server gives others. While others fail too and
    /// none comes, it is the server that is ill, and no mail is given up.
    pub fn failed(&mut self, uid: u32, now: Instant, retries: &Retries) -> bool {
        let trouble = self.0.entry(uid).or_insert(Trouble { since: now, failures: 0, again_at: now, overtaken: false });
        trouble.failures += 1;
        trouble.again_at = now + retries.pause(trouble.failures);
        let patience = if trouble.overtaken { retries.give_up_after } else { retries.give_up_after * ALONE };
        let is_late = trouble.failures >= FAILURES_MIN && now.saturating_duration_since(trouble.since) >= patience;
        is_late && self.0.iter().all(|(other, trouble)| *other == uid || trouble.overtaken)
    }

    /// The server gave a mail: so it is not the server that makes the others fail.
    pub fn fetched(&mut self, uid: u32) {
        self.0.remove(&uid);
        self.0.values_mut().for_each(|trouble| trouble.overtaken = true);
    }

    /// A mail is gone or passed by.
    pub fn forget(&mut self, uid: u32) {
        self.0.remove(&uid);
    }

    /// Only these are still asked for: the others are gone.
    pub fn keep(&mut self, asked_for: &[u32]) {
        self.0.retain(|uid, _| asked_for.contains(uid));
    }

    /// Every UID is another now.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a mail failed before.
    pub fn has(&self, uid: u32) -> bool {
        self.0.contains_key(&uid)
    }

    /// Whether a mail may be tried now.
    pub fn may_try(&self, uid: u32, now: Instant) -> bool {
        self.0.get(&uid).is_none_or(|trouble| trouble.again_at <= now)
    }

    /// How long until the next may be tried again.
    pub fn next_in(&self, now: Instant) -> Option<Duration> {
        self.0.values().map(|trouble| trouble.again_at.saturating_duration_since(now)).min()
    }

    /// Whether mails fail and none came since: then the mailbox is not being read.
    pub fn hold_up_all(&self) -> bool {
        self.0.values().any(|trouble| !trouble.overtaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Tries the mails each minute, or when they may be; returns the minute in which the first is given up.
    fn given_up(mails: &[u32], minutes: u32, mut also: impl FnMut(u32, &mut Troubles)) -> Option<u32> {
        let (start, retries) = (Instant::now(), Retries::default());
        let mut troubles = Troubles::default();
        for minute in 0..minutes {
            let now = start + MINUTE * minute;
            also(minute, &mut troubles);
            for uid in mails {
                if troubles.may_try(*uid, now) && troubles.failed(*uid, now, &retries) {
                    return Some(minute);
                }
            }
        }
        None
    }

    #[test]
    fn a_mail_is_given_up_only_if_it_is_not_the_server() {
        let another_comes = |at| {
            move |minute, troubles: &mut Troubles| {
                if minute == at {
                    troubles.fetched(9)
                }
            }
        };
        assert_eq!(given_up(&[1], 14, another_comes(3)), None, "not so soon");
        assert_eq!(given_up(&[1], 1_000, another_comes(3)), Some(15), "others come");
        assert_eq!(given_up(&[1], 1_000, another_comes(30)), Some(30), "another comes late");
        assert_eq!(given_up(&[1], 1_000, |_, _| ()), Some(60), "the only one");
        assert_eq!(given_up(&[1, 2, 3], 1_000, |_, _| ()), None, "nothing comes at all");
        assert_eq!(given_up(&[1, 2, 3], 1_000, another_comes(30)), Some(30), "three of many");
    }

    #[test]
    fn an_outage_between_two_failures_is_not_the_mails_fault() {
        let (start, retries) = (Instant::now(), Retries::default());
        let mut troubles = Troubles::default();
        assert!(!troubles.failed(1, start, &retries));
        troubles.fetched(2);
        assert!(!troubles.failed(1, start + MINUTE * 60, &retries));
    }

    #[test]
    fn pauses_grow_up_to_a_minute_and_end_with_the_trouble() {
        let (now, retries) = (Instant::now(), Retries::default());
        let pauses: Vec<u64> = (1..=9).map(|failures| retries.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let mut troubles = Troubles::default();
        assert_eq!((troubles.next_in(now), troubles.hold_up_all()), (None, false));
        troubles.failed(1, now, &retries);
        assert!(!troubles.may_try(1, now) && troubles.may_try(1, now + retries.first) && troubles.may_try(2, now));
        assert_eq!((troubles.next_in(now), troubles.hold_up_all()), (Some(retries.first), true));
        troubles.fetched(2);
        assert!(troubles.has(1) && !troubles.hold_up_all());
        troubles.fetched(1);
        assert_eq!(troubles.next_in(now), None);
        troubles.failed(3, now, &retries);
        troubles.keep(&[3, 4]);
        assert!(troubles.hold_up_all());
        troubles.keep(&[4]);
        assert_eq!((troubles.next_in(now), troubles.hold_up_all()), (None, false), "it is gone");
    }
}
