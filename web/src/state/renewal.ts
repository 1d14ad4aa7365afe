// The whole state read anew, after a gap in the live link: again and again until it is there, with what happened meanwhile on top.
import { pauseBefore } from '../api/live';
import type { DeskEvent } from '../api/types';

export interface RenewalOptions<S> {
  read: () => Promise<S>;
  /** Puts the state in place, then the events that came while it was on its way. */
  put: (snapshot: S, meanwhile: DeskEvent[]) => void;
  pause?: (ms: number) => Promise<void>;
}

export class Renewal<S> {
  private readonly open = new Set<DeskEvent[]>();
  private latest = 0;

  constructor(private readonly options: RenewalOptions<S>) {}

  /** Every event of the link goes by here. */
  note(event: DeskEvent): void {
    for (const meanwhile of this.open) meanwhile.push(event);
  }

  /** Reads once; fails as the reading does. */
  async once(): Promise<void> {
    const meanwhile: DeskEvent[] = [];
    this.open.add(meanwhile);
    try {
      const snapshot = await this.options.read();
      this.options.put(snapshot, meanwhile);
    } finally {
      this.open.delete(meanwhile);
    }
  }

  /** Reads until it succeeds; true if so. A later call takes over, and `wanted` may end it. */
  async untilRead(wanted: () => boolean): Promise<boolean> {
    this.latest += 1;
    const mine = this.latest;
    const pause = this.options.pause ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    for (let attempt = 0; wanted() && mine === this.latest; attempt += 1) {
      try {
        await this.once();
        return true;
      } catch {
        await pause(pauseBefore(attempt, Math.random));
      }
    }
    return false;
  }
}
