// The live socket: resumes after the last sequence number seen, connects again with jittered pauses, says when a
// snapshot is needed. Knows nothing of the DOM but `WebSocket`, which tests replace.
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
  onLink: (state: LinkState) => void;
  /** The server cannot resume from `after`: read the state again. */
  onGap: () => void;
  /** The session is over: do not connect again. */
  onSessionEnd: () => void;
  open?: (url: string) => SocketLike;
  later?: (run: () => void, ms: number) => number;
  cancel?: (timer: number) => void;
  random?: () => number;
}

/** The session ended while the socket was open. */
export const CLOSE_SESSION_ENDED = 4001;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** Full jitter: between a quarter and the whole of the doubled pause, so that a hundred consoles don't return at once. */
export function pauseBefore(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.25 + 0.75 * random()));
}

export class LiveLink {
  private socket: SocketLike | undefined;
  private timer: number | undefined;
  private attempt = 0;
  private stopped = true;
  private greeted = false;
  /** The desk is older than signs: it counts frames that it can't read, and cuts who sends too many. */
  private signless = false;

  constructor(private readonly options: LiveOptions) {}

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.clearTimer();
    this.drop();
  }

  /** Connects at once instead of at the next attempt: the network is back, or the operator asked. */
  hurry(): void {
    if (this.stopped || this.socket) return;
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
    this.clearTimer();
    this.drop();
    this.options.onLink('connecting');
    const open = this.options.open ?? ((url: string) => new WebSocket(url) as unknown as SocketLike);
    const socket = open(`${this.options.url}?after=${this.options.after()}`);
    this.socket = socket;
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (close) => this.closed(socket, close.code);
    socket.onerror = () => {};
    socket.onopen = null;
  }

  private receive(data: unknown): void {
    if (typeof data !== 'string') return;
    let frame: ServerFrame;
    try {
      frame = JSON.parse(data) as ServerFrame;
    } catch {
      return;
    }
    if (frame.type === 'hello') {
      this.attempt = 0;
      this.greeted = true;
      this.options.onLink('online');
      if (!frame.resumed) this.options.onGap();
    } else if (frame.type === 'event') {
      this.options.onEvent(frame.event);
    } else if (frame.type === 'reply') {
      if (frame.id === undefined) this.signless = true;
    } else if (frame.type === 'seen') {
      this.options.onSeen?.(frame.contact);
    } else if (frame.type === 'typing' || frame.type === 'read') {
      this.options.onSign?.(frame);
    }
  }

  private closed(socket: SocketLike, code: number): void {
    if (socket !== this.socket) return;
    this.socket = undefined;
    this.greeted = false;
    if (this.stopped) return;
    this.options.onLink('offline');
    if (code === CLOSE_SESSION_ENDED) {
      this.stopped = true;
      this.options.onSessionEnd();
      return;
    }
    const later = this.options.later ?? ((run, ms) => setTimeout(run, ms) as unknown as number);
    this.timer = later(() => this.connect(), pauseBefore(this.attempt, this.options.random ?? Math.random));
    this.attempt += 1;
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = undefined;
    this.greeted = false;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(1000);
  }

  private clearTimer(): void {
    if (this.timer === undefined) return;
    (this.options.cancel ?? clearTimeout)(this.timer);
    this.timer = undefined;
  }
}
