// The whole state read anew, after a gap in the live link: again and again until it is there, with what happened meanwhile on top.
import type { DeskEvent } from '../api/types';
import { untilDone, type Pause } from './reading';

export interface RenewalOptions<S> {
  read: () => Promise<S>;
  /** Puts the state in place, then the events that came while it was on its way. */
  put: (snapshot: S, meanwhile: DeskEvent[]) => void;
  pause?: Pause;
}

export class Renewal<S> {
  private readonly open = new Set<DeskEvent[]>();
  private latest = 0;

  constructor(private readonly options: RenewalOptions<S>) {}

  /** Every event of the link goes by here. */
  note(event: DeskEvent): void {
    for (const meanwhile of this.open) meanwhile.push(event);
  }

  /** Reads once; fails as the reading does. False: it was forgotten meanwhile. */
  async once(): Promise<boolean> {
    const meanwhile: DeskEvent[] = [];
    this.open.add(meanwhile);
    try {
      const snapshot = await this.options.read();
      if (!this.open.has(meanwhile)) return false;
      this.options.put(snapshot, meanwhile);
      return true;
    } finally {
      this.open.delete(meanwhile);
    }
  }

  /** Reads until it succeeds; true if so. A later call takes over, and `wanted` may end it. */
  async untilRead(wanted: () => boolean): Promise<boolean> {
    this.latest += 1;
    const mine = this.latest;
    const { pause } = this.options;
    const read = untilDone(() => this.once(), { wanted: () => wanted() && mine === this.latest, ...(pause ? { pause } : {}) });
    return (await read.catch(() => false)) ?? false;
  }

  /** Whatever is being read is not wanted any more. */
  forget(): void {
    this.latest += 1;
    this.open.clear();
  }
}
