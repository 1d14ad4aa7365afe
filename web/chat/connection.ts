// The line to the server: connects, greets, resumes after the last number seen, comes again with jittered pauses, and notices
// a line that is dead without saying so. Knows nothing of pages; socket, clock and chance are replaced in tests.
import { CLOSE, readFrame, SUBPROTOCOL, type ClientFrame, type ServerFrame } from './protocol';

export type Link = 'off' | 'connecting' | 'online' | 'offline';
/** Why the line will not come again by itself. */
export type Refusal = 'session_over' | 'foreign_origin' | 'broken';

/** The part of a WebSocket that is used. */
export interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((close: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Time and chance. `later` returns a handle for `cancel`. */
export interface Clock {
  now(): number;
  later(run: () => void, ms: number): number;
  cancel(handle: number | undefined): void;
  random(): number;
}

export const SYSTEM: Clock = {
  now: () => Date.now(),
  later: (run, ms) => setTimeout(run, ms) as unknown as number,
  cancel: (handle) => clearTimeout(handle),
  random: () => Math.random(),
};

export interface ConnectionOptions {
  url: string;
  hello: () => Extract<ClientFrame, { type: 'hello' }>;
  onFrame: (frame: ServerFrame) => void;
  onLink: (link: Link) => void;
  onRefused: (why: Refusal) => void;
  open?: (url: string, protocol: string) => SocketLike;
  clock?: Clock;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** How long a connection may take until the server's welcome. */
const WELCOME_WITHIN_MS = 15_000;
/** A line that stood for so long begins its pauses anew. */
const STABLE_MS = 5_000;
/** Silence after which a server that sends beats is gone. */
const SILENCE_MAX_MS = 65_000;
/** A tick every so often; one that comes much later means that the computer slept. A hidden page ticks once a minute. */
const TICK_MS = 5_000;
const SLEPT_MS = 90_000;
/** Refused frames in a row after which the widget itself must be wrong. */
const BAD_MAX = 4;
const RETRY_DEFAULT_SECONDS = 30;

/** Full jitter over the upper three quarters: a thousand widgets don't come back at once. */
export function pauseBefore(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.25 + 0.75 * random()));
}

export class Connection {
  private socket: SocketLike | undefined;
  private welcomed = false;
  private wanted = false;
  private attempt = 0;
  private bad = 0;
  private lastTick = 0;
  private lastFrame = 0;
  private beats = false;
  private stable = 0;
  private retry: number | undefined;
  private tick: number | undefined;
  private deadline: number | undefined;
  private readonly clock: Clock;

  constructor(private readonly options: ConnectionOptions) {
    this.clock = options.clock ?? SYSTEM;
  }

  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.attempt = this.bad = 0;
    this.connect();
    this.watch();
  }

  stop(): void {
    this.wanted = false;
    this.clock.cancel(this.tick);
    this.drop();
    this.options.onLink('off');
  }

  /** From now on a lost line stays lost: the conversation is over. */
  linger(): void {
    this.wanted = false;
    this.clock.cancel(this.tick);
    this.clock.cancel(this.retry);
    if (!this.socket) this.options.onLink('off');
  }

  /** The conversation goes on after all: a lost line is made anew again. */
  goOn(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.watch();
    if (!this.socket) this.connect();
  }

  /** Sends a frame if the line stands; false if it does not. */
  send(frame: ClientFrame): boolean {
    if (!this.socket || !this.welcomed) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** The page is looked at again, or the network is back: no reason to wait. */
  wake(): void {
    if (!this.wanted) return;
    if (this.slept()) this.reset();
    else if (!this.socket) {
      this.attempt = 0;
      this.connect();
    }
  }

  /** The line is dead whatever the browser thinks of it. */
  reset(): void {
    if (!this.wanted) return;
    this.drop();
    this.connect();
  }

  /** The network is gone: don't wait until the socket notices. */
  lost(): void {
    if (!this.wanted || !this.socket) return;
    this.drop();
    this.again(pauseBefore(this.attempt, this.clock.random));
  }

  private connect(): void {
    this.drop();
    this.welcomed = this.beats = false;
    this.options.onLink('connecting');
    const open = this.options.open ?? ((url, protocol) => new WebSocket(url, protocol) as unknown as SocketLike);
    let socket: SocketLike;
    try {
      socket = open(this.options.url, SUBPROTOCOL);
    } catch {
      // The page's own policy forbids the address, and always will.
      this.refuse('broken');
      return;
    }
    this.socket = socket;
    this.lastFrame = this.clock.now();
    this.deadline = this.clock.later(() => this.closed(socket, 1006, ''), WELCOME_WITHIN_MS);
    socket.onopen = () => socket.send(JSON.stringify(this.options.hello()));
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (close) => this.closed(socket, close.code, close.reason);
    socket.onerror = () => {};
  }

  private receive(data: unknown): void {
    this.lastFrame = this.clock.now();
    const frame = readFrame(data);
    if (!frame) return;
    if (frame.type === 'beat') {
      this.beats = true;
      return;
    }
    if (frame.type === 'welcome') {
      this.clock.cancel(this.deadline);
      this.welcomed = true;
      this.stable = this.clock.now();
      this.options.onLink('online');
    }
    if (this.welcomed || frame.type === 'refused') this.options.onFrame(frame);
  }

  private closed(socket: SocketLike, code: number, reason: string): void {
    if (socket !== this.socket) return;
    const stood = this.welcomed && this.clock.now() - this.stable >= STABLE_MS;
    this.drop();
    if (code === CLOSE.sessionOver) return this.refuse('session_over');
    if (code === CLOSE.foreignOrigin) return this.refuse('foreign_origin');
    if (!this.wanted) return this.options.onLink('off');
    if (code === CLOSE.badFrame) this.bad += 1;
    else if (stood) this.attempt = this.bad = 0;
    if (this.bad >= BAD_MAX) return this.refuse('broken');
    const told = code === CLOSE.tooMuch ? secondsOf(reason) * 1000 : 0;
    this.again(Math.max(told, pauseBefore(this.attempt, this.clock.random)));
  }

  private again(pause: number): void {
    this.options.onLink('offline');
    this.attempt += 1;
    this.retry = this.clock.later(() => this.connect(), pause);
  }

  private refuse(why: Refusal): void {
    this.linger();
    this.drop();
    this.options.onLink('off');
    this.options.onRefused(why);
  }

  private watch(): void {
    this.lastTick = this.clock.now();
    this.tick = this.clock.later(() => {
      if (this.slept() || (this.beats && this.clock.now() - this.lastFrame > SILENCE_MAX_MS)) this.reset();
      this.watch();
    }, TICK_MS);
  }

  private slept(): boolean {
    const slept = this.clock.now() - this.lastTick > SLEPT_MS;
    this.lastTick = this.clock.now();
    return slept;
  }

  private drop(): void {
    this.clock.cancel(this.retry);
    this.clock.cancel(this.deadline);
    const socket = this.socket;
    this.socket = undefined;
    this.welcomed = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }
}

/** The pause a server asks for: seconds as the reason of the close. */
function secondsOf(reason: string): number {
  const seconds = Number.parseInt(reason, 10);
  return seconds > 0 && seconds <= 3600 ? seconds : RETRY_DEFAULT_SECONDS;
}
