//! Contacts, messages and batches for the suite: plain ones, told apart by a number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sportello::model::channel::{Channel, IdentityLevel};
use sportello::model::contact::{Contact, ContactState, Direction, Mode, Offer, OfferState, OrderKey};
use sportello::model::conversation::{Message, Party};
use sportello::model::delivery::{Delivery, DeliveryState, Origin};
use sportello::model::id::{
    AccountId, AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, InputId, MessageId, OfferId, OfficeId, OperatorId,
    PoolId, QueueId,
};
use sportello::model::operator::{Operator, OperatorProfile, Presence};
use sportello::model::requirement::Requirement;
use sportello::model::time::Timestamp;
use sportello::port::store::{CitizenAddress, Conversation, EventRecord, InputRecord, Leadership, Quarantined, WriteSet, Writer};

use super::place::Place;

pub const TTL: Duration = Duration::from_secs(30);
pub const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

pub fn pool() -> PoolId {
    PoolId::new("comuni").expect("name")
}

pub fn comune() -> AdministrationId {
    AdministrationId::new("comune").expect("name")
}

pub fn asl() -> AdministrationId {
    AdministrationId::new("asl").expect("name")
}

pub fn seconds(after_noon: i64) -> Timestamp {
    Timestamp(NOON.0 + after_noon * 1_000_000)
}

pub fn queue(name: &str) -> QueueId {
    QueueId::new(name).expect("name")
}

/// A waiting email.
pub fn contact(n: u128) -> Contact {
    let seq = i64::try_from(n).expect("small");
    Contact {
        id: ContactId(n),
        administration: comune(),
        office: OfficeId::new("urp").expect("name"),
        queue: queue("generale"),
        conversation: ConversationId(n),
        citizen: None,
        citizen_level: None,
        address: None,
        identity: IdentityLevel::Claimed,
        channel: Channel::email(),
        account: AccountId::new("urp-mail").expect("name"),
        mode: Mode::Deferrable,
        not_admitted: None,
        direction: Direction::Inbound,
        opened_by: None,
        continues: None,
        language: None,
        requirement: Requirement::Anybody,
        filed_at: seconds(seq),
        opened_at: seconds(seq),
        queued_at: seconds(seq),
        waited_us: 0,
        key: OrderKey { tier: 5, due: seconds(3600), seq },
        first_response_at: None,
        state: ContactState::Queued,
        offers: 0,
        returns: 0,
        transfers: 0,
        exclusions: Vec::new(),
        wanted: None,
        preferred: None,
        case: None,
        outcome: None,
        last_owner: None,
        has_text: true,
        answerable: false,
        silence: None,
        version: 1,
    }
}

pub fn in_state(n: u128, state: ContactState) -> Contact {
    Contact { state, ..contact(n) }
}

pub fn active(operator: u128) -> ContactState {
    ContactState::Active { operator: OperatorId(operator), untouched_until: None }
}

pub fn conversation(n: u128) -> Conversation {
    Conversation {
        id: ConversationId(n),
        administration: comune(),
        citizen: None,
        subject: Some(format!("Oggetto {n}")),
        opened_at: seconds(0),
    }
}

pub fn message(n: u128, of: u128) -> Message {
    Message {
        id: MessageId(n),
        administration: comune(),
        conversation: ConversationId(of),
        contact: ContactId(of),
        direction: Direction::Inbound,
        channel: Channel::email(),
        account: AccountId::new("urp-mail").expect("name"),
        author: None,
        at: seconds(1),
        filed_at: seconds(0),
        from: Some(Party { address: "rossi@example.it".into(), name: Some("Mario Rossi".into()) }),
        to: vec![Party { address: "urp@comune.example".into(), name: None }],
        subject: Some("Oggetto".into()),
        text: format!("Testo {n}: è \"tutto\" qui,\n\\u0000 {{}} 🏛"),
        html: None,
        attachments: Vec::new(),
        raw: None,
        automatic: None,
        provider_id: None,
        header_id: None,
        attributes: BTreeMap::from([("reply_to".to_owned(), "caf@example.it".to_owned())]),
        seq: 0,
        delivery: None,
        failure: None,
        settled: None,
    }
}

pub fn delivery(n: u128, of: u128, state: DeliveryState, attempts: u32) -> Delivery {
    Delivery {
        message: MessageId(n),
        administration: comune(),
        contact: ContactId(of),
        conversation: ConversationId(of),
        account: AccountId::new("urp-mail").expect("name"),
        channel: Channel::email(),
        state,
        attempts,
        due: seconds(60),
        failure: None,
        settled: None,
        origin: Origin {
            queue: queue("generale"),
            owner: None,
            address: None,
            citizen: None,
            language: None,
            abstaining: vec![],
            is_copy: false,
        },
    }
}

pub fn offer(of: u128, ordinal: u32, operator: u128, state: OfferState) -> Offer {
    Offer {
        id: OfferId { contact: ContactId(of), ordinal },
        operator: OperatorId(operator),
        state,
        made_at: seconds(0),
        deadline: seconds(20),
        ended_at: (state != OfferState::Live).then(|| seconds(10)),
    }
}

pub fn operator(n: u128) -> Operator {
    Operator {
        id: OperatorId(n),
        pool: pool(),
        profile: OperatorProfile::default(),
        enabled: true,
        presence: Presence::default(),
        misses: 0,
        last_assigned: 0,
        reserved_for: None,
        version: 1,
    }
}

pub fn address(key: u128, citizen: u128, level: IdentityLevel) -> CitizenAddress {
    CitizenAddress {
        administration: comune(),
        key: AddressKey(key),
        citizen: CitizenId(citizen),
        channel: Channel::email(),
        address: format!("c{key}@example.it"),
        name: Some(format!("Cittadino {citizen}")),
        level,
        seen_at: seconds(0),
    }
}

pub fn input(seq: i64, source: Option<InputId>, into: Option<u128>) -> InputRecord {
    InputRecord {
        seq,
        at: seconds(seq),
        kind: "inbound".into(),
        source: source.map(|source| source.to_string()),
        contact: into.map(ContactId),
        body: "{}".into(),
        administration: Some(comune()),
        outcome: "applied".into(),
    }
}

pub fn event(seq: i64, operator: Option<u128>) -> EventRecord {
    EventRecord {
        seq,
        input_seq: seq - 1,
        at: seconds(seq),
        name: "contact.queued".into(),
        administration: Some(comune()),
        contact: Some(ContactId(1)),
        operator: operator.map(OperatorId),
        body: format!("{{\"seq\":{seq}}}"),
    }
}

pub fn quarantined(message_id: &str) -> Quarantined {
    Quarantined {
        id: 0,
        pool: Some(pool()),
        administration: None,
        source: "inbound".into(),
        key: "comuni.comune.email".into(),
        message_id: message_id.into(),
        reason: "no JSON".into(),
        body: vec![0, 159, 146, 150],
        at: NOON,
        state: "held".into(),
    }
}

/// A leader with its writer, and the batches it has committed.
pub struct Leader {
    pub leadership: Leadership,
    pub writer: Box<dyn Writer>,
    pub batch: i64,
    pub last_seq: i64,
}

impl Leader {
    pub async fn of(place: &Place) -> Self {
        let leadership = place.store.lead(&pool(), "first", TTL).await.expect("leads").expect("nobody else does");
        Self { leadership, writer: place.store.writer().await.expect("a writer"), batch: 0, last_seq: 0 }
    }

    /// An empty next batch.
    pub fn batch(&self) -> WriteSet {
        WriteSet {
            pool: Some(pool()),
            epoch: self.leadership.epoch,
            batch: self.batch + 1,
            last_seq: self.last_seq,
            at: seconds(self.batch + 1),
            ..WriteSet::default()
        }
    }

    /// Commits what `fill` puts into the next batch.
    pub async fn commit(&mut self, fill: impl FnOnce(&mut WriteSet)) {
        let mut writes = self.batch();
        fill(&mut writes);
        let logged = writes.inputs.iter().map(|input| input.seq).chain(writes.events.iter().map(|event| event.seq));
        writes.last_seq = logged.max().unwrap_or(self.last_seq).max(writes.last_seq);
        self.writer.commit(&writes).await.expect("commits");
        (self.batch, self.last_seq) = (writes.batch, writes.last_seq);
    }
}

/// Asks until the answer is there; for what another process must notice first.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
