// What has been sent of a draft: whether the next sending is the same again, and what stays in the field when it has gone.
import type { Sent } from '../state/drafts';

export type Letter = Omit<Sent, 'command'>;

/** Whether what was sent goes again under its id: nothing was changed, at most words were added after it. */
export function isAgain(sent: Sent | undefined, now: Letter): sent is Sent {
  if (!sent) return false;
  const hasFiles = (sent.handles ?? []).every((handle) => now.handles?.includes(handle));
  return now.text.startsWith(sent.text) && now.subject === sent.subject && now.cc === sent.cc && hasFiles;
}

/** What was typed after the text that has gone; a text that was changed otherwise stays as it is. */
export function withoutSent(text: string, sent: string): string {
  return text.startsWith(sent) ? text.slice(sent.length).trimStart() : text;
}
