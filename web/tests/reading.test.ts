// What is read: until it is there, in the order of the askings, and nothing of who has left.
import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/api/errors';
import type { ContactView } from '../src/api/types';
import { ContactReads } from '../src/state/contact-reads';
import { Reading, untilDone } from '../src/state/reading';

const now = () => Promise.resolve();
const settled = () => new Promise((resolve) => setTimeout(resolve));

/** Answers that come when the test says so. */
function answers<T>() {
  const open: { resolve: (value: T) => void; reject: (error: unknown) => void }[] = [];
  return { open, read: () => new Promise<T>((resolve, reject) => open.push({ resolve, reject })) };
}

describe('what fails', () => {
  it('is tried again until it succeeds', async () => {
    const failures: unknown[] = [new ApiError('offline', 0), new ApiError('store_unavailable', 503), new ApiError('too_many_attempts', 429), new Error('?')];
    const heard: unknown[] = [];
    const run = () => (failures.length > 0 ? Promise.reject(failures.shift()) : Promise.resolve('there'));
    expect(await untilDone(run, { wanted: () => true, failed: (error) => heard.push(error), pause: now })).toBe('there');
    expect(heard).toHaveLength(4);
  });
  it.each([403, 404, 401])('with %d will not become another answer', async (status) => {
    let asked = 0;
    const run = () => { asked += 1; return Promise.reject(new ApiError('no', status)); };
    await expect(untilDone(run, { wanted: () => true, pause: now })).rejects.toMatchObject({ status });
    expect(asked).toBe(1);
  });
  it('is left alone when nobody wants it any more', async () => {
    let wishes = 3;
    let asked = 0;
    const run = () => { asked += 1; return Promise.reject(new ApiError('offline', 0)); };
    expect(await untilDone(run, { wanted: () => wishes-- > 0, pause: now })).toBeUndefined();
    expect(asked).toBeLessThan(3);
  });
});

describe('a reading', () => {
  const setup = () => {
    const { open, read } = answers<string>();
    const taken: string[] = [];
    const failed: unknown[] = [];
    const reading = new Reading<string>(now);
    return { open, taken, failed, reading, ask: () => reading.read(read, (value) => taken.push(value), (error) => failed.push(error)) };
  };
  it('never takes an earlier asking\'s answer after a later one\'s', async () => {
    const { open, taken, reading, ask } = setup();
    const both = [ask(), ask()];
    open[1]!.resolve('new');
    await settled();
    open[0]!.resolve('old');
    await Promise.all(both);
    expect(taken).toEqual(['new']);
    expect(reading.isSettled).toBe(true);
  });
  it('takes answers that come in their order, however fast it is asked', async () => {
    const { open, taken, reading, ask } = setup();
    const both = [ask(), ask()];
    open[0]!.resolve('old');
    await settled();
    expect([taken, reading.isSettled]).toEqual([['old'], false]);
    open[1]!.resolve('new');
    await Promise.all(both);
    expect([taken, reading.isSettled]).toEqual([['old', 'new'], true]);
  });
  it('says what failed, and goes on; a later asking takes over', async () => {
    const { open, taken, failed, ask } = setup();
    const first = ask();
    open[0]!.reject(new ApiError('offline', 0));
    await settled();
    expect(failed).toHaveLength(1);
    const second = ask();
    open[1]!.reject(new ApiError('offline', 0));
    await first;
    open[2]!.resolve('there');
    await second;
    expect(taken).toEqual(['there']);
    expect(open).toHaveLength(3);
  });
  it('has a final answer in a refusal', async () => {
    const { open, taken, failed, reading, ask } = setup();
    const earlier = ask();
    const later = ask();
    open[1]!.reject(new ApiError('forbidden', 403));
    await later;
    open[0]!.resolve('as it was before');
    await earlier;
    expect([taken, failed.length, reading.isSettled]).toEqual([[], 1, true]);
  });
  it('brings nothing once it is forgotten', async () => {
    const { open, taken, failed, reading, ask } = setup();
    const asking = [ask(), ask()];
    reading.forget();
    open[0]!.resolve('the letter of who left');
    open[1]!.reject(new ApiError('offline', 0));
    await Promise.all(asking);
    expect([taken, failed, open.length]).toEqual([[], [], 2]);
  });
});

describe('contacts to be read', () => {
  const contact = (version: number, owner = 'me') => ({ id: 'ct', version, owner }) as ContactView;
  const setup = () => {
    const { open, read } = answers<ContactView>();
    const put: number[] = [];
    const reads = new ContactReads({ read, put: (each) => put.push(each.version), pause: now });
    return { open, put, reads };
  };
  it('are asked for again when the desk is away, and not when they are not for us', async () => {
    const { open, put, reads } = setup();
    const reading = reads.read('ct');
    open[0]!.reject(new ApiError('store_unavailable', 503));
    await settled();
    open[1]!.resolve(contact(4));
    await reading;
    expect([put, reads.ids]).toEqual([[4], []]);
    const refused = reads.read('ct');
    open[2]!.reject(new ApiError('not_found', 404));
    await refused;
    expect([put, reads.ids, open.length]).toEqual([[4], [], 3]);
  });
  it('are not taken as they were before what an event said of them', async () => {
    const { open, put, reads } = setup();
    const reading = reads.read('ct');
    reads.heard('ct', 5);
    open[0]!.resolve(contact(4));
    await settled();
    expect(put).toEqual([]);
    open[1]!.resolve(contact(5));
    await reading;
    expect(put).toEqual([5]);
  });
  it('are not waited for when they are no longer mine, nor by who left', async () => {
    const { open, put, reads } = setup();
    const first = reads.read('ct');
    reads.forget('ct');
    const second = reads.read('other');
    reads.forget();
    open[0]!.resolve(contact(4));
    open[1]!.reject(new ApiError('offline', 0));
    await Promise.all([first, second]);
    expect([put, reads.ids, open.length]).toEqual([[], [], 2]);
  });
});
