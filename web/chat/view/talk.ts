// The conversation: how the line is, what was said, and at the bottom the composer, a sheet, or how it ended.
import type { Chat } from '../chat';
import { isAbandoned, isOver } from '../model';
import type { Words } from '../words/words';
import { Composer } from './composer';
import { h, set, show, write } from './dom';
import { Log } from './log';
import { endSheet, leaveSheet, transcriptSheet, type Sheet } from './sheets';

type Opened = { kind: 'end' | 'transcript' | 'leave'; sheet: Sheet; update?: () => void };

export class Talk {
  readonly root: HTMLElement;
  readonly composer: Composer;
  private readonly log: Log;
  private readonly line = h('p', { class: 'line-state', role: 'status' });
  private readonly place = h('p', { class: 'place', role: 'status' });
  private readonly typing = h('p', { class: 'typing', role: 'status' });
  private readonly warning = h('div', { class: 'banner warning', hidden: true });
  private readonly countdown = h('span', { 'aria-hidden': 'true' });
  private readonly unattended: HTMLElement;
  private readonly notice = h('p', { class: 'notice', role: 'status', hidden: true });
  private readonly over: HTMLElement;
  private readonly ending = h('p', { class: 'ending', role: 'status', tabindex: -1 });
  private readonly bottom = h('div', { class: 'bottom' });
  private readonly links: HTMLElement;
  private readonly endLink: HTMLButtonElement;
  private readonly newLink: HTMLButtonElement;
  private readonly transcriptLink: HTMLButtonElement;
  private readonly transcript = h('p', { class: 'transcript', role: 'status' });
  private opened: Opened | undefined;
  private wasOver: boolean;
  private warned = false;

  constructor(private readonly chat: Chat, private readonly words: Words, private readonly isWatched: () => boolean) {
    const { t } = words;
    this.wasOver = isOver(chat.model);
    this.log = new Log(chat, words, () => this.seen());
    this.composer = new Composer(chat, words);
    this.unattended = h('div', { class: 'banner', role: 'group', 'aria-label': t('leave.title'), hidden: true },
      h('p', { role: 'status' }, t('unattended.text')), this.notice,
      h('div', { class: 'buttons' },
        h('button', { type: 'button', onclick: () => chat.dispatch({ do: 'dismiss_unattended' }) }, t('unattended.wait')),
        h('button', { type: 'button', class: 'primary', onclick: () => this.open('leave') }, t('unattended.leave'))));
    this.endLink = h('button', { type: 'button', class: 'link', onclick: () => this.open('end') }, t('end.button'));
    this.transcriptLink = h('button', { type: 'button', class: 'link', onclick: () => this.open('transcript') }, t('transcript.button'));
    this.newLink = h('button', { type: 'button', class: 'link', onclick: () => this.startOver() }, t('end.new'));
    this.links = h('div', { class: 'links' }, this.transcriptLink, this.endLink, this.newLink);
    this.over = h('div', { class: 'over' }, this.ending, h('button', { type: 'button', class: 'primary', onclick: () => this.startOver() }, t('end.new')));
    this.root = h('div', { class: 'talk' }, this.line, this.place, this.log.root, this.typing, this.warning, this.unattended, this.bottom);
    this.bottom.append(this.composer.root, this.over, this.transcript, this.links);
    this.update();
    if (this.wasOver) this.fitOver();
  }

  focus(): void {
    if (this.opened) this.opened.sheet.focus();
    else if (isOver(this.chat.model)) this.ending.focus();
    else this.composer.area.focus();
  }

  /** Comes onto the screen: the end of the text is what one wants to see. */
  shown(): void {
    this.log.toEnd();
    this.seen();
  }

  /** Closes the innermost thing that is open; false if nothing was. */
  escape(): boolean {
    if (this.composer.escape()) return true;
    if (!this.opened) return false;
    this.close();
    return true;
  }

  seen(): void {
    if (this.isWatched() && this.log.isAtEnd) this.chat.dispatch({ do: 'seen' });
  }

  update(): void {
    const { model } = this.chat;
    const over = isOver(model);
    this.log.update();
    write(this.line, this.lineText());
    show(this.line, this.line.textContent !== '');
    set(this.line, 'data-link', model.refusal && !over ? 'broken' : model.link);
    write(this.place, this.placeText());
    show(this.place, this.place.textContent !== '');
    write(this.typing, model.typing ? (model.typing.name ? this.words.t('typing.name', { name: model.typing.name }) : this.words.t('typing.someone')) : '');
    set(this.typing, 'data-on', model.typing !== undefined);
    this.updateWarning();
    write(this.notice, model.notice ?? '');
    show(this.notice, model.notice !== undefined);
    show(this.unattended, model.unattended && this.opened?.kind !== 'leave');
    this.updateTranscript(over);
    this.opened?.update?.();
    if (over && !this.wasOver) this.end();
    const goesOn = !over && this.wasOver;
    const inside = goesOn && this.hasFocus(this.over);
    if (goesOn) this.wasOver = false;
    this.arrange(over);
    if (inside) this.composer.area.focus();
    if (this.isWatched() && this.log.isAtEnd && model.unread > 0) this.chat.dispatch({ do: 'seen' });
  }

  private lineText(): string {
    const { model } = this.chat;
    if (isOver(model)) return '';
    if (model.refusal) return this.words.t('link.broken');
    if (model.link === 'offline') return this.words.t('link.offline');
    return model.link === 'connecting' && model.last === null ? this.words.t('link.connecting') : '';
  }

  private placeText(): string {
    const { t } = this.words;
    const { state, last } = this.chat.model;
    if (last === null) return '';
    switch (state.status) {
      case 'idle': return t('state.idle');
      case 'waiting': return state.position ? t('state.position', { n: state.position }) : t('state.waiting');
      case 'served': return state.name ? t('state.served', { name: state.name }) : t('state.served_plain');
      case 'ended': return isAbandoned(this.chat.model) ? t('state.abandoned') : '';
      case 'left': return '';
    }
  }

  /** Said once, counted silently: a screen reader should not read every second. */
  private updateWarning(): void {
    const { warning } = this.chat.model;
    show(this.warning, warning !== undefined);
    if (!warning) {
      this.warned = false;
      this.warning.replaceChildren();
      return;
    }
    const time = this.words.countdown(warning.until - Date.now());
    if (!this.warned) {
      const [before, after] = this.words.t('warning.text', { time: '\u0000' }).split('\u0000');
      this.warning.replaceChildren(h('p', { role: 'alert' }, before ?? '', h('span', { class: 'hidden' }, time), this.countdown, after ?? ''));
      this.warned = true;
    }
    write(this.countdown, time);
  }

  private updateTranscript(over: boolean): void {
    const { transcript, link } = this.chat.model;
    const { t } = this.words;
    const words = { asked: t('transcript.asked'), confirmed: t('transcript.done'), refused: this.words.code('error', transcript?.code) };
    write(this.transcript, transcript ? words[transcript.state] : '');
    show(this.transcript, transcript !== undefined);
    set(this.transcript, 'data-state', transcript?.state);
    const may = this.chat.config?.transcript !== false && this.chat.model.messages.some((message) => message.from === 'operator') && (!over || link === 'online') && (!transcript || transcript.state === 'refused');
    show(this.transcriptLink, may && this.chat.model.state.status !== 'left');
  }

  private arrange(over: boolean): void {
    const { model } = this.chat;
    show(this.composer.root, !over && !this.opened && model.refusal === undefined);
    show(this.over, over && !this.opened);
    show(this.endLink, !over && model.link === 'online' && !isAbandoned(model));
    show(this.newLink, isAbandoned(model));
    show(this.links, !this.opened && [this.endLink, this.newLink, this.transcriptLink].some((link) => !link.hidden));
    if (!over) return;
    const { status, reason } = model.state;
    write(this.ending, status === 'left' ? this.words.t('state.left') : this.words.code('ended', reason));
  }

  /** The conversation ended just now: whoever was writing is taken to what they can do next. */
  private end(): void {
    this.wasOver = true;
    const inside = this.hasFocus(this.bottom);
    this.close(false);
    this.fitOver();
    if (inside) this.ending.focus();
  }

  private hasFocus(part: HTMLElement): boolean {
    const { activeElement } = this.root.getRootNode() as ShadowRoot;
    return activeElement != null && part.contains(activeElement);
  }

  private fitOver(): void {
    this.arrange(true);
  }

  private open(kind: Opened['kind']): void {
    this.close(false);
    const close = () => this.close();
    if (kind === 'leave') {
      const sheet = leaveSheet(this.chat, this.words, this.composer.area.value.trim(), close);
      this.opened = { kind, sheet, update: sheet.update };
    } else this.opened = { kind, sheet: kind === 'end' ? endSheet(this.chat, this.words, close) : transcriptSheet(this.chat, this.words, close) };
    this.bottom.prepend(this.opened.sheet.root);
    this.update();
    this.opened.sheet.focus();
  }

  /** Closes the sheet; the focus goes back to where it was opened. */
  private close(back = true): void {
    const opened = this.opened;
    if (!opened) return;
    this.opened = undefined;
    opened.sheet.root.remove();
    this.update();
    if (!back) return;
    const from = { end: this.endLink, transcript: this.transcriptLink, leave: this.unattended.querySelector<HTMLElement>('.primary') }[opened.kind];
    if (from && from.checkVisibility()) from.focus();
    else this.focus();
  }

  private startOver(): void {
    const left = this.chat.startOver();
    if (left) this.chat.keep.draft = left;
  }
}
