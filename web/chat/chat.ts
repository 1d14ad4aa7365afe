// One citizen's chat in one tab: holds the model, carries out what the reducer asks for, and joins line, storage and requests.
import { ChatApi, ChatError, type NewSession, type RunningUpload } from './api';
import { Connection, SYSTEM, type Clock, type SocketLike } from './connection';
import { emptyModel, isOver, type ChatModel, type Unsent } from './model';
import { LIMITS, type ChatFile, type Config, type Limits } from './protocol';
import { reduce, type Action, type Effect } from './reducer';
import type { Keep, Session } from './storage';

export type Screen = 'loading' | 'failed' | 'start' | 'talk';
export interface BeginFields { name: string; email: string; topic: string; /** A message left at once, because nobody is there. */ text: string }
export interface ChatOptions {
  api: ChatApi;
  keep: Keep;
  language: string;
  clock?: Clock;
  open?: (url: string, protocol: string) => SocketLike;
  newId?: () => string;
  /** Whether the page may use the network now. */
  isOnline?: () => boolean;
}

/** How long a message may stay unacknowledged on a line that seems to stand. */
const ACCEPTED_WITHIN_MS = 10_000;
const LATER_MS = 3_000;
/** The timer of what is sent again a little later: no message's id. */
const LATER = '';
/** At most one typing frame in so long. */
export const TYPING_EVERY_MS = 3_000;
const CLOCK_MS = 1_000;

export class Chat {
  model: ChatModel = emptyModel();
  session: Session | undefined;
  config: Config | undefined;
  /** Why there is no config. */
  failure = '';
  /** An earlier conversation was found to be over. */
  wasOver = false;
  language: string;
  private connection: Connection | undefined;
  private typedAt = -Infinity;
  private ticking: number | undefined;
  private readonly waits = new Map<string, number>();
  private readonly clock: Clock;
  private readonly listeners = new Set<(told: readonly Effect[]) => void>();

  constructor(private readonly options: ChatOptions) {
    this.clock = options.clock ?? SYSTEM;
    this.language = options.language;
  }

  get screen(): Screen {
    if (this.session) return 'talk';
    if (this.config) return 'start';
    return this.failure ? 'failed' : 'loading';
  }

  get limits(): Limits { return { ...LIMITS, ...this.config?.limits }; }
  get keep(): Keep { return this.options.keep; }

  /** Called after every change, with what is worth telling. */
  onChange(listener: (told: readonly Effect[]) => void): void {
    this.listeners.add(listener);
  }

  /** Takes up a conversation that this browser has; does nothing, and asks nobody, without one. */
  resume(): void {
    const kept = this.keep.session;
    if (kept) this.connect(kept);
  }

  /** Another tab began a conversation: it is this one's too. */
  follow(): void {
    const kept = this.keep.session;
    if (kept && kept.token !== this.session?.token && (!this.session || isOver(this.model))) this.connect(kept);
  }

  async loadConfig(language = this.language): Promise<void> {
    this.failure = '';
    this.language = language;
    try {
      this.config = await this.options.api.config(language);
    } catch (error) {
      this.failure = codeOf(error);
    }
    this.changed([]);
  }

  /** Begins a conversation; leaves a message at once if there is one. Throws a `ChatError`. */
  async begin(fields: BeginFields): Promise<void> {
    const { name, email, topic, text } = fields;
    const wish: NewSession = { name, topic, language: this.language, privacy_accepted: true, ...(email ? { email } : {}) };
    const token = await this.options.api.session(wish);
    const session = { token, name, email, language: this.language };
    this.keep.session = session;
    this.connect(session);
    if (text) this.leave(email, text);
  }

  send(text: string, files: ChatFile[]): void {
    this.typedAt = -Infinity;
    this.write({ kind: 'message', text, files });
  }

  leave(email: string, text: string): void {
    this.write({ kind: 'leave', text, files: [], email });
  }

  private write(what: Pick<Unsent, 'kind' | 'text' | 'files' | 'email'>): void {
    const id = (this.options.newId ?? newId)();
    this.dispatch({ do: 'write', unsent: { ...what, id, at: this.clock.now(), state: 'waiting' } });
  }

  /** The citizen types: told at most every three seconds. */
  typing(): void {
    const now = this.clock.now();
    if (isOver(this.model) || now - this.typedAt < TYPING_EVERY_MS) return;
    if (this.connection?.send({ type: 'typing', on: true })) this.typedAt = now;
  }

  end(): void { this.connection?.send({ type: 'end' }); }

  upload(file: File, onProgress: (share: number) => void): RunningUpload {
    return this.options.api.upload(this.session?.token ?? '', file, onProgress);
  }

  download(file: ChatFile): Promise<Blob> {
    return this.options.api.download(this.session?.token ?? '', file);
  }

  /** Puts the ended conversation away; returns what could not be sent any more. */
  startOver(): string {
    const left = this.model.unsent.filter((unsent) => unsent.state === 'refused').map((unsent) => unsent.text);
    this.disconnect();
    this.session = undefined;
    this.model = emptyModel();
    this.config = undefined;
    void this.loadConfig();
    this.changed([]);
    return left.join('\n');
  }

  wake(): void { this.connection?.wake(); }
  lost(): void { this.connection?.lost(); }

  stop(): void {
    this.disconnect();
    this.listeners.clear();
  }

  dispatch(action: Action): void {
    const { model, effects } = reduce(this.model, action);
    this.model = model;
    for (const effect of effects) this.carryOut(effect);
    if (effects.some((effect) => effect.do === 'over')) this.follow();
    this.tick();
    this.changed(effects.filter((effect) => effect.do === 'tell'));
  }

  private carryOut(effect: Effect): void {
    const token = this.session?.token ?? '';
    switch (effect.do) {
      case 'send': this.carry(effect); break;
      case 'send_later':
        this.expect(effect.id, 0);
        if (!this.waits.has(LATER)) this.expect(LATER, LATER_MS, () => this.dispatch({ do: 'again' }));
        break;
      case 'keep': this.keep.keep(token, effect.unsent); break;
      case 'forget': this.keep.forget(effect.id); this.expect(effect.id, 0); break;
      case 'tell': break;
      case 'over':
        this.keep.clear(token);
        this.connection?.linger();
        break;
      case 'live':
        this.wasOver = false;
        // Another tab may have begun a new one meanwhile.
        if (this.session && !this.keep.session) this.keep.session = this.session;
        this.connection?.goOn();
        break;
    }
  }

  /** Sends a frame; what must be acknowledged and is not, on a line that seems to stand, means that it does not. */
  private carry({ frame }: Extract<Effect, { do: 'send' }>): void {
    const sent = this.connection?.send(frame);
    if (sent && 'id' in frame) this.expect(frame.id, ACCEPTED_WITHIN_MS, () => this.connection?.reset());
  }

  /** One timer for each message that has no acknowledgement, and one for all that go again a little later. */
  private expect(id: string, ms: number, run?: () => void): void {
    this.clock.cancel(this.waits.get(id));
    this.waits.delete(id);
    if (run) this.waits.set(id, this.clock.later(() => { this.waits.delete(id); run(); }, ms));
  }

  private connect(session: Session): void {
    this.disconnect();
    this.session = session;
    this.wasOver = false;
    this.language = session.language;
    this.model = emptyModel(this.keep.unsent(session.token));
    if (!this.config) void this.loadConfig(session.language);
    const { open, api } = this.options;
    this.connection = new Connection({
      url: api.socketUrl,
      hello: () => ({ type: 'hello', session: session.token, after: this.model.last, language: this.language }),
      onFrame: (frame) => this.dispatch({ do: 'frame', frame, now: this.clock.now() }),
      onLink: (link) => {
        if (link !== 'online') this.expectNothing();
        this.dispatch({ do: 'link', link });
      },
      onRefused: (why) => this.refused(why),
      clock: this.clock,
      ...(open ? { open } : {}),
    });
    this.connection.start();
    this.changed([]);
  }

  /** A kept session that is over before anything of it was seen is no conversation: the beginning is shown instead. */
  private refused(why: 'session_over' | 'foreign_origin' | 'broken'): void {
    const nothingSeen = this.model.last === null && this.model.unsent.length === 0;
    if (why !== 'session_over' || !nothingSeen) return this.dispatch({ do: 'refusal', why });
    this.keep.clear(this.session?.token ?? '');
    this.wasOver = true;
    this.startOver();
    this.follow();
  }

  private disconnect(): void {
    this.expectNothing();
    this.clock.cancel(this.ticking);
    this.ticking = undefined;
    const connection = this.connection;
    this.connection = undefined;
    connection?.stop();
  }

  private expectNothing(): void {
    for (const id of [...this.waits.keys()]) this.expect(id, 0);
  }

  /** A second hand, as long as something on the screen runs out. */
  private tick(): void {
    const runs = this.model.typing !== undefined || this.model.warning !== undefined;
    if (!runs || this.ticking !== undefined) return;
    this.ticking = this.clock.later(() => {
      this.ticking = undefined;
      this.dispatch({ do: 'clock', now: this.clock.now() });
    }, CLOCK_MS);
  }

  private changed(told: readonly Effect[]): void {
    for (const listener of this.listeners) listener(told);
  }
}

export const codeOf = (error: unknown) => (error instanceof ChatError ? error.code : 'unexpected');

/** A version 4 UUID; pages without TLS have no `randomUUID`. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
