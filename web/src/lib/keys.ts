// Keyboard shortcuts: single letters outside of text fields (can be turned off), function keys everywhere.

export type Action =
  | 'help' | 'next' | 'previous' | 'reply' | 'note' | 'pend' | 'defer' | 'transfer' | 'close' | 'give_back' | 'wrap_up'
  | 'case' | 'mute' | 'accept' | 'reject' | 'workspace' | 'room' | 'history' | 'next_unread' | 'resume' | 'pull' | 'assign' | 'thread';

export const LETTERS: readonly (readonly [string, Action])[] = [
  ['?', 'help'], ['j', 'next'], ['k', 'previous'], ['r', 'reply'], ['n', 'note'], ['p', 'pend'], ['d', 'defer'],
  ['t', 'transfer'], ['x', 'close'], ['u', 'give_back'], ['w', 'wrap_up'], ['f', 'case'], ['m', 'mute'], ['e', 'resume'], ['g', 'pull'],
  ['a', 'assign'], ['l', 'thread'],
  ['1', 'workspace'], ['2', 'history'], ['3', 'room'],
];
export const FUNCTION_KEYS: readonly (readonly [string, Action])[] = [['F8', 'accept'], ['F9', 'reject'], ['F2', 'next_unread']];

export interface KeyLike { key: string; ctrlKey: boolean; altKey: boolean; metaKey: boolean; isComposing: boolean }

/** For so long after the last key nobody has stopped typing, in milliseconds. */
const TYPING_ON_MS = 2_000;

/** Whoever types looks elsewhere when the field goes away: what they type on is no shortcut. */
export class Typing {
  private field: { readonly isConnected: boolean } | undefined;
  private at = 0;

  /** A key goes into a field; with Esc, Tab, or Enter in a single line one leaves it. */
  into(field: { readonly isConnected: boolean }, key: string, isLine: boolean, at: number): void {
    if (FUNCTION_KEYS.some(([name]) => name === key)) return;
    this.field = ['Escape', 'Tab'].includes(key) || (isLine && key === 'Enter') ? undefined : field;
    this.at = at;
  }

  /** Whether a key outside of any field was meant for one that is gone. */
  goesOn(at: number): boolean {
    if (!this.field || this.field.isConnected || at - this.at > TYPING_ON_MS) return false;
    this.at = at;
    return true;
  }

  /** Somebody points at something: they look at it. */
  ends(): void {
    this.field = undefined;
  }
}

/** The action a key stands for. `inField`: the focus is where one writes or a dialog is open. */
export function actionOf(event: KeyLike, inField: boolean, letters: boolean): Action | undefined {
  if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const everywhere = FUNCTION_KEYS.find(([key]) => key === event.key);
  if (everywhere) return everywhere[1];
  if (inField || !letters) return undefined;
  return LETTERS.find(([key]) => key === event.key.toLowerCase())?.[1];
}
