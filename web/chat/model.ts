// What the widget knows of a conversation: plain data, replaced and never changed in place.
import type { Link, Refusal } from './connection';
import type { ChatFile, ChatState, Marks, Message } from './protocol';

/** What this citizen wrote and the server has not acknowledged yet, or has and not shown back. */
export interface Unsent {
  /** Made here; the same through every repetition. */
  id: string;
  kind: 'message' | 'leave';
  text: string;
  files: ChatFile[];
  /** Where the answer goes: only of a message that is left. */
  email?: string;
  /** Milliseconds since 1970. */
  at: number;
  state: 'waiting' | 'accepted' | 'refused';
  code?: string;
}

export interface ChatModel {
  /** The number of the last message seen, above which one resumes; none before the first welcome. */
  last: number | null;
  /** The number of the last state, so that an older one does not win. */
  stated: number;
  link: Link;
  refusal?: Refusal;
  messages: readonly Message[];
  unsent: readonly Unsent[];
  /** Something is to be sent again a little later: what is written until then goes behind it. */
  resting: boolean;
  marks: Marks;
  state: ChatState;
  /** Somebody types, until then. */
  typing?: { name?: string; until: number };
  /** The silent citizen is asked, and has until then. */
  warning?: { until: number };
  /** Nobody is there: leaving a message is offered. */
  unattended: boolean;
  /** What the closed queue says about that. */
  notice?: string;
  /** Messages that came and nobody looked at. */
  unread: number;
  /** The last number that the server was told to be read. */
  read: number;
  /** The wish for a transcript, and whether the server has it. */
  transcript?: { email: string; state: 'asked' | 'confirmed' | 'refused'; code?: string };
}

export function emptyModel(unsent: readonly Unsent[] = []): ChatModel {
  return {
    last: null, stated: 0, link: 'off', messages: [], unsent, resting: false, marks: { delivered: 0, read: 0 }, state: { status: 'idle', open: true },
    unattended: false, unread: 0, read: 0,
  };
}

/** Over for good. A chat that was only disconnected too long goes on when the citizen writes. */
export const isOver = ({ state }: ChatModel) => (state.status === 'ended' && state.reason !== 'abandoned') || state.status === 'left';
export const isAbandoned = ({ state }: ChatModel) => state.status === 'ended' && state.reason === 'abandoned';

/** How far something the citizen wrote has come. */
export type Progress = 'waiting' | 'refused' | 'sent' | 'delivered' | 'read';

export function progressOf(message: Message, marks: Marks): Progress {
  if (message.seq <= marks.read) return 'read';
  return message.seq <= marks.delivered ? 'delivered' : 'sent';
}

/** The newest number that came from the other side; 0 if nothing did. */
export function newestOfTheirs(model: ChatModel): number {
  return model.messages.findLast((message) => message.from !== 'citizen')?.seq ?? 0;
}
