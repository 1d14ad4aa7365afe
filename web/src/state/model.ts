// What an operator's console knows: plain data, replaced and never changed in place.
import type {
  About, Administration, Colleague, ContactView, Conversation, DeskSnapshot, Office, Plan, Presence, Queue,
} from '../api/types';

/** An offer that rings. The contact's words follow a moment later than its codes. */
export interface RingingOffer {
  id: string;
  ordinal: number;
  deadline: string;
  queue: string;
  channel: string;
  contact?: ContactView;
}

export interface DeskModel {
  /** The last sequence number seen. */
  seq: number;
  me: string;
  presence: Presence;
  /** My contacts that are not final, by id. */
  contacts: Readonly<Record<string, ContactView>>;
  offers: readonly RingingOffer[];
  /** How much I have not read, by contact: the desk keeps it, and counts it anew whenever a contact is read. */
  unread: Readonly<Record<string, number>>;
  /** My contacts whose citizen was asked whether they are still there, with the time at which each closes. */
  silent: Readonly<Record<string, string>>;
  plan: Plan;
  colleagues: readonly Colleague[];
}

export const EMPTY_PLAN: Plan = { administrations: [], presence_reasons: [], reject_reasons: [], transfer_reasons: [] };

export function emptyModel(me: string): DeskModel {
  return {
    seq: 0,
    me,
    presence: { state: 'offline', connected: false, since: new Date(0).toISOString() },
    contacts: {},
    offers: [],
    unread: {},
    silent: {},
    plan: EMPTY_PLAN,
    colleagues: [],
  };
}

/** The model a snapshot stands for. It does not say who is silent: that is kept of what has not changed since `before`. */
export function fromSnapshot(me: string, snapshot: DeskSnapshot, before: DeskModel = emptyModel(me)): DeskModel {
  const contacts = Object.fromEntries(snapshot.contacts.map((contact) => [contact.id, contact]));
  const isUnchanged = (id: string) => contacts[id] !== undefined && contacts[id].version === before.contacts[id]?.version;
  return {
    seq: snapshot.seq,
    me,
    presence: snapshot.presence,
    contacts,
    offers: snapshot.offers.map(({ contact, ordinal, deadline }) => ({
      id: contact.id, ordinal, deadline, queue: contact.queue, channel: contact.channel, contact,
    })),
    unread: Object.fromEntries(snapshot.contacts.filter((contact) => contact.unread).map((contact) => [contact.id, contact.unread!])),
    silent: Object.fromEntries(Object.entries(before.silent).filter(([id]) => isUnchanged(id))),
    plan: snapshot.plan,
    colleagues: snapshot.colleagues,
  };
}

export const isFinal = (contact: ContactView) => contact.state === 'closed' || contact.state === 'abandoned';

/** Whether it is one of their contacts: one that only rings at them names them as owner, and is none yet. */
export const isHeldBy = (contact: ContactView, operator: string) =>
  contact.owner === operator && contact.state !== 'offered' && !isFinal(contact);

/** In whose name one acts on a message: the contact of the conversation that one has, else the open one, else the message's own. */
export function answering(conversation: Conversation | undefined, open: string, me: string, own: string): string {
  const alive = (conversation?.contacts ?? []).filter((contact) => !isFinal(contact));
  const found = alive.find((contact) => isHeldBy(contact, me)) ?? alive.find((contact) => contact.id === open) ?? alive[0];
  return found?.id ?? own;
}

/** Takes in a contact just read: kept while it is mine, dropped when it is not; an older version never wins. */
export function withContact(model: DeskModel, contact: ContactView): DeskModel {
  const isNewer = (known: ContactView | undefined) => known !== undefined && known.version > contact.version;
  const offers = model.offers.map((offer) => (offer.id === contact.id && !isNewer(offer.contact) ? { ...offer, contact } : offer));
  if (isNewer(model.contacts[contact.id])) return { ...model, offers };
  if (!isHeldBy(contact, model.me)) return withoutContact({ ...model, offers }, contact.id);
  const { [contact.id]: _before, ...others } = model.unread;
  const unread = contact.unread ? { ...others, [contact.id]: contact.unread } : others;
  return { ...model, offers, unread, contacts: { ...model.contacts, [contact.id]: contact } };
}

/** Whether a conversation as it was read is older than another of the same: one of its contacts has an earlier version. */
export function isOlder(conversation: Conversation, than: Conversation | undefined): boolean {
  const versions = new Map(than?.contacts.map((contact) => [contact.id, contact.version]));
  return conversation.contacts.some((contact) => contact.version < (versions.get(contact.id) ?? 0));
}

export function withoutContact(model: DeskModel, id: string): DeskModel {
  if (!(id in model.contacts || id in model.unread)) return model;
  const { [id]: _gone, ...contacts } = model.contacts;
  return withoutSilence(asRead({ ...model, contacts }, id), id);
}

/** The citizen is there, or it does not matter any more. */
export function withoutSilence(model: DeskModel, id: string): DeskModel {
  if (!(id in model.silent)) return model;
  const { [id]: _over, ...silent } = model.silent;
  return { ...model, silent };
}

export function withoutOffer(model: DeskModel, id: string, ordinal: number): DeskModel {
  return { ...model, offers: model.offers.filter((offer) => offer.id !== id || offer.ordinal > ordinal) };
}

export function asRead(model: DeskModel, id: string): DeskModel {
  if (!model.unread[id]) return model;
  const { [id]: _read, ...unread } = model.unread;
  return { ...model, unread };
}

/** What is past its time is not shown any more, even if the word that it expired was lost. */
const GRACE_MS = 2_000;
/** What has just come is shown for so long in any case: the desk would not send an offer that is over, whatever our clock says. */
const SHOWN_MIN_MS = 10_000;

/** Whether an offer that came so long ago still rings. */
export const isRinging = (offer: RingingOffer, agoMs: number, now: number) =>
  agoMs < SHOWN_MIN_MS || Date.parse(offer.deadline) + GRACE_MS > now;

export function ringingFrom(about: About, ordinal: number, deadline: string): RingingOffer {
  return { id: about.contact, ordinal, deadline, queue: about.queue, channel: about.channel };
}

/** The plan's names for codes; what the plan does not know any more is shown as its code. */
export class Names {
  private readonly queues = new Map<string, Queue>();
  private readonly offices = new Map<string, Office>();
  private readonly bodies = new Map<string, Administration>();

  constructor(plan: Plan) {
    for (const body of plan.administrations) {
      this.bodies.set(body.id, body);
      for (const queue of body.queues) this.queues.set(queue.id, queue);
      for (const office of body.offices) this.offices.set(`${body.id}/${office.id}`, office);
    }
  }

  administration = (id: string) => this.bodies.get(id)?.name ?? id;
  body = (id: string) => this.bodies.get(id);
  queue = (id: string) => this.queues.get(id)?.name ?? id;
  queueOf = (id: string) => this.queues.get(id);
  office = (administration: string, id: string) => this.offices.get(`${administration}/${id}`)?.name ?? id;
  isRestricted = (administration: string, id: string) => this.offices.get(`${administration}/${id}`)?.restricted ?? false;
  topic = (administration: string, id: string) =>
    this.bodies.get(administration)?.topics.find((topic) => topic.id === id)?.name ?? id;
}
