// The widget's line and chat on a fake socket and a fake clock: resume, pauses, dead lines, sleep, close codes, acknowledgements.
import { describe, expect, it } from 'vitest';
import { Chat } from '../chat/chat';
import { Connection, pauseBefore, type SocketLike } from '../chat/connection';
import { Keep, memoryShelf, type Shelf } from '../chat/storage';
import type { ChatApi } from '../chat/api';
import type { ServerFrame } from '../chat/protocol';
import { FakeClock } from './fake-clock';

class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  sent: { type: string; id?: string; after?: number | null }[] = [];
  closed = false;
  constructor(readonly url: string, readonly protocol: string) {}
  send(text: string) { this.sent.push(JSON.parse(text) as FakeSocket['sent'][number]); }
  close() { this.closed = true; }
  say(frame: ServerFrame | string) { this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) }); }
  welcome(after = 1) { this.onopen?.(); this.say({ type: 'welcome', after, state: { status: 'idle', open: true }, messages: [] }); }
  break(code = 1006, reason = '') { this.onclose?.({ code, reason }); }
}

function line() {
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  const seen: string[] = [];
  let after: number | null = null;
  const connection = new Connection({
    url: 'wss://x/socket', clock,
    hello: () => ({ type: 'hello', session: 's', after, language: 'it' }),
    onFrame: (frame) => { seen.push(frame.type); if ('seq' in frame) after = frame.seq; },
    onLink: (link) => seen.push(link),
    onRefused: (why) => seen.push(`refused ${why}`),
    open: (url, protocol) => { const socket = new FakeSocket(url, protocol); sockets.push(socket); return socket; },
  });
  return { clock, sockets, seen, connection, last: () => sockets.at(-1)! };
}

describe('the line', () => {
  it('greets first, and resumes after the last number seen', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    expect([sockets[0]!.url, sockets[0]!.protocol]).toEqual(['wss://x/socket', 'sportello.chat.v1']);
    sockets[0]!.welcome();
    sockets[0]!.say({ type: 'mark', seq: 9, delivered: 0, read: 0 });
    sockets[0]!.break(1001);
    clock.pass(500);
    sockets[1]!.onopen?.();
    expect([sockets[0]!.sent[0]!.after, sockets[1]!.sent[0]]).toEqual([null, { type: 'hello', session: 's', after: 9, language: 'it' }]);
  });
  it('sends nothing before the welcome', () => {
    const { connection, last } = line();
    connection.start();
    expect(connection.send({ type: 'end' })).toBe(false);
    last().welcome();
    expect(connection.send({ type: 'end' })).toBe(true);
  });
  it('doubles its pauses up to half a minute, with jitter, and begins anew after a line that stood', () => {
    expect([0, 1, 2, 5, 6, 20].map((attempt) => pauseBefore(attempt, () => 1))).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000]);
    expect([pauseBefore(6, () => 0), pauseBefore(0, () => 0.5)]).toEqual([7_500, 313]);
    const { connection, sockets, clock, last } = line();
    connection.start();
    for (const pause of [500, 1000, 2000, 4000]) {
      const before = sockets.length;
      last().break();
      clock.pass(pause - 1);
      expect(sockets.length).toBe(before);
      clock.pass(1);
      expect(sockets.length).toBe(before + 1);
    }
    last().welcome();
    clock.pass(5_000);
    last().break();
    clock.pass(500);
    expect(sockets.length).toBe(6);
  });
  it('a server that takes every line and drops it at once is not stormed', () => {
    const { connection, sockets, clock, last } = line();
    connection.start();
    for (let round = 0; round < 8; round += 1) { last().welcome(); last().break(); clock.pass(30_000); }
    const before = sockets.length;
    last().welcome();
    last().break();
    clock.pass(29_999);
    expect(sockets.length).toBe(before);
  });
  it('waits as long as it is told to', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    sockets[0]!.break(4429, '45');
    clock.pass(44_999);
    expect(sockets.length).toBe(1);
    clock.pass(1);
    expect(sockets.length).toBe(2);
    sockets[1]!.break(4429, 'nonsense');
    clock.pass(30_000);
    expect(sockets.length).toBe(3);
  });
  it.each([[4401, 'refused session_over'], [4403, 'refused foreign_origin']])('close %d is final', (code, told) => {
    const { connection, sockets, seen, clock } = line();
    connection.start();
    sockets[0]!.break(code);
    clock.pass(600_000);
    expect([sockets.length, seen.at(-1)]).toEqual([1, told]);
  });
  it('gives up when its frames are refused again and again', () => {
    const { connection, sockets, seen, clock, last } = line();
    connection.start();
    for (let round = 0; round < 10; round += 1) { last().welcome(); last().break(4400); clock.pass(6_000); }
    expect([sockets.length, seen.at(-1)]).toEqual([4, 'refused broken']);
  });
  it('comes back at once when the network does, or the page is looked at', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    sockets[0]!.welcome();
    connection.lost();
    expect(sockets[0]!.closed).toBe(true);
    connection.wake();
    expect(sockets.length).toBe(2);
    sockets[1]!.welcome();
    connection.wake();
    expect(sockets.length).toBe(2);
    clock.pass(600_000);
    expect(sockets.length).toBe(2);
  });
  it('a computer that slept has a dead line, whatever the browser thinks', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    sockets[0]!.welcome();
    clock.pass(3_600_000, true);
    expect([sockets.length, sockets[0]!.closed]).toEqual([2, true]);
    sockets[1]!.welcome();
    clock.pass(60_000);
    expect(sockets.length).toBe(2);
  });
  it('a server that beats and falls silent is gone; one that never beats is left alone', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    sockets[0]!.welcome();
    clock.pass(300_000);
    expect(sockets.length).toBe(1);
    sockets[0]!.say({ type: 'beat' });
    clock.pass(64_000);
    expect(sockets.length).toBe(1);
    clock.pass(10_000);
    expect(sockets.length).toBe(2);
  });
  it('no welcome in time is no line', () => {
    const { connection, sockets, clock } = line();
    connection.start();
    sockets[0]!.onopen?.();
    clock.pass(15_500);
    expect(sockets.length).toBe(2);
  });
  it('passes over what it cannot read', () => {
    const { connection, last, seen } = line();
    connection.start();
    last().welcome();
    const before = seen.length;
    for (const odd of ['', '{', 'null', '[]', '{"type":7}', '{"type":"later_kind"}']) last().say(odd);
    expect(seen.length).toBe(before);
  });
});

function chat(shelf: Shelf = memoryShelf()) {
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  let ids = 0;
  const api = { socketUrl: 'wss://x/socket', session: () => Promise.resolve('token'), config: () => Promise.resolve({ languages: ['it'], topics: [], title: '', account: 'a', open: true }) } as unknown as ChatApi;
  const keep = new Keep('a', shelf, memoryShelf(), clock.now);
  const one = new Chat({ api, keep, language: 'it', clock, newId: () => `id-${(ids += 1)}`, open: (url, protocol) => { const socket = new FakeSocket(url, protocol); sockets.push(socket); return socket; } });
  const kinds = (socket: FakeSocket) => socket.sent.map((frame) => frame.id ?? frame.type);
  return { clock, sockets, keep, shelf, chat: one, kinds, begin: () => one.begin({ name: 'Rosa', email: '', topic: 'tari', text: '' }) };
}

describe('the chat', () => {
  it('asks nobody anything before there is a conversation', () => {
    const { chat: one, sockets } = chat();
    one.resume();
    expect([sockets.length, one.screen]).toEqual([0, 'loading']);
  });
  it('sends what was written without a line as soon as there is one', async () => {
    const { chat: one, sockets, begin, kinds } = chat();
    await begin();
    one.send('first', []);
    one.send('second', []);
    expect(kinds(sockets[0]!)).toEqual([]);
    sockets[0]!.welcome();
    expect(kinds(sockets[0]!)).toEqual(['hello', 'id-1', 'id-2']);
  });
  it('a reload takes up session and unsent text, under the same ids', async () => {
    const first = chat();
    await first.begin();
    first.sockets[0]!.welcome();
    first.chat.send('not acknowledged', []);
    first.chat.send('acknowledged', []);
    first.sockets[0]!.say({ type: 'accepted', id: 'id-2' });
    first.chat.stop();
    const second = chat(first.shelf);
    second.chat.resume();
    second.sockets[0]!.welcome();
    expect(second.sockets[0]!.sent).toMatchObject([{ type: 'hello', session: 'token', after: null }, { id: 'id-1', text: 'not acknowledged' }]);
    expect(second.sockets[0]!.sent.length).toBe(2);
  });
  it('a message that nobody acknowledges means a dead line: a new one, and again', async () => {
    const { chat: one, sockets, begin, clock, kinds } = chat();
    await begin();
    sockets[0]!.welcome();
    one.send('hello?', []);
    clock.pass(9_999);
    expect(sockets.length).toBe(1);
    clock.pass(1);
    sockets[1]!.welcome();
    expect(kinds(sockets[1]!)).toEqual(['hello', 'id-1']);
    sockets[1]!.say({ type: 'accepted', id: 'id-1' });
    clock.pass(60_000);
    expect(sockets.length).toBe(2);
  });
  it('a message refused for now goes again under its id', async () => {
    const { chat: one, sockets, begin, clock, kinds } = chat();
    await begin();
    sockets[0]!.welcome();
    one.send('x', []);
    sockets[0]!.say({ type: 'refused', id: 'id-1', code: 'later' });
    clock.pass(3_000);
    expect(kinds(sockets[0]!)).toEqual(['hello', 'id-1', 'id-1']);
    expect(sockets.length).toBe(1);
  });
  it('nothing overtakes a message refused for now: one timer sends all that wait, in their order', async () => {
    const { chat: one, sockets, begin, clock, kinds } = chat();
    await begin();
    sockets[0]!.welcome();
    for (const text of ['a', 'b']) one.send(text, []);
    for (const id of ['id-1', 'id-2']) { sockets[0]!.say({ type: 'refused', id, code: 'later' }); clock.pass(1_000); }
    one.send('c', []);
    expect(kinds(sockets[0]!)).toEqual(['hello', 'id-1', 'id-2']);
    clock.pass(1_000);
    expect(kinds(sockets[0]!).slice(3)).toEqual(['id-1', 'id-2', 'id-3']);
    one.send('d', []);
    expect(kinds(sockets[0]!).slice(6)).toEqual(['id-4']);
    clock.pass(6_000);
    expect(kinds(sockets[0]!).length).toBe(7);
  });
  it('after a lost line all goes again at once, whatever was to be later', async () => {
    const { chat: one, sockets, begin, clock, kinds } = chat();
    await begin();
    sockets[0]!.welcome();
    one.send('a', []);
    sockets[0]!.say({ type: 'refused', id: 'id-1', code: 'later' });
    sockets[0]!.break();
    one.send('b', []);
    clock.pass(500);
    sockets[1]!.welcome();
    one.send('c', []);
    clock.pass(5_000);
    expect(kinds(sockets[1]!)).toEqual(['hello', 'id-1', 'id-2', 'id-3']);
  });
  it('a tab that learns late of the old end leaves the new conversation alone, and follows it', async () => {
    const first = chat();
    const stale = chat(first.shelf);
    await first.begin();
    stale.chat.resume();
    for (const { sockets } of [first, stale]) sockets[0]!.welcome();
    stale.chat.send('old', []);
    const fresh = { token: 'fresh', name: 'Rosa', email: '', language: 'it' };
    stale.keep.session = fresh;
    stale.keep.keep('fresh', { id: 'new', kind: 'message', text: 'new', files: [], at: stale.clock.now(), state: 'waiting' });
    stale.sockets[0]!.say({ type: 'state', seq: 5, status: 'ended', open: true, reason: 'operator' });
    expect(stale.keep.session).toEqual(fresh);
    expect(stale.chat.session).toEqual(fresh);
    stale.sockets[1]!.welcome();
    expect(stale.sockets[1]!.sent).toMatchObject([{ type: 'hello', session: 'fresh' }, { id: 'new' }]);
    // and one whose old session is not even known any more
    first.sockets[0]!.break();
    first.clock.pass(500);
    first.chat.model = { ...first.chat.model, last: null, unsent: [] };
    first.sockets[1]!.onopen?.();
    first.sockets[1]!.break(4401);
    expect([first.keep.session, first.chat.session, first.chat.wasOver]).toEqual([fresh, fresh, false]);
    expect(first.keep.unsent('fresh').length).toBe(1);
  });
  it('a conversation that goes on after its end is kept again, and its line made anew', async () => {
    const { chat: one, sockets, begin, keep, clock } = chat();
    await begin();
    sockets[0]!.welcome();
    sockets[0]!.say({ type: 'state', seq: 5, status: 'ended', open: true, reason: 'operator' });
    expect(keep.session).toBeUndefined();
    sockets[0]!.say({ type: 'state', seq: 6, status: 'served', open: true, name: 'Anna' });
    expect(keep.session?.token).toBe('token');
    one.send('x', []);
    sockets[0]!.break();
    clock.pass(60_000);
    expect(sockets.length).toBeGreaterThan(1);
    sockets.at(-1)!.onopen?.();
    expect(sockets.at(-1)!.sent[0]).toMatchObject({ type: 'hello', session: 'token' });
  });
  it('typing is told at most every three seconds, and anew after a message', async () => {
    const { chat: one, sockets, begin, clock, kinds } = chat();
    await begin();
    sockets[0]!.welcome();
    for (let key = 0; key < 40; key += 1) { one.typing(); clock.pass(100); }
    expect(kinds(sockets[0]!)).toEqual(['hello', 'typing', 'typing']);
    one.send('x', []);
    one.typing();
    expect(kinds(sockets[0]!).slice(3)).toEqual(['id-1', 'typing']);
  });
  it('the end leaves nothing on a shared computer and the line is not made anew', async () => {
    const { chat: one, sockets, begin, shelf, clock } = chat();
    await begin();
    sockets[0]!.welcome();
    one.send('x', []);
    sockets[0]!.say({ type: 'state', seq: 5, status: 'ended', open: true, reason: 'operator' });
    expect(shelf.length).toBe(0);
    sockets[0]!.break();
    clock.pass(600_000);
    expect(sockets.length).toBe(1);
    expect(one.startOver()).toBe('x');
    expect([one.session, one.model.messages.length]).toEqual([undefined, 0]);
  });
  it('a kept session that is long over is no conversation', async () => {
    const { chat: one, sockets, keep, clock } = chat();
    keep.session = { token: 'old', name: '', email: '', language: 'it' };
    one.resume();
    sockets[0]!.onopen?.();
    sockets[0]!.break(4401);
    await Promise.resolve();
    expect([one.session, keep.session, one.wasOver]).toEqual([undefined, undefined, true]);
    clock.pass(60_000);
    expect(sockets.length).toBe(1);
  });
  it('two tabs are one conversation: the other follows', async () => {
    const first = chat();
    const second = chat(first.shelf);
    await first.begin();
    second.chat.follow();
    second.sockets[0]!.welcome();
    expect(second.sockets[0]!.sent[0]).toMatchObject({ session: 'token', after: null });
    second.chat.follow();
    expect(second.sockets.length).toBe(1);
  });
  it('old or foreign unsent text is thrown away, not sent', () => {
    const shelf = memoryShelf();
    const keep = new Keep('a', shelf, memoryShelf(), () => 100 * 3_600_000);
    const one = { id: '1', kind: 'message' as const, text: 'x', files: [], state: 'waiting' as const };
    keep.keep('t', { ...one, id: 'old', at: 0 });
    keep.keep('other', { ...one, id: 'foreign', at: 100 * 3_600_000 });
    keep.keep('t', { ...one, id: 'new', at: 99 * 3_600_000 });
    expect([keep.unsent('t').map((each) => each.id), shelf.length]).toEqual([['new'], 1]);
  });
});
