// Commands and their ids, errors and their codes.
import { describe, expect, it, vi } from 'vitest';
import { DeskClient } from '../src/api/client';
import { newCommandId } from '../src/api/command-id';
import { ApiError, codeOf } from '../src/api/errors';

interface Sent { url: string; init: RequestInit; headers: Record<string, string> }

function clientFor(...answers: (Response | Error)[]) {
  const sent: Sent[] = [];
  const fetcher = vi.fn(async (url: RequestInfo | URL, init?: RequestInit) => {
    sent.push({ url: String(url), init: init ?? {}, headers: init?.headers as Record<string, string> });
    const answer = answers.shift();
    if (!answer) throw new TypeError('no answer left');
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return { client: new DeskClient({ fetch: fetcher as typeof fetch, pause: async () => {} }), sent };
}
const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/problem+json' } });
const applied = () => json(200, { outcome: 'applied', seq: 7 });
const away = () => json(503, { status: 503, code: 'router_unavailable' });
const failure = (promise: Promise<unknown>) => promise.then(() => { throw new Error('should fail'); }, (error: unknown) => error as ApiError);

describe('commands', () => {
  it('make ids of 128 bits that differ', () => {
    const ids = new Set(Array.from({ length: 200 }, newCommandId));
    expect(ids.size).toBe(200);
    for (const id of ids) expect(id).toMatch(/^cm_[0-9a-f]{32}$/);
  });
  it('are sent again under the same id when the router is away or nobody answers', async () => {
    const { client, sent } = clientFor(away(), new DOMException('late', 'TimeoutError'), new TypeError('network'), applied());
    await expect(client.reply('ct_1', { text: 'x' })).resolves.toEqual({ outcome: 'applied', seq: 7 });
    expect(sent).toHaveLength(4);
    expect(new Set(sent.map((each) => each.headers['Idempotency-Key'])).size).toBe(1);
  });
  it('give up after a few times, with the code', async () => {
    const { client, sent } = clientFor(away(), away(), away(), away(), away());
    expect((await failure(client.touch('ct_1'))).code).toBe('router_unavailable');
    expect(sent).toHaveLength(4);
  });
  it('are not repeated when refused', async () => {
    const { client, sent } = clientFor(json(409, { status: 409, code: 'not_owner' }));
    expect(await failure(client.touch('ct_1'))).toMatchObject({ code: 'not_owner', status: 409 });
    expect(sent).toHaveLength(1);
  });
  it('whose answer is cut off, or is lost behind a proxy, have an end that nobody knows', async () => {
    const { client, sent } = clientFor(new Response('{"outcome":"appl', { status: 200 }), new Response('<html>', { status: 504 }), applied());
    await expect(client.reply('ct_1', { text: 'x' })).resolves.toMatchObject({ outcome: 'applied' });
    expect(new Set(sent.map((each) => each.headers['Idempotency-Key'])).size).toBe(1);
  });
  it('use the caller\'s id and version', async () => {
    const { client, sent } = clientFor(applied());
    await client.note('ct_1', 'x', { id: 'cm_given', version: 4 });
    expect(sent[0]!.headers).toMatchObject({ 'Idempotency-Key': 'cm_given', 'If-Match': '4' });
  });
  it('write ids into paths safely', async () => {
    const { client, sent } = clientFor(applied());
    await client.touch('../x');
    expect(sent[0]!.url).toBe('/api/v1/contacts/..%2Fx/touch');
  });
});

describe('errors', () => {
  it('reads the code of a problem, and a code by status without one', async () => {
    const { client } = clientFor(json(429, { status: 429, code: 'too_many_attempts' }), new Response('<html>', { status: 502 }));
    expect((await failure(client.signIn('a', 'b'))).code).toBe('too_many_attempts');
    expect((await failure(client.room())).code).toBe('router_unavailable');
    expect(codeOf(413)).toBe('too_large');
  });
  it('tells the end of the session, but not a wrong password or the first look', async () => {
    const end = vi.fn();
    const { client } = clientFor(json(401, { status: 401, code: 'bad_credentials' }), json(401, { status: 401, code: 'session_ended' }), json(401, { status: 401, code: 'session_ended' }));
    client.onSessionEnd = end;
    await failure(client.signIn('a', 'b'));
    await failure(client.me());
    expect(end).not.toHaveBeenCalled();
    await failure(client.state());
    expect(end).toHaveBeenCalledOnce();
  });
  it('takes lists with and without a wrapper', async () => {
    const { client } = clientFor(json(200, [{ name: 'a' }]), json(200, { items: [{ name: 'b' }] }));
    expect(await client.tokens()).toEqual([{ name: 'a' }]);
    expect(await client.tokens()).toEqual([{ name: 'b' }]);
  });
});
