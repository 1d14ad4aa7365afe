// A small desk for the console's tests: serves dist/ under the strict policy, answers the API from memory, and lets a
// test push events. Not a router: it changes state only as far as the tests look.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { script } from './mock-data.mjs';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
export const POLICY =
  "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; img-src 'self' data:; font-src 'self'";
const HTML_POLICY = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'self'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

/** So often it tells each console that it is there; a real desk does so every five seconds. */
const BEAT_MS = 1_000;

/** Starts the mock on a free port; `push` sends an event to every console. */
export async function startMock() {
  const world = script();
  const sessions = new Map();
  const sockets = new Set();
  const seen = new Map();
  const log = [];
  const signs = [];
  /** `unlisted`: how many more wait in each queue than the lists have. */
  const control = { failNext: 0, failState: 0, gap: false, refuse: new Map(), refuseLines: false, unlisted: 0 };
  /** What fails, and what is done at once and answered later: the end of a path with its method. */
  const failing = new Set();
  const holding = new Set();
  const isFor = (request, path) => (each) => each.method === request.method && path.endsWith(each.end);

  const push = (body, contact) => {
    world.seq += 1;
    const event = { seq: world.seq, at: new Date().toISOString(), ...(contact ? { about: aboutOf(contact) } : {}), ...body };
    world.journal.push(event);
    if (body.event === 'message.received') world.unread.set(contact.id, { count: (world.unread.get(contact.id)?.count ?? 0) + 1, at: event.at });
    tell({ type: 'event', event });
    return event;
  };
  const shown = (contact, me) => (contact.owner === me.me.operator && world.unread.has(contact.id) ? { ...contact, unread: world.unread.get(contact.id).count } : contact);
  const tell = (frame) => { for (const socket of sockets) if (!socket.mute) socket.send(JSON.stringify(frame)); };
  const beat = () => tell({ type: 'beat', at: now() });
  const beating = setInterval(beat, BEAT_MS);
  const touch = (contact, change) => Object.assign(contact, change, { version: contact.version + 1 });
  const find = (id) => world.contacts.find((contact) => contact.id === id);

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://mock');
    try {
      if (url.pathname.startsWith('/api/v1/')) await api(request, response, url);
      else await file(response, url.pathname);
    } catch (error) {
      problem(response, 500, 'unexpected', String(error));
    }
  });

  async function file(response, path) {
    const name = path === '/' ? 'index.html' : normalize(path).replace(/^\/+/, '');
    try {
      const body = await readFile(join(DIST, name));
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  async function api(request, response, url) {
    const path = url.pathname.slice('/api/v1'.length);
    const body = await readBody(request);
    const login = sessions.get(cookieOf(request));
    const me = world.people.find((person) => person.login === login);
    log.push({ method: request.method, path, body, key: request.headers['idempotency-key'] });
    const held = [...holding].find(isFor(request, path));
    if (held) answerLater(response, held);
    if (request.method === 'POST' && path === '/session') return signIn(response, body);
    if (!me) return problem(response, 401, 'session_ended');
    if (control.failState > 0 && path.endsWith('/state')) {
      control.failState -= 1;
      return problem(response, 503, 'store_unavailable');
    }
    const failed = [...failing].find(isFor(request, path));
    if (failed) {
      failed.times -= 1;
      if (failed.times === 0) failing.delete(failed);
      return problem(response, 503, failed.code);
    }
    if (control.failNext > 0 && request.method !== 'GET') {
      control.failNext -= 1;
      return problem(response, 503, 'router_unavailable');
    }
    const key = request.headers['idempotency-key'];
    if (key && seen.has(key)) return json(response, 200, { outcome: 'duplicate' });
    for (const [method, pattern, handle] of routes) {
      const match = method === request.method && pattern.exec(path);
      if (!match) continue;
      const refused = control.refuse.get(path);
      if (refused) return problem(response, 409, refused);
      if (key) seen.set(key, true);
      const answer = await handle({ me, body, match, url, request, response });
      if (answer !== undefined) json(response, answer.status ?? 200, answer.body ?? { outcome: 'applied', seq: world.seq });
      return undefined;
    }
    return problem(response, 404, 'not_found');
  }

  /** One answer is held back until the test lets it go. */
  function answerLater(response, held) {
    holding.delete(held);
    const end = response.end.bind(response);
    response.end = (...all) => { held.answered = true; held.gate.then(() => end(...all)); return response; };
  }

  function signIn(response, body) {
    const person = world.people.find((each) => each.login === body?.login && each.password === body?.password);
    if (!person) return problem(response, 401, 'bad_credentials');
    const token = `${person.login}-${Math.random().toString(36).slice(2)}`;
    sessions.set(token, person.login);
    response.setHeader('Set-Cookie', `sportello=${token}; HttpOnly; SameSite=Strict; Path=/`);
    return json(response, 200, person.me);
  }

  const held = (contact) => ['active', 'pending', 'wrap_up'].includes(contact.state);
  const drop = (contact) => { delete contact.owner; delete contact.owner_name; delete contact.untouched_until; };
  const done = {};
  const onContact = (action, act) => ['POST', new RegExp(`^/contacts/(ct_[0-9a-f]+)/${action}$`), (context) => {
    const contact = find(context.match[1]);
    if (!contact) { problem(context.response, 404, 'not_found'); return undefined; }
    return act(contact, context) ?? done;
  }];

  const routes = [
    ['GET', /^\/session$/, ({ me }) => ({ body: me.me })],
    ['DELETE', /^\/session$/, ({ request }) => { sessions.delete(cookieOf(request)); return { status: 204 }; }],
    ['PUT', /^\/session\/password$/, () => ({ status: 204 })],
    ['GET', /^\/state$/, ({ me }) => ({ body: {
      seq: world.seq, presence: me.presence, contacts: world.contacts.filter((contact) => contact.owner === me.me.operator && held(contact)).map((contact) => shown(contact, me)),
      offers: [], plan: world.plan, colleagues: world.colleagues, server_time: new Date().toISOString(),
    } })],
    ['PUT', /^\/presence$/, ({ me, body }) => {
      me.presence = { ...body, connected: true, since: new Date().toISOString() };
      push({ event: 'operator.presence', operator: me.me.operator, presence: body, connected: true });
      return done;
    }],
    ['GET', /^\/contacts$/, ({ url, me }) => ({ body: { items: world.contacts.filter((contact) =>
      contact.state === url.searchParams.get('state') && (!url.searchParams.get('queue') || contact.queue === url.searchParams.get('queue')) && (me.login !== 'op' || contact.owner === me.me.operator)) } })],
    ['GET', /^\/contacts\/(ct_[0-9a-f]+)$/, ({ match, me, response }) => { const contact = find(match[1]); if (!contact) problem(response, 404, 'not_found'); return contact && { body: shown(contact, me) }; }],
    ['PUT', /^\/contacts\/(ct_[0-9a-f]+)\/read$/, ({ match, body }) => {
      if (body.until >= (world.unread.get(match[1])?.at ?? '')) world.unread.delete(match[1]);
      tell({ type: 'seen', contact: match[1] });
      return { status: 204 };
    }],
    ['GET', /^\/conversations\/(cv_[0-9a-f]+)$/, ({ match, me, response }) => {
      if (me.login === 'blind') { problem(response, 403, 'forbidden'); return undefined; }
      return { body: conversationOf(match[1]) };
    }],
    ['POST', /^\/offers\/(ct_[0-9a-f]+)\/(\d+)\/accept$/, ({ match, me }) => {
      const contact = find(match[1]);
      touch(contact, { state: 'active', owner: me.me.operator, owner_name: me.me.name });
      push({ event: 'offer.accepted', ordinal: Number(match[2]), operator: me.me.operator }, contact);
      return done;
    }],
    ['POST', /^\/offers\/(ct_[0-9a-f]+)\/(\d+)\/reject$/, ({ match, body, me }) => {
      push({ event: 'offer.rejected', ordinal: Number(match[2]), operator: me.me.operator, reason: body.reason }, find(match[1]));
      return done;
    }],
    onContact('touch', (contact, { me }) => { delete contact.untouched_until; touch(contact, {}); push({ event: 'contact.touched', operator: me.me.operator }, contact); }),
    onContact('resume', (contact, { me }) => { delete contact.pending_on; delete contact.back_after; touch(contact, { state: 'active' }); push({ event: 'contact.assigned', operator: me.me.operator, reason: 'resumed' }, contact); }),
    onContact('pull', (contact, { me }) => { touch(contact, { state: 'active', owner: me.me.operator, owner_name: me.me.name }); push({ event: 'contact.assigned', operator: me.me.operator, reason: 'pulled' }, contact); }),
    onContact('pend', (contact, { me, body }) => { touch(contact, { state: 'pending', pending_on: body.on, ...(body.back_after ? { back_after: body.back_after } : {}) }); push({ event: 'contact.pending', operator: me.me.operator, on: body.on }, contact); }),
    onContact('defer', (contact, { body }) => { drop(contact); touch(contact, { state: 'deferred', deferred_until: body.until }); push({ event: 'contact.deferred', until: body.until }, contact); }),
    onContact('wrap-up', (contact, { me }) => { const until = new Date(Date.now() + 120_000).toISOString(); touch(contact, { state: 'wrap_up', wrap_up_until: until }); push({ event: 'contact.wrap_up', operator: me.me.operator, until }, contact); }),
    onContact('close', (contact, { body }) => { touch(contact, { state: 'closed', outcome: body }); push({ event: 'contact.closed', ...body }, contact); }),
    onContact('return', (contact, { me }) => { drop(contact); touch(contact, { state: 'queued', returns: contact.returns + 1 }); push({ event: 'contact.released', operator: me.me.operator, reason: 'returned' }, contact); push({ event: 'contact.queued', due: contact.due, reason: 'returned' }, contact); }),
    onContact('transfer', (contact, { body, me }) => { const from_queue = contact.queue; drop(contact); touch(contact, { state: 'queued', transfers: contact.transfers + 1, ...(body.to.queue ? { queue: body.to.queue } : {}) }); push({ event: 'contact.transferred', operator: me.me.operator, from_queue, to: body.to, reason: body.reason }, contact); }),
    onContact('assign', (contact, { body }) => { const to = world.people.find((each) => each.me.operator === body.operator); touch(contact, { state: 'active', owner: body.operator, owner_name: to?.me.name ?? 'Collega' }); push({ event: 'contact.assigned', operator: body.operator, reason: 'supervisor' }, contact); }),
    onContact('reply', (contact, { body, me }) => {
      const id = `ms_${hex()}`;
      world.entries.push({ kind: 'message', id, contact: contact.id, direction: 'outbound', channel: contact.channel, at: now(), filed_at: now(), author: me.me.operator, author_name: me.me.name, to: [{ address: 'giulia.rossi@example.org' }], subject: body.subject, text: body.text, has_html: false, has_raw: false, delivery: 'queued', attachments: (body.attachments ?? []).map((handle, index) => ({ index, name: handle.split('|')[1], media_type: 'application/pdf', size: Number(handle.split('|')[2]) })) });
      touch(contact, {});
      push({ event: 'message.queued', message: id, operator: me.me.operator }, contact);
      return { body: { outcome: 'applied', seq: world.seq, message: id } };
    }),
    onContact('notes', (contact, { body, me }) => {
      const id = `nt_${hex()}`;
      world.entries.push({ kind: 'note', id, contact: contact.id, at: now(), author: me.me.operator, author_name: me.me.name, text: body.text });
      push({ event: 'note.added', note: id, operator: me.me.operator }, contact);
      return { body: { outcome: 'applied', seq: world.seq, note: id } };
    }),
    onContact('attachments', () => { const name = 'modulo.pdf'; return { status: 201, body: { handle: `h|${name}|14200`, name, media_type: 'application/pdf', size: 14200 } }; }),
    ['POST', /^\/contacts\/(ct_[0-9a-f]+)\/messages\/(ms_[0-9a-f]+)\/retry$/, ({ match }) => {
      const entry = world.entries.find((each) => each.id === match[2]);
      entry.delivery = 'queued';
      delete entry.failure;
      delete entry.settled;
      push({ event: 'message.queued', message: entry.id }, find(match[1]));
      return done;
    }],
    ['POST', /^\/contacts\/(ct_[0-9a-f]+)\/messages\/(ms_[0-9a-f]+)\/settle$/, ({ match, body, me }) => {
      const entry = world.entries.find((each) => each.id === match[2]);
      Object.assign(entry, { delivery: body.arrived ? 'delivered' : 'failed', can_settle: false, settled: { by: me.me.operator, by_name: me.me.name, at: now() } });
      push({ event: 'message.settled', message: entry.id, operator: me.me.operator, arrived: body.arrived }, find(match[1]));
      return done;
    }],
    ['PUT', /^\/contacts\/(ct_[0-9a-f]+)\/case$/, ({ match, body }) => { const contact = find(match[1]); delete contact.case; touch(contact, body ? { case: body } : {}); push({ event: 'contact.case' }, contact); return done; }],
    ['POST', /^\/queues\/([a-z0-9-]+)\/(close|open)$/, ({ match, body }) => {
      const queue = world.plan.administrations.flatMap((each) => each.queues).find((each) => each.id === match[1]);
      queue.closed = match[2] === 'close';
      delete queue.notice;
      if (queue.closed && body?.notice) queue.notice = body.notice;
      push({ event: queue.closed ? 'queue.closed' : 'queue.opened', queue: queue.id, administration: 'comune' });
      return done;
    }],
    ['GET', /^\/messages\/ms_[0-9a-f]+\/html$/, ({ response }) => {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': HTML_POLICY });
      response.end('<!doctype html><html lang="it"><title>m</title><body style="font-family:sans-serif"><p>Buongiorno,</p><p>vorrei sapere come presentare la <b>domanda di riduzione TARI</b>.</p><script>parent.document.title="BROKEN"</script><p>Giulia Rossi</p></body></html>');
      return undefined;
    }],
    ['GET', /^\/room$/, () => ({ body: roomOf() })],
    ['GET', /^\/operators$/, () => ({ body: { items: world.accounts } })],
    ['GET', /^\/operators\/(op_[0-9a-f]+)$/, ({ match }) => ({ body: world.accounts.find((each) => each.operator === match[1]) })],
    ['POST', /^\/operators$/, ({ body }) => { const account = { ...body, operator: `op_${hex()}`, enabled: true, password: undefined }; world.accounts.push(account); return { status: 201, body: account }; }],
    ['PATCH', /^\/operators\/(op_[0-9a-f]+)$/, ({ match, body }) => { Object.assign(world.accounts.find((each) => each.operator === match[1]), body); return { body: {} }; }],
    ['PUT', /^\/operators\/(op_[0-9a-f]+)\/password$/, () => ({ status: 204 })],
    ['GET', /^\/tokens$/, () => ({ body: { items: world.tokens } })],
    ['POST', /^\/tokens$/, ({ body }) => { world.tokens.push({ ...body, created_at: now() }); return { status: 201, body: { token: 'sp_3f9a0c7be1d24f6f8c55a0d1e2b3c4d5' } }; }],
    ['DELETE', /^\/tokens\/(.+)$/, ({ match }) => { world.tokens = world.tokens.filter((each) => each.name !== match[1]); return { status: 204 }; }],
    ['GET', /^\/quarantine$/, () => ({ body: { items: world.quarantine } })],
    ['POST', /^\/quarantine\/(\d+)\/(retry|discard)$/, ({ match }) => { world.quarantine.find((each) => each.id === Number(match[1])).state = match[2] === 'retry' ? 'retried' : 'discarded'; return { body: {} }; }],
  ];

  function conversationOf(id) {
    const contacts = world.contacts.filter((contact) => contact.conversation === id);
    const ids = new Set(contacts.map((contact) => contact.id));
    const first = contacts[0];
    return { id, administration: 'comune', subject: first?.subject, citizen: { name: first?.citizen, addresses: [{ channel: first?.channel, address: 'giulia.rossi@example.org', level: first?.identity }], ...(world.openContacts[id] ? { open_contacts: world.openContacts[id].map(find) } : {}) }, contacts, entries: world.entries.filter((entry) => ids.has(entry.contact)), as_of: now() };
  }
  function roomOf() {
    const waiting = world.contacts.filter((contact) => contact.state === 'queued');
    const [holding, deferred] = [world.contacts.filter(held), world.contacts.filter((contact) => contact.state === 'deferred')];
    return {
      waiting, held: holding, deferred, counts: { waiting: waiting.length + control.unlisted * 4, held: holding.length, deferred: deferred.length }, operators: world.room,
      queues: world.plan.administrations.flatMap((body) => body.queues.map((queue) => ({ ...queue, administration: body.id, ...countOf(waiting.filter((contact) => contact.queue === queue.id)) }))),
    };
  }

  const countOf = (waiting) => ({ waiting: waiting.length + control.unlisted, ...(waiting.length > 0 ? { oldest: waiting.map((contact) => contact.filed_at).sort()[0] } : {}) });

  const upgrade = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (control.refuseLines || !sessions.has(cookieOf(request))) return socket.destroy();
    return upgrade.handleUpgrade(request, socket, head, (client) => {
      sockets.add(client);
      client.on('message', (data) => signs.push(JSON.parse(data.toString())));
      client.on('close', () => sockets.delete(client));
      const after = Number(new URL(request.url, 'http://mock').searchParams.get('after') ?? 0);
      client.send(JSON.stringify({ type: 'hello', seq: world.seq, resumed: after > 0 && !control.gap }));
      if (control.gap) return;
      for (const event of world.journal.filter((each) => each.seq > after)) client.send(JSON.stringify({ type: 'event', event }));
    });
  });

  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`, world, push, log, signs, control, find,
    sign: tell, beat,
    /** Fails so many times; the returned function ends it. */
    fail: (method, end, times = Infinity, code = 'router_unavailable') => { const one = { method, end, times, code }; failing.add(one); return () => failing.delete(one); },
    /** Does the next such request at once and answers it when `release` is called. */
    hold: (method, end) => { const one = { method, end, answered: false }; one.gate = new Promise((resolve) => { one.release = resolve; }); holding.add(one); return one; },
    /** The lines that stand now are dead, and nobody is told. */
    mute: () => { for (const socket of sockets) socket.mute = true; },
    lines: () => sockets.size,
    dropSockets: () => { for (const socket of sockets) socket.terminate(); },
    endSessions: () => { sessions.clear(); for (const socket of sockets) socket.close(4001); },
    stop: () => new Promise((stopped) => { clearInterval(beating); for (const socket of sockets) socket.terminate(); server.closeAllConnections(); server.close(stopped); }),
  };
}

const now = () => new Date().toISOString();
const hex = () => Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('');
const aboutOf = ({ id, conversation, administration, office, queue, channel, mode, version }) => ({ contact: id, conversation, administration, office, queue, channel, mode, version });
const cookieOf = (request) => /(?:^|; )sportello=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  return text && (request.headers['content-type'] ?? '').includes('json') ? JSON.parse(text) : undefined;
}
function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(status === 204 ? undefined : JSON.stringify(body));
}
function problem(response, status, code, detail) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ type: `about:blank#${code}`, title: code, status, code, detail }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock();
  console.log(`${mock.url}   op / capo / blind, password "password"`);
}
