//! Messages whose acknowledgement the SMSC may not have got. Pure.
//!
//! A `deliver_sm` has no id. When a session breaks, the SMSC sends again on the next one what it has no answer for (SMPP 3.4, 2.9), and
//! that must not become a second message; but a citizen who writes "ok" twice has written twice. So an answer is proved: what the
//! SMSC answers to an `enquire_link` of ours that went out behind it, on the same connection, it answers after having read it. Only
//! a message whose answer was not proved when its session ended is recognised, once, on the sessions that follow, for a while. When the
//! process was killed, those are the last ones that it left in the spool: a message stays there longer than its answer takes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::time::Timestamp;

/// How long after the next bind a message may come again. Longer, and the same word is more likely written anew.
const AGAIN_WITHIN: Duration = Duration::from_mins(5);
/// Answers that may be without proof, and messages that may come again; beyond it the oldest count as proved. An SMSC's window
/// is rarely larger.
const MAX: usize = 256;

/// How much older than the newest message in the spool of a killed process one without proof can be: proof takes a second.
const LEFT_WITHIN: Duration = Duration::from_secs(10);

/// A message by what an SMSC would repeat of it.
pub type Fingerprint = [u8; 32];

/// The answers of the sessions of one account.
#[derive(Debug, Default)]
pub struct Unproven {
    /// Answered in this session.
    answered: VecDeque<Fingerprint>,
    /// The `enquire_link` that is out, and how many answers went before it.
    asked: Option<(u32, usize)>,
    /// Of earlier sessions, with the end of their time.
    suspects: VecDeque<(Fingerprint, Instant)>,
}

impl Unproven {
    /// What a process that was killed has left in the spool, with the time when each message came.
    pub fn left(mut messages: Vec<(Timestamp, Fingerprint)>) -> Self {
        let newest = messages.iter().map(|(at, _)| *at).max().unwrap_or_default();
        messages.retain(|(at, _)| newest.since(*at) <= LEFT_WITHIN);
        let first = messages.len().saturating_sub(MAX);
        Self { answered: messages.drain(first..).map(|(_, message)| message).collect(), ..Self::default() }
    }

    /// A session begins: what the one before left without proof may come again.
    pub fn begin(&mut self, now: Instant) {
        self.asked = None;
        self.suspects.retain(|(_, until)| *until > now);
        self.suspects.extend(self.answered.drain(..).map(|message| (message, now + AGAIN_WITHIN)));
        self.suspects.drain(..self.suspects.len().saturating_sub(MAX));
    }

    /// Whether this is such a message. Each is recognised once.
    pub fn is_repeated(&mut self, message: &Fingerprint, now: Instant) -> bool {
        let known = self.suspects.iter().position(|(suspect, until)| suspect == message && *until > now);
        known.is_some_and(|place| self.suspects.remove(place).is_some())
    }

    /// It was answered.
    pub fn answered(&mut self, message: Fingerprint) {
        if self.answered.len() == MAX {
            self.answered.pop_front();
            self.asked = self.asked.map(|(sequence, before)| (sequence, before.saturating_sub(1)));
        }
        self.answered.push_back(message);
    }

    /// Whether the SMSC should be asked.
    pub fn wants_proof(&self) -> bool {
        self.asked.is_none() && !self.answered.is_empty()
    }

    /// The `enquire_link` that goes out now.
    pub fn ask(&mut self, sequence: u32) {
        self.asked = Some((sequence, self.answered.len()));
    }

    /// The SMSC answered an `enquire_link`.
    pub fn prove(&mut self, sequence: u32) {
        if let Some((_, before)) = self.asked.take_if(|(asked, _)| *asked == sequence) {
            self.answered.drain(..before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Fingerprint = [1; 32];
    const OTHER: Fingerprint = [2; 32];

    #[test]
    fn only_what_is_not_proved_comes_again_and_once() {
        let (mut answers, now) = (Unproven::default(), Instant::now());
        answers.begin(now);
        answers.answered(OK);
        assert!(!answers.is_repeated(&OK, now), "on one session nobody repeats");
        assert!(answers.wants_proof());
        answers.ask(7);
        answers.answered(OTHER);
        answers.prove(6);
        assert!(!answers.wants_proof(), "that was not it");
        answers.prove(7);
        assert!(answers.wants_proof(), "the second answer went out after the question");
        answers.begin(now);
        assert!(!answers.is_repeated(&OK, now), "proved");
        assert!(answers.is_repeated(&OTHER, now));
        assert!(!answers.is_repeated(&OTHER, now), "once: the next one is the citizen's");
    }

    #[test]
    fn the_last_ones_that_a_killed_process_left_may_come_again() {
        let at = |seconds: i64, message| (Timestamp::from_secs(seconds), message);
        let (mut answers, now) = (Unproven::left(vec![at(100, OTHER), at(190, OK), at(195, [3; 32])]), Instant::now());
        answers.begin(now);
        assert!(answers.is_repeated(&OK, now) && !answers.is_repeated(&OK, now));
        assert!(!answers.is_repeated(&OTHER, now), "answered long before");
        assert_eq!(Unproven::left(vec![at(1, OK); MAX + 9]).answered.len(), MAX);
        assert!(Unproven::left(Vec::new()).answered.is_empty());
    }

    #[test]
    fn time_and_number_are_limited() {
        let (mut answers, now) = (Unproven::default(), Instant::now());
        answers.answered(OK);
        answers.begin(now);
        answers.begin(now + AGAIN_WITHIN / 2);
        assert!(!answers.is_repeated(&OK, now + AGAIN_WITHIN), "its time is over");
        answers.ask(1);
        for _ in 0..=MAX {
            answers.answered(OTHER);
        }
        answers.answered(OK);
        answers.prove(1);
        answers.begin(now);
        assert_eq!(answers.suspects.iter().filter(|(message, _)| *message == OTHER).count(), MAX - 1);
        answers.begin(now);
        assert!(answers.is_repeated(&OK, now), "the next session may break, too");
    }
}
