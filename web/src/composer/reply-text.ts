// Small rules about the words of a reply.

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
