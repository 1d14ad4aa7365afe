// Drafts, groups, routes, and the small rules of writing.
import { describe, expect, it } from 'vitest';
import type { ContactView, Conversation, Room } from '../src/api/types';
import { isAgain, withoutSent } from '../src/composer/sent';
import { recipientOf, replySubject, withSignature } from '../src/composer/reply-text';
import { parseAddresses } from '../src/lib/addresses';
import { actionOf, Typing } from '../src/lib/keys';
import { pieces } from '../src/lib/linkify';
import { splitQuote } from '../src/lib/quote';
import { Drafts, DRAFT_AGE_MAX_MS } from '../src/state/drafts';
import { deferred, figures, held, mine, NO_FILTER, waitingByQueue } from '../src/state/groups';
import { hashOf, parseRoute, type Route } from '../src/state/route';
import { changeOf, formOf, grantOf, profileOf, scopeKey, withOwn } from '../src/views/admin/profile';
import { Memory } from './memory';

describe('drafts', () => {
  const setup = () => {
    const storage = new Memory();
    let now = 1_000;
    return { storage, drafts: new Drafts(storage, 'op_1', () => now), later: (ms: number) => { now += ms; } };
  };
  it('are kept per operator, contact and kind', () => {
    const { storage, drafts } = setup();
    drafts.save('ct_1', 'reply', { text: 'a' });
    drafts.save('ct_1', 'note', { text: 'b' });
    expect(drafts.load('ct_1', 'reply')?.text).toBe('a');
    expect(new Drafts(storage, 'op_2').load('ct_1', 'reply')).toBeUndefined();
    expect(drafts.count()).toBe(2);
    drafts.clearAll();
    expect(storage.length).toBe(0);
  });
  it('empty ones are removed, old ones forgotten, files of yesterday have to be attached again', () => {
    const { drafts, later, storage } = setup();
    const files = [{ handle: 'h', at: 1_000, name: 'early', size: 1 }, { handle: 'i', at: 1_000 + 3_600_000 * 20, name: 'late', size: 2 }, { name: 'unfinished', size: 3 }];
    later(20 * 3_600_000);
    drafts.save('ct_1', 'reply', { text: 'a', attachments: files });
    expect(drafts.load('ct_1', 'reply')?.attachments).toEqual(files);
    // Changed later, it is not uploaded later.
    later(4 * 3_600_000);
    expect(drafts.load('ct_1', 'reply')?.attachments).toEqual([{ name: 'early', size: 1 }, files[1], files[2]]);
    later(DRAFT_AGE_MAX_MS);
    expect(drafts.load('ct_1', 'reply')).toBeUndefined();
    drafts.sweep();
    expect(storage.length).toBe(0);
    drafts.save('ct_1', 'reply', { text: 'a' });
    drafts.save('ct_1', 'reply', { text: '  ' });
    expect(drafts.has('ct_1')).toBe(false);
  });
  it('a full storage loses nothing else', () => {
    const storage = new Memory();
    storage.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };
    expect(() => new Drafts(storage, 'op').save('ct', 'note', { text: 'x' })).not.toThrow();
  });
  it('rubbish in the storage is no draft', () => {
    const storage = new Memory();
    storage.setItem('sportello.draft/op/ct/note', '{"text":5}');
    expect(new Drafts(storage, 'op').load('ct', 'note')).toBeUndefined();
  });
});

const contact = (id: string, due: number, rest: Partial<ContactView> = {}) => ({ id, due: new Date(due).toISOString(), state: 'active', mode: 'deferrable', queue: 'a', administration: 'c', ...rest }) as ContactView;

describe('groups', () => {
  it('put who is standing there first, then what is due', () => {
    const all = [contact('late', 1), contact('later', 5), contact('chat', 9, { mode: 'live' }), contact('p', 2, { state: 'pending' })];
    const groups = mine(Object.fromEntries(all.map((each) => [each.id, each])));
    expect(groups.active.map((each) => each.id)).toEqual(['chat', 'late', 'later']);
    expect(groups.pending.map((each) => each.id)).toEqual(['p']);
  });
  it('order queues by their most urgent contact and count what is late', () => {
    const queue = (id: string) => ({ id, name: id, administration: 'c', office: 'o', closed: false, waiting: 0 });
    const room: Room = { waiting: [contact('x', 50, { queue: 'b' }), contact('y', 10, { queue: 'b' }), contact('z', 30)], held: [], deferred: [], counts: { waiting: 3, held: 700, deferred: 0 }, operators: [], queues: [queue('a'), queue('b'), queue('empty')] };
    const groups = waitingByQueue(room, NO_FILTER, 20);
    expect(groups.map((group) => group.queue.id)).toEqual(['b', 'a', 'empty']);
    expect(groups[0]).toMatchObject({ overdue: 1, waiting: [{ id: 'y' }, { id: 'x' }] });
    expect(figures(room, 20)).toEqual({ waiting: 3, overdue: 1, held: 700, deferred: 0, escalated: 0, ready: 0, closed: 0 });
    expect(waitingByQueue(room, { ...NO_FILTER, text: 'Z' }, 20).flatMap((group) => group.waiting)).toHaveLength(1);
  });
});

describe('what has been answered', () => {
  const answered = contact('done', 1, { first_response_at: new Date(0).toISOString() });
  it('is not late, and comes after what has not', () => {
    const all = Object.fromEntries([answered, contact('open', 9)].map((each) => [each.id, each]));
    expect(mine(all).active.map((each) => each.id)).toEqual(['open', 'done']);
    const room: Room = { waiting: [answered], held: [], deferred: [], counts: { waiting: 1, held: 0, deferred: 0 }, operators: [], queues: [] };
    expect(figures(room, 20).overdue).toBe(0);
  });
});

describe('the room', () => {
  const off = (id: string, minutes: number) => contact(id, 1, { state: 'deferred', deferred_until: new Date(minutes * 60_000).toISOString() });
  const room: Room = {
    waiting: [contact('w', 5, { escalated: true })], held: [contact('a', 1), contact('b', 9, { escalated: true })],
    deferred: [off('late', 90), off('soon', 10)], counts: { waiting: 1, held: 2, deferred: 2 }, operators: [], queues: [],
  };
  it('puts on top what calls a supervisor, and counts it wherever it is', () => {
    expect(held(room, NO_FILTER).map((each) => each.id)).toEqual(['b', 'a']);
    expect(figures(room, 0)).toMatchObject({ escalated: 2, deferred: 2 });
  });
  it('counts in a surge what the desk counted, and what a text leaves of the list', () => {
    const queue = { id: 'a', name: 'a', administration: 'c', office: 'o', closed: false, waiting: 900, oldest: new Date(7).toISOString() };
    const cut = { ...room, waiting: [contact('w', 5, { filed_at: new Date(9).toISOString() }), contact('v', 5)], counts: { ...room.counts, waiting: 900 }, queues: [queue] };
    expect(waitingByQueue(cut, NO_FILTER, 0)[0]).toMatchObject({ count: 900, oldest: 7 });
    expect(waitingByQueue(cut, { ...NO_FILTER, text: 'w' }, 0)[0]).toMatchObject({ count: 1, oldest: 9 });
  });
  it('shows what was put off by when it comes back', () => expect(deferred(room, NO_FILTER).map((each) => each.id)).toEqual(['soon', 'late']));
});

describe('routes', () => {
  const id = `ct_${'a'.repeat(32)}`;
  it.each<Route>([{ view: 'workspace' }, { view: 'workspace', contact: id }, { view: 'room' }, { view: 'history' }, { view: 'admin', page: 'quarantine' }, { view: 'preferences' }])('%o comes back', (route) => {
    expect(parseRoute(hashOf(route))).toEqual(route);
  });
  it('anything else is the workspace', () => {
    for (const hash of ['', '#/nowhere', '#/contact/<script>', '#/contact/']) expect(parseRoute(hash)).toEqual({ view: 'workspace' });
  });
});

describe('writing', () => {
  it.each([['Re: R: RE: IMU', 'Re: IMU'], ['IMU', 'Re: IMU'], ['', ''], ['Reclamo', 'Re: Reclamo'], ['RIF: x', 'Re: x']])('subject of %o', (before, after) => expect(replySubject(before)).toBe(after));
  it('signs once', () => {
    expect(withSignature('ciao\n', 'Anna')).toBe('ciao\n\nAnna');
    expect(withSignature('ciao\n\nAnna', 'Anna')).toBe('ciao\n\nAnna');
    expect(withSignature('ciao', ' ')).toBe('ciao');
  });
  it.each([
    ['Ciao', 'Ciao', ''], ['Ciao e altro', 'Ciao', 'e altro'], ['Ciao\n\ne altro', 'Ciao', 'e altro'], ['Certo, sì', 'sì', 'Certo, sì'],
    ['Ciaone, bello', 'Ciao!', 'Ciaone, bello'], ['', 'Ciao', ''], ['foto', '', 'foto'],
  ])('of %o, sent as %o, leaves %o', (text, sent, rest) => expect(withoutSent(text, sent)).toBe(rest));
  it('is the same letter again as long as nothing is changed but words after it', () => {
    const letter = { text: 'Ciao', subject: 'Re: IMU', cc: '', handles: ['h1'] };
    const sent = { command: 'cm_1', ...letter } as const;
    expect(isAgain(undefined, letter)).toBe(false);
    expect(isAgain(sent, letter)).toBe(true);
    expect(isAgain(sent, { ...letter, text: 'Ciao e altro', handles: ['h1', 'h2'] })).toBe(true);
    for (const change of [{ text: 'Cia' }, { subject: 'Re: TARI' }, { cc: 'a@b.it' }, { handles: [] }]) expect(isAgain(sent, { ...letter, ...change })).toBe(false);
  });
  it('goes to who wrote last, and after a chat to where an earlier answer went', () => {
    const chat = { ...contact('ct_1', 1), channel: 'webchat', citizen: 'Sara' };
    const message = (direction: string, address: string) => ({ kind: 'message', contact: 'ct_1', direction, from: { address }, to: [{ address }] });
    const conversation = (...entries: unknown[]) => ({ entries }) as Conversation;
    expect(recipientOf({ ...chat, channel: 'email' }, conversation(message('inbound', 'a@b.it'), message('inbound', 'c@d.it')))).toBe('c@d.it');
    expect(recipientOf(chat, conversation(message('inbound', 'cs_1'), message('outbound', 'cs_1')))).toBe('');
    expect(recipientOf(chat, conversation(message('outbound', 'a@b.it'), message('outbound', 'cs_1')))).toBe('a@b.it');
  });
  it('reads addresses', () => expect(parseAddresses('a@b.it; <c@d.it>, storto')).toEqual({ addresses: [{ address: 'a@b.it' }, { address: 'c@d.it' }], wrong: ['storto'] }));
  it('links only web addresses, without the full stop', () => {
    expect(pieces('vedi https://a.it/x. javascript:alert(1)')).toEqual([{ text: 'vedi ' }, { text: 'https://a.it/x', href: 'https://a.it/x' }, { text: '. javascript:alert(1)' }]);
  });
  it('folds the quoted tail, never an answer between the lines', () => {
    expect(splitQuote('Sì.\n\nIl giorno 3 marzo 2026 Ufficio ha scritto:\n> prima')).toEqual({ fresh: 'Sì.', quoted: 'Il giorno 3 marzo 2026 Ufficio ha scritto:\n> prima' });
    expect(splitQuote('A\n> domanda\nrisposta').quoted).toBe('');
    expect(splitQuote('> solo').fresh).toBe('> solo');
  });
});

describe('keys', () => {
  const key = (name: string, rest = {}) => ({ key: name, ctrlKey: false, altKey: false, metaKey: false, isComposing: false, ...rest });
  it('letters only where nobody writes, function keys everywhere', () => {
    expect(actionOf(key('r'), false, true)).toBe('reply');
    expect(actionOf(key('r'), true, true)).toBeUndefined();
    expect(actionOf(key('r'), false, false)).toBeUndefined();
    expect(actionOf(key('r', { ctrlKey: true }), false, true)).toBeUndefined();
    expect(actionOf(key('F8'), true, false)).toBe('accept');
    expect(actionOf(key('F8', { isComposing: true }), true, false)).toBeUndefined();
  });
  it('typed on when the field has gone are none, until nobody types or somebody points', () => {
    const typing = new Typing();
    const field = { isConnected: true };
    typing.into(field, 'a', false, 1_000);
    expect(typing.goesOn(1_100)).toBe(false);
    field.isConnected = false;
    expect(typing.goesOn(1_200)).toBe(true);
    expect(typing.goesOn(3_100)).toBe(true);
    expect(typing.goesOn(5_200)).toBe(false);
    typing.into(field, 'F8', false, 5_900);
    expect(typing.goesOn(5_950)).toBe(false);
    typing.into(field, 'a', false, 6_000);
    typing.ends();
    expect(typing.goesOn(6_100)).toBe(false);
    for (const [name, isLine, goesOn] of [['Escape', false, false], ['Tab', false, false], ['Enter', true, false], ['Enter', false, true]] as const) {
      typing.into(field, name, isLine, 7_000);
      expect(typing.goesOn(7_100), name).toBe(goesOn);
    }
  });
});

describe('profiles', () => {
  it('come back from the form as they were', () => {
    const profile = { administrations: ['a'], offices: [], skills: { spid: 4 }, languages: ['it'], channels: [], queues: ['q'], capacity: { live_units: 66, desk_slots: 1, channels: { sms: 2 } } };
    const account = { operator: 'op', login: 'l', name: 'n', enabled: true, profile, grants: [] };
    expect(profileOf(formOf(account), profile)).toEqual(profile);
  });
  it('are sent only as far as the form changed them', () => {
    const profile = { capacity: { channels: { sms: 2 }, desk_slots: 1, live_units: 66 }, administrations: ['a'], offices: [], skills: { spid: 4 }, languages: ['ro'], channels: [], queues: ['q'] };
    const account = { operator: 'op', login: 'l', name: 'n', enabled: true, profile, grants: [{ role: 'operator' as const, scope: { pool: 'p' }, content: true }] };
    expect(changeOf(formOf(account), account)).toEqual({});
    expect(changeOf({ ...formOf(account), name: ' m ' }, account)).toEqual({ name: 'm' });
    expect(changeOf({ ...formOf(account), grants: [] }, account)).toEqual({ grants: [] });
    expect(changeOf({ ...formOf(account), deskSlots: 3 }, account)).toEqual({ profile: { ...profile, capacity: { ...profile.capacity, desk_slots: 3 } } });
  });
  it('keep codes that nobody knows among the choices', () => {
    const known = [{ id: 'a', name: 'A' }, { id: 'b', name: 'B' }];
    expect(withOwn(known.slice(0, 1), ['b', 'z'], known)).toEqual([{ id: 'a', name: 'A' }, { id: 'z', name: 'z' }]);
  });
  it.each([{ pool: 'p' }, { administration: 'a' }, { office: ['a', 'o'] as [string, string] }])('scope %o', (scope) => {
    const grant = { role: 'operator' as const, scope, content: true };
    expect(grantOf('operator', scopeKey(grant), true)).toEqual(grant);
  });
});
