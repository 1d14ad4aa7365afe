// Events in, a new model and the things to do out. Pure: the console carries the effects out.
import type { ContactView, DeskEvent } from '../api/types';
import { ringingFrom, withoutContact, withoutOffer, withoutSilence, type DeskModel } from './model';

/** What the console does after an event. */
export type Effect =
  | { do: 'load_contact'; contact: string }
  /** It is not mine: what is still being read of it is not wanted any more. */
  | { do: 'drop_contact'; contact: string }
  | { do: 'reload_conversation'; conversation: string }
  | { do: 'reload_state' }
  /** I was ready, and am no more. */
  | { do: 'tell_put_away' }
  | Tell;
export interface Tell { do: 'tell'; what: Telling; contact: string; queue: string; code?: string; until?: string }

/** What is worth a sound, a desktop notification or a spoken line. */
export type Telling =
  | 'offer' | 'offer_ended' | 'assigned' | 'resumed' | 'message' | 'silent' | 'wrap_up' | 'closed' | 'gone' | 'released' | 'reassigned'
  | 'delivery_failed' | 'delivery_unknown' | 'bounced' | 'escalated';

export interface Step { model: DeskModel; effects: Effect[] }

/** How a contact becomes mine without this console's doing. */
const AUTOMATIC_ASSIGNMENTS: Record<string, Telling> = { routed: 'assigned', supervisor: 'assigned', citizen_wrote: 'assigned', resumed: 'resumed' };
/** The code of a message of which no report ever came. */
const NO_REPORT = 'unknown';

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
      return { model: { ...model, offers }, effects: [load(id), tell(event, id, 'offer')] };
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
      return { model: withoutOffer(model, id, event.ordinal), effects: [tell(event, id, 'offer_ended', { code })] };
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
      const what = AUTOMATIC_ASSIGNMENTS[event.reason];
      if (what) effects.push(tell(event, id, what));
      return { model: known, effects };
    }
    case 'contact.touched':
      if (!mine) return still(model);
      return still(patch(model, withoutTimers(mine), {}));
    case 'contact.released':
      if (event.operator !== model.me) return still(model);
      return event.reason === 'reassigned' ? lose(model, event, id, 'reassigned') : lose(model, event, id, 'released', event.reason);
    case 'contact.pending': {
      if (!mine) return event.operator === model.me ? { model, effects: [load(id)] } : still(model);
      const pending = patch(model, withoutTimers(mine), { state: 'pending', pending_on: event.on });
      return { model: withoutSilence(pending, id), effects: [load(id)] };
    }
    case 'contact.wrap_up': {
      if (!mine) return event.operator === model.me ? { model, effects: [load(id)] } : still(model);
      const wrapping = patch(model, withoutTimers(mine), { state: 'wrap_up', wrap_up_until: event.until });
      return { model: withoutSilence(wrapping, id), effects: [tell(event, id, 'wrap_up')] };
    }
    case 'contact.silent':
      if (event.operator !== model.me) return still(model);
      return {
        model: { ...model, silent: { ...model.silent, [id]: event.closes_at } },
        effects: [load(id), tell(event, id, 'silent', { until: event.closes_at })],
      };
    // It comes to supervisors only: nobody holds the contact at that moment.
    case 'contact.escalated':
      return { model, effects: [...refreshOf(event), tell(event, id, 'escalated')] };
    case 'contact.closed':
      return lose(model, event, id, 'closed', event.resolution);
    case 'contact.queued':
    case 'contact.deferred':
    case 'contact.transferred':
    case 'contact.abandoned':
      return lose(model, event, id, 'gone', event.event.slice('contact.'.length));
    default:
      return mine ? { model, effects: [load(id), ...refreshOf(event)] } : still(model);
  }
}

function reduceEntry(model: DeskModel, event: DeskEvent, id: string): Step {
  const mine = id in model.contacts;
  const refresh = refreshOf(event);
  const unread = (): DeskModel => (mine ? { ...model, unread: { ...model.unread, [id]: (model.unread[id] ?? 0) + 1 } } : model);
  switch (event.event) {
    case 'message.received': {
      if (!mine && event.operator !== model.me) return { model, effects: refresh };
      const effects: Effect[] = [load(id), ...refresh];
      // What still rings is not mine yet.
      const isHeard = event.automatic === undefined && !model.offers.some((offer) => offer.id === id);
      if (isHeard) effects.push(tell(event, id, 'message'));
      return { model: withoutSilence(unread(), id), effects };
    }
    case 'message.queued':
      return { model: event.operator ? withoutSilence(model, id) : model, effects: refresh };
    case 'message.failed': {
      if (!mine && event.operator !== model.me) return { model, effects: refresh };
      const what = event.bounced ? 'bounced' : event.code === NO_REPORT ? 'delivery_unknown' : 'delivery_failed';
      return { model: unread(), effects: [load(id), ...refresh, tell(event, id, what)] };
    }
    case 'note.added':
      return { model: event.operator === model.me ? model : unread(), effects: refresh };
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
      return { model: { ...model, colleagues, presence }, effects: isPutAway(model, presence) ? [{ do: 'tell_put_away' }] : [] };
    }
    case 'queue.closed':
      // Its notice is not in the event.
      return { model: withQueue(model, event.queue, true), effects: [{ do: 'reload_state' }] };
    case 'queue.opened':
      return still(withQueue(model, event.queue, false));
    case 'operator.changed':
    case 'plan.applied':
      return { model, effects: [{ do: 'reload_state' }] };
    default:
      return still(model);
  }
}

/** Whether I was ready, and am no more. */
export const isPutAway = (before: DeskModel, presence: { state: string }) => before.presence.state === 'ready' && presence.state !== 'ready';

function withQueue(model: DeskModel, queue: string, closed: boolean): DeskModel {
  const administrations = model.plan.administrations.map((body) => ({
    ...body,
    queues: body.queues.map((each) => (each.id === queue ? { id: each.id, name: each.name, office: each.office, closed } : each)),
  }));
  return { ...model, plan: { ...model.plan, administrations } };
}

/** The contact without the times of the state it leaves. */
function withoutTimers(contact: ContactView): ContactView {
  const { untouched_until: _a, wrap_up_until: _b, back_after: _c, pending_on: _d, deadline: _e, ...rest } = contact;
  return rest;
}

/** It is not mine any more; told if it was. */
function lose(model: DeskModel, event: DeskEvent, id: string, what: Telling, code?: string): Step {
  const effects: Effect[] = [drop(id), ...refreshOf(event)];
  if (id in model.contacts) effects.push(tell(event, id, what, code === undefined ? {} : { code }));
  return { model: withoutContact(model, id), effects };
}

/** Whatever happens to a contact changes what an open conversation shows: its owner's and its supervisor's. */
function refreshOf(event: DeskEvent): Effect[] {
  return event.about ? [{ do: 'reload_conversation', conversation: event.about.conversation }] : [];
}

function tell(event: DeskEvent, contact: string, what: Telling, more: { code?: string; until?: string } = {}): Tell {
  return { do: 'tell', what, contact, queue: event.about?.queue ?? '', ...more };
}

const still = (model: DeskModel): Step => ({ model, effects: [] });
const drop = (contact: string): Effect => ({ do: 'drop_contact', contact });
const load = (contact: string): Effect => ({ do: 'load_contact', contact });
