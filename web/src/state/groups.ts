// Orders and groups contacts for lists: pure functions over what the server gave.
import type { ContactView, Room, RoomOperator, RoomQueue } from '../api/types';

export type MineGroup = 'active' | 'wrap_up' | 'pending';
export const MINE_GROUPS: readonly MineGroup[] = ['active', 'wrap_up', 'pending'];

/** When the first answer is due; of what has been answered nothing is, and it comes last. */
const dueOf = (contact: ContactView) => (contact.first_response_at ? '\uffff' : contact.due);
/** The router's own order: who waits again after an answer has a place too. */
const byPlace = (a: ContactView, b: ContactView) => a.due.localeCompare(b.due) || a.id.localeCompare(b.id);
const byDue = (a: ContactView, b: ContactView) => dueOf(a).localeCompare(dueOf(b)) || byPlace(a, b);
export const isLate = (contact: ContactView, now: number) => !contact.first_response_at && Date.parse(contact.due) < now;

/** My contacts as the list shows them: live ones first, then by when the answer is due. */
export function mine(contacts: Readonly<Record<string, ContactView>>): Record<MineGroup, ContactView[]> {
  const groups: Record<MineGroup, ContactView[]> = { active: [], wrap_up: [], pending: [] };
  for (const contact of Object.values(contacts)) {
    if (contact.state === 'pending') groups.pending.push(contact);
    else if (contact.state === 'wrap_up') groups.wrap_up.push(contact);
    else groups.active.push(contact);
  }
  const liveFirst = (a: ContactView, b: ContactView) => Number(b.mode === 'live') - Number(a.mode === 'live') || byDue(a, b);
  groups.active.sort(liveFirst);
  groups.wrap_up.sort(byDue);
  groups.pending.sort(byDue);
  return groups;
}

/** Where to go next, after the open one and round the list: a live one with something unread, any with something unread, another live one. */
export function nextWaiting(contacts: Readonly<Record<string, ContactView>>, unread: Readonly<Record<string, number>>, open: string | undefined): string | undefined {
  const groups = mine(contacts);
  const list = MINE_GROUPS.flatMap((group) => groups[group]);
  const at = list.findIndex((contact) => contact.id === open);
  const round = [...list.slice(at + 1), ...list.slice(0, Math.max(at, 0))];
  const waits = round.filter((contact) => (unread[contact.id] ?? 0) > 0);
  const live = (contact: ContactView) => contact.mode === 'live' && contact.state === 'active';
  return (waits.find(live) ?? waits[0] ?? round.find(live))?.id;
}

export interface RoomFilter { administration: string; queue: string; text: string }
export const NO_FILTER: RoomFilter = { administration: '', queue: '', text: '' };

/** Whether a contact is in the filter; the text is looked for in what the list shows. */
export function matches(contact: ContactView, filter: RoomFilter): boolean {
  if (filter.administration && contact.administration !== filter.administration) return false;
  if (filter.queue && contact.queue !== filter.queue) return false;
  const text = filter.text.trim().toLowerCase();
  if (!text) return true;
  const shown = [contact.subject, contact.citizen, contact.case?.number, contact.owner_name, contact.id];
  return shown.some((part) => part?.toLowerCase().includes(text));
}

/** A queue with those of its waiting contacts that are listed, and how many there are, since when: as the desk counts, which cuts the lists. */
export interface QueueGroup { queue: RoomQueue; waiting: ContactView[]; count: number; oldest: number | undefined; overdue: number }

/** Waiting contacts by queue, the queue with the most urgent one first, within it oldest due first. */
export function waitingByQueue(room: Room, filter: RoomFilter, now: number): QueueGroup[] {
  const groups = room.queues
    .filter((queue) => !filter.queue || queue.id === filter.queue)
    .filter((queue) => !filter.administration || queue.administration === filter.administration)
    .map((queue) => {
      const waiting = room.waiting.filter((contact) => contact.queue === queue.id && matches(contact, filter)).sort(byPlace);
      const overdue = waiting.filter((contact) => isLate(contact, now)).length;
      if (!filter.text.trim()) return { queue, waiting, count: queue.waiting, oldest: queue.oldest ? Date.parse(queue.oldest) : undefined, overdue };
      const since = waiting.map((contact) => Date.parse(contact.filed_at));
      return { queue, waiting, count: waiting.length, oldest: since.length > 0 ? Math.min(...since) : undefined, overdue };
    });
  const first = (group: QueueGroup) => group.waiting[0]?.due ?? '\uffff';
  return groups.sort((a, b) => first(a).localeCompare(first(b)) || a.queue.name.localeCompare(b.queue.name));
}

const calledFirst = (a: ContactView, b: ContactView) => Number(b.escalated ?? false) - Number(a.escalated ?? false);

/** Held contacts: those for which a supervisor is called on top, then what is due first. */
export function held(room: Room, filter: RoomFilter): ContactView[] {
  return room.held.filter((contact) => matches(contact, filter)).sort((a, b) => calledFirst(a, b) || byDue(a, b));
}

/** Contacts put off, the soonest to come back on top. */
export function deferred(room: Room, filter: RoomFilter): ContactView[] {
  const byReturn = (a: ContactView, b: ContactView) => (a.deferred_until ?? '').localeCompare(b.deferred_until ?? '') || byDue(a, b);
  return room.deferred.filter((contact) => matches(contact, filter)).sort(byReturn);
}

const PRESENCE_ORDER = { ready: 0, away: 1, offline: 2 } as const;

/** Operators: ready first, then away, then the rest; by name. */
export function operators(room: Room): RoomOperator[] {
  return [...room.operators].sort(
    (a, b) => PRESENCE_ORDER[a.state] - PRESENCE_ORDER[b.state] || a.name.localeCompare(b.name, 'it'),
  );
}

export interface RoomFigures { waiting: number; overdue: number; held: number; deferred: number; escalated: number; ready: number; closed: number }

/** The few numbers a supervisor looks at first. */
export function figures(room: Room, now: number): RoomFigures {
  return {
    waiting: room.counts.waiting,
    overdue: room.waiting.filter((contact) => isLate(contact, now)).length,
    held: room.counts.held,
    deferred: room.counts.deferred,
    escalated: [room.waiting, room.held, room.deferred].flat().filter((contact) => contact.escalated).length,
    ready: room.operators.filter((operator) => operator.state === 'ready' && operator.connected).length,
    closed: room.queues.filter((queue) => queue.closed).length,
  };
}
