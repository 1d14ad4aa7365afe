// Events in, model and effects out.
import { describe, expect, it } from 'vitest';
import type { About, ContactView, DeskEvent, EventBody } from '../src/api/types';
import { answering, emptyModel, fromSnapshot, isOlder, withContact, type DeskModel } from '../src/state/model';
import { reduce, type Effect } from '../src/state/reducer';

const ME = 'op_me';
const AT = '2026-11-23T09:00:00Z';

function contact(id: string, rest: Partial<ContactView> = {}): ContactView {
  return {
    id, conversation: `cv_${id}`, administration: 'comune', office: 'o', queue: 'tributi', channel: 'email', mode: 'deferrable', direction: 'inbound',
    state: 'active', version: 3, owner: ME, filed_at: AT, queued_at: AT, due: AT, identity: 'claimed', returns: 0, transfers: 0, ...rest,
  };
}
const about = (id: string, version = 4): About => ({
  contact: id, conversation: `cv_${id}`, administration: 'comune', office: 'o', queue: 'tributi', channel: 'email', mode: 'deferrable', version,
});
const event = (seq: number, body: EventBody, id?: string): DeskEvent => ({ seq, at: AT, ...(id ? { about: about(id) } : {}), ...body }) as DeskEvent;
const holding = (...contacts: ContactView[]): DeskModel => ({ ...emptyModel(ME), seq: 10, contacts: Object.fromEntries(contacts.map((each) => [each.id, each])) });
const doings = (effects: Effect[]) => effects.map((effect) => (effect.do === 'tell' ? `tell ${effect.what}` : effect.do));

describe('sequence', () => {
  it('drops what is not above the last number', () => {
    const model = holding(contact('a'));
    const closed = event(10, { event: 'contact.closed', resolution: 'resolved' }, 'a');
    expect(reduce(model, closed)).toEqual({ model, effects: [] });
  });
  it('moves on with what it does not understand', () => {
    const model = holding(contact('a'));
    const step = reduce(model, event(11, { event: 'pool.led', epoch: 2 }));
    expect(step.model.seq).toBe(11);
    expect(reduce(model, { seq: 12, at: AT, event: 'something.new' } as unknown as DeskEvent).model.seq).toBe(12);
  });
  it('does not change the model it was given', () => {
    const model = Object.freeze(holding(Object.freeze(contact('a'))));
    Object.freeze(model.contacts);
    reduce(model, event(11, { event: 'contact.pending', operator: ME, on: 'citizen' }, 'a'));
    expect(model.contacts['a']?.state).toBe('active');
  });
});

describe('offers', () => {
  const made = event(11, { event: 'offer.made', ordinal: 2, operator: ME, deadline: AT }, 'b');
  it('ring for me, with the contact to follow', () => {
    const { model, effects } = reduce(holding(), made);
    expect(model.offers).toEqual([{ id: 'b', ordinal: 2, deadline: AT, queue: 'tributi', channel: 'email' }]);
    expect(doings(effects)).toEqual(['load_contact', 'tell offer']);
    // Whom it rings is named as its owner, but it is not theirs yet.
    const rung = withContact(model, contact('b', { state: 'offered', subject: 'x' }));
    expect(rung.offers[0]?.contact?.subject).toBe('x');
    expect(rung.contacts).toEqual({});
  });
  it('do not ring for a colleague', () => {
    const other = event(11, { event: 'offer.made', ordinal: 1, operator: 'op_other', deadline: AT }, 'b');
    expect(reduce(holding(), other).model.offers).toEqual([]);
  });
  it.each(['offer.expired', 'offer.revoked', 'offer.rescinded'] as const)('%s stops it and says why', (name) => {
    const ringing = reduce(holding(), made).model;
    const { model, effects } = reduce(ringing, event(12, { event: name, ordinal: 2, operator: ME }, 'b'));
    expect(model.offers).toEqual([]);
    expect(effects).toEqual([{ do: 'tell', what: 'offer_ended', contact: 'b', queue: 'tributi', code: name.slice(6) }]);
  });
  it('a late end of an earlier offer does not stop the present one', () => {
    const ringing = reduce(holding(), made).model;
    expect(reduce(ringing, event(12, { event: 'offer.expired', ordinal: 1, operator: ME }, 'b')).model.offers).toHaveLength(1);
  });
});

describe('contacts', () => {
  it.each<[string, EventBody]>([
    ['closed', { event: 'contact.closed', resolution: 'resolved' }],
    ['queued', { event: 'contact.queued', due: AT, reason: 'untouched' }],
    ['deferred', { event: 'contact.deferred', until: AT }],
    ['transferred', { event: 'contact.transferred', operator: ME, from_queue: 'tributi', to: { queue: 'x' }, reason: 'r' }],
    ['abandoned', { event: 'contact.abandoned', short: false }],
    ['released', { event: 'contact.released', operator: ME, reason: 'untouched' }],
    ['given to another', { event: 'contact.assigned', operator: 'op_other', reason: 'supervisor' }],
  ])('leave my list when %s', (_name, body) => {
    const before = { ...holding(contact('a')), unread: { a: 2 } };
    const { model, effects } = reduce(before, event(11, body, 'a'));
    expect(model.contacts).toEqual({});
    expect(model.unread).toEqual({});
    expect(effects).toContainEqual({ do: 'reload_conversation', conversation: 'cv_a' });
  });
  it.each<[string, EventBody, object]>([
    ['closed', { event: 'contact.closed', resolution: 'citizen_silent' }, { what: 'closed', code: 'citizen_silent' }],
    ['transferred', { event: 'contact.transferred', from_queue: 'tributi', to: { queue: 'x' }, reason: 'r' }, { what: 'gone', code: 'transferred' }],
    ['deferred', { event: 'contact.deferred', until: AT }, { what: 'gone', code: 'deferred' }],
    ['abandoned', { event: 'contact.abandoned', short: false }, { what: 'gone', code: 'abandoned' }],
    ['queued', { event: 'contact.queued', due: AT, reason: 'citizen_wrote' }, { what: 'gone', code: 'queued' }],
    ['released', { event: 'contact.released', operator: ME, reason: 'owner_lost' }, { what: 'released', code: 'owner_lost' }],
    ['reassigned', { event: 'contact.released', operator: ME, reason: 'reassigned' }, { what: 'reassigned' }],
    ['over', { event: 'contact.wrap_up', operator: ME, until: AT }, { what: 'wrap_up' }],
    ['back from waiting', { event: 'contact.assigned', operator: ME, reason: 'resumed' }, { what: 'resumed' }],
  ])('of mine are told when they are %s, others are not', (_name, body, told) => {
    const tells = (model: DeskModel) => reduce(model, event(11, body, 'a')).effects.filter((effect) => effect.do === 'tell');
    expect(tells(holding(contact('a')))).toEqual([{ do: 'tell', contact: 'a', queue: 'tributi', ...told }]);
    if (body.event !== 'contact.assigned') expect(tells(holding())).toEqual([]);
  });
  it('whose citizen is silent are told and marked, until the citizen or I write, or the talk is over', () => {
    const { model, effects } = reduce(holding(contact('a', { mode: 'live' })), event(11, { event: 'contact.silent', operator: ME, closes_at: AT }, 'a'));
    expect(model.silent).toEqual({ a: AT });
    expect(effects).toContainEqual({ do: 'tell', what: 'silent', contact: 'a', queue: 'tributi', until: AT });
    const after = (body: EventBody) => reduce(model, event(12, body, 'a')).model.silent;
    expect(after({ event: 'message.received', message: 'm', operator: ME })).toEqual({});
    expect(after({ event: 'message.queued', message: 'm', operator: ME })).toEqual({});
    expect(after({ event: 'message.queued', message: 'm' })).toEqual({ a: AT });
    expect(after({ event: 'contact.wrap_up', operator: ME, until: AT })).toEqual({});
    expect(after({ event: 'contact.closed', resolution: 'citizen_silent' })).toEqual({});
  });
  it('are told when they come by themselves, not when I took them', () => {
    const assigned = (reason: string) => reduce(holding(), event(11, { event: 'contact.assigned', operator: ME, reason }, 'a')).effects;
    expect(doings(assigned('routed'))).toContain('tell assigned');
    expect(doings(assigned('pulled'))).not.toContain('tell assigned');
  });
  it('lose the timers of the state they leave', () => {
    const { model } = reduce(holding(contact('a', { untouched_until: AT })), event(11, { event: 'contact.touched', operator: ME }, 'a'));
    expect(model.contacts['a']).not.toHaveProperty('untouched_until');
    expect(model.contacts['a']?.version).toBe(4);
  });
  it('an older reading never wins', () => {
    const model = holding(contact('a', { version: 7, state: 'pending' }));
    expect(withContact(model, contact('a', { version: 6 })).contacts['a']?.state).toBe('pending');
  });
  it('one read that is no longer mine is dropped', () => {
    expect(withContact(holding(contact('a')), contact('a', { version: 9, owner: 'op_other' })).contacts).toEqual({});
  });
  it('one read before it became mine is not dropped, and an offer keeps its newer words', () => {
    const model = holding(contact('a', { version: 7 }));
    expect(withContact(model, contact('a', { version: 6, owner: 'op_other' }))).toEqual(model);
    const offer = { id: 'b', ordinal: 1, deadline: AT, queue: 'tributi', channel: 'email', contact: contact('b', { version: 5, state: 'offered', subject: 'new' }) };
    expect(withContact({ ...model, offers: [offer] }, contact('b', { version: 4, state: 'offered', subject: 'old' })).offers).toEqual([offer]);
  });
  it.each<EventBody>([
    { event: 'contact.closed', resolution: 'resolved' }, { event: 'contact.released', operator: ME, reason: 'untouched' }, { event: 'contact.assigned', operator: 'op_other', reason: 'supervisor' },
  ])('that are not mine any more are not read on, known or not: %o', (body) => {
    for (const model of [holding(contact('a')), holding()]) expect(reduce(model, event(11, body, 'a')).effects).toContainEqual({ do: 'drop_contact', contact: 'a' });
  });
});

describe('messages', () => {
  it('mark their contact unread, and tell it once', () => {
    const { model, effects } = reduce(holding(contact('a')), event(11, { event: 'message.received', message: 'm', operator: ME }, 'a'));
    expect(model.unread).toEqual({ a: 1 });
    expect(doings(effects)).toEqual(['load_contact', 'reload_conversation', 'tell message']);
  });
  it('of machines make no noise', () => {
    const { effects } = reduce(holding(contact('a')), event(11, { event: 'message.received', message: 'm', operator: ME, automatic: 'auto_reply' }, 'a'));
    expect(doings(effects)).not.toContain('tell message');
  });
  it('that bounce are told as such', () => {
    const { effects } = reduce(holding(contact('a')), event(11, { event: 'message.failed', message: 'm', operator: ME, code: '5.1.1', bounced: true }, 'a'));
    expect(doings(effects)).toContain('tell bounced');
  });
  it('of which no report came are not said to have failed', () => {
    const { effects } = reduce(holding(contact('a')), event(11, { event: 'message.failed', message: 'm', operator: ME, code: 'unknown', bounced: false }, 'a'));
    expect(doings(effects)).toContain('tell delivery_unknown');
  });
  it('to a contact that only rings at me mark nothing, and what leaves leaves no mark', () => {
    const ringing = { ...holding(), offers: [{ id: 'a', ordinal: 1, deadline: AT, queue: 'tributi', channel: 'webchat' }] };
    const { model, effects } = reduce(ringing, event(11, { event: 'message.received', message: 'm', operator: ME }, 'a'));
    expect(model.unread).toEqual({});
    expect(doings(effects)).not.toContain('tell message');
    expect(withContact({ ...holding(), unread: { a: 1 } }, contact('a', { state: 'queued' })).unread).toEqual({});
  });
  it('and notes of others mark unread, my own note does not', () => {
    const note = (operator: string) => reduce(holding(contact('a')), event(11, { event: 'note.added', note: 'n', operator }, 'a')).model.unread;
    expect(note('op_other')).toEqual({ a: 1 });
    expect(note(ME)).toEqual({});
  });
  it('of contacts that are not mine only refresh what is open', () => {
    const { model, effects } = reduce(holding(), event(11, { event: 'message.sent', message: 'm' }, 'z'));
    expect(model.unread).toEqual({});
    expect(doings(effects)).toEqual(['reload_conversation']);
  });
});

describe('escalations', () => {
  it('are told to whoever hears of them, with the queue, though nobody holds the contact', () => {
    const { model, effects } = reduce(holding(), event(11, { event: 'contact.escalated', returns: 6 }, 'z'));
    expect(model.contacts).toEqual({});
    expect(effects).toContainEqual({ do: 'tell', what: 'escalated', contact: 'z', queue: 'tributi' });
  });
});

describe('pool', () => {
  it('follows presence, mine and colleagues', () => {
    const before: DeskModel = { ...holding(), colleagues: [{ operator: 'op_c', name: 'C', state: 'ready', administrations: [] }] };
    const away = { state: 'away' as const, reason: 'lunch' };
    const mine = reduce(before, event(11, { event: 'operator.presence', operator: ME, presence: away, connected: true })).model;
    expect(mine.presence).toEqual({ ...away, connected: true, since: AT });
    const theirs = reduce(before, event(11, { event: 'operator.presence', operator: 'op_c', presence: away, connected: true })).model;
    expect(theirs.colleagues[0]?.state).toBe('away');
    expect(theirs.presence.state).toBe('offline');
  });
  it('says that I was put away, unless I was not there', () => {
    const put = (state: 'ready' | 'away') => reduce({ ...holding(), presence: { state, connected: true, since: AT } }, event(11, { event: 'operator.presence', operator: ME, presence: { state: 'away', reason: 'missed' }, connected: true })).effects;
    expect(put('ready')).toEqual([{ do: 'tell_put_away' }]);
    expect(put('away')).toEqual([]);
  });
  it('a closed queue has no old notice, and its own is read', () => {
    const queue = { id: 'q', name: 'Q', office: 'o', closed: true, notice: 'old' };
    const plan = { ...emptyModel(ME).plan, administrations: [{ id: 'c', name: 'C', languages: [], topics: [], offices: [], queues: [queue] }] };
    const step = (name: 'queue.closed' | 'queue.opened') => reduce({ ...holding(), plan }, event(11, { event: name, queue: 'q', administration: 'c' }));
    expect(step('queue.closed').effects).toEqual([{ do: 'reload_state' }]);
    for (const closed of [true, false]) {
      expect(step(closed ? 'queue.closed' : 'queue.opened').model.plan.administrations[0]?.queues).toEqual([{ id: 'q', name: 'Q', office: 'o', closed }]);
    }
  });
  it('a new plan asks for the state again', () => {
    expect(reduce(holding(), event(11, { event: 'plan.applied', version: 3 })).effects).toEqual([{ do: 'reload_state' }]);
  });
});

describe('who acts on a message', () => {
  const conversation = (...contacts: ContactView[]) => ({ id: 'cv', administration: 'comune', contacts, entries: [], as_of: AT });
  const closed = contact('closed', { state: 'closed' });
  it.each([
    [conversation(closed, contact('theirs', { owner: 'op_c' }), contact('mine')), 'mine'],
    [conversation(closed, contact('theirs', { owner: 'op_c' }), contact('open', { owner: 'op_d' })), 'open'],
    [conversation(closed, contact('theirs', { owner: 'op_c' })), 'theirs'],
    [conversation(closed), 'closed'],
    [undefined, 'closed'],
  ])('does so in the contact that one has, else the open one: %#', (given, expected) => {
    expect(answering(given, 'open', ME, 'closed')).toBe(expected);
  });
});

describe('a conversation', () => {
  const conversation = (...contacts: ContactView[]) => ({ id: 'cv', administration: 'comune', contacts, entries: [], as_of: AT });
  it('is older when one of its contacts is', () => {
    const shown = conversation(contact('a', { version: 5 }), contact('b', { version: 2 }));
    expect(isOlder(conversation(contact('a', { version: 4 }), contact('b', { version: 3 })), shown)).toBe(true);
    expect(isOlder(conversation(contact('a', { version: 5 }), contact('b', { version: 3 }), contact('c')), shown)).toBe(false);
    expect(isOlder(shown, undefined)).toBe(false);
  });
});

describe('snapshot', () => {
  it('has the unread marks that the desk keeps', () => {
    const snapshot = {
      seq: 50, presence: emptyModel(ME).presence, contacts: [contact('a', { unread: 2 }), contact('b')], offers: [], plan: emptyModel(ME).plan, colleagues: [], server_time: AT,
    };
    const model = fromSnapshot(ME, snapshot);
    expect(model.unread).toEqual({ a: 2 });
    const before = { ...holding(contact('a'), contact('b', { version: 2 })), silent: { a: AT, b: AT, c: AT } };
    expect(fromSnapshot(ME, snapshot, before).silent).toEqual({ a: AT });
    expect(withContact(model, contact('a', { unread: 1 })).unread).toEqual({ a: 1 });
    expect(withContact(model, contact('a')).unread).toEqual({});
    expect(withContact({ ...model, contacts: { a: contact('a', { version: 9 }) } }, contact('a')).unread).toEqual({ a: 2 });
  });
});
