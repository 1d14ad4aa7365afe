// Where the citizen writes: text, emoji, files. Enter sends, Shift+Enter makes a new line.
import type { Chat } from '../chat';
import type { Words } from '../words/words';
import { Attachments } from './attach';
import { h, show, uid, write } from './dom';
import { EmojiBoard } from './emoji';
import { icon } from './icons';

/** The count is shown from here on. */
const COUNT_FROM = 0.8;

export class Composer {
  readonly root: HTMLFormElement;
  readonly area: HTMLTextAreaElement;
  private readonly files: Attachments;
  private readonly board: EmojiBoard;
  private readonly send: HTMLButtonElement;
  private readonly left = h('span', { class: 'left', role: 'status' });

  constructor(private readonly chat: Chat, private readonly words: Words) {
    const { t } = words;
    const hint = h('p', { class: 'hidden', id: uid('hint') }, t('write.hint'));
    const id = uid('write');
    this.area = h('textarea', { id, rows: 1, placeholder: t('write.placeholder'), 'aria-describedby': hint.id, enterkeyhint: 'send', oninput: () => this.typed(), onkeydown: (event) => this.key(event), onpaste: (event) => this.take(event, event.clipboardData) });
    this.area.value = chat.keep.draft;
    this.files = new Attachments(chat, words, () => this.changed());
    const picker = h('input', { type: 'file', multiple: true, hidden: true, onchange: () => { this.files.add(picker.files ?? []); picker.value = ''; } });
    const clip = tool('clip', t('write.attach'));
    clip.addEventListener('click', () => picker.click());
    const smile = tool('smile', t('write.emoji'));
    this.board = new EmojiBoard(t('write.emoji'), smile, (emoji) => this.insert(emoji));
    this.send = h('button', { type: 'submit', class: 'send', 'aria-label': t('write.send'), title: t('write.send') }, icon('send'));
    this.root = h('form', { class: 'composer', onsubmit: (event) => { event.preventDefault(); this.submit(); }, ondragover: (event) => event.preventDefault(), ondrop: (event) => this.take(event, event.dataTransfer) },
      this.files.root, this.board.root, h('label', { for: id, class: 'hidden' }, t('write.label')), hint,
      h('div', { class: 'row' }, smile, clip, this.area, this.send), this.left, picker);
    this.changed();
  }

  /** Closes what is open above the text; false if nothing was. */
  escape(): boolean {
    const open = this.board.isOpen;
    if (open) this.board.close(true);
    return open;
  }

  /** Puts a text in that is not lost yet. */
  fill(text: string): void {
    if (!text || this.area.value) return;
    this.area.value = text;
    this.changed();
  }

  private insert(text: string): void {
    this.area.focus();
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, 'end');
    this.typed();
  }

  private typed(): void {
    if (this.area.value) this.chat.typing();
    this.changed();
  }

  private changed(): void {
    const { message_chars } = this.chat.limits;
    const count = [...this.area.value].length;
    this.chat.keep.draft = this.area.value;
    write(this.left, count > message_chars * COUNT_FROM ? this.words.t('write.left', { n: message_chars - count }) : '');
    show(this.left, this.left.textContent !== '');
    const empty = this.area.value.trim() === '' && this.files.done.length === 0;
    this.send.disabled = empty || count > message_chars || this.files.isUploading;
    // As high as the text, up to the height in the style sheet.
    this.area.rows = Math.min(5, Math.max(1, this.area.value.split('\n').length, Math.ceil(count / 32)));
  }

  private key(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.submit();
  }

  private submit(): void {
    if (this.send.disabled) return;
    this.chat.send(this.area.value.trim(), this.files.done);
    this.area.value = '';
    this.files.clear();
    this.changed();
    this.area.focus();
  }

  private take(event: Event, data: DataTransfer | null): void {
    if (!data || data.files.length === 0) return;
    event.preventDefault();
    this.files.add(data.files);
  }
}

function tool(name: 'clip' | 'smile', label: string): HTMLButtonElement {
  return h('button', { type: 'button', class: 'tool', 'aria-label': label, title: label }, icon(name));
}
