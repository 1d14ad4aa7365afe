// The reply that is being written: its fields, its files, and its place in the browser's storage.
import { ApiError } from '../api/errors';
import { upload, type RunningUpload } from '../api/upload';
import { desk } from '../state/console.svelte';
import type { DraftAttachment } from '../state/drafts';

export type FileState = { key: number; name: string; size: number; share: number; error: string; done: DraftAttachment | undefined };
/** Larger than what any public mailbox takes: refused before the upload begins. Bytes. */
export const FILE_SIZE_MAX = 25_000_000;
const SAVE_AFTER_MS = 300;

export class ReplyDraft {
  text = $state('');
  subject = $state('');
  cc = $state('');
  files = $state<FileState[]>([]);
  /** The id of a send whose end nobody knows: used again, so that the letter goes once. */
  command: string | undefined;
  private readonly running = new Map<number, RunningUpload>();
  private next = 1;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly contact: string, subject: string) {
    const kept = desk.drafts.load(contact, 'reply');
    this.text = kept?.text ?? '';
    this.subject = kept?.subject ?? subject;
    this.cc = kept?.cc ?? '';
    this.command = kept?.command;
    this.files = (kept?.attachments ?? []).map((file) => ({ key: this.next++, name: file.name, size: file.size, share: 1, error: '', done: file }));
  }

  get uploading(): boolean {
    return this.files.some((file) => !file.done && !file.error);
  }

  get handles(): string[] {
    return this.files.flatMap((file) => (file.done ? [file.done.handle] : []));
  }

  /** Something changed: it is another letter now, and is kept a moment later. */
  changed(): void {
    this.command = undefined;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), SAVE_AFTER_MS);
  }

  keep(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const attachments = this.files.flatMap((file) => (file.done ? [file.done] : []));
    desk.drafts.save(this.contact, 'reply', {
      text: this.text, subject: this.subject, cc: this.cc, attachments, ...(this.command ? { command: this.command } : {}),
    });
    desk.draftsVersion += 1;
  }

  /** Keeps what waits to be kept: the composer goes away. */
  flush(): void {
    if (this.timer !== undefined) this.keep();
  }

  clear(subject: string): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const running of this.running.values()) running.cancel();
    this.text = '';
    this.cc = '';
    this.subject = subject;
    this.files = [];
    this.command = undefined;
    desk.drafts.clear(this.contact, 'reply');
    desk.draftsVersion += 1;
  }

  add(files: Iterable<File>): void {
    for (const file of files) this.addOne(file);
  }

  private addOne(file: File): void {
    const key = this.next++;
    const tooLarge = file.size > FILE_SIZE_MAX;
    this.files.push({ key, name: file.name, size: file.size, share: 0, error: tooLarge ? 'too_large' : '', done: undefined });
    if (tooLarge) return;
    const running = upload(this.contact, file, (share) => this.update(key, { share }));
    this.running.set(key, running);
    running.done
      .then((done) => this.update(key, { done, share: 1 }))
      .catch((error: unknown) => this.update(key, { error: error instanceof ApiError ? error.code : 'unexpected' }))
      .finally(() => {
        this.running.delete(key);
        this.changed();
      });
  }

  private update(key: number, change: Partial<FileState>): void {
    this.files = this.files.map((file) => (file.key === key ? { ...file, ...change } : file));
  }

  remove(key: number): void {
    this.running.get(key)?.cancel();
    this.files = this.files.filter((file) => file.key !== key);
    this.changed();
  }
}
