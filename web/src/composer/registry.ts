// What can be written on which channel. A new channel is a line here and, if its writing is special, a component.
import type { Component } from 'svelte';
import type { ContactView } from '../api/types';
import type { Key } from '../i18n/translate';
import ChatFields from './ChatFields.svelte';
import EmailFields from './EmailFields.svelte';
import SmsFields from './SmsFields.svelte';
import type { ReplyDraft } from './reply-draft.svelte';

export interface FieldsProperties { draft: ReplyDraft; contact: ContactView }

export interface ComposerSpec {
  /** Whether an answer can be written at all; on the phone it is spoken, and only noted. */
  canReply: boolean;
  /** What stands around the text: subject and files for email, the count of parts for SMS, files for a chat. */
  fields?: Component<FieldsProperties>;
  hasSubject: boolean;
  hasAttachments: boolean;
  hasSignature: boolean;
  /** As in a chat: Enter sends, Shift+Enter makes a line, and the other side sees that one types. Else Ctrl+Enter. */
  sendOnEnter: boolean;
  rows: number;
  /** What one has to know before one writes. */
  hint?: Key;
}

const LETTER: ComposerSpec = { canReply: true, fields: EmailFields, hasSubject: true, hasAttachments: true, hasSignature: true, sendOnEnter: false, rows: 5 };
const BRIEF: ComposerSpec = { canReply: true, fields: SmsFields, hasSubject: false, hasAttachments: false, hasSignature: false, sendOnEnter: false, rows: 3 };
const CHAT: ComposerSpec = { canReply: true, fields: ChatFields, hasSubject: false, hasAttachments: true, hasSignature: false, sendOnEnter: true, rows: 2 };
/** Whoever has left a chat is answered by mail, at the address they gave: with subject, copies and files. */
const AFTER_CHAT: ComposerSpec = { ...LETTER, hint: 'composer.after_chat' };
const SPOKEN: ComposerSpec = { canReply: false, hasSubject: false, hasAttachments: false, hasSignature: false, sendOnEnter: false, rows: 3 };

const COMPOSERS: ReadonlyMap<string, ComposerSpec> = new Map([['email', LETTER], ['sms', BRIEF], ['webchat', CHAT]]);

/** The composer of a contact; a channel that we don't know carries no written answer. */
export function composerOf({ channel, mode }: ContactView): ComposerSpec {
  if (channel === 'webchat' && mode === 'deferrable') return AFTER_CHAT;
  return COMPOSERS.get(channel) ?? SPOKEN;
}
