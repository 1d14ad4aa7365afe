// The live socket: resume, back-off, gaps, the end of the session.
import { describe, expect, it } from 'vitest';
import { CLOSE_SESSION_ENDED, LiveLink, pauseBefore, type SocketLike } from '../src/api/live';

class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((close: { code: number }) => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  sent: string[] = [];
  constructor(readonly url: string) {}
  send(text: string) { this.sent.push(text); }
  close() { this.closed = true; }
  say(frame: unknown) { this.onmessage?.({ data: JSON.stringify(frame) }); }
  break(code = 1006) { this.onclose?.({ code }); }
}

function setup(random = 1) {
  const sockets: FakeSocket[] = [];
  const timers: { run: () => void; ms: number }[] = [];
  const seen: string[] = [];
  let seq = 5;
  const link = new LiveLink({
    url: 'ws://x/live',
    after: () => seq,
    onEvent: (event) => { seq = event.seq; seen.push(`event ${event.seq}`); },
    onSign: (sign) => seen.push(`${sign.type} ${sign.contact}`),
    onLink: (state) => seen.push(state),
    onGap: () => seen.push('gap'),
    onSessionEnd: () => seen.push('ended'),
    open: (url) => { const socket = new FakeSocket(url); sockets.push(socket); return socket; },
    later: (run, ms) => timers.push({ run, ms }),
    cancel: () => {},
    random: () => random,
  });
  return { link, sockets, timers, seen, fire: () => timers.shift()!.run() };
}

describe('LiveLink', () => {
  it('resumes after the last event it saw', () => {
    const { link, sockets, fire } = setup();
    link.start();
    expect(sockets[0]!.url).toBe('ws://x/live?after=5');
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: true });
    sockets[0]!.say({ type: 'event', event: { seq: 9, at: '', event: 'pool.led', epoch: 1 } });
    sockets[0]!.break();
    fire();
    expect(sockets[1]!.url).toBe('ws://x/live?after=9');
  });
  it('asks for a snapshot when the server cannot resume', () => {
    const { link, sockets, seen } = setup();
    link.start();
    sockets[0]!.say({ type: 'hello', seq: 900, resumed: false });
    expect(seen).toEqual(['connecting', 'online', 'gap']);
  });
  it('doubles its pauses up to a ceiling and begins anew after a hello', () => {
    const { link, sockets, timers, fire } = setup();
    link.start();
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      sockets.at(-1)!.break();
      pauses.push(timers[0]!.ms);
      fire();
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000]);
    sockets.at(-1)!.say({ type: 'hello', seq: 5, resumed: true });
    sockets.at(-1)!.break();
    expect(timers[0]!.ms).toBe(500);
  });
  it('jitters between a quarter and the whole', () => {
    expect(pauseBefore(0, () => 0)).toBe(125);
    expect(pauseBefore(0, () => 1)).toBe(500);
    expect(pauseBefore(100, () => 1)).toBe(15_000);
  });
  it('stops for good when the session ended', () => {
    const { link, sockets, timers, seen } = setup();
    link.start();
    sockets[0]!.break(CLOSE_SESSION_ENDED);
    expect(seen.at(-1)).toBe('ended');
    expect(timers).toHaveLength(0);
    link.hurry();
    expect(sockets).toHaveLength(1);
  });
  it('does not connect again after stop, nor listen to an old socket', () => {
    const { link, sockets, timers, seen } = setup();
    link.start();
    link.stop();
    sockets[0]!.break();
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: false });
    expect(sockets[0]!.closed).toBe(true);
    expect(timers).toHaveLength(0);
    expect(seen).toEqual(['connecting']);
  });
  it('ignores what is not a frame', () => {
    const { link, sockets, seen } = setup();
    link.start();
    sockets[0]!.onmessage?.({ data: 'not json' });
    sockets[0]!.onmessage?.({ data: new ArrayBuffer(1) });
    sockets[0]!.say({ type: 'news' });
    expect(seen).toEqual(['connecting']);
  });
  it('carries signs both ways, on a line that was greeted', () => {
    const { link, sockets, seen } = setup();
    link.start();
    expect(link.say({ type: 'typing', contact: 'ct_1', on: true })).toBe(false);
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: true });
    expect(link.say({ type: 'typing', contact: 'ct_1', on: true })).toBe(true);
    expect(sockets[0]!.sent).toEqual(['{"type":"typing","contact":"ct_1","on":true}']);
    sockets[0]!.say({ type: 'typing', contact: 'ct_2' });
    sockets[0]!.say({ type: 'read', contact: 'ct_2', message: 'ms_1' });
    expect(seen.slice(-2)).toEqual(['typing ct_2', 'read ct_2']);
    sockets[0]!.break();
    expect(link.say({ type: 'typing', contact: 'ct_1', on: true })).toBe(false);
  });
  it('stops sending signs to a desk that cannot read them', () => {
    const { link, sockets } = setup();
    link.start();
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: true });
    sockets[0]!.say({ type: 'reply', id: 'cm_1', reply: { outcome: 'applied' } });
    expect(link.say({ type: 'read', contact: 'ct_1', message: 'ms_1' })).toBe(true);
    sockets[0]!.say({ type: 'reply', reply: { outcome: 'error', code: 'invalid' } });
    expect(link.say({ type: 'read', contact: 'ct_1', message: 'ms_2' })).toBe(false);
  });
});
