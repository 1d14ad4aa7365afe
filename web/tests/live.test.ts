// The live socket: resume, back-off, gaps, dead lines, the end of the session.
import { describe, expect, it } from 'vitest';
import { CLOSE_SESSION_ENDED, LiveLink, pauseBefore, type SocketLike } from '../src/api/live';
import { FakeClock } from './fake-clock';

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
  const clock = new FakeClock(random);
  const seen: string[] = [];
  let seq = 5;
  const link = new LiveLink({
    url: 'ws://x/live',
    after: () => seq,
    onEvent: (event) => { seq = event.seq; seen.push(`event ${event.seq}`); },
    onSign: (sign) => seen.push(`${sign.type} ${sign.contact}`),
    onBeat: (at) => seen.push(`beat ${at}`),
    onLink: (state) => seen.push(state),
    onGap: () => seen.push('gap'),
    onSessionEnd: () => seen.push('ended'),
    open: (url) => { const socket = new FakeSocket(url); sockets.push(socket); return socket; },
    clock,
  });
  return { link, sockets, clock, seen };
}
const HELLO = { type: 'hello', seq: 5, resumed: true };
const BEAT = { type: 'beat', at: 'now' };

describe('LiveLink', () => {
  it('resumes after the last event it saw', () => {
    const { link, sockets, clock } = setup();
    link.start();
    expect(sockets[0]!.url).toBe('ws://x/live?after=5');
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: true });
    sockets[0]!.say({ type: 'event', event: { seq: 9, at: '', event: 'pool.led', epoch: 1 } });
    sockets[0]!.break();
    clock.pass(500);
    expect(sockets[1]!.url).toBe('ws://x/live?after=9');
  });
  it('asks for a snapshot when the server cannot resume', () => {
    const { link, sockets, seen } = setup();
    link.start();
    sockets[0]!.say({ type: 'hello', seq: 900, resumed: false });
    expect(seen).toEqual(['connecting', 'online', 'gap']);
  });
  it('doubles its pauses up to a ceiling and begins anew after a hello', () => {
    const { link, sockets, clock } = setup();
    const breaks = (pause: number) => {
      const before = sockets.length;
      sockets.at(-1)!.break();
      clock.pass(pause - 1);
      expect(sockets).toHaveLength(before);
      clock.pass(1);
      expect(sockets).toHaveLength(before + 1);
    };
    link.start();
    for (const pause of [500, 1000, 2000, 4000, 8000, 15000, 15000]) breaks(pause);
    sockets.at(-1)!.say(HELLO);
    breaks(500);
  });
  it('jitters between a quarter and the whole', () => {
    expect(pauseBefore(0, () => 0)).toBe(125);
    expect(pauseBefore(0, () => 1)).toBe(500);
    expect(pauseBefore(100, () => 1)).toBe(15_000);
  });
  it('stops for good when the session ended', () => {
    const { link, sockets, clock, seen } = setup();
    link.start();
    sockets[0]!.break(CLOSE_SESSION_ENDED);
    expect(seen.at(-1)).toBe('ended');
    clock.pass(60_000);
    link.hurry();
    expect(sockets).toHaveLength(1);
  });
  it('does not connect again after stop, nor listen to an old socket', () => {
    const { link, sockets, clock, seen } = setup();
    link.start();
    link.stop();
    sockets[0]!.break();
    sockets[0]!.say({ type: 'hello', seq: 5, resumed: false });
    clock.pass(60_000);
    expect(sockets[0]!.closed).toBe(true);
    expect(sockets).toHaveLength(1);
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

describe('a dead line', () => {
  /** A line with a desk that beats every five seconds, for so many of them. */
  function standing(beats: number) {
    const all = setup();
    all.link.start();
    all.sockets[0]!.say(HELLO);
    for (let beat = 0; beat < beats; beat += 1) {
      all.clock.pass(5_000);
      all.sockets[0]!.say(BEAT);
    }
    return all;
  }
  it('is noticed by twenty seconds without a frame, and another one is there at once', () => {
    const { clock, sockets, seen } = standing(10);
    expect(sockets).toHaveLength(1);
    clock.pass(20_000);
    expect(sockets).toHaveLength(1);
    clock.pass(5_000);
    expect(sockets.map((socket) => socket.closed)).toEqual([true, false]);
    expect(seen.slice(-2)).toEqual(['offline', 'connecting']);
    sockets[1]!.say(HELLO);
    expect(seen.at(-1)).toBe('online');
  });
  it('is kept by any frame', () => {
    const { clock, sockets } = standing(1);
    for (let round = 0; round < 5; round += 1) {
      clock.pass(15_000);
      sockets[0]!.say({ type: 'seen', contact: 'ct_1' });
    }
    expect(sockets).toHaveLength(1);
  });
  it('is suspected when the page is looked at again or the network is back, after eight seconds', () => {
    const { link, clock, sockets } = standing(1);
    clock.pass(8_000);
    link.hurry();
    expect(sockets).toHaveLength(1);
    clock.pass(1);
    link.hurry();
    expect(sockets).toHaveLength(2);
  });
  it('is what a computer that slept has, though no time passed for the page', () => {
    const { clock, sockets } = standing(1);
    clock.wall += 60_000;
    clock.pass(5_000);
    expect(sockets).toHaveLength(2);
    const woken = standing(1);
    woken.clock.wall += 60_000;
    woken.link.hurry();
    expect(woken.sockets).toHaveLength(2);
  });
  it('is not what a clock makes that was put back', () => {
    const { clock, sockets } = standing(1);
    clock.wall -= 3_600_000;
    for (let beat = 0; beat < 5; beat += 1) {
      clock.pass(5_000);
      sockets[0]!.say(BEAT);
    }
    expect(sockets).toHaveLength(1);
    clock.pass(25_000);
    expect(sockets).toHaveLength(2);
  });
  it('is not seen in the silence of a desk that sends no beat', () => {
    const { link, clock, sockets } = standing(0);
    clock.pass(600_000);
    clock.wall += 600_000;
    link.hurry();
    clock.pass(5_000);
    expect(sockets).toHaveLength(1);
  });
  it('is also one without a greeting', () => {
    const { link, clock, sockets, seen } = setup();
    link.start();
    clock.pass(15_000);
    expect(sockets[0]!.closed).toBe(true);
    expect(seen.at(-1)).toBe('offline');
    clock.pass(500);
    expect(sockets).toHaveLength(2);
  });
  it('tells what time it is at the desk', () => expect(standing(1).seen.at(-1)).toBe('beat now'));
});
