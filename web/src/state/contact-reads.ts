// The contacts that events ask to be read: each until it is there, and never as it was before what was heard of it.
import type { ContactView } from '../api/types';
import { Outdated, Reading, type Pause } from './reading';

export interface ContactReadsOptions {
  read: (id: string) => Promise<ContactView>;
  put: (contact: ContactView) => void;
  pause?: Pause;
}

/** What is being read of a contact: by how many, and the latest version that an event named. */
interface Wanted { reading: Reading<ContactView>; readers: number; heard: number }

export class ContactReads {
  private readonly wanted = new Map<string, Wanted>();

  constructor(private readonly options: ContactReadsOptions) {}

  /** Reads a contact; ends when it is there, or is not for us, or nobody wants it any more. */
  async read(id: string): Promise<void> {
    const { read, put, pause } = this.options;
    const wanted = this.wanted.get(id) ?? { reading: new Reading(pause), readers: 0, heard: 0 };
    this.wanted.set(id, wanted);
    wanted.readers += 1;
    await wanted.reading.read(async () => {
      const contact = await read(id);
      if (contact.version < wanted.heard) throw new Outdated();
      return contact;
    }, put);
    wanted.readers -= 1;
    if (wanted.readers === 0 && this.wanted.get(id) === wanted) this.wanted.delete(id);
  }

  /** An event named this version: no earlier one is taken any more. */
  heard(id: string, version: number): void {
    const wanted = this.wanted.get(id);
    if (wanted) wanted.heard = Math.max(wanted.heard, version);
  }

  /** Nobody wants this contact any more; without an id, none. */
  forget(id?: string): void {
    for (const [each, wanted] of this.wanted) {
      if (id !== undefined && each !== id) continue;
      wanted.reading.forget();
      this.wanted.delete(each);
    }
  }

  /** Which are being read. */
  get ids(): string[] {
    return [...this.wanted.keys()];
  }
}
