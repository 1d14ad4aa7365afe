// Small rules about the words of a reply, and whom it goes to.
import type { ContactView, Conversation, MessageEntry } from '../api/types';

/** The address the answer goes to, as far as the conversation tells: of a chat that is over, where an earlier answer went. */
export function recipientOf(contact: ContactView, conversation: Conversation): string {
  const messages = conversation.entries.filter((entry): entry is MessageEntry => entry.kind === 'message');
  if (contact.channel === 'webchat') {
    const answer = messages.findLast((message) => message.contact === contact.id && message.direction === 'outbound' && message.to[0]?.address.includes('@'));
    return answer?.to[0]?.address ?? '';
  }
  const last = messages.findLast((message) => message.direction === 'inbound' && (!message.automatic || message.automatic === 'list'));
  return last?.from?.address ?? contact.citizen ?? '';
}

/** `Re: …`, once, whatever language the mail program of the citizen speaks. */
export function replySubject(subject: string | undefined): string {
  const bare = (subject ?? '').trim().replace(/^((re|r|rif|aw|sv|antw|fw|fwd|i)\s*:\s*)+/i, '');
  return bare ? `Re: ${bare}` : '';
}

/** The text with the signature under it, unless it is there already. */
export function withSignature(text: string, signature: string): string {
  const own = signature.trim();
  return own && !text.trimEnd().endsWith(own) ? `${text.trimEnd()}\n\n${own}` : text;
}
