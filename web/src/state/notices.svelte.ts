// What the console says: short notices on the screen, and the same for screen readers.

export type Tone = 'info' | 'success' | 'warning' | 'danger';
export interface NoticeAction { label: string; run: () => void }
export interface Notice { id: number; tone: Tone; text: string; action?: NoticeAction }

const SHOWN_MS: Record<Tone, number> = { info: 6_000, success: 4_000, warning: 12_000, danger: 20_000 };
const NOTICES_MAX = 4;

class Notices {
  list = $state<Notice[]>([]);
  polite = $state('');
  assertive = $state('');
  private next = 1;

  /** The number of the latest notice. */
  get latest(): number {
    return this.next - 1;
  }

  /** Shows a notice for a while; one with something to do stays until it is done or dismissed. Gives its number. */
  show(tone: Tone, text: string, action?: NoticeAction): number {
    const notice: Notice = { id: this.next++, tone, text, ...(action ? { action } : {}) };
    this.list = [...this.list.filter((other) => other.text !== text), notice].slice(-NOTICES_MAX);
    this.say(text, tone === 'danger' || tone === 'warning');
    if (!action) setTimeout(() => this.dismiss(notice.id), SHOWN_MS[tone]);
    return notice.id;
  }

  dismiss(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  /** Whom they were for has left. */
  clear(): void {
    this.list = [];
    this.polite = this.assertive = '';
  }

  /** Speaks a line without showing it. Said twice, it is heard twice: the trailing space makes it a new text. */
  say(text: string, urgent = false): void {
    if (urgent) this.assertive = this.assertive === text ? `${text}\u00a0` : text;
    else this.polite = this.polite === text ? `${text}\u00a0` : text;
  }
}

export const notices = new Notices();
