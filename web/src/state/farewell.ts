// A sign-out that the desk has not confirmed yet: remembered in this browser, so that a reload ends the session before anybody goes in.
import { ApiError } from '../api/errors';
import { Drafts, type DraftStorage } from './drafts';
import { untilDone, type Pause } from './reading';

const KEY = 'sportello.leaving';

export interface FarewellOptions {
  storage: DraftStorage;
  signOut: () => Promise<void>;
  pause?: Pause;
}

export class Farewell {
  constructor(private readonly options: FarewellOptions) {}

  /** Whether somebody left, and the desk may not know it. */
  get isOpen(): boolean {
    return this.options.storage.getItem(KEY) !== null;
  }

  begin(operator: string): void {
    this.options.storage.setItem(KEY, operator);
  }

  /** Tells the desk until it knows, here or in another tab. */
  async untilConfirmed(failed: () => void): Promise<void> {
    const signOut = () => this.options.signOut().catch((error: unknown) => {
      // There is no such session any more: that is what was wanted.
      if (!(error instanceof ApiError && error.status === 401)) throw error;
    });
    const { pause } = this.options;
    await untilDone(signOut, { wanted: () => this.isOpen, failed, isFinal: () => false, ...(pause ? { pause } : {}) });
    this.confirm();
  }

  /** The session is over: what was written in it goes from this computer. */
  confirm(): void {
    const { storage } = this.options;
    const operator = storage.getItem(KEY);
    if (operator === null) return;
    new Drafts(storage, operator).clearAll();
    storage.removeItem(KEY);
  }
}
