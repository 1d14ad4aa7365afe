// What an SMS takes: its alphabet, its parts as they will be cut, what they cost, and how it is said in the short alphabet.
// The same rules as src/channel/sms/text.rs (3GPP TS 23.038 and TS 23.040, 9.2.3.24.1; ISO 8859-1).
import type { ShortAlphabet } from '../api/types';

const BASIC = new Set('@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà');
/** Behind an escape: two septets each. */
const EXTENDED = new Set('^{}\\[~]|€\f');

export type Alphabet = ShortAlphabet | 'ucs2';
/** Units that fit into a message of one part, and into each of several. */
const ROOM: Record<Alphabet, { single: number; each: number }> = { gsm7: { single: 160, each: 153 }, latin1: { single: 140, each: 134 }, ucs2: { single: 70, each: 67 } };

export interface SmsCount {
  alphabet: Alphabet;
  /** Septets, bytes or UTF-16 code units of the whole text. */
  units: number;
  /** 0 for no text. */
  parts: number;
  /** Units left in the last part. */
  left: number;
}

/** What a character takes in the account's short alphabet; none if that has not got it. */
function unitsOf(character: string, short: ShortAlphabet): number | undefined {
  if (short === 'latin1') return /^[\n\r -~\xa0-\xff]$/.test(character) ? 1 : undefined;
  if (BASIC.has(character)) return 1;
  return EXTENDED.has(character) ? 2 : undefined;
}

/** Counts the text as it will be cut: neither an escape nor a surrogate pair is torn, so a part may stay short of a unit. */
export function countSms(text: string, short: ShortAlphabet = 'gsm7'): SmsCount {
  const characters = [...text];
  const alphabet: Alphabet = characters.every((character) => unitsOf(character, short) !== undefined) ? short : 'ucs2';
  const cost = (character: string) => (alphabet === 'ucs2' ? character.length : unitsOf(character, alphabet)!);
  const units = characters.reduce((sum, character) => sum + cost(character), 0);
  const { single, each } = ROOM[alphabet];
  if (units <= single) return { alphabet, units, parts: units === 0 ? 0 : 1, left: single - units };
  let [parts, used] = [1, 0];
  for (const character of characters) {
    if (used + cost(character) > each) [parts, used] = [parts + 1, 0];
    used += cost(character);
  }
  return { alphabet, units, parts, left: each - used };
}

/** What so many parts cost: exact, a decimal number as text like the price. */
export function costOf(price: string, parts: number): string {
  const [whole = '0', fraction = ''] = price.split('.');
  const digits = String(BigInt(whole + fraction) * BigInt(parts)).padStart(fraction.length + 1, '0');
  return fraction ? `${digits.slice(0, -fraction.length)}.${digits.slice(-fraction.length)}` : digits;
}

/** The characters that make it a message in UCS-2, each once, in their order. */
export function specialCharacters(text: string, short: ShortAlphabet = 'gsm7'): string[] {
  return [...new Set([...text].filter((character) => unitsOf(character, short) === undefined))];
}

const KNOWN: ReadonlyMap<string, string> = new Map<string, string>([
  ...pairs('‘’‚‛′`´ʼ', "'"), ...pairs('“”„‟″«»', '"'), ...pairs('‹', '<'), ...pairs('›', '>'), ...pairs('‐‑‒–—―−', '-'), ...pairs('•·', '*'), ...pairs('…', '...'),
  ...pairs('\t\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f', ' '),
  // Not U+200D, which holds emoji together.
  ...pairs('\u00ad\u200b\u200c\ufeff', ''),
  ['À', "A'"], ['È', "E'"], ['Ì', "I'"], ['Ò', "O'"], ['Ù', "U'"], ...pairs('áâ', 'à'), ...pairs('êë', 'è'), ...pairs('íîï', 'ì'), ...pairs('óô', 'ò'), ...pairs('úû', 'ù'),
  ['Œ', 'OE'], ['œ', 'oe'], ['ẞ', 'ß'], ['đ', 'd'], ['Đ', 'D'], ['ł', 'l'], ['Ł', 'L'],
]);
function pairs(from: string, to: string): [string, string][] {
  return [...from].map((character) => [character, to]);
}

/** The text in the short alphabet as far as it means the same to a reader; what has no such form, an emoji, stays. */
export function transliterate(text: string, short: ShortAlphabet = 'gsm7'): string {
  return [...text.normalize('NFC')].map((character) => {
    if (unitsOf(character, short) !== undefined) return character;
    const known = KNOWN.get(character);
    if (known !== undefined) return known;
    const base = character.normalize('NFKD').replace(/\p{M}/gu, '');
    return base !== '' && [...base].every((part) => unitsOf(part, short) !== undefined) ? base : character;
  }).join('');
}
