// What comes up in the place of the composer: leaving a message, the question before the end, the wish for a transcript.
import type { Chat } from '../chat';
import type { Words } from '../words/words';
import { h, show, write } from './dom';
import { check, field, wrongEmail } from './field';

export interface Sheet { root: HTMLElement; focus(): void }

/** Asks once before the conversation ends. */
export function endSheet(chat: Chat, words: Words, onClose: () => void): Sheet {
  const yes = h('button', { type: 'button', class: 'primary danger', onclick: () => { onClose(); chat.end(); } }, words.t('end.yes'));
  const root = h('div', { class: 'sheet', role: 'group', 'aria-label': words.t('end.ask') },
    h('p', { class: 'ask' }, words.t('end.ask')),
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: onClose }, words.t('common.cancel')), yes));
  return { root, focus: () => yes.focus() };
}

/** Where the transcript goes. */
export function transcriptSheet(chat: Chat, words: Words, onClose: () => void): Sheet {
  const email = field(words.t('start.email'), h('input', { type: 'email', autocomplete: 'email', inputmode: 'email', maxlength: 254 }));
  email.control.value = chat.session?.email ?? '';
  const submit = (event: Event) => {
    event.preventDefault();
    const address = email.control.value.trim();
    if (!check([[email, wrongEmail(words, address, true)]])) return;
    onClose();
    chat.dispatch({ do: 'transcript', email: address });
  };
  const root = h('form', { class: 'sheet', novalidate: true, onsubmit: submit, 'aria-label': words.t('transcript.button') },
    h('p', {}, words.t('transcript.text')), email.root,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: onClose }, words.t('common.cancel')), h('button', { type: 'submit', class: 'primary' }, words.t('transcript.send'))));
  return { root, focus: () => email.control.focus() };
}

/** Text and address for an answer by email; what was written already stands in it. */
export function leaveSheet(chat: Chat, words: Words, draft: string, onClose: () => void): Sheet & { update(): void } {
  const { t } = words;
  const said = [...chat.model.messages.filter((message) => message.from === 'citizen').map((message) => message.text), draft];
  const email = field(t('start.email'), h('input', { type: 'email', autocomplete: 'email', inputmode: 'email', maxlength: 254 }));
  const text = field(t('start.text'), h('textarea', { rows: 4, maxlength: chat.limits.message_chars }));
  email.control.value = chat.session?.email ?? '';
  text.control.value = said.filter(Boolean).join('\n').slice(0, chat.limits.message_chars);
  const failure = h('p', { class: 'failure', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, t('start.leave'));
  const submit = (event: Event) => {
    event.preventDefault();
    const [where, message] = [email.control.value.trim(), text.control.value.trim()];
    if (button.disabled || !check([[email, wrongEmail(words, where, true)], [text, message ? undefined : t('invalid.text')]])) return;
    for (const refused of chat.model.unsent.filter((each) => each.kind === 'leave' && each.state === 'refused')) chat.dispatch({ do: 'discard', id: refused.id });
    chat.leave(where, message);
  };
  /** On its way, refused, or still to be written. */
  const update = () => {
    const sent = chat.model.unsent.findLast((each) => each.kind === 'leave');
    const waits = sent !== undefined && sent.state !== 'refused';
    button.disabled = waits;
    write(button, t(waits ? 'leave.sending' : 'start.leave'));
    write(failure, sent?.state === 'refused' ? words.code('error', sent.code) : '');
    show(failure, failure.textContent !== '');
  };
  const root = h('form', { class: 'sheet', novalidate: true, onsubmit: submit, 'aria-label': t('leave.title') },
    h('p', { class: 'ask' }, t('leave.title')), email.root, text.root, failure,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: onClose }, t('common.cancel')), button));
  update();
  return { root, focus: () => (email.control.value ? text.control : email.control).focus(), update };
}
