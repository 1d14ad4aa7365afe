// The supervisor's room: read whole, and read again soon after something happened; never more often than every two seconds.
import type { Room } from '../api/types';
import { desk } from './console.svelte';
import { Reading } from './reading';

const PAUSE_MS = 2_000;
/** Read again even if nothing was heard, so that a missed event heals. */
const HEAL_MS = 30_000;

class RoomState {
  room = $state.raw<Room | undefined>();
  failed = $state.raw<unknown>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastRead = 0;
  private watchers = 0;
  private readonly reading = new Reading<Room>();

  constructor() {
    desk.onLeave(() => {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.reading.forget();
      this.room = this.failed = undefined;
    });
  }

  /** Keeps the room fresh until the returned function is called. */
  watch(): () => void {
    this.watchers += 1;
    void this.read();
    const unsubscribe = desk.onEvent(() => this.soon());
    const unsubscribeGap = desk.onGap(() => this.soon());
    const healing = setInterval(() => this.soon(), HEAL_MS);
    return () => {
      this.watchers -= 1;
      unsubscribe();
      unsubscribeGap();
      clearInterval(healing);
      if (this.watchers > 0) return;
      clearTimeout(this.timer);
      this.timer = undefined;
    };
  }

  /** Something happened: read it again, if somebody looks at it. */
  soon(): void {
    if (this.watchers === 0 || this.timer !== undefined) return;
    const pause = Math.max(150, this.lastRead + PAUSE_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.read();
    }, pause);
  }

  read(): Promise<void> {
    this.lastRead = performance.now();
    return this.reading.read(desk.client.room, (room) => {
      this.room = room;
      this.failed = undefined;
    }, (error) => (this.failed = error));
  }
}

export const roomState = new RoomState();
