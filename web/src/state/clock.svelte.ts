// The server's time, once a second, for countdowns. The computer's own clock may be wrong.

class Clock {
  now = $state(Date.now());
  private skewMs = 0;

  start(): () => void {
    const timer = setInterval(() => this.tick(), 1_000);
    return () => clearInterval(timer);
  }

  /** Sets the clock by the server's. */
  align(serverTime: string): void {
    const server = Date.parse(serverTime);
    if (Number.isFinite(server)) this.skewMs = server - Date.now();
    this.tick();
  }

  private tick(): void {
    this.now = Date.now() + this.skewMs;
  }
}

export const clock = new Clock();
