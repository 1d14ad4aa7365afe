// What has been sent of a draft: whether the next sending is the same again, and what stays in the field when it has gone.
import type { Sent } from '../state/drafts';

export type Letter = Omit<Sent, 'command'>;

/** Whether what was sent goes again under its id: nothing was changed, at most words were added after it. */
export function isAgain(sent: Sent | undefined, now: Letter): sent is Sent {
  if (!sent) return false;
  const hasFiles = (sent.handles ?? []).every((handle) => now.handles?.includes(handle));
  return now.text.startsWith(sent.text) && now.subject === sent.subject && now.cc === sent.cc && hasFiles;
}

/** What was typed beside the text that has gone; a text that was changed otherwise stays as it is. */
export function withoutSent(text: string, sent: string): string {
  if (text.startsWith(sent)) return text.slice(sent.length).trimStart();
  if (text.endsWith(sent)) return text.slice(0, -sent.length).trimEnd();
  return text;
}
