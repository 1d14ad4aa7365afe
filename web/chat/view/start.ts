// The beginning: who writes, about what, with the privacy notice. When nobody is there, the message itself too.
import { codeOf, type Chat } from '../chat';
import type { Topic } from '../protocol';
import { LANGUAGES, type Words } from '../words/words';
import { h, show, write } from './dom';
import { check, field, wrongEmail } from './field';

export interface Start { root: HTMLElement; focus(): void }
/** What was typed, kept when the form is made anew in another language. */
export interface Typed { name: string; email: string; topic: string; text: string; privacy: boolean }

export function start(chat: Chat, words: Words, typed: Typed, onLanguage: (language: string) => void): Start {
  const { t } = words;
  const config = chat.config!;
  const closed = !config.open;
  const name = field(t('start.name'), h('input', { type: 'text', autocomplete: 'name', maxlength: chat.limits.name_chars }));
  const email = field(t('start.email'), h('input', { type: 'email', autocomplete: 'email', inputmode: 'email', maxlength: 254 }), closed ? {} : { hint: t('start.email_hint'), optional: t('common.optional') });
  const topic = field(t('start.topic'), topics(config.topics, t('start.choose')));
  const text = field(t('start.text'), h('textarea', { rows: 4, maxlength: chat.limits.message_chars }));
  const privacy = field(config.privacy_text || t('start.privacy'), h('input', { type: 'checkbox' }));
  const failure = h('p', { class: 'failure', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, t(closed ? 'start.leave' : 'start.begin'));

  name.control.value = typed.name;
  email.control.value = typed.email;
  topic.control.value = typed.topic;
  text.control.value = typed.text;
  privacy.control.checked = typed.privacy;
  const keep = () => Object.assign(typed, { name: name.control.value, email: email.control.value, topic: topic.control.value, text: text.control.value, privacy: privacy.control.checked });
  const needsTopic = config.topics.length > 0;
  show(topic.root, needsTopic);
  show(text.root, closed);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (button.disabled) return;
    const [who, where, message] = [name.control.value.trim(), email.control.value.trim(), text.control.value.trim()];
    const fine = check([
      [name, who ? undefined : t('invalid.name')],
      [email, wrongEmail(words, where, closed)],
      [topic, !needsTopic || topic.control.value ? undefined : t('invalid.topic')],
      [text, !closed || message ? undefined : t('invalid.text')],
      [privacy, privacy.control.checked ? undefined : t('invalid.privacy')],
    ]);
    if (!fine) return;
    button.disabled = true;
    write(failure, '');
    try {
      await chat.begin({ name: who, email: where, topic: topic.control.value, text: closed ? message : '' });
      // The next conversation may be somebody else's, and their consent is not given beforehand.
      Object.assign(typed, { name: '', email: '', topic: '', text: '', privacy: false });
    } catch (error) {
      write(failure, words.code('error', codeOf(error)));
      button.disabled = false;
      button.focus();
    }
  }

  const root = h('form', { class: 'start', novalidate: true, onsubmit: (event) => void submit(event), oninput: keep, onchange: keep },
    languages(chat, words, onLanguage),
    h('p', { class: 'intro' }, t(closed ? 'start.closed' : chat.wasOver ? 'start.over' : 'start.intro')),
    closed && config.notice ? h('p', { class: 'notice' }, config.notice) : undefined,
    name.root, email.root, topic.root, text.root,
    notice(config.privacy_url, words),
    privacy.root, failure, button);
  return { root, focus: () => name.control.focus() };
}

function topics(list: readonly Topic[], choose: string): HTMLSelectElement {
  return h('select', {}, h('option', { value: '' }, choose), ...list.map((topic) => h('option', { value: topic.id }, topic.label)));
}

/** Only an address of the web is a link: the config is the office's, its address is still not run. */
function notice(url: string | undefined, words: Words): HTMLElement | undefined {
  if (!url || !/^https?:\/\//i.test(new URL(url, location.href).href)) return undefined;
  return h('p', {}, h('a', { href: url, target: '_blank', rel: 'noopener' }, words.t('start.privacy_link'), h('span', { class: 'hidden' }, ` ${words.t('start.new_tab')}`)));
}

/** The languages of the office, each by its own name. */
function languages(chat: Chat, words: Words, onLanguage: (language: string) => void): HTMLElement | undefined {
  const offered = (chat.config?.languages ?? []).filter((language) => language in LANGUAGES);
  if (offered.length < 2) return undefined;
  const options = offered.map((language) => h('option', { value: language, lang: language, selected: language === words.language }, LANGUAGES[language]!));
  const chosen = field(words.t('start.language'), h('select', {}, ...options));
  chosen.root.classList.add('language');
  chosen.control.addEventListener('change', () => onLanguage(chosen.control.value));
  return chosen.root;
}
