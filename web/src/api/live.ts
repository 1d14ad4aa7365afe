// The live socket: resumes after the last sequence number seen, connects again with jittered pauses, says when a
// snapshot is needed, and notices a line that is dead without saying so. Socket, time and chance are replaced in tests.
import type { DeskEvent, OwnSign, ServerFrame, Sign } from './types';

export type LinkState = 'connecting' | 'online' | 'offline';

/** The part of a WebSocket that is used here. */
export interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((close: { code: number }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Time and chance. */
export interface Clock {
  /** The computer's own clock, which may be set, and goes on while the computer sleeps. */
  now(): number;
  /** Milliseconds that pass evenly, whatever is done to the clock; asleep they may stand still. */
  steady(): number;
  later(run: () => void, ms: number): number;
  cancel(timer: number | undefined): void;
  random(): number;
}

export const SYSTEM: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  later: (run, ms) => setTimeout(run, ms) as unknown as number,
  cancel: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};

export interface LiveOptions {
  /** Address of the socket, without the query. */
  url: string;
  /** The last sequence number seen. */
  after: () => number;
  onEvent: (event: DeskEvent) => void;
  /** What passes: somebody types, somebody has read. */
  onSign?: (sign: Sign) => void;
  /** I have read a contact, maybe at another console. */
  onSeen?: (contact: string) => void;
  /** The server is there, and its clock says this. */
  onBeat?: (at: string) => void;
  onLink: (state: LinkState) => void;
  /** The server cannot resume from `after`: read the state again. */
  onGap: () => void;
  /** The session is over: do not connect again. */
  onSessionEnd: () => void;
  open?: (url: string) => SocketLike;
  clock?: Clock;
}

/** The session ended while the socket was open. */
export const CLOSE_SESSION_ENDED = 4001;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** How long a connection may take until the server's hello. */
const HELLO_WITHIN_MS = 15_000;
/** Silence after which a server that sends beats is gone; it sends one every five seconds. */
const SILENCE_MAX_MS = 20_000;
/** The same when there is a reason to doubt: the page is looked at again, the network is back. */
const DOUBT_MS = 8_000;
const TICK_MS = 5_000;
/** The computer's clock ran ahead of the steady one by so much between two ticks: it slept. */
const SLEPT_MS = 10_000;

/** Full jitter: between a quarter and the whole of the doubled pause, so that a hundred consoles don't return at once. */
export function pauseBefore(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.25 + 0.75 * random()));
}

export class LiveLink {
  private socket: SocketLike | undefined;
  private retry: number | undefined;
  private deadline: number | undefined;
  private tick: number | undefined;
  private attempt = 0;
  private stopped = true;
  private greeted = false;
  /** The desk is older than signs: it counts frames that it can't read, and cuts who sends too many. */
  private signless = false;
  /** The desk tells that it is there. An older one does not, and its silence says nothing. */
  private beats = false;
  private lastFrame = 0;
  private lastTick = { now: 0, steady: 0 };
  private readonly clock: Clock;

  constructor(private readonly options: LiveOptions) {
    this.clock = options.clock ?? SYSTEM;
  }

  start(): void {
    this.stopped = false;
    this.connect();
    this.watch();
  }

  stop(): void {
    this.stopped = true;
    this.clock.cancel(this.tick);
    this.drop();
  }

  /** No reason to wait: the network is back, the page is looked at again, or the operator asked. */
  hurry(): void {
    if (this.stopped) return;
    if (this.socket) return this.resetIfSilentFor(DOUBT_MS);
    this.attempt = 0;
    this.connect();
  }

  /** Sends a sign; false, and lost, without a line or with a desk that does not know signs. */
  say(sign: OwnSign): boolean {
    if (!this.socket || !this.greeted || this.signless) return false;
    this.socket.send(JSON.stringify(sign));
    return true;
  }

  private connect(): void {
    this.drop();
    this.options.onLink('connecting');
    const open = this.options.open ?? ((url: string) => new WebSocket(url) as unknown as SocketLike);
    const socket = open(`${this.options.url}?after=${this.options.after()}`);
    this.socket = socket;
    this.deadline = this.clock.later(() => this.closed(socket, 1006), HELLO_WITHIN_MS);
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (close) => this.closed(socket, close.code);
    socket.onerror = () => {};
    socket.onopen = null;
  }

  private receive(data: unknown): void {
    this.lastFrame = this.clock.steady();
    if (typeof data !== 'string') return;
    let frame: ServerFrame;
    try {
      frame = JSON.parse(data) as ServerFrame;
    } catch {
      return;
    }
    switch (frame.type) {
      case 'hello':
        this.clock.cancel(this.deadline);
        this.attempt = 0;
        this.greeted = true;
        this.options.onLink('online');
        if (!frame.resumed) this.options.onGap();
        break;
      case 'beat':
        this.beats = this.greeted;
        this.options.onBeat?.(frame.at);
        break;
      case 'event': this.options.onEvent(frame.event); break;
      case 'reply': if (frame.id === undefined) this.signless = true; break;
      case 'seen': this.options.onSeen?.(frame.contact); break;
      case 'typing':
      case 'read': this.options.onSign?.(frame); break;
    }
  }

  private closed(socket: SocketLike, code: number): void {
    if (socket !== this.socket) return;
    this.drop();
    this.options.onLink('offline');
    if (code === CLOSE_SESSION_ENDED) {
      this.stop();
      this.options.onSessionEnd();
      return;
    }
    this.retry = this.clock.later(() => this.connect(), pauseBefore(this.attempt, this.clock.random));
    this.attempt += 1;
  }

  private watch(): void {
    this.lastTick = { now: this.clock.now(), steady: this.clock.steady() };
    this.tick = this.clock.later(() => {
      this.resetIfSilentFor(SILENCE_MAX_MS);
      this.watch();
    }, TICK_MS);
  }

  /** The line is dead, whatever the browser thinks of it: another one, at once. */
  private resetIfSilentFor(ms: number): void {
    const now = this.clock.steady();
    const slept = this.clock.now() - this.lastTick.now - (now - this.lastTick.steady) > SLEPT_MS;
    if (!this.beats || (!slept && now - this.lastFrame <= ms)) return;
    this.drop();
    this.options.onLink('offline');
    this.connect();
  }

  private drop(): void {
    this.clock.cancel(this.retry);
    this.clock.cancel(this.deadline);
    const socket = this.socket;
    this.socket = undefined;
    this.greeted = this.beats = false;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(1000);
  }
}
