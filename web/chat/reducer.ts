// What happened in, a new model and the things to do out. Pure: the chat carries the effects out.
import type { Link, Refusal } from './connection';
import { isOver, newestOfTheirs, type ChatModel, type Unsent } from './model';
import { TRANSCRIPT, type ClientFrame, type Message, type ServerFrame } from './protocol';

export type Action =
  | { do: 'frame'; frame: ServerFrame; now: number }
  | { do: 'link'; link: Link }
  | { do: 'refusal'; why: Refusal }
  /** The citizen sends something, or another tab's unsent ones are taken over. */
  | { do: 'write'; unsent: Unsent }
  | { do: 'retry' | 'discard'; id: string }
  /** What had to wait a little goes again. */
  | { do: 'again' }
  /** The end of the conversation's text is on a visible screen. */
  | { do: 'seen' }
  | { do: 'transcript'; email: string }
  | { do: 'dismiss_unattended' }
  | { do: 'clock'; now: number };

export type Effect =
  | { do: 'send'; frame: ClientFrame }
  /** This one has to wait: a little later everything without an acknowledgement goes again, in its order. */
  | { do: 'send_later'; id: string }
  | { do: 'keep'; unsent: Unsent }
  | { do: 'forget'; id: string }
  | { do: 'tell'; what: 'message' | 'ended' | 'warning' }
  /** The session is over and the conversation with it. */
  | { do: 'over' }
  /** It was over and goes on. */
  | { do: 'live' };

export interface Step { model: ChatModel; effects: Effect[] }

const TYPING_MS = 6_000;

export function reduce(model: ChatModel, action: Action): Step {
  switch (action.do) {
    case 'frame': return reduceFrame(model, action.frame, action.now);
    case 'link': return still({ ...model, link: action.link });
    case 'refusal': return refuse(model, action.why);
    case 'write': return write(model, action.unsent);
    case 'retry': return retry(model, action.id);
    case 'again': return { model: { ...model, resting: false }, effects: isOver(model) ? [] : waitingOf(model) };
    case 'discard': return { model: { ...model, unsent: without(model.unsent, action.id) }, effects: [{ do: 'forget', id: action.id }] };
    case 'seen': return seen(model);
    case 'transcript': return { model: { ...model, transcript: { email: action.email, state: 'asked' } }, effects: [transcriptOf(action.email)] };
    case 'dismiss_unattended': return still({ ...model, unattended: false });
    case 'clock': return still(expired(model, action.now));
  }
}

/** The frame of something unsent. */
export function frameOf(unsent: Unsent): ClientFrame {
  const { id, text } = unsent;
  return unsent.kind === 'leave'
    ? { type: 'leave_message', id, email: unsent.email ?? '', text }
    : { type: 'message', id, text, files: unsent.files.map((file) => file.file) };
}

function reduceFrame(model: ChatModel, frame: ServerFrame, now: number): Step {
  switch (frame.type) {
    case 'welcome': return welcome(model, frame, now);
    case 'message': {
      if (frame.seq <= (model.last ?? 0)) return still(model);
      const { type: _type, ...message } = frame;
      return withMessages({ ...model, last: frame.seq }, [message]);
    }
    case 'accepted': return accepted(model, frame.id);
    case 'refused': return refused(model, frame);
    case 'mark': {
      const marks = { delivered: Math.max(model.marks.delivered, frame.delivered), read: Math.max(model.marks.read, frame.read) };
      return still({ ...model, marks });
    }
    case 'state': {
      if (frame.seq < model.stated) return still(model);
      const { type: _type, seq, ...state } = frame;
      return withState({ ...model, stated: seq }, state);
    }
    case 'typing':
      if (isOver(model)) return still(model);
      return still({ ...model, typing: { ...(frame.name ? { name: frame.name } : {}), until: now + TYPING_MS } });
    case 'warning': return { model: { ...model, warning: { until: now + frame.seconds * 1000 } }, effects: [{ do: 'tell', what: 'warning' }] };
    case 'unattended': return still({ ...withoutNotice(model), unattended: true, ...(frame.notice ? { notice: frame.notice } : {}) });
    case 'beat': return still(model);
  }
}

/** Everything above the last number seen, then whatever waits here, in its order and under its old ids. */
function welcome(model: ChatModel, frame: Extract<ServerFrame, { type: 'welcome' }>, now: number): Step {
  const fresh = frame.messages.filter((message) => message.seq > (model.last ?? 0));
  const last = Math.max(model.last ?? 0, frame.after, ...fresh.map((message) => message.seq));
  const { typing: _typing, warning: _warning, ...rest } = expired(model, now);
  const marks = frame.marks ?? model.marks;
  const filled = withMessages({ ...rest, last, stated: 0, marks, resting: false }, fresh, model.last !== null);
  const stated = withState(filled.model, frame.state);
  const again: Effect[] = isOver(stated.model) ? [] : waitingOf(stated.model);
  if (model.transcript?.state === 'asked') again.push(transcriptOf(model.transcript.email));
  return { model: stated.model, effects: [...filled.effects, ...stated.effects, ...again] };
}

/** Takes messages in; those of this citizen take the place of what was sent from here. `news`: worth telling. */
function withMessages(model: ChatModel, messages: readonly Message[], news = true): Step {
  const known = new Set(model.messages.map((message) => message.id));
  const fresh = messages.filter((message) => !known.has(message.id));
  if (fresh.length === 0) return still(model);
  const mine = new Set(fresh.flatMap((message) => (message.client_id ? [message.client_id] : [])));
  const theirs = fresh.filter((message) => message.from !== 'citizen').length;
  const effects: Effect[] = model.unsent.filter((unsent) => mine.has(unsent.id)).map(({ id }) => ({ do: 'forget', id }));
  if (theirs > 0 && news) effects.push({ do: 'tell', what: 'message' });
  const unsent = model.unsent.filter((each) => !mine.has(each.id));
  const rest = theirs > 0 ? withoutTyping(model) : model;
  const { warning: _warning, ...calm } = rest;
  const next = { ...(mine.size > 0 ? calm : rest), messages: [...model.messages, ...fresh], unsent };
  return { model: { ...next, unread: model.unread + (news ? theirs : 0) }, effects };
}

function withState(model: ChatModel, state: ChatModel['state']): Step {
  const was = isOver(model);
  const stated = { ...model, state, unattended: state.status === 'served' || state.status === 'left' ? false : model.unattended };
  if (!isOver(stated)) return { model: stated, effects: was ? [{ do: 'live' }] : [] };
  const { warning: _warning, ...calm } = withoutTyping(stated);
  const left = calm.unsent.map((unsent) => (unsent.state === 'waiting' ? { ...unsent, state: 'refused' as const, code: 'ended' } : unsent));
  return { model: { ...calm, unattended: false, unsent: left, resting: false }, effects: was ? [] : [{ do: 'tell', what: 'ended' }, { do: 'over' }] };
}

function write(model: ChatModel, unsent: Unsent): Step {
  if (model.unsent.some((each) => each.id === unsent.id) || model.messages.some((each) => each.client_id === unsent.id)) return still(model);
  const { warning: _warning, ...calm } = model;
  return { model: { ...calm, unsent: [...model.unsent, unsent] }, effects: keptAndSent(model, unsent) };
}

function retry(model: ChatModel, id: string): Step {
  const unsent = model.unsent.find((each) => each.id === id);
  if (!unsent || unsent.state === 'accepted') return still(model);
  const { code: _code, ...rest } = unsent;
  const waiting: Unsent = { ...rest, state: 'waiting' };
  return { model: replaced(model, waiting), effects: keptAndSent(model, waiting) };
}

function accepted(model: ChatModel, id: string): Step {
  if (id === TRANSCRIPT) return still(withTranscript(model, 'confirmed'));
  const unsent = model.unsent.find((each) => each.id === id);
  if (!unsent) return still(model);
  return { model: replaced(model, { ...unsent, state: 'accepted' }), effects: [{ do: 'forget', id }] };
}

function refused(model: ChatModel, frame: Extract<ServerFrame, { type: 'refused' }>): Step {
  const { id, code } = frame;
  if (id === TRANSCRIPT) return still(withTranscript(model, 'refused', code));
  const unsent = model.unsent.find((each) => each.id === id);
  if (!unsent || unsent.state !== 'waiting') return still(model);
  if (code === 'later') return { model: { ...model, resting: true }, effects: [{ do: 'send_later', id: unsent.id }] };
  return { model: replaced(model, { ...unsent, state: 'refused', code }), effects: [{ do: 'forget', id: unsent.id }] };
}

function refuse(model: ChatModel, why: Refusal): Step {
  const gone = { ...model, refusal: why };
  if (why !== 'session_over' || isOver(model)) return still(gone);
  return withState(gone, { status: 'ended', open: model.state.open, reason: 'unknown' });
}

function seen(model: ChatModel): Step {
  const newest = newestOfTheirs(model);
  const looked = model.unread > 0 ? { ...model, unread: 0 } : model;
  if (newest <= model.read || model.link !== 'online') return still(looked);
  return { model: { ...looked, read: newest }, effects: [{ do: 'send', frame: { type: 'read', seq: newest } }] };
}

function expired(model: ChatModel, now: number): ChatModel {
  const still = model.typing && model.typing.until <= now ? withoutTyping(model) : model;
  if (!still.warning || still.warning.until > now) return still;
  const { warning: _warning, ...rest } = still;
  return rest;
}

function withoutTyping(model: ChatModel): ChatModel {
  const { typing: _typing, ...rest } = model;
  return rest;
}

function withoutNotice(model: ChatModel): ChatModel {
  const { notice: _notice, ...rest } = model;
  return rest;
}

function withTranscript(model: ChatModel, state: 'confirmed' | 'refused', code = ''): ChatModel {
  return model.transcript ? { ...model, transcript: { ...model.transcript, state, code } } : model;
}

/** Nothing overtakes what is to be sent again. */
const keptAndSent = (model: ChatModel, unsent: Unsent): Effect[] => [{ do: 'keep', unsent }, ...(model.resting ? [] : [sendOf(unsent)])];
const waitingOf = (model: ChatModel): Effect[] => model.unsent.filter((unsent) => unsent.state === 'waiting').map(sendOf);
const sendOf = (unsent: Unsent): Effect => ({ do: 'send', frame: frameOf(unsent) });
const transcriptOf = (email: string): Effect => ({ do: 'send', frame: { type: TRANSCRIPT, email } });
const replaced = (model: ChatModel, unsent: Unsent): ChatModel => ({ ...model, unsent: model.unsent.map((each) => (each.id === unsent.id ? unsent : each)) });
const without = (list: readonly Unsent[], id: string) => list.filter((each) => each.id !== id);
const still = (model: ChatModel): Step => ({ model, effects: [] });
