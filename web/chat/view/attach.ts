// Files chosen for the next message: sent up at once, shown with how far they are, taken away again if unwanted.
import type { RunningUpload } from '../api';
import { codeOf, type Chat } from '../chat';
import type { ChatFile } from '../protocol';
import type { Words } from '../words/words';
import { h, show, write } from './dom';
import { icon } from './icons';

interface Chosen { root: HTMLElement; running?: RunningUpload; done?: ChatFile; failed: boolean }

export class Attachments {
  readonly root: HTMLElement;
  private readonly problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  private readonly list: HTMLElement;
  private chosen: Chosen[] = [];

  constructor(private readonly chat: Chat, private readonly words: Words, private readonly onChange: () => void) {
    this.list = h('ul', { class: 'files', 'aria-label': words.t('file.list'), hidden: true });
    this.root = h('div', {}, this.list, this.problem);
  }

  get done(): ChatFile[] { return this.chosen.flatMap((each) => (each.done ? [each.done] : [])); }
  get isUploading(): boolean { return this.chosen.some((each) => !each.done && !each.failed); }

  add(files: Iterable<File>): void {
    this.complain('');
    const { attachments, attachment_bytes } = this.chat.limits;
    for (const file of files) {
      if (this.chosen.length >= attachments) this.complain(this.words.t('error.too_many_files', { n: attachments }));
      else if (file.size > attachment_bytes) this.complain(this.tooLarge());
      else this.upload(file);
    }
    this.changed();
  }

  clear(): void {
    for (const each of this.chosen) each.running?.cancel();
    this.chosen = [];
    this.list.replaceChildren();
    this.complain('');
    this.changed();
  }

  private upload(file: File): void {
    const { t } = this.words;
    const bar = h('progress', { max: 1, value: 0, 'aria-label': t('file.uploading', { name: file.name }) });
    const remove = h('button', { type: 'button', class: 'small', 'aria-label': t('file.remove', { name: file.name }) }, icon('cross'));
    const root = h('li', { class: 'file' }, icon('file'), h('span', { class: 'file-name' }, file.name), h('span', { class: 'size' }, this.words.bytes(file.size)), bar, remove);
    const running = this.chat.upload(file, (share) => (bar.value = share));
    const each: Chosen = { root, running, failed: false };
    remove.addEventListener('click', () => {
      running.cancel();
      this.chosen = this.chosen.filter((other) => other !== each);
      root.remove();
      this.changed();
    });
    this.chosen.push(each);
    this.list.append(root);
    running.done
      .then((done) => (each.done = done))
      .catch((error: unknown) => {
        each.failed = true;
        const code = codeOf(error);
        root.classList.add('failed');
        bar.replaceWith(h('span', { class: 'trouble', role: 'alert' }, code === 'too_large' ? this.tooLarge() : this.words.code('error', code)));
      })
      .finally(() => {
        bar.remove();
        this.changed();
      });
  }

  private tooLarge(): string {
    return this.words.t('error.too_large', { size: this.words.bytes(this.chat.limits.attachment_bytes) });
  }

  private complain(text: string): void {
    write(this.problem, text);
    show(this.problem, text !== '');
  }

  private changed(): void {
    show(this.list, this.chosen.length > 0);
    this.onChange();
  }
}
