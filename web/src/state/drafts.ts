// Drafts of replies and notes: kept per operator and contact, survive a reload and the end of the session, cleared
// when sent and on a deliberate sign-out. They never leave this browser.

import type { CommandId } from '../api/command-id';

export type DraftKind = 'reply' | 'note';
/** A file of a draft, uploaded `at`. Without a handle it has to be attached again: its upload did not end, or was too long ago. */
export interface DraftAttachment { name: string; size: number; handle?: string; at?: number }
/** What was sent under an id: sent again, it has the same, so that it goes once. */
export interface Sent { command: CommandId; text: string; subject?: string; cc?: string; handles?: string[] }
export interface Draft {
  text: string;
  subject?: string;
  cc?: string;
  attachments?: DraftAttachment[];
  /** What was sent of it, and nobody knows whether it went. */
  sent?: Sent;
  /** When it was last changed, milliseconds since 1970. */
  at: number;
}

/** The part of `Storage` that is used. */
export interface DraftStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

const PREFIX = 'sportello.draft';
/** After this a forgotten draft is dropped: seven days, in milliseconds. */
export const DRAFT_AGE_MAX_MS = 7 * 24 * 3_600_000;
/** Handles of uploaded files are good for a day from their upload. */
const HANDLE_AGE_MAX_MS = 23 * 3_600_000;

export class Drafts {
  private closed = false;

  constructor(
    private readonly storage: DraftStorage,
    private readonly operator: string,
    private readonly now: () => number = Date.now,
  ) {}

  load(contact: string, kind: DraftKind): Draft | undefined {
    const text = this.storage.getItem(this.keyOf(contact, kind));
    const draft = text === null ? undefined : parse(text);
    if (!draft || this.now() - draft.at > DRAFT_AGE_MAX_MS) return undefined;
    if (draft.attachments) draft.attachments = draft.attachments.map((file) => this.asGood(file));
    return draft;
  }

  /** Keeps the draft; an empty one is removed. A full storage loses the draft, not the console. */
  save(contact: string, kind: DraftKind, draft: Omit<Draft, 'at'>): void {
    if (this.closed) return;
    if (!draft.text.trim() && !draft.attachments?.length) return this.clear(contact, kind);
    try {
      this.storage.setItem(this.keyOf(contact, kind), JSON.stringify({ ...draft, at: this.now() }));
    } catch {
      // Quota: the text is still on the screen.
    }
  }

  clear(contact: string, kind: DraftKind): void {
    this.storage.removeItem(this.keyOf(contact, kind));
  }

  has(contact: string): boolean {
    return (['reply', 'note'] as const).some((kind) => this.load(contact, kind) !== undefined);
  }

  count(): number {
    return this.keys().length;
  }

  /** Keeps nothing more: the operator signed out, and something may still be on its way that would. */
  close(): void {
    this.closed = true;
  }

  /** Removes every draft of this operator. */
  clearAll(): void {
    for (const key of this.keys()) this.storage.removeItem(key);
  }

  /** Removes whatever is too old, whoever wrote it. */
  sweep(): void {
    for (const key of this.keys(`${PREFIX}/`)) {
      const draft = parse(this.storage.getItem(key) ?? '');
      if (!draft || this.now() - draft.at > DRAFT_AGE_MAX_MS) this.storage.removeItem(key);
    }
  }

  /** A file without its handle, if that is good no more. */
  private asGood(file: DraftAttachment): DraftAttachment {
    return this.now() - (file.at ?? 0) > HANDLE_AGE_MAX_MS ? { name: file.name, size: file.size } : file;
  }

  private keys(prefix = `${PREFIX}/${this.operator}/`): string[] {
    const keys: string[] = [];
    for (let index = 0; index < this.storage.length; index += 1) {
      const key = this.storage.key(index);
      if (key?.startsWith(prefix)) keys.push(key);
    }
    return keys;
  }

  private keyOf(contact: string, kind: DraftKind): string {
    return `${PREFIX}/${this.operator}/${contact}/${kind}`;
  }
}

function parse(text: string): Draft | undefined {
  try {
    const draft = JSON.parse(text) as Draft;
    return typeof draft.text === 'string' && typeof draft.at === 'number' ? draft : undefined;
  } catch {
    return undefined;
  }
}
