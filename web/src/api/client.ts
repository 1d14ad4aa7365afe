// The desk's HTTP API, typed. Every command carries an id and is sent again under the same id when nobody knows its end.
import { Asked } from './asked';
import { newCommandId, type CommandId } from './command-id';
import { ApiError, errorOf } from './errors';
import type {
  CaseReference, CommandResult, ContactView, Conversation, DeskSnapshot, Me, NewOperator, NewToken,
  OperatorAccount, OperatorChange, Outcome, Party, PendingOn, PresenceName, Quarantined, Room, Token, TransferTarget,
} from './types';

export const API = '/api/v1';
/** How long one request may take, in milliseconds. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Pauses before the same command is sent again, in milliseconds. */
const RETRY_PAUSES_MS = [400, 1_200, 3_000];

export interface CommandOptions {
  id?: CommandId;
  /** The contact's version the operator saw: refused if it has moved on. */
  version?: number;
}
export interface ReplyBody { text: string; subject?: string; cc?: Party[]; attachments?: string[] }
export type PresenceChange = { state: 'ready' | 'offline' } | { state: 'away'; reason: string };
export interface ContactQuery { state?: string; queue?: string; operator?: string; limit?: number; offset?: number }

type Fetch = typeof fetch;
const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const segment = encodeURIComponent;

export class DeskClient {
  /** Called once when an answer says that the session is over. */
  onSessionEnd: () => void = () => {};
  readonly asked = new Asked();
  /** Grows when a person leaves: what was asked in their name is not asked in another's, and its answer reaches nobody. */
  private session = 0;
  private readonly fetch: Fetch;
  private readonly pause: (ms: number) => Promise<void>;

  constructor(options: { fetch?: Fetch; pause?: (ms: number) => Promise<void> } = {}) {
    this.fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.pause = options.pause ?? wait;
  }

  /** The person leaves. */
  leave(): void {
    this.session += 1;
    this.asked.forget();
  }

  // Session
  signIn = (login: string, password: string) => this.send<Me>('POST', '/session', { login, password });
  me = () => this.send<Me>('GET', '/session');
  signOut = () => this.send<void>('DELETE', '/session');
  changePassword = (current: string, next: string) => this.send<void>('PUT', '/session/password', { current, new: next });

  // Reading
  state = () => this.send<DeskSnapshot>('GET', '/state');
  contact = (id: string) => this.send<ContactView>('GET', `/contacts/${segment(id)}`);
  contacts = (query: ContactQuery) => this.send<{ items: ContactView[] }>('GET', `/contacts${queryText(query)}`);
  conversation = (id: string) => this.send<Conversation>('GET', `/conversations/${segment(id)}`);
  room = () => this.send<Room>('GET', '/room');

  /** I have read a contact as its conversation was at this time; all my consoles learn it. */
  markRead = (id: string, until: string) => this.send<void>('PUT', `/contacts/${segment(id)}/read`, { until });

  // Commands of an operator
  presence = (change: PresenceChange) => this.command('PUT', '/presence', change);
  accept = (contact: string, ordinal: number, options: CommandOptions = {}) =>
    this.command('POST', `/offers/${segment(contact)}/${ordinal}/accept`, {}, options);
  reject = (contact: string, ordinal: number, reason: string) =>
    this.command('POST', `/offers/${segment(contact)}/${ordinal}/reject`, { reason });
  touch = (id: string) => this.onContact(id, 'touch');
  pull = (id: string) => this.onContact(id, 'pull');
  resume = (id: string) => this.onContact(id, 'resume');
  wrapUp = (id: string, options: CommandOptions = {}) => this.onContact(id, 'wrap-up', {}, options);
  giveBack = (id: string, options: CommandOptions = {}) => this.onContact(id, 'return', {}, options);
  pend = (id: string, on: PendingOn, backAfter?: string, options: CommandOptions = {}) =>
    this.onContact(id, 'pend', backAfter ? { on, back_after: backAfter } : { on }, options);
  defer = (id: string, until: string, options: CommandOptions = {}) => this.onContact(id, 'defer', { until }, options);
  close = (id: string, outcome: Outcome, options: CommandOptions = {}) => this.onContact(id, 'close', outcome, options);
  transfer = (id: string, to: TransferTarget, reason: string, options: CommandOptions = {}) =>
    this.onContact(id, 'transfer', { to, reason }, options);
  reply = (id: string, body: ReplyBody, options: CommandOptions = {}) => this.onContact(id, 'reply', body, options);
  note = (id: string, text: string, options: CommandOptions = {}) => this.onContact(id, 'notes', { text }, options);
  retryMessage = (id: string, message: string) => this.onContact(id, `messages/${segment(message)}/retry`);
  /** Says how an attempt of unknown end did end. */
  settleMessage = (id: string, message: string, arrived: boolean) => this.onContact(id, `messages/${segment(message)}/settle`, { arrived });
  setCase = (id: string, reference: CaseReference | null, options: CommandOptions = {}) =>
    this.command('PUT', `/contacts/${segment(id)}/case`, reference, options);

  // Commands of a supervisor
  assign = (id: string, operator: string, options: CommandOptions = {}) => this.onContact(id, 'assign', { operator }, options);
  closeQueue = (queue: string, notice?: string) =>
    this.command('POST', `/queues/${segment(queue)}/close`, notice ? { notice } : {});
  openQueue = (queue: string) => this.command('POST', `/queues/${segment(queue)}/open`);

  // Administration
  operators = () => this.list<OperatorAccount>('/operators');
  operator = (id: string) => this.send<OperatorAccount>('GET', `/operators/${segment(id)}`);
  createOperator = (operator: NewOperator) => this.send<OperatorAccount>('POST', '/operators', operator);
  changeOperator = (id: string, change: OperatorChange) => this.send<void>('PATCH', `/operators/${segment(id)}`, change);
  resetPassword = (id: string, next: string) => this.send<void>('PUT', `/operators/${segment(id)}/password`, { new: next });
  tokens = () => this.list<Token>('/tokens');
  createToken = (token: NewToken) => this.send<{ token: string }>('POST', '/tokens', token);
  deleteToken = (name: string) => this.send<void>('DELETE', `/tokens/${segment(name)}`);
  quarantine = () => this.list<Quarantined>('/quarantine');
  retryQuarantined = (id: number) => this.send<void>('POST', `/quarantine/${id}/retry`, {});
  discardQuarantined = (id: number) => this.send<void>('POST', `/quarantine/${id}/discard`, {});

  private onContact(id: string, action: string, body: unknown = {}, options: CommandOptions = {}) {
    return this.command('POST', `/contacts/${segment(id)}/${action}`, body, options);
  }

  /** Sends a command; on 503, a timeout or no network again with the same id, a few times. */
  async command(method: string, path: string, body: unknown = {}, options: CommandOptions = {}): Promise<CommandResult> {
    const { session } = this;
    const withdraw = this.asked.note(path);
    const headers: Record<string, string> = { 'Idempotency-Key': options.id ?? newCommandId() };
    if (options.version !== undefined) headers['If-Match'] = String(options.version);
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.send<CommandResult>(method, path, body, headers, session);
      } catch (error) {
        const pause = RETRY_PAUSES_MS[attempt];
        const isRefused = !(error instanceof ApiError) || !error.isRetryable || error.code === 'left';
        if (isRefused) withdraw();
        if (isRefused || pause === undefined) throw error;
        await this.pause(pause);
      }
    }
  }

  /** A list, whether the server wraps it in `items` or not. */
  private async list<T>(path: string): Promise<T[]> {
    const answer = await this.send<T[] | { items: T[] }>('GET', path);
    return Array.isArray(answer) ? answer : answer.items;
  }

  private async send<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, session = this.session): Promise<T> {
    if (session !== this.session) throw new ApiError('left', 0);
    const init: RequestInit = {
      method,
      credentials: 'same-origin',
      // Chromium lets a request wait for an earlier one of the same address as long as their answer could be stored.
      cache: 'no-store',
      headers: { Accept: 'application/json', ...headers },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { ...init.headers, 'Content-Type': 'application/json' };
    }
    const answer = await this.answerOf<T>(path, init);
    if (session !== this.session) throw new ApiError('left', 0);
    if (!(answer instanceof ApiError)) return answer;
    if (answer.endsSession && path !== '/session') this.onSessionEnd();
    throw answer;
  }

  /** The answer to a request, or why there is none; one that is cut off is none. */
  private async answerOf<T>(path: string, init: RequestInit): Promise<T | ApiError> {
    try {
      const response = await this.fetch(`${API}${path}`, init);
      if (!response.ok) return await errorOf(response);
      return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
    } catch (error) {
      const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
      return new ApiError(timedOut ? 'timeout' : 'offline', 0);
    }
  }
}

function queryText(query: ContactQuery): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  if (pairs.length === 0) return '';
  return `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}`;
}

/** The presence words, for who writes `state` by hand. */
export const PRESENCES: readonly PresenceName[] = ['ready', 'away', 'offline'];
