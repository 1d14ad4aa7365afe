//! What a citizen may know of the room: whether a queue is open and somebody is there, how many wait before them, and what an
//! operator is called. Read from the store, believed for a moment.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use std::sync::Mutex as Lock;
use tokio::sync::Mutex;

use super::limits::{NOTICE_CHARACTERS_MAX, PLACE_EVERY, ROOM_AGE_MAX};
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
    at: Instant,
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

type Places = HashMap<(AdministrationId, QueueId), (Instant, Arc<HashMap<ContactId, u32>>)>;

/// The rooms of all pools.
pub struct Room {
    store: Arc<dyn Store>,
    known: Mutex<HashMap<PoolId, Arc<Known>>>,
    places: Mutex<Places>,
    names: Lock<HashMap<OperatorId, (Instant, Option<String>)>>,
}

impl Room {
    /// Nothing is known yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Mutex::default(), places: Mutex::default(), names: Lock::default() }
    }

    async fn known(&self, pool: &PoolId) -> Result<Arc<Known>, StoreError> {
        // one reads, the others wait for it
        let mut known = self.known.lock().await;
        if let Some(room) = known.get(pool).filter(|room| room.at.elapsed() < ROOM_AGE_MAX) {
            return Ok(Arc::clone(room));
        }
        let operators = self.store.operators(pool).await?;
        let closed = self.store.queue_states(pool).await?.into_iter().filter(|state| state.closed);
        let closed = closed.map(|state| (state.queue, state.notice.as_deref().and_then(shown))).collect();
        let room = Arc::new(Known { at: Instant::now(), operators, closed });
        known.insert(pool.clone(), Arc::clone(&room));
        Ok(room)
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
        let key = (administration.clone(), queue.clone());
        let mut places = self.places.lock().await;
        if let Some((_, places)) = places.get(&key).filter(|(at, _)| at.elapsed() < PLACE_EVERY) {
            return Ok(places.get(&contact).copied());
        }
        let states = vec![StateName::Queued, StateName::Offered];
        let filter = ContactFilter { states, queue: Some(queue.clone()), ..ContactFilter::default() };
        let waiting = self.store.contacts(std::slice::from_ref(administration), &filter, Page { limit: PLACES_MAX, offset: 0 }).await?;
        // who rings already is before everybody else; then as the queue has it
        let live = waiting.iter().map(|summary| &summary.contact).filter(|contact| contact.mode == Mode::Live);
        let mut in_order: Vec<_> = live.map(|contact| (contact.state.name() == StateName::Queued, contact.key, contact.id)).collect();
        in_order.sort_unstable();
        let found: HashMap<ContactId, u32> = (1..).zip(in_order).map(|(place, (.., id))| (id, place)).collect();
        let found = Arc::new(found);
        places.retain(|_, (at, _)| at.elapsed() < PLACE_EVERY);
        places.insert(key, (Instant::now(), Arc::clone(&found)));
        Ok(found.get(&contact).copied())
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
