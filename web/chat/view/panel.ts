// The widget as the page shows it: a round button, and the panel that it opens.
import type { Chat } from '../chat';
import { choose, dictionaryOf, Words } from '../words/words';
import { h, set, show, write } from './dom';
import { icon } from './icons';
import { start, type Start, type Typed } from './start';
import { Talk } from './talk';

/** Narrower than this the panel takes the whole screen, and the page behind it rests. */
const NARROW = '(max-width: 30em)';

export class Panel {
  private readonly launcher: HTMLButtonElement;
  private readonly purpose = h('span', { class: 'hidden' });
  private readonly badge = h('span', { class: 'badge', hidden: true, 'aria-hidden': 'true' });
  private readonly news = h('p', { class: 'hidden', role: 'status' });
  private readonly dialog: HTMLDialogElement;
  private readonly title = h('h2', { id: 'title', tabindex: -1 });
  private readonly minimise: HTMLButtonElement;
  private readonly body = h('div', { class: 'body' });
  private readonly narrow = matchMedia(NARROW);
  private readonly typed: Typed = { name: '', email: '', topic: '', text: '', privacy: false };
  /** What the body shows, and for which screen and language it was made. */
  private view: { key: string; start?: Start; talk?: Talk } = { key: '' };

  constructor(private readonly chat: Chat, private words: Words, private readonly root: ShadowRoot, private readonly loadWords: (language: string) => Promise<Record<string, string>>) {
    this.launcher = h('button', { type: 'button', class: 'launcher', 'aria-haspopup': 'dialog', onclick: () => this.open() });
    this.minimise = h('button', { type: 'button', class: 'minimise', onclick: () => this.close() }, icon('down'));
    this.dialog = h('dialog', { class: 'panel', 'aria-labelledby': 'title', onkeydown: (event) => this.key(event), oncancel: (event) => { event.preventDefault(); this.close(); } },
      h('div', { class: 'head' }, h('span', { class: 'seal' }, icon('chat')), this.title, this.minimise), this.body);
    root.append(this.launcher, this.news, this.dialog);
    chat.onChange(() => this.update());
    document.addEventListener('visibilitychange', this.looked);
    this.narrow.addEventListener('change', this.reshape);
    this.relabel();
    this.update();
    // A page of the same site, opened with the chat open: it stays open, and takes the focus from nobody.
    if (chat.keep.open && chat.session && !this.narrow.matches) this.unfold(false);
  }

  destroy(): void {
    document.removeEventListener('visibilitychange', this.looked);
    this.narrow.removeEventListener('change', this.reshape);
  }

  open(): void {
    if (this.dialog.open) return;
    if (!this.chat.config && !this.chat.session) void this.chat.loadConfig();
    this.unfold(true);
  }

  close(): void {
    if (!this.dialog.open) return;
    this.dialog.close();
    this.chat.keep.open = false;
    show(this.launcher, true);
    this.update();
    this.launcher.focus();
  }

  private unfold(takeFocus: boolean): void {
    this.chat.keep.open = true;
    if (!takeFocus) this.dialog.setAttribute('open', '');
    else if (this.narrow.matches) this.dialog.showModal();
    else this.dialog.show();
    show(this.launcher, false);
    this.update();
    this.view.talk?.shown();
    if (takeFocus) this.focus();
  }

  private focus(): void {
    const { start, talk } = this.view;
    if (talk) talk.focus();
    else if (start) start.focus();
    else this.title.focus();
  }

  private readonly looked = () => this.view.talk?.seen();

  private readonly reshape = () => {
    if (!this.dialog.open) return;
    const inside = this.root.activeElement as HTMLElement | null;
    this.dialog.close();
    if (this.narrow.matches) this.dialog.showModal();
    else this.dialog.show();
    inside?.focus();
  };

  private key(event: KeyboardEvent): void {
    if (event.key !== 'Escape' || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    if (!this.view.talk?.escape()) this.close();
  }

  /** Another language, chosen or found in the session. */
  private async speak(language: string): Promise<void> {
    this.words = new Words(language, await dictionaryOf(language, this.loadWords));
    this.relabel();
    this.update();
  }

  private choose(language: string): void {
    void this.speak(language).then(() => this.chat.loadConfig(language)).then(() => this.focusLanguage());
  }

  /** The form was made anew around the choice of language: the focus stays with it. */
  private focusLanguage(): void {
    this.body.querySelector<HTMLElement>('.language select')?.focus();
  }

  private relabel(): void {
    const { t, language } = this.words;
    set(this.root.host, 'lang', language);
    this.launcher.replaceChildren(this.purpose, icon('chat'), h('span', { class: 'launcher-label', 'aria-hidden': 'true' }, t('launcher.label')), this.badge);
    set(this.minimise, 'aria-label', t('panel.close'));
    set(this.minimise, 'title', t('panel.close'));
  }

  private update(): void {
    const { chat } = this;
    if (chat.session && chat.session.language !== this.words.language) return void this.speak(chat.session.language);
    const offered = chat.config?.languages ?? [];
    const fitting = choose([this.words.language], offered);
    if (chat.screen === 'start' && fitting !== this.words.language && offered.includes(fitting)) return this.choose(fitting);
    write(this.title, chat.config?.title ?? this.words.t('panel.title'));
    this.fill();
    const { unread } = chat.model;
    const open = this.dialog.open;
    show(this.badge, unread > 0 && !open);
    write(this.badge, String(unread));
    write(this.news, unread > 0 && !open ? this.words.t('launcher.unread', { n: unread }) : '');
    write(this.purpose, this.words.t('launcher.open') + (unread > 0 ? `. ${this.words.t('launcher.unread', { n: unread })}` : ''));
  }

  /** Makes the body anew when the screen changes, else brings it up to date. */
  private fill(): void {
    const { chat, words } = this;
    const screen = chat.screen;
    const key = `${screen} ${words.language} ${screen === 'start' ? JSON.stringify(chat.config) : (chat.session?.token ?? chat.failure)}`;
    if (key === this.view.key) return this.view.talk?.update();
    const focused = this.dialog.open && this.root.activeElement !== null;
    this.view = { key };
    switch (screen) {
      case 'loading': this.body.replaceChildren(h('p', { class: 'plain', role: 'status' }, words.t('common.loading'))); break;
      case 'failed': this.body.replaceChildren(this.failed()); break;
      case 'start': {
        const made = start(chat, words, this.typed, (language) => this.choose(language));
        this.view.start = made;
        this.body.replaceChildren(made.root);
        break;
      }
      case 'talk': {
        const talk = new Talk(chat, words, () => this.dialog.open && document.visibilityState === 'visible');
        this.view.talk = talk;
        this.body.replaceChildren(talk.root);
        if (this.dialog.open) talk.shown();
        break;
      }
    }
    // What had the focus is gone: whoever is inside stays inside.
    if (focused) this.focus();
  }

  private failed(): HTMLElement {
    const { t } = this.words;
    const again = h('button', { type: 'button', class: 'primary', onclick: () => void this.chat.loadConfig() }, t('common.retry'));
    return h('div', { class: 'plain' }, h('p', { role: 'alert' }, this.words.code('error', this.chat.failure)), again);
  }
}
