// The desk API's shapes, written from its contract; one file, so that they can be generated from openapi.json later.

export type Language = string;
export type Mode = 'live' | 'deferrable';
export type Direction = 'inbound' | 'outbound';
export type PendingOn = 'citizen' | 'office';
export type IdentityLevel = 'claimed' | 'verified' | 'spid';
export type PresenceName = 'offline' | 'ready' | 'away';
export type ContactState =
  | 'queued' | 'offered' | 'active' | 'pending' | 'wrap_up' | 'deferred' | 'abandoned' | 'closed';
export type Resolution = 'resolved' | 'handed_over' | 'no_answer' | 'not_a_request' | 'duplicate' | 'not_given' | 'citizen_silent';
export type DeliveryState = 'queued' | 'attempting' | 'sent' | 'failed' | 'unknown' | 'delivered' | 'bounced';
export type Role = 'operator' | 'supervisor' | 'admin';
/** RFC 3339, UTC. */
export type Instant = string;

/** `{pool}`, `{administration}` or `{office: [administration, office]}`. */
export type Scope = { pool: string } | { administration: string } | { office: [string, string] };

export interface Grant {
  role: Role;
  scope: Scope;
  /** Whether they may read what citizens wrote. */
  content: boolean;
}

export interface Me {
  operator: string;
  login: string;
  name: string;
  language: string;
  pool: string;
  grants: Grant[];
}

export interface Presence {
  state: PresenceName;
  reason?: string;
  connected: boolean;
  since: Instant;
}

export interface CaseReference {
  number: string;
  deadline?: Instant;
}

export interface Outcome {
  topic?: string;
  resolution: Resolution;
}

export interface ContactView {
  id: string;
  conversation: string;
  administration: string;
  office: string;
  queue: string;
  channel: string;
  mode: Mode;
  direction: Direction;
  state: ContactState;
  version: number;
  owner?: string;
  owner_name?: string;
  ordinal?: number;
  deadline?: Instant;
  untouched_until?: Instant;
  pending_on?: PendingOn;
  back_after?: Instant;
  wrap_up_until?: Instant;
  deferred_until?: Instant;
  filed_at: Instant;
  queued_at: Instant;
  due: Instant;
  /** When we answered first: nothing is due any more. */
  first_response_at?: Instant;
  language?: Language;
  identity: IdentityLevel;
  subject?: string;
  /** Name or address; absent without the right to content. */
  citizen?: string;
  case?: CaseReference;
  returns: number;
  /** It came back more often than its queue allows: a supervisor is called. */
  escalated?: boolean;
  transfers: number;
  /** The closed contact it follows. */
  continues?: string;
  outcome?: Outcome;
  /** How much came to it that I have not read; told of my own. */
  unread?: number;
  /** How an SMS is counted and what a part costs by the account that will send it, if the desk says so. */
  sms?: SmsTerms;
}
/** The alphabet of the cheap messages; what it has not got makes a message one in UCS-2. */
export type ShortAlphabet = 'gsm7' | 'latin1';
/** Without alphabet it is `gsm7`. The price is a decimal number as text, `0.045`, so that nobody rounds it, and has a currency. */
export interface SmsTerms { alphabet?: ShortAlphabet; price_per_part?: string; currency?: string }

export interface Offer {
  contact: ContactView;
  ordinal: number;
  deadline: Instant;
}

export interface Topic { id: string; name: string }
export interface Office { id: string; name: string; restricted: boolean }
export interface Queue { id: string; name: string; office: string; closed: boolean; notice?: string }
export interface Administration {
  id: string;
  name: string;
  languages: Language[];
  topics: Topic[];
  offices: Office[];
  queues: Queue[];
}
export interface Plan {
  administrations: Administration[];
  presence_reasons: string[];
  reject_reasons: string[];
  transfer_reasons: string[];
}
export interface Colleague {
  operator: string;
  name: string;
  state: PresenceName;
  administrations: string[];
}

export interface DeskSnapshot {
  seq: number;
  presence: Presence;
  contacts: ContactView[];
  offers: Offer[];
  plan: Plan;
  colleagues: Colleague[];
  server_time: Instant;
}

export interface Party { address: string; name?: string }
export interface Attachment {
  index: number;
  name: string;
  media_type: string;
  size: number;
  content_id?: string;
}
export interface MessageEntry {
  kind: 'message';
  id: string;
  contact: string;
  direction: Direction;
  channel: string;
  at: Instant;
  filed_at: Instant;
  author?: string;
  author_name?: string;
  from?: Party;
  to: Party[];
  subject?: string;
  text: string;
  has_html: boolean;
  attachments: Attachment[];
  has_raw: boolean;
  automatic?: string;
  /** The citizen's: what its channel knows of it that has no field of its own. */
  attributes?: Record<string, string>;
  delivery?: DeliveryState;
  failure?: string;
  /** Ours: the citizen has seen it, where the channel can tell. */
  read?: boolean;
  /** Whose word says how it ended, if no machine knew. */
  settled?: { by: string; by_name: string; at: Instant };
  /** Of unknown end: whether the operator may say how it ended. */
  can_settle?: boolean;
}
export interface NoteEntry {
  kind: 'note';
  id: string;
  contact: string;
  at: Instant;
  author: string;
  author_name: string;
  text: string;
}
export type Entry = MessageEntry | NoteEntry;
export interface CitizenAddress { channel: string; address: string; level: IdentityLevel; opted_out_at?: string }
export interface Conversation {
  id: string;
  administration: string;
  subject?: string;
  citizen?: {
    name?: string;
    addresses: CitizenAddress[];
    /** Their other contacts that are not final, whatever the conversation. */
    open_contacts?: ContactView[];
  };
  contacts: ContactView[];
  entries: Entry[];
  /** It has everything up to this time: what one says one has read. */
  as_of: Instant;
}

export interface Upload { handle: string; name: string; media_type: string; size: number }

export interface RoomOperator {
  operator: string;
  name: string;
  state: PresenceName;
  reason?: string;
  connected: boolean;
  since: Instant;
  live_used: number;
  live_units: number;
  desk_used: number;
  desk_slots: number;
  holds: number;
}
export interface RoomQueue {
  id: string;
  name: string;
  administration: string;
  office: string;
  closed: boolean;
  notice?: string;
  waiting: number;
  oldest?: Instant;
}
export interface Room {
  waiting: ContactView[];
  held: ContactView[];
  deferred: ContactView[];
  /** How many there are of each; the lists are cut at 500. */
  counts: { waiting: number; held: number; deferred: number };
  operators: RoomOperator[];
  queues: RoomQueue[];
}

export interface Capacity { live_units: number; desk_slots: number; channels: Record<string, number> }
export interface OperatorProfile {
  administrations: string[];
  offices: string[];
  skills: Record<string, number>;
  languages: Language[];
  channels: string[];
  queues: string[];
  capacity: Capacity;
}
export interface OperatorAccount {
  operator: string;
  login: string;
  name: string;
  language?: string;
  enabled: boolean;
  profile: OperatorProfile;
  grants: Grant[];
}
export interface NewOperator {
  login: string;
  name: string;
  password: string;
  language?: string;
  profile: OperatorProfile;
  grants: Grant[];
}
export interface OperatorChange {
  name?: string;
  profile?: OperatorProfile;
  grants?: Grant[];
  enabled?: boolean;
}
export interface Token {
  name: string;
  account?: string;
  operator?: string;
  created_at?: Instant;
  expires_at?: Instant;
}
export interface NewToken { name: string; account?: string; operator?: string; expires_at?: Instant }
export interface Quarantined {
  id: number;
  administration?: string;
  source: string;
  key: string;
  reason: string;
  at: Instant;
  state: string;
  size?: number;
}

/** The answer to a command that was not refused. */
export type CommandResult =
  | { outcome: 'applied'; seq: number; message?: string; note?: string }
  | { outcome: 'duplicate'; message?: string; note?: string };

/** RFC 9457. */
export interface Problem { type?: string; title?: string; status: number; detail?: string; code: string }

export interface About {
  contact: string;
  conversation: string;
  administration: string;
  office: string;
  queue: string;
  channel: string;
  mode: Mode;
  version: number;
}

/** What can happen: the tag and its fields. Unknown tags are kept and only move the sequence number. */
export type EventBody =
  | { event: 'contact.received'; direction: Direction; account: string; continues?: string; filed_at: Instant }
  | { event: 'contact.queued'; due: Instant; reason: string }
  | { event: 'offer.made'; ordinal: number; operator: string; deadline: Instant }
  | { event: 'offer.accepted'; ordinal: number; operator: string }
  | { event: 'offer.rejected'; ordinal: number; operator: string; reason: string }
  | { event: 'offer.expired' | 'offer.revoked' | 'offer.rescinded'; ordinal: number; operator: string }
  | { event: 'contact.assigned'; operator: string; reason: string; untouched_until?: Instant }
  | { event: 'contact.touched'; operator: string }
  | { event: 'contact.released'; operator: string; reason: string }
  | { event: 'contact.escalated'; returns: number }
  | { event: 'contact.pending'; operator: string; on: PendingOn }
  | { event: 'contact.transferred'; operator?: string; from_queue: string; to: TransferTarget; reason: string }
  | { event: 'contact.deferred'; until: Instant }
  | { event: 'contact.wrap_up'; operator: string; until: Instant }
  | { event: 'contact.closed'; operator?: string; topic?: string; resolution: Resolution }
  | { event: 'contact.abandoned'; short: boolean }
  | { event: 'contact.silent'; operator: string; closes_at: Instant }
  | { event: 'contact.deferrable' | 'contact.case' }
  | { event: 'message.received'; message: string; operator?: string; automatic?: string }
  | { event: 'message.queued' | 'message.sent' | 'message.delivered'; message: string; operator?: string }
  | { event: 'message.attempting'; message: string; account: string; attempt: number }
  | { event: 'message.retrying'; message: string; retry_at: Instant; code: string }
  | { event: 'message.failed'; message: string; operator?: string; code: string; bounced: boolean }
  | { event: 'message.settled'; message: string; operator: string; arrived: boolean }
  | { event: 'note.added'; note: string; operator: string }
  | { event: 'operator.presence'; operator: string; presence: { state: PresenceName; reason?: string }; connected: boolean }
  | { event: 'operator.changed'; operator: string }
  | { event: 'queue.closed' | 'queue.opened'; queue: string; administration: string }
  | { event: 'plan.applied'; version: number }
  | { event: 'pool.led'; epoch: number };
export type TransferTarget = { queue: string } | { operator: string };
export type DeskEvent = { seq: number; at: Instant; about?: About } & EventBody;

export type ServerFrame =
  | { type: 'hello'; seq: number; resumed: boolean }
  | { type: 'event'; event: DeskEvent }
  | { type: 'reply'; id?: string; reply: { outcome: string; code?: string; seq?: number } }
  | { type: 'seen'; contact: string }
  /** The server is there; sent with each of its pings, which a script cannot see. */
  | { type: 'beat'; at: Instant }
  | Sign;
/** What passes and is kept by nobody: the citizen types, or has seen our messages up to this one. */
export type Sign = { type: 'typing'; contact: string } | { type: 'read'; contact: string; message: string };
/** The same the other way: the operator types, or has seen the citizen's messages up to this one. Never answered. */
export type OwnSign = { type: 'typing'; contact: string; on: boolean } | { type: 'read'; contact: string; message: string };
