// What this console asked for and has not heard of yet: what comes of it is no news.
import type { DeskEvent } from './types';

/** The events that a command leads to, by the end of its path; with the last of them it is done. */
const LEADS_TO: Record<string, readonly DeskEvent['event'][]> = {
  close: ['contact.closed'],
  transfer: ['contact.transferred'],
  defer: ['contact.deferred'],
  'wrap-up': ['contact.wrap_up'],
  return: ['contact.released'],
  assign: ['contact.released', 'contact.assigned'],
  resume: ['contact.assigned'],
};
interface Question { contact: string; events: readonly DeskEvent['event'][] }

export class Asked {
  private readonly open = new Set<Question>();

  /** A command goes out; to be called if it is refused: what is returned. */
  note(path: string): () => void {
    const [, contact = '', action = ''] = /^\/contacts\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const question: Question = { contact, events: LEADS_TO[action] ?? [] };
    if (question.events.length > 0) this.open.add(question);
    return () => this.open.delete(question);
  }

  /** Whether an event comes of what was asked here. */
  explains(event: DeskEvent): boolean {
    for (const question of this.open) {
      if (question.contact !== event.about?.contact || !question.events.includes(event.event)) continue;
      if (question.events.at(-1) === event.event) this.open.delete(question);
      return true;
    }
    return false;
  }

  /** Whatever came of it is known: the whole state was read. */
  forget(): void {
    this.open.clear();
  }
}
