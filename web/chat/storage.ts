// What the browser keeps between pages: the session (all tabs of one citizen are one conversation), what is not sent yet, and the
// text being written in this tab. A browser that keeps nothing still has a chat, until the page goes.
import type { Unsent } from './model';

/** The part of `Storage` that is used. */
export interface Shelf {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Session { token: string; name: string; email: string; language: string }

const PREFIX = 'sportello.chat';
/** Older unsent text is not sent any more: a day, in milliseconds. */
const UNSENT_AGE_MAX_MS = 24 * 3_600_000;

/** A shelf that forgets, for where the browser refuses one. */
export function memoryShelf(): Shelf {
  const kept = new Map<string, string>();
  return {
    get length() { return kept.size; },
    key: (index) => [...kept.keys()][index] ?? null,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

/** The browser's own, if it may be touched. */
export function shelfOf(which: () => Shelf): Shelf {
  try {
    const shelf = which();
    shelf.getItem(PREFIX);
    return shelf;
  } catch {
    return memoryShelf();
  }
}

export class Keep {
  constructor(
    private readonly account: string,
    private readonly local: Shelf,
    private readonly tab: Shelf,
    private readonly now: () => number = Date.now,
  ) {}

  get sessionKey(): string { return this.key('session'); }

  get session(): Session | undefined {
    const session = parse<Session>(this.local.getItem(this.sessionKey));
    return typeof session?.token === 'string' ? session : undefined;
  }

  set session(session: Session | undefined) {
    if (session) this.put(this.local, this.sessionKey, session);
    else this.local.removeItem(this.sessionKey);
  }

  /** What waits to be sent in this session, oldest first. One entry each: two tabs never overwrite each other's. */
  unsent(token: string): Unsent[] {
    const found: Unsent[] = [];
    for (const key of this.unsentKeys()) {
      const kept = parse<Unsent & { session: string }>(this.local.getItem(key));
      if (!kept || kept.session !== token || this.now() - kept.at > UNSENT_AGE_MAX_MS) this.local.removeItem(key);
      else {
        const { session: _session, ...unsent } = kept;
        found.push(unsent);
      }
    }
    return found.sort((a, b) => a.at - b.at);
  }

  keep(token: string, unsent: Unsent): void {
    this.put(this.local, this.key(`unsent.${unsent.id}`), { ...unsent, session: token });
  }

  forget(id: string): void {
    this.local.removeItem(this.key(`unsent.${id}`));
  }

  /** This session's conversation is over: nothing of it stays for the next person at this computer. What another tab has begun
   *  since then stays. */
  clear(token: string): void {
    if (this.session?.token === token) this.session = undefined;
    for (const key of this.unsentKeys()) {
      const kept = parse<{ session: string }>(this.local.getItem(key));
      if (!kept || kept.session === token) this.local.removeItem(key);
    }
    this.draft = '';
  }

  get draft(): string { return this.tab.getItem(this.key('draft')) ?? ''; }
  set draft(text: string) {
    if (text) this.put(this.tab, this.key('draft'), text);
    else this.tab.removeItem(this.key('draft'));
  }

  /** Whether the panel was open in this tab. */
  get open(): boolean { return this.tab.getItem(this.key('open')) === '1'; }
  set open(open: boolean) {
    if (open) this.put(this.tab, this.key('open'), 1);
    else this.tab.removeItem(this.key('open'));
  }

  private unsentKeys(): string[] {
    const keys: string[] = [];
    for (let index = 0; index < this.local.length; index += 1) {
      const key = this.local.key(index);
      if (key?.startsWith(this.key('unsent.'))) keys.push(key);
    }
    return keys;
  }

  private put(shelf: Shelf, key: string, value: unknown): void {
    try {
      shelf.setItem(key, typeof value === 'string' ? value : JSON.stringify(value));
    } catch {
      // A full shelf loses what it should keep, not the chat.
    }
  }

  private key(name: string): string {
    return `${PREFIX}.${this.account}.${name}`;
  }
}

function parse<T>(text: string | null): T | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}
