// What is being written to a contact, a reply or a note: its text, its place in the browser's storage, and its sending. One may go
// on writing while it is on its way, and leave the form: as long as something is on its way the form finds the same writing again.
import { newCommandId } from '../api/command-id';
import { ApiError } from '../api/errors';
import { desk } from '../state/console.svelte';
import type { Draft, DraftKind, Sent } from '../state/drafts';
import { isAgain, withoutSent, type Letter } from './sent';

const SAVE_AFTER_MS = 300;
/** Those of which something is on its way. */
const underWay = new Map<string, Writing>();
const keyOf = (contact: string, kind: DraftKind) => `${contact}/${kind}`;
desk.onLeave(() => {
  for (const writing of underWay.values()) writing.abandon();
  underWay.clear();
});

export class Writing {
  text = $state('');
  /** It is being sent. */
  busy = $state(false);
  /** The text as it was when somebody wanted it sent while another letter was on its way: so far it goes next. */
  waiting = $state('');
  protected readonly kept: Draft | undefined;
  /** What was sent, until somebody knows how that ended: sent again, it has the same id, so that it goes once. */
  private sent: Sent | undefined;
  /** Whether what is on its way still stands at the beginning: what was written in its place is not to be taken for it. */
  private intact = true;
  /** Whose it is: they may have left when something of it comes back. */
  private readonly drafts = desk.drafts;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly contact: string, private readonly kind: DraftKind) {
    this.kept = this.drafts.load(contact, kind);
    this.text = this.kept?.text ?? '';
    this.sent = this.kept?.sent;
  }

  /** The writing for a form: the one of which something is on its way, else one made from the storage. */
  static of<W extends Writing>(contact: string, kind: DraftKind, make: () => W): W {
    return (underWay.get(keyOf(contact, kind)) as W | undefined) ?? make();
  }

  /** Something changed: it is kept a moment later. */
  changed(): void {
    if (this.busy && this.sent && !this.text.startsWith(this.sent.text)) this.intact = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), SAVE_AFTER_MS);
  }

  keep(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.drafts.save(this.contact, this.kind, { ...this.fields(), ...(this.sent ? { sent: this.sent } : {}) });
    desk.draftsVersion += 1;
  }

  /** Keeps what waits to be kept: the form goes away. */
  flush(): void {
    if (this.timer !== undefined) this.keep();
  }

  /** Whether there is something beside what is on its way and what goes next. */
  get hasMore(): boolean {
    return this.text !== this.waiting && withoutSent(this.text, this.sent?.text ?? '').trim() !== '';
  }

  /** What stands here goes as soon as what is on its way has arrived. */
  queue(): void {
    this.waiting = this.text;
  }

  /** Sends what stands here; what is typed meanwhile stays, or goes next. The letter that went, or undefined if it did not, or nobody knows. */
  async send(command: (sent: Sent) => Promise<unknown>): Promise<Sent | undefined> {
    const first = await this.sendOne(command, this.text);
    let before = first;
    while (before && this.waiting) {
      const next: string = (this.intact ? withoutSent(this.waiting, before.text) : this.waiting).trimEnd();
      this.waiting = '';
      before = next && this.text.startsWith(next) ? await this.sendOne(command, next) : undefined;
    }
    this.waiting = '';
    return first;
  }

  private async sendOne(command: (sent: Sent) => Promise<unknown>, text: string): Promise<Sent | undefined> {
    const letter = { ...this.letter(), text };
    const sent = isAgain(this.sent, letter) ? this.sent : { command: newCommandId(), ...letter };
    this.sent = sent;
    this.intact = true;
    this.busy = true;
    this.update();
    try {
      await command(sent);
      this.sent = undefined;
      this.remove(sent);
      return sent;
    } catch (error) {
      // Refused for sure: the next attempt is another command.
      if (error instanceof ApiError && !error.isRetryable) this.sent = undefined;
      desk.explain(error);
      return undefined;
    } finally {
      this.busy = false;
      this.update();
    }
  }

  /** The person leaves: what is on its way needs not arrive. */
  abandon(): void {}

  protected get isUnderWay(): boolean {
    return this.busy;
  }

  /** Keeps it, and remembers whether something is on its way. */
  protected update(): void {
    this.keep();
    const key = keyOf(this.contact, this.kind);
    if (this.isUnderWay) underWay.set(key, this);
    else if (underWay.get(key) === this) underWay.delete(key);
  }

  /** What is kept in the storage. */
  protected fields(): Omit<Draft, 'at' | 'sent'> {
    return { text: this.text };
  }

  /** What would be sent now. */
  protected letter(): Letter {
    return { text: this.text };
  }

  /** It went: what was written beside it stays. */
  protected remove(sent: Sent): void {
    if (this.intact) this.text = withoutSent(this.text, sent.text);
  }
}
