//! What a citizen may know of the room: whether a queue is open and somebody is there, how many wait before them, and what an
//! operator is called. Read from the store, believed for a moment.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use std::sync::Mutex as Lock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::limits::{NOTICE_CHARACTERS_MAX, PLACE_EVERY, ROOM_AGE_MAX, ROOM_WITHIN};
use crate::model::channel::{Channel, Language};
use crate::model::contact::{Mode, StateName};
use crate::model::id::{AdministrationId, ContactId, OperatorId, PoolId, QueueId};
use crate::model::operator::Operator;
use crate::model::requirement::{Abilities, Requirement};
use crate::plan::Plan;
use crate::port::store::{ContactFilter, Page, Store, StoreError};

/// Operators' names remembered at once.
const NAMES_MAX: usize = 10_000;
/// How long a name is believed.
const NAME_AGE_MAX: Duration = Duration::from_secs(60);
/// Waiting contacts counted in one queue; who is behind them gets no number.
const PLACES_MAX: u32 = 500;

/// Where a contact goes: what whoever answers must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its queue.
    pub queue: QueueId,
    /// What a rule asks for beyond the queue's own requirement.
    pub requirement: Requirement,
    /// The citizen's language.
    pub language: Option<Language>,
}

struct Known {
    operators: Vec<Operator>,
    /// Closed queues, with what they say to citizens.
    closed: HashMap<QueueId, Option<String>>,
}

/// Whether a citizen who comes now is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attendance {
    /// The queue admits live contacts and somebody who could answer is there, free or not.
    pub is_open: bool,
    /// What the closed queue says to citizens.
    pub notice: Option<String>,
}

/// What was read last of one thing, or why it could not be.
type Slot<T> = Arc<Mutex<Option<(Instant, Result<Arc<T>, StoreError>)>>>;

/// What is read of each thing once for everybody, and believed for a moment. As many as the plan has of them.
struct Believed<K, T> {
    slots: Lock<HashMap<K, Slot<T>>>,
    age_max: Duration,
}

impl<K: Eq + Hash, T> Believed<K, T> {
    fn new(age_max: Duration) -> Self {
        Self { slots: Lock::default(), age_max }
    }

    /// One reads, the others who want the same wait for it, as long as it may take; that it failed is believed, too.
    async fn get(&self, key: K, read: impl Future<Output = Result<T, StoreError>>) -> Result<Arc<T>, StoreError> {
        let slot = Slot::clone(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some((at, known)) = &*slot {
            let age_max = if known.is_ok() { self.age_max } else { ROOM_AGE_MAX };
            if at.elapsed() < age_max {
                return known.clone();
            }
        }
        let late = || StoreError::Unavailable("no answer in time".to_owned());
        let known = timeout(ROOM_WITHIN, read).await.unwrap_or_else(|_| Err(late())).map(Arc::new);
        *slot = Some((Instant::now(), known.clone()));
        known
    }
}

/// The rooms of all pools.
pub struct Room {
    store: Arc<dyn Store>,
    known: Believed<PoolId, Known>,
    places: Believed<(AdministrationId, QueueId), HashMap<ContactId, u32>>,
    names: Lock<HashMap<OperatorId, (Instant, Option<String>)>>,
}

impl Room {
    /// Nothing is known yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Believed::new(ROOM_AGE_MAX), places: Believed::new(PLACE_EVERY), names: Lock::default() }
    }

    async fn known(&self, pool: &PoolId) -> Result<Arc<Known>, StoreError> {
        let read = async {
            let operators = self.store.operators(pool).await?;
            let closed = self.store.queue_states(pool).await?.into_iter().filter(|state| state.closed);
            let closed = closed.map(|state| (state.queue, state.notice.as_deref().and_then(shown))).collect();
            Ok(Known { operators, closed })
        };
        self.known.get(pool.clone(), read).await
    }

    /// Whether a citizen who comes now is answered, and what the queue says if it is closed.
    pub async fn attendance(&self, plan: &Plan, pool: &PoolId, wanted: &Wanted) -> Result<Attendance, StoreError> {
        let room = self.known(pool).await?;
        Ok(match room.closed.get(&wanted.queue) {
            Some(notice) => Attendance { is_open: false, notice: notice.clone() },
            None => Attendance { is_open: room.operators.iter().any(|operator| could_answer(plan, operator, wanted)), notice: None },
        })
    }

    /// The place of a waiting contact in its queue, from 1.
    pub async fn place(&self, administration: &AdministrationId, queue: &QueueId, contact: ContactId) -> Result<Option<u32>, StoreError> {
        let read = async {
            let states = vec![StateName::Queued, StateName::Offered];
            let filter = ContactFilter { states, queue: Some(queue.clone()), ..ContactFilter::default() };
            let waiting = self.store.contacts(std::slice::from_ref(administration), &filter, Page { limit: PLACES_MAX, offset: 0 }).await?;
            // who rings already is before everybody else; then as the queue has it
            let live = waiting.iter().map(|summary| &summary.contact).filter(|contact| contact.mode == Mode::Live);
            let mut in_order: Vec<_> = live.map(|contact| (contact.state.name() == StateName::Queued, contact.key, contact.id)).collect();
            in_order.sort_unstable();
            Ok((1..).zip(in_order).map(|(place, (.., id))| (id, place)).collect::<HashMap<_, _>>())
        };
        let places = self.places.get((administration.clone(), queue.clone()), read).await?;
        Ok(places.get(&contact).copied())
    }

    /// What an operator is called before citizens.
    pub async fn name(&self, operator: OperatorId) -> Option<String> {
        if let Some((at, name)) = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&operator)
            && at.elapsed() < NAME_AGE_MAX
        {
            return name.clone();
        }
        let name = self.store.login_of(operator).await.ok()?.map(|login| login.name);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(operator, (Instant::now(), name.clone()));
        name
    }
}

/// A notice as citizens read it: plain text, not too long, or nothing.
fn shown(notice: &str) -> Option<String> {
    let notice = notice.trim();
    let mut shown: String = notice.chars().filter(|c| !c.is_control() || *c == '\n').take(NOTICE_CHARACTERS_MAX).collect();
    if notice.chars().count() > NOTICE_CHARACTERS_MAX {
        shown.push('…');
    }
    (!shown.is_empty()).then_some(shown)
}

/// Whether a contact could go to an operator who is there and takes contacts, were they free.
fn could_answer(plan: &Plan, operator: &Operator, wanted: &Wanted) -> bool {
    let Some(queue) = plan.queues.get(&wanted.queue) else { return false };
    let profile = &operator.profile;
    let languages = if profile.languages.is_empty() { [Language::ITALIAN].into() } else { profile.languages.clone() };
    let speaks = !queue.match_language || wanted.language.is_none_or(|language| languages.contains(&language));
    let abilities = Abilities {
        skills: profile.skills.clone(),
        languages,
        country: operator.presence.country.clone(),
        offices: profile.offices.clone(),
        administrations: profile.administrations.clone(),
        queues: profile.queues.clone(),
    };
    operator.is_ready()
        && speaks
        && profile.administrations.contains(&queue.administration)
        && (profile.channels.is_empty() || profile.channels.contains(&Channel::webchat()))
        && (profile.queues.is_empty() || profile.queues.contains(&wanted.queue))
        && (!plan.is_restricted(&queue.administration, &queue.office) || profile.offices.contains(&queue.office))
        && queue.requirement.is_met_by(&abilities)
        && wanted.requirement.is_met_by(&abilities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::{Presence, PresenceState};
    use crate::port::testing;

    /// A database that hangs holds up who asks it, for a moment, and nobody who asks something else.
    #[tokio::test(start_paused = true)]
    async fn one_question_without_an_answer_holds_up_no_other() {
        let believed = Arc::new(Believed::<u8, u8>::new(ROOM_AGE_MAX));
        let began = Instant::now();
        let hung = |_| {
            let believed = Arc::clone(&believed);
            tokio::spawn(async move { believed.get(1, std::future::pending()).await })
        };
        let asked: Vec<_> = (0..3).map(hung).collect();
        tokio::task::yield_now().await;
        assert_eq!(believed.get(2, async { Ok(7) }).await.as_deref(), Ok(&7));
        assert!(began.elapsed().is_zero());
        for asked in asked {
            assert!(matches!(asked.await.expect("no panic"), Err(StoreError::Unavailable(_))));
        }
        assert!(began.elapsed() < ROOM_WITHIN * 2, "who waited asks not again what has just failed");
        assert!(believed.get(1, async { Ok(8) }).await.is_err(), "nor who comes then");
        assert_eq!(believed.get(2, async { Ok(9) }).await.as_deref(), Ok(&7), "what is known is believed");
    }

    #[test]
    fn notices_that_are_shown() {
        for (notice, expected) in [
            ("Torniamo alle 14", Some("Torniamo alle 14")),
            (" \n\t ", None),
            ("riga\nriga\u{0}\u{1b}[1m", Some("riga\nriga[1m")),
            ("<b>chiuso</b>", Some("<b>chiuso</b>")),
        ] {
            assert_eq!(shown(notice).as_deref(), expected, "{notice:?}");
        }
        let long = shown(&"è".repeat(NOTICE_CHARACTERS_MAX + 1)).expect("is shown");
        assert_eq!((long.chars().count(), long.ends_with("è…")), (NOTICE_CHARACTERS_MAX + 1, true));
    }

    #[test]
    fn who_could_answer() {
        let plan = testing::plan();
        let wanted = Wanted { queue: QueueId::new("urp").expect("a name"), requirement: Requirement::Anybody, language: None };
        let there = || {
            let mut operator = testing::operator(1, &["comune"], &["urp"]);
            operator.presence = Presence { state: PresenceState::Ready, node: Some("n".into()), ..Presence::default() };
            operator
        };
        assert!(could_answer(&plan, &there(), &wanted));
        type Change = fn(&mut Operator);
        let changes: [(&str, Change); 5] = [
            ("away", |who| who.presence.state = PresenceState::Away { reason: "lunch".into() }),
            ("no console", |who| who.presence.node = None),
            ("another body's", |who| who.profile.administrations = [testing::administration("asl")].into()),
            ("mail only", |who| who.profile.channels = [Channel::email()].into()),
            ("another queue", |who| who.profile.queues = [QueueId::new("sociale").expect("a name")].into()),
        ];
        for (what, change) in changes {
            let mut who = there();
            change(&mut who);
            assert!(!could_answer(&plan, &who, &wanted), "{what}");
        }
        let skilled = Requirement::Skill("tributi".parse().expect("a name"), crate::model::requirement::Comparison::AtLeast, 2);
        assert!(!could_answer(&plan, &there(), &Wanted { requirement: skilled, ..wanted }));
    }
}
