// Who leaves: their session ends for sure, and nothing of theirs is done or kept in the name of who comes next.
import { describe, expect, it } from 'vitest';
import { DeskClient } from '../src/api/client';
import { ApiError } from '../src/api/errors';
import { Drafts } from '../src/state/drafts';
import { Farewell } from '../src/state/farewell';
import { Renewal } from '../src/state/renewal';
import type { DeskEvent } from '../src/api/types';
import { Memory } from './memory';

const pause = () => Promise.resolve();

describe('a sign-out', () => {
  const setup = (...answers: (ApiError | undefined)[]) => {
    const storage = new Memory();
    new Drafts(storage, 'op_1').save('ct_1', 'reply', { text: 'Gentile' });
    new Drafts(storage, 'op_2').save('ct_1', 'reply', { text: 'Altro' });
    let asked = 0;
    const failures: number[] = [];
    const signOut = () => {
      const answer = answers[asked];
      asked += 1;
      return answer ? Promise.reject(answer) : Promise.resolve();
    };
    const farewell = () => new Farewell({ storage, signOut, pause });
    return { storage, farewell, failures, failed: () => failures.push(new Drafts(storage, 'op_1').count()), asked: () => asked };
  };
  it.each([[undefined], [new ApiError('session_ended', 401)]])('is done when the desk says so: %s', async (answer) => {
    const { storage, farewell, failed, failures } = setup(answer);
    const leaving = farewell();
    expect(leaving.isOpen).toBe(false);
    leaving.begin('op_1');
    expect(leaving.isOpen).toBe(true);
    await leaving.untilConfirmed(failed);
    expect([leaving.isOpen, failures]).toEqual([false, []]);
    expect(new Drafts(storage, 'op_1').count()).toBe(0);
    expect(new Drafts(storage, 'op_2').count()).toBe(1);
  });
  it('is not done before, and the drafts stay until then', async () => {
    const { farewell, failed, failures, asked } = setup(new ApiError('offline', 0), new ApiError('store_unavailable', 503), new ApiError('internal', 500), new ApiError('foreign_origin', 403));
    const leaving = farewell();
    leaving.begin('op_1');
    await leaving.untilConfirmed(failed);
    expect([failures, asked(), leaving.isOpen]).toEqual([[1, 1, 1, 1], 5, false]);
  });
  it('is known after a reload', async () => {
    const { farewell, failed } = setup();
    farewell().begin('op_1');
    const reloaded = farewell();
    expect(reloaded.isOpen).toBe(true);
    await reloaded.untilConfirmed(failed);
    expect(farewell().isOpen).toBe(false);
  });
  it('does not end the session of who came after it was confirmed in another tab', async () => {
    const { farewell, asked } = setup(new ApiError('offline', 0));
    const leaving = farewell();
    leaving.begin('op_1');
    await leaving.untilConfirmed(() => farewell().confirm());
    expect(asked()).toBe(1);
  });
  it('lets nothing be kept that comes back late', () => {
    const storage = new Memory();
    const drafts = new Drafts(storage, 'op_1');
    drafts.close();
    drafts.save('ct_1', 'reply', { text: 'Gentile' });
    expect(storage.length).toBe(0);
  });
});

describe('what is on its way when a person leaves', () => {
  const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  function clientOf() {
    const open: ((answer: Response) => void)[] = [];
    const client = new DeskClient({ fetch: () => new Promise<Response>((resolve) => open.push(resolve)), pause });
    const ended: string[] = [];
    client.onSessionEnd = () => ended.push('ended');
    return { client, open, ended };
  }
  const outcome = (promise: Promise<unknown>) => promise.then(() => 'answered', (error: unknown) => (error as ApiError).code);
  it('is not answered to who comes next', async () => {
    const { client, open } = clientOf();
    const reading = outcome(client.conversation('cv_1'));
    client.leave();
    open[0]!(json(200, { id: 'cv_1' }));
    expect(await reading).toBe('left');
  });
  it('does not end the session of who comes next', async () => {
    const { client, open, ended } = clientOf();
    const reading = outcome(client.state());
    client.leave();
    open[0]!(json(401, { code: 'session_ended' }));
    expect([await reading, ended]).toEqual(['left', []]);
  });
  it('is not sent again in the name of who comes next', async () => {
    const { client, open } = clientOf();
    const reply = outcome(client.reply('ct_1', { text: 'x' }));
    client.leave();
    open[0]!(json(503, { code: 'router_unavailable' }));
    expect([await reply, open.length]).toEqual(['left', 1]);
  });
  it('is no state for who comes next', async () => {
    const put: string[] = [];
    let answer: (state: string) => void = () => {};
    const renewal = new Renewal<string>({ read: () => new Promise((resolve) => { answer = resolve; }), put: (state) => put.push(state), pause });
    const reading = renewal.untilRead(() => true);
    renewal.forget();
    answer('theirs');
    expect([await reading, put]).toEqual([false, []]);
    renewal.note({ seq: 1 } as DeskEvent);
  });
});
