// Lets something through at most once in so long, for each key.

export class Every {
  private readonly last = new Map<string, number>();

  constructor(private readonly ms: number, private readonly now: () => number = () => performance.now()) {}

  /** Whether it may go now; if so, the next one has to wait. */
  may(key: string): boolean {
    const last = this.last.get(key);
    if (last !== undefined && this.now() - last < this.ms) return false;
    this.last.set(key, this.now());
    return true;
  }

  /** The next one may go at once; without a key, that of any. */
  anew(key?: string): void {
    if (key === undefined) this.last.clear();
    else this.last.delete(key);
  }
}
