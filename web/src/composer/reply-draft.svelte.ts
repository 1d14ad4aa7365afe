// The reply that is being written: beside its text a subject, copies, and files with their uploads.
import { ApiError } from '../api/errors';
import { upload, type RunningUpload } from '../api/upload';
import type { DraftAttachment, Sent } from '../state/drafts';
import type { Letter } from './sent';
import { Writing } from './writing.svelte';

export type FileState = { key: number; name: string; size: number; share: number; error: string; done: DraftAttachment | undefined };
/** Larger than what any public mailbox takes: refused before the upload begins. Bytes. */
export const FILE_SIZE_MAX = 25_000_000;

export class ReplyDraft extends Writing {
  subject = $state('');
  cc = $state('');
  files = $state<FileState[]>([]);
  private readonly running = new Map<number, RunningUpload>();
  private next = 1;

  constructor(contact: string, private readonly firstSubject: string) {
    super(contact, 'reply');
    this.subject = this.kept?.subject ?? firstSubject;
    this.cc = this.kept?.cc ?? '';
    this.files = (this.kept?.attachments ?? []).map((file) => ({ key: this.next++, name: file.name, size: file.size, share: 1, error: '', done: file }));
  }

  get uploading(): boolean {
    return this.files.some((file) => !file.done && !file.error);
  }

  get handles(): string[] {
    return this.files.flatMap((file) => (file.done ? [file.done.handle] : []));
  }

  add(files: Iterable<File>): void {
    for (const file of files) this.addOne(file);
  }

  private addOne(file: File): void {
    const key = this.next++;
    const tooLarge = file.size > FILE_SIZE_MAX;
    this.files.push({ key, name: file.name, size: file.size, share: 0, error: tooLarge ? 'too_large' : '', done: undefined });
    if (tooLarge) return;
    const running = upload(this.contact, file, (share) => this.change(key, { share }));
    this.running.set(key, running);
    this.update();
    running.done
      .then((done) => this.change(key, { done, share: 1 }))
      .catch((error: unknown) => this.change(key, { error: error instanceof ApiError ? error.code : 'unexpected' }))
      .finally(() => {
        this.running.delete(key);
        this.update();
      });
  }

  private change(key: number, change: Partial<FileState>): void {
    this.files = this.files.map((file) => (file.key === key ? { ...file, ...change } : file));
  }

  discard(key: number): void {
    this.running.get(key)?.cancel();
    this.files = this.files.filter((file) => file.key !== key);
    this.changed();
  }

  override abandon(): void {
    for (const running of this.running.values()) running.cancel();
  }

  protected override get isUnderWay(): boolean {
    return this.busy || this.running.size > 0;
  }

  protected override fields() {
    const attachments = this.files.flatMap((file) => (file.done ? [file.done] : []));
    return { ...super.fields(), subject: this.subject, cc: this.cc, attachments };
  }

  protected override letter(): Letter {
    return { ...super.letter(), subject: this.subject, cc: this.cc, handles: this.handles };
  }

  protected override remove(sent: Sent): void {
    super.remove(sent);
    if (this.cc === sent.cc) this.cc = '';
    if (this.subject === sent.subject) this.subject = this.firstSubject;
    // One that could not be uploaded is of no use any more.
    this.files = this.files.filter((file) => !file.error && !(file.done && sent.handles?.includes(file.done.handle)));
  }
}
