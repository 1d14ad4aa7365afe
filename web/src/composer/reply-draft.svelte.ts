// The reply that is being written: beside its text a subject, copies, and files with their uploads.
import { ApiError } from '../api/errors';
import { upload, type RunningUpload } from '../api/upload';
import { t } from '../i18n/i18n.svelte';
import type { Sent } from '../state/drafts';
import { notices } from '../state/notices.svelte';
import type { Letter } from './sent';
import { Writing } from './writing.svelte';

export interface FileState {
  key: number;
  name: string;
  size: number;
  /** How much of it is there, from 0 to 1. */
  share: number;
  /** Why it is not there, as a code; empty while it may still come. */
  error: string;
  /** What it is known by, once it is there. */
  handle?: string;
  at?: number;
  /** The file itself, as long as the page stands. */
  file?: File;
}
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
    this.files = (this.kept?.attachments ?? []).map((file) => ({ ...file, key: this.next++, share: 1, error: file.handle ? '' : 'attach_again' }));
  }

  get uploading(): boolean {
    return this.files.some((file) => !file.handle && !file.error);
  }

  /** A file is missing from it that it was meant to have. */
  get incomplete(): boolean {
    return this.files.some((file) => file.error);
  }

  get handles(): string[] {
    return this.files.flatMap((file) => file.handle ?? []);
  }

  add(files: Iterable<File>): void {
    for (const file of files) {
      const key = this.next++;
      const { name, size } = file;
      const tooLarge = size > FILE_SIZE_MAX;
      this.files.push({ key, name, size, share: 0, error: tooLarge ? 'too_large' : '', ...(tooLarge ? {} : { file }) });
      if (tooLarge) this.sayFailed(name);
      else this.upload(key, file);
    }
  }

  /** Uploads again what did not arrive. */
  retry(key: number): void {
    const file = this.files.find((each) => each.key === key)?.file;
    if (!file) return;
    this.change(key, { error: '', share: 0 });
    this.upload(key, file);
  }

  private upload(key: number, file: File): void {
    const running = upload(this.contact, file, (share) => this.change(key, { share }));
    this.running.set(key, running);
    this.update();
    running.done
      .then(({ handle }) => this.change(key, { handle, at: Date.now(), share: 1 }))
      .catch((error: unknown) => {
        const code = error instanceof ApiError ? error.code : 'unexpected';
        this.change(key, { error: code });
        if (code !== 'cancelled') this.sayFailed(file.name);
      })
      .finally(() => {
        this.running.delete(key);
        this.update();
      });
  }

  private sayFailed(name: string): void {
    notices.say(t('composer.file_failed', { name }), true);
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
    const attachments = this.files.filter((file) => file.error !== 'too_large')
      .map(({ name, size, handle, at }) => (handle && at ? { name, size, handle, at } : { name, size }));
    return { ...super.fields(), subject: this.subject, cc: this.cc, attachments };
  }

  protected override letter(): Letter {
    return { ...super.letter(), subject: this.subject, cc: this.cc, handles: this.handles };
  }

  protected override remove(sent: Sent): void {
    super.remove(sent);
    if (this.cc === sent.cc) this.cc = '';
    if (this.subject === sent.subject) this.subject = this.firstSubject;
    this.files = this.files.filter((file) => !file.handle || !sent.handles?.includes(file.handle));
  }
}
