// Reading that does not give up and does not mix up its answers: what fails is asked again, and an answer to an earlier asking
// never covers one to a later asking.
import { ApiError } from '../api/errors';
import { pauseBefore } from '../api/live';

export type Pause = (ms: number) => Promise<void>;
const wait: Pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The answer is older than what is known: to be asked again, and nothing that a person has to hear of. */
export class Outdated extends Error {}

export interface Trying {
  wanted: () => boolean;
  /** Hears of each failure while it is wanted. */
  failed?: (error: unknown) => void;
  /** Whether it is of no use to try again. */
  isFinal?: (error: unknown) => boolean;
  pause?: Pause;
}

/** Tries until it succeeds, with growing pauses; throws a final answer. Undefined if it is not wanted any more. */
export async function untilDone<T>(run: () => Promise<T>, trying: Trying): Promise<T | undefined> {
  const { wanted, failed, pause = wait } = trying;
  const isFinal = trying.isFinal ?? ((error) => error instanceof ApiError && error.isFinal);
  for (let attempt = 0; wanted(); attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (!wanted()) break;
      if (!(error instanceof Outdated)) failed?.(error);
      if (isFinal(error)) throw error;
      await pause(pauseBefore(attempt, Math.random));
    }
  }
  return undefined;
}

/** One thing that is read again and again, each time until there is an answer. */
export class Reading<T> {
  private asked = 0;
  private taken = 0;

  constructor(private readonly pause: Pause = wait) {}

  /** Whether the latest asking has its answer. */
  get isSettled(): boolean {
    return this.taken === this.asked;
  }

  /** Reads until there is an answer; a later call takes over the trying, but an answer that still comes first is taken. */
  async read(read: () => Promise<T>, take: (value: T) => void, failed: (error: unknown) => void = () => {}): Promise<void> {
    this.asked += 1;
    const mine = this.asked;
    try {
      const value = await untilDone(read, { wanted: () => mine === this.asked, failed, pause: this.pause });
      if (value === undefined || mine <= this.taken) return;
      this.taken = mine;
      take(value);
    } catch {
      // A final answer too, and `failed` has heard it.
      this.taken = mine;
    }
  }

  /** Nothing that was asked is wanted any more. */
  forget(): void {
    this.asked += 1;
    this.taken = this.asked;
  }
}
