// What was said, in its order. Each message keeps its element from "not sent yet" to "read", so that nothing is read out twice.
import { pieces } from '../../src/lib/linkify';
import type { Chat } from '../chat';
import { progressOf, type Progress } from '../model';
import type { ChatFile, From } from '../protocol';
import type { Words } from '../words/words';
import { arrange, h, set, show, write } from './dom';
import { icon, type Icon } from './icons';

interface Line { key: string; from: From; name: string; text: string; files: readonly ChatFile[]; at: number; progress?: Progress; code?: string; id: string }
interface Shown { root: HTMLElement; update(line: Line, follows: boolean, quiet: boolean): void }

const ICON_OF: Record<Progress, Icon> = { waiting: 'clock', refused: 'warn', sent: 'check', delivered: 'checks', read: 'checks' };
/** So near to the end counts as being there, in CSS pixels. */
const NEAR_PX = 60;

export class Log {
  readonly root: HTMLElement;
  private readonly list = h('div', { class: 'lines' });
  private readonly shown = new Map<string, Shown>();
  private atEnd = true;

  constructor(private readonly chat: Chat, private readonly words: Words, private readonly onSeen: () => void) {
    // The log scrolls, so it can be reached by keyboard.
    this.root = h('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', tabindex: 0, 'aria-label': words.t('log.label'), onscroll: () => this.scrolled() }, this.list);
    // A sheet or a banner takes of its height: the end stays in sight.
    new ResizeObserver(() => { if (this.atEnd) this.toEnd(); }).observe(this.root);
  }

  /** Whether the newest is on the screen. */
  get isAtEnd(): boolean { return this.atEnd; }

  update(): void {
    const lines = linesOf(this.chat, this.words);
    const keys = new Set(lines.map((line) => line.key));
    const grown = lines.some((line) => !this.shown.has(line.key));
    const mine = lines.at(-1)?.from === 'citizen';
    for (const key of this.shown.keys()) if (!keys.has(key)) this.shown.delete(key);
    const nextMark = (at: number) => lines.find((line, place) => place > at && line.progress !== undefined)?.progress;
    lines.forEach((line, at) => {
      const before = lines[at - 1];
      const newDay = before !== undefined && dayOf(before.at) !== dayOf(line.at);
      let shown = this.shown.get(line.key);
      if (!shown) this.shown.set(line.key, (shown = this.make(line, newDay)));
      shown.update(line, !newDay && before?.from === line.from && before.name === line.name, line.progress !== undefined && nextMark(at) === line.progress);
    });
    arrange(this.list, lines.map((line) => this.shown.get(line.key)!.root));
    if (grown && (this.atEnd || mine)) this.toEnd();
  }

  toEnd(): void {
    this.root.scrollTop = this.root.scrollHeight;
    this.atEnd = true;
  }

  private scrolled(): void {
    this.atEnd = this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < NEAR_PX;
    if (this.atEnd) this.onSeen();
  }

  private make(line: Line, newDay: boolean): Shown {
    const { t } = this.words;
    const mine = line.from === 'citizen';
    const who = h('p', { class: 'who' }, h('strong', {}, line.name), ' ', h('time', { datetime: new Date(line.at).toISOString() }, this.words.time(line.at)));
    const bubble = h('div', { class: 'bubble' }, line.text ? text(line.text) : undefined, this.files(line.files));
    const mark = h('span', { class: 'mark' });
    const progress = h('p', { class: 'progress', hidden: !mine }, mark);
    const again = h('button', { type: 'button', class: 'link', onclick: () => this.chat.dispatch({ do: 'retry', id: line.id }) }, t('common.retry'));
    const discard = h('button', { type: 'button', class: 'link', onclick: () => this.chat.dispatch({ do: 'discard', id: line.id }) }, t('progress.discard'));
    const trouble = h('span', { class: 'trouble', hidden: true });
    progress.append(trouble, again, discard);
    const day = newDay ? h('p', { class: 'day' }, this.words.day(line.at)) : undefined;
    const root = h('div', { class: `line ${mine ? 'mine' : `theirs ${line.from}`}` }, day, who, bubble, progress);
    let last: Progress | undefined;
    const update = (now: Line, follows: boolean, quiet: boolean) => {
      set(root, 'data-follows', follows);
      // The same mark on the next one says it for both.
      set(root, 'data-quiet', quiet && now.progress !== 'refused');
      if (!now.progress) return;
      write(trouble, now.code ? this.words.code('error', now.code) : '');
      show(trouble, now.progress === 'refused');
      show(again, now.progress === 'refused' && now.code !== 'ended');
      show(discard, now.progress === 'refused' && now.code !== 'ended');
      if (last === now.progress) return;
      last = now.progress;
      set(root, 'data-progress', now.progress);
      mark.replaceChildren(icon(ICON_OF[now.progress]), t(`progress.${now.progress}`));
    };
    return { root, update };
  }

  private files(files: readonly ChatFile[]): HTMLElement | undefined {
    if (files.length === 0) return undefined;
    const items = files.map((file) => {
      const size = this.words.bytes(file.bytes);
      const button: HTMLButtonElement = h('button', { type: 'button', class: 'file', onclick: () => void this.download(file, button) }, icon('file'), h('span', { class: 'hidden' }, this.words.t('file.download', { name: '' })), h('span', { class: 'file-name' }, file.name), h('span', { class: 'size' }, ` ${size}`));
      return h('li', {}, button);
    });
    return h('ul', { class: 'files', 'aria-label': this.words.t('file.list') }, ...items);
  }

  /** The file needs the session's header, so a plain link can't fetch it. */
  private async download(file: ChatFile, button: HTMLButtonElement): Promise<void> {
    set(button, 'aria-busy', 'true');
    try {
      const address = URL.createObjectURL(await this.chat.download(file));
      const link = h('a', { href: address, download: file.name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch {
      button.append(h('span', { class: 'trouble', role: 'alert' }, ` ${this.words.t('error.unexpected')}`));
    }
    set(button, 'aria-busy', undefined);
  }
}

const dayOf = (at: number) => new Date(at).toDateString();

/** Text with its web addresses as links that tell the other side nothing of this page. */
function text(content: string): HTMLElement {
  const parts = pieces(content).map(({ text, href }) => (href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text) : text));
  return h('p', { class: 'text' }, ...parts);
}

function linesOf({ model, session }: Chat, words: Words): Line[] {
  const you = words.t('log.you');
  const said = model.messages.map((message): Line => {
    const { id, from, text, files } = message;
    const key = message.client_id ?? id;
    const name = from === 'citizen' ? you : (message.name ?? words.t(`log.${from}`));
    return { key, id, from, name, text, files, at: Date.parse(message.at) || 0, ...(from === 'citizen' && session ? { progress: progressOf(message, model.marks) } : {}) };
  });
  const waiting = model.unsent.filter((unsent) => unsent.kind === 'message').map((unsent): Line => {
    const { id, text, files, at, code } = unsent;
    const progress = unsent.state === 'accepted' ? 'sent' : unsent.state;
    return { key: id, id, from: 'citizen', name: you, text, files, at, progress, ...(code ? { code } : {}) };
  });
  return [...said, ...waiting];
}
