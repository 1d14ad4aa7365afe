// What time it is at the server: what it says of it, carried on by a clock that nobody can set.

/** For so long a saying counts; then a later one does, even if it came with more delay. */
const KEPT_MS = 120_000;

export class ServerClock {
  /** The server's time when the steady clock showed nought. */
  private base: number;
  /** What the last minutes' sayings make of it, the largest first: each saying comes late, and the largest came with the least delay. */
  private said: { base: number; at: number }[] = [];

  constructor(private readonly steady: () => number, wall: number) {
    this.base = wall - steady();
  }

  now(): number {
    return this.base + this.steady();
  }

  /** The server says what time it is now. */
  align(time: string): void {
    const at = this.steady();
    const base = Date.parse(time) - at;
    if (!Number.isFinite(base)) return;
    while (this.said.length > 0 && this.said.at(-1)!.base <= base) this.said.pop();
    this.said.push({ base, at });
    while (this.said.length > 1 && this.said[0]!.at < at - KEPT_MS) this.said.shift();
    this.base = this.said[0]!.base;
  }

  /** It was at least this time: something happened then, and we hear of it now or long after. */
  atLeast(time: string): void {
    if (Date.parse(time) > this.now()) this.align(time);
  }
}
