// What passes and is kept by nobody: which citizens type, and how far they have read. Plain data and pure functions.
import type { Entry, Sign } from '../api/types';

export interface SignModel {
  /** Who types, by contact: until when, milliseconds since 1970. */
  typing: Readonly<Record<string, number>>;
  /** The newest of our messages that was seen, by contact. */
  read: Readonly<Record<string, string>>;
}

export const NO_SIGNS: SignModel = { typing: {}, read: {} };
/** Typing that is not told again has ended, in milliseconds. */
export const TYPING_MS = 6_000;

export function withSign(signs: SignModel, sign: Sign, now: number): SignModel {
  if (sign.type === 'read') return { ...signs, read: { ...signs.read, [sign.contact]: sign.message } };
  const typing = Object.fromEntries(Object.entries(signs.typing).filter(([, until]) => until > now));
  return { ...signs, typing: { ...typing, [sign.contact]: now + TYPING_MS } };
}

/** The message is there: nobody types it any more. */
export function withoutTyping(signs: SignModel, contact: string): SignModel {
  if (!(contact in signs.typing)) return signs;
  const { [contact]: _typed, ...typing } = signs.typing;
  return { ...signs, typing };
}

/** Our messages that the citizen has seen: those the desk knows of, and all of a contact up to the one in the sign. */
export function readMessages(entries: readonly Entry[], read: SignModel['read']): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  for (const entry of entries.toReversed()) {
    if (entry.kind !== 'message' || entry.direction !== 'outbound') continue;
    if (entry.read || read[entry.contact] === entry.id) seen.add(entry.contact);
    if (seen.has(entry.contact)) found.add(entry.id);
  }
  return found;
}

/** What a contact has that is news to a reader, as a word that changes with it: others' entries, and answers that failed. */
export function newsOf(entries: readonly Entry[], contact: string, me: string): string {
  const isNews = (entry: Entry) => entry.contact === contact
    && (entry.kind === 'note' ? entry.author !== me : entry.direction === 'inbound' || ['failed', 'bounced', 'unknown'].includes(entry.delivery ?? ''));
  return entries.filter(isNews).map((entry) => (entry.kind === 'message' && entry.delivery ? `${entry.id}/${entry.delivery}` : entry.id)).join(' ');
}

/** The newest message of the citizen in a contact. */
export function newestInbound(entries: readonly Entry[], contact: string): string | undefined {
  return entries.findLast((entry) => entry.kind === 'message' && entry.direction === 'inbound' && entry.contact === contact)?.id;
}
