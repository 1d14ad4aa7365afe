// Ids of commands: made here, so that the second sending of a command is recognised by the router.

/** `cm_` and 32 hexadecimal digits. */
export type CommandId = `cm_${string}`;

/** A new id, from the browser's cryptographic source. */
export function newCommandId(): CommandId {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `cm_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
