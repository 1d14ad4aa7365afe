// Events in, a new model and the things to do out. Pure: the console carries the effects out.
import type { ContactView, DeskEvent } from '../api/types';
import { ringingFrom, withoutContact, withoutOffer, type DeskModel } from './model';

/** What the console does after an event. */
export type Effect =
  | { do: 'load_contact'; contact: string }
  /** It is not mine: what is still being read of it is not wanted any more. */
  | { do: 'drop_contact'; contact: string }
  | { do: 'reload_conversation'; conversation: string }
  | { do: 'reload_state' }
  | { do: 'tell'; what: Telling; contact: string; code?: string; queue?: string };

/** What is worth a sound, a desktop notification or a spoken line. */
export type Telling =
  | 'offer' | 'offer_ended' | 'assigned' | 'message' | 'released' | 'reassigned' | 'delivery_failed' | 'bounced' | 'escalated';

export interface Step { model: DeskModel; effects: Effect[] }

const AUTOMATIC_ASSIGNMENTS = new Set(['routed', 'supervisor', 'citizen_wrote']);

/** Takes one event in. What is not above the last sequence number was seen before and is dropped. */
export function reduce(model: DeskModel, event: DeskEvent): Step {
  if (event.seq <= model.seq) return { model, effects: [] };
  const moved: DeskModel = { ...model, seq: event.seq };
  const id = event.about?.contact;
  if (id === undefined) return reducePool(moved, event);
  const mine = moved.contacts[id];
  const current = mine && event.about ? patch(moved, mine, { version: event.about.version, queue: event.about.queue }) : moved;
  if (event.event.startsWith('offer.')) return reduceOffer(current, event, id);
  if (event.event.startsWith('message.') || event.event === 'note.added') return reduceEntry(current, event, id);
  return reduceContact(current, event, id);
}

function patch(model: DeskModel, contact: ContactView, change: Partial<ContactView>): DeskModel {
  return { ...model, contacts: { ...model.contacts, [contact.id]: { ...contact, ...change } } };
}

function reduceOffer(model: DeskModel, event: DeskEvent, id: string): Step {
  switch (event.event) {
    case 'offer.made': {
      if (event.operator !== model.me || !event.about) return still(model);
      const ringing = ringingFrom(event.about, event.ordinal, event.deadline);
      const offers = [...model.offers.filter((offer) => offer.id !== id), ringing];
      return { model: { ...model, offers }, effects: [load(id), { do: 'tell', what: 'offer', contact: id }] };
    }
    case 'offer.accepted':
      if (event.operator !== model.me) return still(withoutOffer(model, id, event.ordinal));
      return { model: withoutOffer(model, id, event.ordinal), effects: [load(id)] };
    case 'offer.rejected':
      return still(withoutOffer(model, id, event.ordinal));
    case 'offer.expired':
    case 'offer.revoked':
    case 'offer.rescinded': {
      if (event.operator !== model.me) return still(model);
      const code = event.event.slice('offer.'.length);
      return { model: withoutOffer(model, id, event.ordinal), effects: [{ do: 'tell', what: 'offer_ended', contact: id, code }] };
    }
    default:
      return still(model);
  }
}

function reduceContact(model: DeskModel, event: DeskEvent, id: string): Step {
  const mine = model.contacts[id];
  switch (event.event) {
    case 'contact.assigned': {
      if (event.operator !== model.me) return lose(model, event, id, 'reassigned');
      const known = mine
        ? patch(model, withoutTimers(mine), {
            state: 'active',
            ...(event.untouched_until === undefined ? {} : { untouched_until: event.untouched_until }),
          })
        : model;
      const effects: Effect[] = [load(id), ...refreshOf(event)];
      if (AUTOMATIC_ASSIGNMENTS.has(event.reason)) {
        effects.push({ do: 'tell', what: 'assigned', contact: id, code: event.reason });
      }
      return { model: known, effects };
    }
    case 'contact.touched':
      if (!mine) return still(model);
      return still(patch(model, withoutTimers(mine), {}));
    case 'contact.released':
      return event.operator === model.me ? lose(model, event, id, 'released', event.reason) : still(model);
    case 'contact.pending':
      if (!mine) return event.operator === model.me ? { model, effects: [load(id)] } : still(model);
      return { model: patch(model, withoutTimers(mine), { state: 'pending', pending_on: event.on }), effects: [load(id)] };
    case 'contact.wrap_up':
      if (!mine) return event.operator === model.me ? { model, effects: [load(id)] } : still(model);
      return still(patch(model, withoutTimers(mine), { state: 'wrap_up', wrap_up_until: event.until }));
    // It comes to supervisors only: nobody holds the contact at that moment.
    case 'contact.escalated': {
      const tell: Effect = { do: 'tell', what: 'escalated', contact: id, ...(event.about ? { queue: event.about.queue } : {}) };
      return { model, effects: [...refreshOf(event), tell] };
    }
    case 'contact.queued':
    case 'contact.deferred':
    case 'contact.transferred':
    case 'contact.closed':
    case 'contact.abandoned':
      return { model: withoutContact(model, id), effects: [drop(id), ...refreshOf(event)] };
    default:
      return mine ? { model, effects: [load(id), ...refreshOf(event)] } : still(model);
  }
}

function reduceEntry(model: DeskModel, event: DeskEvent, id: string): Step {
  const mine = id in model.contacts;
  const refresh = refreshOf(event);
  const unread = (): DeskModel => ({ ...model, unread: { ...model.unread, [id]: (model.unread[id] ?? 0) + 1 } });
  switch (event.event) {
    case 'message.received': {
      if (!mine && event.operator !== model.me) return { model, effects: refresh };
      const effects: Effect[] = [load(id), ...refresh];
      if (event.automatic === undefined) effects.push({ do: 'tell', what: 'message', contact: id });
      return { model: unread(), effects };
    }
    case 'message.failed': {
      if (!mine && event.operator !== model.me) return { model, effects: refresh };
      const what = event.bounced ? 'bounced' : 'delivery_failed';
      return {
        model: mine ? unread() : model,
        effects: [load(id), ...refresh, { do: 'tell', what, contact: id, code: event.code }],
      };
    }
    case 'note.added':
      return { model: mine && event.operator !== model.me ? unread() : model, effects: refresh };
    default:
      return { model, effects: refresh };
  }
}

function reducePool(model: DeskModel, event: DeskEvent): Step {
  switch (event.event) {
    case 'operator.presence': {
      const colleagues = model.colleagues.map((colleague) =>
        colleague.operator === event.operator ? { ...colleague, state: event.presence.state } : colleague,
      );
      if (event.operator !== model.me) return still({ ...model, colleagues });
      const presence = { ...event.presence, connected: event.connected, since: event.at };
      return still({ ...model, colleagues, presence });
    }
    case 'queue.closed':
    case 'queue.opened':
      return still(withQueue(model, event.queue, event.event === 'queue.closed'));
    case 'operator.changed':
    case 'plan.applied':
      return { model, effects: [{ do: 'reload_state' }] };
    default:
      return still(model);
  }
}

function withQueue(model: DeskModel, queue: string, closed: boolean): DeskModel {
  const administrations = model.plan.administrations.map((body) => ({
    ...body,
    queues: body.queues.map((each) => (each.id === queue ? { ...each, closed } : each)),
  }));
  return { ...model, plan: { ...model.plan, administrations } };
}

/** The contact without the times of the state it leaves. */
function withoutTimers(contact: ContactView): ContactView {
  const { untouched_until: _a, wrap_up_until: _b, back_after: _c, pending_on: _d, deadline: _e, ...rest } = contact;
  return rest;
}

function lose(model: DeskModel, event: DeskEvent, id: string, what: Telling, code?: string): Step {
  if (!(id in model.contacts)) return { model, effects: [drop(id), ...refreshOf(event)] };
  const tell: Effect = { do: 'tell', what, contact: id, ...(code === undefined ? {} : { code }) };
  return { model: withoutContact(model, id), effects: [drop(id), ...refreshOf(event), tell] };
}

/** Whatever happens to a contact changes what an open conversation shows: its owner's and its supervisor's. */
function refreshOf(event: DeskEvent): Effect[] {
  return event.about ? [{ do: 'reload_conversation', conversation: event.about.conversation }] : [];
}

const still = (model: DeskModel): Step => ({ model, effects: [] });
const drop = (contact: string): Effect => ({ do: 'drop_contact', contact });
const load = (contact: string): Effect => ({ do: 'load_contact', contact });
