// The server's time, once a second, for countdowns. The computer's own clock may be wrong, and may be set while we look.
import { ServerClock } from './server-clock';

/** A smaller correction is seen at the next second. */
const NOTICEABLE_MS = 250;

class Clock {
  private readonly server = new ServerClock(() => performance.now(), Date.now());
  now = $state(this.server.now());

  start(): () => void {
    const timer = setInterval(() => this.tick(), 1_000);
    return () => clearInterval(timer);
  }

  /** The server says what time it is now. */
  align(time: string): void {
    this.server.align(time);
    this.corrected();
  }

  /** Something happened at the server at this time. */
  atLeast(time: string): void {
    this.server.atLeast(time);
    this.corrected();
  }

  private corrected(): void {
    const ahead = this.server.now() - this.now;
    if (ahead < -NOTICEABLE_MS || ahead > 1_000 + NOTICEABLE_MS) this.tick();
  }

  private tick(): void {
    this.now = this.server.now();
  }
}

export const clock = new Clock();
