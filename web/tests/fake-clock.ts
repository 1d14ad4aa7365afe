// Time that only moves when a test tells it to, for the console's line and the widget's.
export class FakeClock {
  time = 1_000_000;
  /** How far the computer's own clock is from the steady time. */
  wall = 0;
  private next = 1;
  private timers = new Map<number, { at: number; run: () => void }>();
  constructor(public chance = 1) {}
  now = () => this.time + this.wall;
  steady = () => this.time;
  random = () => this.chance;
  later = (run: () => void, ms: number) => { this.timers.set(this.next, { at: this.time + ms, run }); return this.next++; };
  cancel = (timer: number | undefined) => { if (timer !== undefined) this.timers.delete(timer); };
  /** Passes time, timers firing in their order; `asleep`: they all fire late, as after a computer slept. */
  pass(ms: number, asleep = false) {
    const end = this.time + ms;
    if (asleep) this.time = end;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
    }
    this.time = end;
  }
}
