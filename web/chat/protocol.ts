// What goes over the line between widget and server, `sportello.chat.v1`: types, limits, and the reading of what comes in.

export const SUBPROTOCOL = 'sportello.chat.v1';

/** Close codes with a meaning of their own; any other is a lost line. */
export const CLOSE = { badFrame: 4400, sessionOver: 4401, foreignOrigin: 4403, tooMuch: 4429 } as const;

export interface Topic { id: string; label: string }
export interface Limits { message_chars: number; name_chars: number; attachment_bytes: number; attachments: number; /** Media types that are taken; any, if absent. */ attachment_types?: string[] }
export interface Config {
  account: string;
  title: string;
  topics: Topic[];
  privacy_url?: string;
  privacy_text?: string;
  languages: string[];
  open: boolean;
  /** What the closed queue says to citizens: plain text. */
  notice?: string;
  /** Whether a transcript can be asked for. */
  transcript?: boolean;
  limits: Limits;
}
/** What holds while the server has not said anything else. */
export const LIMITS: Limits = { message_chars: 4000, name_chars: 80, attachment_bytes: 10_000_000, attachments: 5 };

export interface ChatFile { file: string; name: string; type: string; bytes: number }
export type From = 'citizen' | 'operator' | 'office';
export interface Message {
  seq: number;
  id: string;
  from: From;
  name?: string;
  text: string;
  files: ChatFile[];
  /** RFC 3339. */
  at: string;
  /** The id that a tab of this citizen gave it. */
  client_id?: string;
}
export type Status = 'idle' | 'waiting' | 'served' | 'ended' | 'left';
export interface ChatState {
  status: Status;
  /** Place in the queue, from 1. */
  position?: number;
  /** The operator's shown name. */
  name?: string;
  /** Whether anybody answers at this hour. */
  open: boolean;
  /** Why it ended. */
  reason?: string;
}
export interface Marks { delivered: number; read: number }

export type ServerFrame =
  | { type: 'welcome'; after: number; state: ChatState; messages: Message[]; marks?: Marks }
  | ({ type: 'message' } & Message)
  | { type: 'accepted'; id: string; message?: string }
  | { type: 'mark'; seq: number; delivered: number; read: number }
  | { type: 'typing'; name?: string }
  | ({ type: 'state'; seq: number } & ChatState)
  | { type: 'warning'; seconds: number }
  | { type: 'unattended'; notice?: string }
  | { type: 'refused'; id?: string; code: string; detail?: string }
  | { type: 'beat' };

export type ClientFrame =
  | { type: 'hello'; session: string; after: number | null; language: string }
  | { type: 'message'; id: string; text: string; files: string[] }
  | { type: 'typing'; on: boolean }
  | { type: 'read'; seq: number }
  | { type: 'end' }
  | { type: 'leave_message'; id: string; email: string; text: string }
  | { type: 'transcript'; email: string };

/** The id under which a wish for a transcript is acknowledged. */
export const TRANSCRIPT = 'transcript';

const KNOWN = new Set(['welcome', 'message', 'accepted', 'mark', 'typing', 'state', 'warning', 'unattended', 'refused', 'beat']);

/** Reads a frame; nothing for one that is not ours, or of a kind that later servers know. */
export function readFrame(data: unknown): ServerFrame | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const frame = JSON.parse(data) as { type?: unknown };
    return typeof frame?.type === 'string' && KNOWN.has(frame.type) ? (frame as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}
