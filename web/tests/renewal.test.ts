// After a gap: nothing that happened meanwhile is lost, and a failed reading is not the last one.
import { describe, expect, it } from 'vitest';
import type { DeskEvent } from '../src/api/types';
import { Renewal } from '../src/state/renewal';

const event = (seq: number) => ({ seq }) as DeskEvent;
const now = () => Promise.resolve();

describe('a renewal', () => {
  it('puts what came while it was reading on top', async () => {
    const put: [number, number[]][] = [];
    let answer: (seq: number) => void = () => {};
    const renewal = new Renewal<number>({
      read: () => new Promise((resolve) => { answer = resolve; }),
      put: (seq, meanwhile) => put.push([seq, meanwhile.map((each) => each.seq)]),
    });
    renewal.note(event(7));
    const reading = renewal.once();
    renewal.note(event(9));
    renewal.note(event(10));
    answer(8);
    await reading;
    renewal.note(event(11));
    expect(put).toEqual([[8, [9, 10]]]);
  });
  it('is tried until it succeeds', async () => {
    let failures = 3;
    const put: string[] = [];
    const renewal = new Renewal<string>({
      read: () => (failures-- > 0 ? Promise.reject(new Error('503')) : Promise.resolve('state')),
      put: (snapshot) => put.push(snapshot),
      pause: now,
    });
    expect(await renewal.untilRead(() => true)).toBe(true);
    expect(put).toEqual(['state']);
  });
  it('ends when nobody wants it any more, or a later one has begun', async () => {
    const never = new Renewal<string>({ read: () => Promise.reject(new Error('503')), put: () => {}, pause: now });
    let wishes = 3;
    expect(await never.untilRead(() => wishes-- > 0)).toBe(false);
    const first = never.untilRead(() => true);
    let more = 2;
    const second = never.untilRead(() => more-- > 0);
    expect(await Promise.all([first, second])).toEqual([false, false]);
  });
});
