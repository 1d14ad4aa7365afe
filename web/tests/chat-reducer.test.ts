// The widget's model: no gap, no duplicate, nothing unsent lost, marks, the ends of a conversation.
import { describe, expect, it } from 'vitest';
import { emptyModel, newestOfTheirs, progressOf, type ChatModel, type Unsent } from '../chat/model';
import { frameOf, reduce, type Action, type Effect } from '../chat/reducer';
import type { ChatState, Message, ServerFrame } from '../chat/protocol';

const NOW = 1_000_000;
const IDLE: ChatState = { status: 'idle', open: true };
const message = (seq: number, rest: Partial<Message> = {}): Message => ({ seq, id: `ms_${seq}`, from: 'operator', text: `text ${seq}`, files: [], at: '2026-11-23T09:00:00Z', ...rest });
const unsent = (id: string, rest: Partial<Unsent> = {}): Unsent => ({ id, kind: 'message', text: `mine ${id}`, files: [], at: NOW, state: 'waiting', ...rest });
const frame = (frame: ServerFrame): Action => ({ do: 'frame', frame, now: NOW });
const welcome = (after: number, messages: Message[] = [], state: ChatState = IDLE): Action => frame({ type: 'welcome', after, state, messages });

/** Runs actions one after the other; the effects are those of all of them. */
function run(model: ChatModel, ...actions: Action[]): { model: ChatModel; effects: Effect[] } {
  const effects: Effect[] = [];
  for (const action of actions) {
    const step = reduce(model, action);
    model = step.model;
    effects.push(...step.effects);
  }
  return { model, effects };
}
const online: Action = { do: 'link', link: 'online' };
const texts = (model: ChatModel) => model.messages.map((each) => each.text);
const sent = (effects: Effect[]) => effects.flatMap((effect) => (effect.do === 'send' ? [effect.frame] : []));

describe('messages', () => {
  it('come once, whatever is repeated after a resume', () => {
    const { model } = run(emptyModel(), welcome(5, [message(3), message(5)]), frame({ type: 'message', ...message(6) }), welcome(7, [message(5), message(6), message(7)]), frame({ type: 'message', ...message(7) }));
    expect(texts(model)).toEqual(['text 3', 'text 5', 'text 6', 'text 7']);
    expect(model.last).toBe(7);
  });
  it('are asked for again from the last message, whatever the numbers of marks and states', () => {
    const { model } = run(emptyModel(), welcome(5), frame({ type: 'mark', seq: 80, delivered: 5, read: 0 }), frame({ type: 'state', seq: 90, status: 'waiting', position: 2, open: true }));
    expect(model.last).toBe(5);
    expect(texts(run(model, frame({ type: 'message', ...message(7) })).model)).toEqual(['text 7']);
    expect(run(model, frame({ type: 'state', seq: 89, status: 'idle', open: true })).model.state.status).toBe('waiting');
    expect(run(model, welcome(5), frame({ type: 'state', seq: 89, status: 'served', open: true })).model.state.status).toBe('served');
  });
  it('of a long conversation follow the welcome as frames', () => {
    const { model } = run(emptyModel(), welcome(0, [message(1), message(2)]), frame({ type: 'message', ...message(3) }), frame({ type: 'message', ...message(4) }));
    expect([texts(model).length, model.last]).toEqual([4, 4]);
  });
  it('of the conversation so far are no news, those that came meanwhile are', () => {
    const first = run(emptyModel(), welcome(5, [message(3)]));
    expect([first.model.unread, first.effects]).toEqual([0, []]);
    const second = run(first.model, welcome(9, [message(8), message(9)]));
    expect(second.model.unread).toBe(2);
    expect(second.effects).toEqual([{ do: 'tell', what: 'message' }]);
  });
  it('of this citizen from another tab are shown and not counted', () => {
    const { model } = run(emptyModel(), welcome(1), frame({ type: 'message', ...message(2, { from: 'citizen', client_id: 'elsewhere' }) }));
    expect([texts(model), model.unread]).toEqual([['text 2'], 0]);
  });
});

describe('what is sent', () => {
  it('is kept before it goes, and forgotten once it is durable', () => {
    const { model, effects } = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, frame({ type: 'accepted', id: 'a', message: 'ms_2' }));
    expect(effects.map((effect) => effect.do)).toEqual(['keep', 'send', 'forget']);
    expect(model.unsent.map((each) => each.state)).toEqual(['accepted']);
    expect(texts(run(model, frame({ type: 'message', ...message(2, { from: 'citizen', client_id: 'a', text: 'mine a' }) })).model)).toEqual(['mine a']);
  });
  it('goes again under the same id, in order, and not what was accepted or shown back', () => {
    const before = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, { do: 'write', unsent: unsent('b') }, { do: 'write', unsent: unsent('c') }, { do: 'write', unsent: unsent('d') }, frame({ type: 'accepted', id: 'b' })).model;
    const { model, effects } = run(before, welcome(4, [message(4, { from: 'citizen', client_id: 'a' })]));
    expect(sent(effects)).toEqual([frameOf(unsent('c')), frameOf(unsent('d'))]);
    expect(model.unsent.map((each) => each.id)).toEqual(['b', 'c', 'd']);
    expect(effects).toContainEqual({ do: 'forget', id: 'a' });
  });
  it('is written once, though two tabs keep it', () => {
    const { model, effects } = run(emptyModel([unsent('a')]), { do: 'write', unsent: unsent('a') }, welcome(1));
    expect([model.unsent.length, sent(effects).length]).toEqual([1, 1]);
  });
  it('is repeated when told "later", and shown as refused for any other reason', () => {
    const { model, effects } = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, { do: 'write', unsent: unsent('b') }, frame({ type: 'refused', id: 'a', code: 'later' }), frame({ type: 'refused', id: 'b', code: 'too_long' }));
    expect(effects).toContainEqual({ do: 'send_later', id: 'a' });
    expect(model.unsent).toMatchObject([{ id: 'a', state: 'waiting' }, { id: 'b', state: 'refused', code: 'too_long' }]);
    const again = run(model, { do: 'again' }, { do: 'retry', id: 'b' });
    expect(again.model.unsent[1]).toEqual(unsent('b'));
    expect(sent(again.effects)).toEqual([frameOf(unsent('a')), frameOf(unsent('b'))]);
    expect(run(model, { do: 'discard', id: 'b' }).model.unsent.map((each) => each.id)).toEqual(['a']);
  });
  it('is not overtaken, after "later", by what is written then', () => {
    const later = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, { do: 'write', unsent: unsent('b') }, frame({ type: 'refused', id: 'a', code: 'later' }), frame({ type: 'accepted', id: 'b' }));
    const written = run(later.model, { do: 'write', unsent: unsent('c') }, { do: 'retry', id: 'a' });
    expect(written.effects).toEqual([{ do: 'keep', unsent: unsent('c') }, { do: 'keep', unsent: unsent('a') }]);
    const again = run(written.model, { do: 'again' }, { do: 'write', unsent: unsent('d') });
    expect(sent(again.effects)).toEqual(['a', 'c', 'd'].map((id) => frameOf(unsent(id))));
    const resumed = run(written.model, welcome(1), { do: 'write', unsent: unsent('d') });
    expect(sent(resumed.effects)).toEqual(['a', 'c', 'd'].map((id) => frameOf(unsent(id))));
  });
  it('is not resent by a retry of what is accepted', () => {
    const { model } = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, frame({ type: 'accepted', id: 'a' }));
    expect(run(model, { do: 'retry', id: 'a' }).effects).toEqual([]);
  });
  it('as a message that is left has address and text', () => {
    expect(frameOf(unsent('a', { kind: 'leave', email: 'a@example.org', text: 'x' }))).toEqual({ type: 'leave_message', id: 'a', email: 'a@example.org', text: 'x' });
  });
});

describe('marks', () => {
  it('only go forward', () => {
    const { model } = run(emptyModel(), welcome(4, [message(4, { from: 'citizen' })]));
    expect(progressOf(model.messages[0]!, model.marks)).toBe('sent');
    const delivered = run(model, frame({ type: 'mark', seq: 5, delivered: 4, read: 0 })).model;
    expect(progressOf(delivered.messages[0]!, delivered.marks)).toBe('delivered');
    const read = run(delivered, frame({ type: 'mark', seq: 6, delivered: 4, read: 4 }), frame({ type: 'mark', seq: 7, delivered: 2, read: 1 })).model;
    expect(progressOf(read.messages[0]!, read.marks)).toBe('read');
  });
  it('survive a reload when the welcome carries them', () => {
    const { model } = run(emptyModel(), frame({ type: 'welcome', after: 4, state: IDLE, messages: [message(4, { from: 'citizen' })], marks: { delivered: 4, read: 4 } }));
    expect(progressOf(model.messages[0]!, model.marks)).toBe('read');
  });
  it('say what was seen, once, and only on a line', () => {
    const offline = run(emptyModel(), welcome(3, [message(3)]), { do: 'seen' });
    expect(sent(offline.effects)).toEqual([]);
    const { model, effects } = run(offline.model, online, { do: 'seen' }, { do: 'seen' });
    expect(sent(effects)).toEqual([{ type: 'read', seq: 3 }]);
    expect([model.unread, newestOfTheirs(model)]).toEqual([0, 3]);
  });
});

describe('what passes', () => {
  it('typing ends by itself or by the message', () => {
    const typing = run(emptyModel(), welcome(1), frame({ type: 'typing', name: 'Anna' })).model;
    expect(typing.typing).toEqual({ name: 'Anna', until: NOW + 6_000 });
    expect(run(typing, { do: 'clock', now: NOW + 5_999 }).model.typing).toBeDefined();
    expect(run(typing, { do: 'clock', now: NOW + 6_000 }).model.typing).toBeUndefined();
    expect(run(typing, frame({ type: 'message', ...message(2) })).model.typing).toBeUndefined();
  });
  it('a warning ends when the citizen writes, not when the office does', () => {
    const warned = run(emptyModel(), welcome(1), frame({ type: 'warning', seconds: 60 })).model;
    expect(warned.warning).toEqual({ until: NOW + 60_000 });
    expect(run(warned, frame({ type: 'message', ...message(2) })).model.warning).toBeDefined();
    expect(run(warned, { do: 'write', unsent: unsent('a') }).model.warning).toBeUndefined();
  });
  it('"nobody is there" ends when somebody is', () => {
    const alone = run(emptyModel(), welcome(1), frame({ type: 'unattended' })).model;
    expect(alone.unattended).toBe(true);
    const closed = run(alone, frame({ type: 'unattended', notice: 'Torniamo alle 14' })).model;
    expect(closed.notice).toBe('Torniamo alle 14');
    expect(run(closed, frame({ type: 'unattended' })).model.notice).toBeUndefined();
    expect(run(alone, frame({ type: 'state', seq: 2, status: 'served', open: true })).model.unattended).toBe(false);
    expect(run(alone, { do: 'dismiss_unattended' }).model.unattended).toBe(false);
  });
});

describe('the end', () => {
  const ended = frame({ type: 'state', seq: 9, status: 'ended', open: true, reason: 'operator' });
  it('is told once, and what was not sent says so', () => {
    const { model, effects } = run(emptyModel(), welcome(1), { do: 'write', unsent: unsent('a') }, ended, welcome(10, [], { status: 'ended', open: true, reason: 'operator' }));
    expect(effects.filter((effect) => effect.do === 'over').length).toBe(1);
    expect(model.unsent).toMatchObject([{ id: 'a', state: 'refused', code: 'ended' }]);
    expect(sent(effects).length).toBe(1);
  });
  it('may be taken back: the conversation goes on', () => {
    const over = run(emptyModel(), welcome(1), ended);
    for (const back of [frame({ type: 'state', seq: 10, status: 'served', open: true }), welcome(10, [], { status: 'waiting', open: true })]) {
      expect(run(over.model, back, frame({ type: 'state', seq: 11, status: 'served', open: true })).effects).toEqual([{ do: 'live' }]);
    }
  });
  it('comes with a session that is over', () => {
    const { model, effects } = run(emptyModel(), welcome(1, [message(1)]), { do: 'refusal', why: 'session_over' });
    expect(model.state).toMatchObject({ status: 'ended', reason: 'unknown' });
    expect(effects.map((effect) => effect.do)).toEqual(['tell', 'over']);
  });
  it('is not an abandonment: writing takes the conversation up again', () => {
    const abandoned: ChatState = { status: 'ended', open: true, reason: 'abandoned' };
    const { model, effects } = run(emptyModel([unsent('a')]), welcome(4, [message(4)], abandoned), { do: 'write', unsent: unsent('b') });
    expect(sent(effects).map((each) => 'id' in each && each.id)).toEqual(['a', 'b']);
    expect(effects.some((effect) => effect.do === 'over')).toBe(false);
    expect(run(model, frame({ type: 'state', seq: 9, status: 'waiting', open: true })).model.state.status).toBe('waiting');
  });
  it('is not a foreign origin: that is the page\'s fault', () => {
    const { model } = run(emptyModel(), welcome(1), { do: 'refusal', why: 'foreign_origin' });
    expect([model.state.status, model.refusal]).toEqual(['idle', 'foreign_origin']);
  });
  it('a transcript is asked for again until it is acknowledged', () => {
    const asked = run(emptyModel(), welcome(1), { do: 'transcript', email: 'a@example.org' });
    expect(sent(asked.effects)).toEqual([{ type: 'transcript', email: 'a@example.org' }]);
    expect(sent(run(asked.model, welcome(1)).effects)).toEqual([{ type: 'transcript', email: 'a@example.org' }]);
    expect(run(asked.model, frame({ type: 'refused', id: 'transcript', code: 'no_transcript' })).model.transcript).toMatchObject({ state: 'refused', code: 'no_transcript' });
    const confirmed = run(asked.model, frame({ type: 'accepted', id: 'transcript' })).model;
    expect(confirmed.transcript?.state).toBe('confirmed');
    expect(sent(run(confirmed, welcome(1)).effects)).toEqual([]);
  });
});
