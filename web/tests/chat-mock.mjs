// A small chat server for the widget's tests: the public side of the protocol from memory, a page of a foreign site under a
// strict policy, and the operator's hand in the form of methods. Keeps whole conversations, so that resuming is real.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' };
const DEMO_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
export const LIMITS = { message_chars: 200, name_chars: 80, attachment_bytes: 50_000, attachments: 2, attachment_types: ['text/plain', 'application/pdf'] };

/** Starts the chat server and, on another origin, a site that uses it. */
export async function startChatMock() {
  const sessions = new Map();
  const log = [];
  const control = { open: true, notice: undefined, languages: ['it', 'en', 'de', 'fr', 'sl'], swallow: 0, failConfig: 0, deaf: false, refuseTranscript: undefined };
  let seq = 100;
  let made = 0;

  const server = createServer((request, response) => void answer(request, response).catch((error) => response.writeHead(500).end(String(error))));
  async function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://mock');
    const body = await bodyOf(request);
    log.push({ method: request.method, path: pathname, origin: request.headers.origin, headers: request.headers });
    response.setHeader('Access-Control-Allow-Origin', request.headers.origin ?? '*');
    response.setHeader('Access-Control-Allow-Headers', 'authorization, content-type, x-file-name');
    if (request.method === 'OPTIONS') return response.writeHead(204).end();
    if (pathname === '/chat' || pathname === '/chat/') return file(response, 'chat/index.html', { 'Content-Security-Policy': DEMO_POLICY });
    if (!pathname.startsWith('/chat/v1/')) return file(response, normalize(pathname).replace(/^\/+/, ''));
    const session = sessions.get((request.headers.authorization ?? '').replace('Bearer ', ''));
    const rest = pathname.replace('/chat/v1/demo', '');
    if (rest === '/config') {
      if (control.failConfig > 0) { control.failConfig -= 1; return json(response, 503, { code: 'unavailable' }); }
      return json(response, 200, configOf(searchParams.get('language'), control));
    }
    if (rest === '/sessions') {
      const token = `token-${(made += 1)}`;
      sessions.set(token, { token, wish: JSON.parse(body), state: { status: 'idle', open: control.open }, journal: [], marks: { delivered: 0, read: 0 }, seen: new Map(), files: new Map(), sockets: new Set(), frames: [] });
      return json(response, 201, { session: token });
    }
    if (!session) return json(response, 401, { code: 'session_over' });
    if (rest === '/files') {
      const name = decodeURIComponent(request.headers['x-file-name']);
      if (name.endsWith('.exe')) return json(response, 415, { code: 'bad_file' });
      const one = { file: `fl-${(made += 1)}`, name, type: request.headers['content-type'], bytes: body.length };
      session.files.set(one.file, { ...one, body });
      return json(response, 201, one);
    }
    const found = session.files.get(rest.replace('/files/', ''));
    if (!found) return json(response, 404, { code: 'not_found' });
    response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Disposition': 'attachment' });
    return response.end(found.body);
  }

  const upgrade = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has('sportello.chat.v1') ? 'sportello.chat.v1' : false) });
  server.on('upgrade', (request, socket, head) => {
    if (control.deaf) return socket.destroy();
    return upgrade.handleUpgrade(request, socket, head, (client) => {
      let session;
      client.on('message', (data) => {
        const frame = JSON.parse(data.toString());
        if (frame.type === 'hello') {
          session = sessions.get(frame.session);
          if (!session) return client.close(4401);
          session.sockets.add(client);
          session.frames.push(frame);
          const messages = session.journal.filter((each) => each.seq > (frame.after ?? 0));
          return client.send(JSON.stringify({ type: 'welcome', after: frame.after ?? 0, state: session.state, messages, marks: session.marks }));
        }
        session.frames.push(frame);
        return take(session, client, frame);
      });
      client.on('close', () => session?.sockets.delete(client));
    });
  });

  const tell = (session, frame) => { for (const socket of session.sockets) socket.send(JSON.stringify(frame)); };
  const state = (session, change) => { session.state = { status: session.state.status, open: control.open, ...change }; tell(session, { type: 'state', seq: (seq += 1), ...session.state }); };
  function say(session, message) {
    const one = { seq: (seq += 1), id: `ms_${seq}`, files: [], at: new Date().toISOString(), ...message };
    session.journal.push(one);
    tell(session, { type: 'message', ...one });
    return one;
  }
  function take(session, client, frame) {
    switch (frame.type) {
      case 'message':
      case 'leave_message': {
        if (control.swallow > 0) { control.swallow -= 1; return; }
        if (frame.text.length > LIMITS.message_chars) { client.send(JSON.stringify({ type: 'refused', id: frame.id, code: 'too_long', detail: '' })); return; }
        if (!session.seen.has(frame.id)) {
          const files = (frame.files ?? []).map((id) => { const { body: _body, ...one } = session.files.get(id); return one; });
          session.seen.set(frame.id, `ms_${seq + 1}`);
          if (frame.type === 'message') say(session, { from: 'citizen', text: frame.text, files, client_id: frame.id });
        }
        client.send(JSON.stringify({ type: 'accepted', id: frame.id, message: session.seen.get(frame.id) }));
        if (frame.type === 'leave_message') state(session, { status: 'left' });
        else if (session.state.status === 'idle' || session.state.reason === 'abandoned') state(session, { status: 'waiting', position: 3 });
        return;
      }
      case 'end': state(session, { status: 'ended', reason: 'citizen' }); return;
      case 'transcript':
        if (control.refuseTranscript) { client.send(JSON.stringify({ type: 'refused', id: 'transcript', code: control.refuseTranscript, detail: '' })); return; }
        client.send(JSON.stringify({ type: 'accepted', id: 'transcript' })); return;
      default:
    }
  }

  async function file(response, name, headers = {}) {
    try {
      const body = await readFile(`${DIST}/${name}`);
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'X-Content-Type-Options': 'nosniff', ...headers });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const url = `http://127.0.0.1:${server.address().port}`;
  const site = await startSite(url);
  return {
    url, site: site.url, log, control, sessions,
    last: () => [...sessions.values()].at(-1),
    operator: {
      take: (session, name) => state(session, { status: 'served', name }),
      say: (session, text, more = {}) => say(session, { from: 'operator', name: 'Anna Bianchi', text, ...more }),
      sendFile: (session, name, text) => { const one = { file: `fl-${(made += 1)}`, name, type: 'text/plain', bytes: text.length }; session.files.set(one.file, { ...one, body: Buffer.from(text) }); return one; },
      mark: (session, marks) => { session.marks = marks; tell(session, { type: 'mark', seq: (seq += 1), ...marks }); },
      end: (session, reason = 'operator') => state(session, { status: 'ended', reason }),
      tell,
    },
    /** Cuts every line without a word. */
    cut: () => { for (const session of sessions.values()) for (const socket of session.sockets) socket.terminate(); },
    stop: async () => { server.closeAllConnections(); upgrade.close(); await Promise.all([new Promise((stopped) => server.close(stopped)), site.stop()]); },
  };
}

/** A site of a town, elsewhere, with a policy that lets in nothing but the chat. Its styles try to reach the widget. */
async function startSite(chat) {
  const policy = `default-src 'none'; script-src ${chat}; connect-src ${chat} ${chat.replace('http', 'ws')}; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'`;
  const page = (language) => `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Comune di Borgo Marina</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/site.css"></head><body><main><h1>Comune di Borgo Marina</h1><p>Orari degli uffici, avvisi e servizi. <a href="/other">Altra pagina</a></p></main><script src="${chat}/chat/widget.js?v=1" data-account="demo" async></script></body></html>`;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site');
    if (pathname === '/site.css') return response.writeHead(200, { 'Content-Type': 'text/css' }).end('html { font-size: 62.5% } body { font: 1.8rem serif; color: #333; margin: 2rem; max-width: 50rem } button, p, input { color: red !important; font-size: 40px !important; text-transform: uppercase }');
    if (pathname === '/icon.svg') return response.writeHead(200, { 'Content-Type': 'image/svg+xml' }).end('<svg xmlns="http://www.w3.org/2000/svg"/>');
    return response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy }).end(page(searchParams.get('lang') ?? 'it'));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => new Promise((stopped) => { server.closeAllConnections(); server.close(stopped); }) };
}

function configOf(language, control) {
  const english = language !== 'it';
  return {
    account: 'demo', title: english ? 'Town of Borgo Marina' : 'Comune di Borgo Marina', open: control.open, ...(control.notice ? { notice: control.notice } : {}), languages: control.languages, limits: LIMITS,
    topics: english ? [{ id: 'tari', label: 'Waste tax' }, { id: 'anagrafe', label: 'Registry office' }] : [{ id: 'tari', label: 'Tributi e TARI' }, { id: 'anagrafe', label: 'Anagrafe e carta d’identità' }],
    privacy_url: 'https://comune.example.it/privacy', privacy_text: english ? 'I have read the privacy notice of the town.' : 'Ho letto l’informativa: i dati servono solo a rispondermi.', transcript: true,
  };
}
async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startChatMock();
  console.log(`${mock.url}/chat   and, as a page of a foreign site, ${mock.site}`);
}
