// What this console asked for is no news when it happens; what others did is.
import { describe, expect, it } from 'vitest';
import { DeskClient } from '../src/api/client';
import type { DeskEvent } from '../src/api/types';

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
const clientOf = (status: number, body: unknown = { outcome: 'applied', seq: 1 }) => new DeskClient({ fetch: () => Promise.resolve(json(status, body)), pause: () => Promise.resolve() });
const event = (name: string, contact = 'ct_1') => ({ seq: 2, at: '', event: name, about: { contact } }) as unknown as DeskEvent;

describe('what was asked here', () => {
  it.each([
    ['giveBack', 'contact.released'], ['wrapUp', 'contact.wrap_up'], ['resume', 'contact.assigned'],
  ] as const)('%s explains %s once, and of its own contact only', async (command, name) => {
    const client = clientOf(200);
    await client[command]('ct_1');
    expect(client.asked.explains(event(name, 'ct_2'))).toBe(false);
    expect(client.asked.explains(event('contact.deferred'))).toBe(false);
    expect(client.asked.explains(event(name))).toBe(true);
    expect(client.asked.explains(event(name))).toBe(false);
  });
  it('explains a contact taken from somebody and given to another', async () => {
    const client = clientOf(200);
    await client.assign('ct_1', 'op_2');
    expect(['contact.released', 'contact.assigned', 'contact.assigned'].map((name) => client.asked.explains(event(name)))).toEqual([true, true, false]);
  });
  it('is known before its answer is there, and when nobody knows how it ended', async () => {
    const client = clientOf(503, { code: 'router_unavailable' });
    const closings = [0, 1].map(() => client.close('ct_1', { resolution: 'resolved' }).catch(() => {}));
    expect(client.asked.explains(event('contact.closed'))).toBe(true);
    await Promise.all(closings);
    expect(client.asked.explains(event('contact.closed'))).toBe(true);
  });
  it('explains nothing if it was refused, or the person left, or the state was read', async () => {
    const refused = clientOf(409, { code: 'not_owner' });
    await refused.giveBack('ct_1').catch(() => {});
    expect(refused.asked.explains(event('contact.released'))).toBe(false);
    for (const over of [(client: DeskClient) => client.leave(), (client: DeskClient) => client.asked.forget()]) {
      const client = clientOf(200);
      await client.giveBack('ct_1');
      over(client);
      expect(client.asked.explains(event('contact.released'))).toBe(false);
    }
  });
});
