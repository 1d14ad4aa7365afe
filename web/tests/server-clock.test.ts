// The server's time on a computer whose own clock is wrong, is set, and sleeps; and offers that must be seen meanwhile.
import { describe, expect, it } from 'vitest';
import { isRinging, type RingingOffer } from '../src/state/model';
import { ServerClock } from '../src/state/server-clock';

const NOON = Date.parse('2026-11-23T12:00:00Z');
/** A computer whose clock is an hour ahead; `server` is the true time. */
function setup() {
  let server = NOON;
  let steady = 5_000;
  const clock = new ServerClock(() => steady, NOON + 3_600_000);
  return {
    clock,
    pass: (ms: number, asleep = false) => { server += ms; if (!asleep) steady += ms; },
    /** What the server says now, heard so much later. */
    saying: (lateMs = 0) => new Date(server - lateMs).toISOString(),
    error: () => clock.now() - server,
  };
}

describe('the server\'s time', () => {
  it('is the computer\'s until the server has said what time it is', () => {
    const { clock, saying, pass, error } = setup();
    expect(error()).toBe(3_600_000);
    clock.align(saying());
    pass(60_000);
    expect(error()).toBe(0);
  });
  it('is not pushed back by what comes late', () => {
    const { clock, saying, pass, error } = setup();
    clock.align(saying(20));
    pass(5_000);
    clock.align(saying(4_000));
    pass(5_000);
    clock.atLeast(saying(600_000));
    expect(error()).toBe(-20);
    clock.align(saying(5));
    expect(error()).toBe(-5);
  });
  it('is right again with the first word after a sleep', () => {
    const { clock, saying, pass, error } = setup();
    clock.align(saying());
    pass(3_600_000, true);
    expect(error()).toBe(-3_600_000);
    clock.atLeast(saying(100));
    expect(error()).toBe(-100);
  });
  it('follows a server whose own clock was put back, when the earlier words are old', () => {
    const { clock, saying, pass, error } = setup();
    clock.align(new Date(Date.parse(saying()) + 30_000).toISOString());
    for (let beat = 0; beat < 25; beat += 1) {
      pass(5_000);
      clock.align(saying());
    }
    expect(error()).toBe(0);
  });
  it('does not listen to what is no time', () => {
    const { clock, saying, error } = setup();
    clock.align(saying());
    clock.align('soon');
    clock.atLeast('');
    expect(error()).toBe(0);
  });
});

describe('an offer', () => {
  const offer = (deadline: number): RingingOffer => ({ id: 'ct', ordinal: 1, deadline: new Date(deadline).toISOString(), queue: 'q', channel: 'email' });
  it('rings to its deadline and a moment more', () => {
    expect(isRinging(offer(NOON), 60_000, NOON + 1_999)).toBe(true);
    expect(isRinging(offer(NOON), 60_000, NOON + 2_000)).toBe(false);
  });
  it('that has just come rings whatever time we think it is', () => {
    expect(isRinging(offer(NOON), 0, NOON + 3_600_000)).toBe(true);
    expect(isRinging(offer(NOON), 10_000, NOON + 3_600_000)).toBe(false);
  });
});
