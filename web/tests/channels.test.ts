// What the console needs for SMS and chat: counting, cutting and simplifying texts; signs that pass; where to go next.
import { describe, expect, it } from 'vitest';
import type { ContactView, Entry, MessageEntry } from '../src/api/types';
import { money } from '../src/i18n/format';
import { costOf, countSms, specialCharacters, transliterate } from '../src/composer/sms';
import { Every } from '../src/lib/every';
import { nextWaiting } from '../src/state/groups';
import { newestInbound, newsOf, NO_SIGNS, readMessages, TYPING_MS, withoutTyping, withSign } from '../src/state/signs';

describe('an SMS', () => {
  // The table of src/channel/sms/text.rs: alphabet, parts, units of the last part.
  it.each([
    ['perché è già così, può più', 'gsm7', 1, 26], ['È', 'ucs2', 1, 1], ['l’ufficio', 'ucs2', 1, 9], ['l\'ufficio', 'gsm7', 1, 9], ['costa 5 €', 'gsm7', 1, 10], ['[1]', 'gsm7', 1, 5],
    ['ok 👍', 'ucs2', 1, 5], ['👩‍👩‍👧', 'ucs2', 1, 8], ['a'.repeat(160), 'gsm7', 1, 160], ['a'.repeat(161), 'gsm7', 2, 8], ['a'.repeat(306), 'gsm7', 2, 153], ['a'.repeat(307), 'gsm7', 3, 1],
    ['€'.repeat(80), 'gsm7', 1, 160], ['€'.repeat(81), 'gsm7', 2, 10], ['à'.repeat(160), 'gsm7', 1, 160], ['È'.repeat(70), 'ucs2', 1, 70], ['È'.repeat(71), 'ucs2', 2, 4],
    ['👍'.repeat(35), 'ucs2', 1, 70], ['👍'.repeat(36), 'ucs2', 2, 6], ['{\\^}\f|~', 'gsm7', 1, 14],
  ])('is counted as it is cut: %#', (text, alphabet, parts, last) => {
    const single = alphabet === 'gsm7' ? 160 : 70;
    const room = parts === 1 ? single : alphabet === 'gsm7' ? 153 : 67;
    expect(countSms(text)).toMatchObject({ alphabet, parts, left: room - last });
  });
  it('of no text has no part', () => expect(countSms('')).toEqual({ alphabet: 'gsm7', units: 0, parts: 0, left: 160 }));
  it.each([
    ['L’ufficio è chiuso – “ferie”…', 'L\'ufficio è chiuso - "ferie"...'], ['È UNA CITTÀ', 'E\' UNA CITTA\''], ['perche\u0301 cosi\u0300', 'perché così'], ['città\u00a0e \u200bpaesi', 'città e paesi'],
    ['Čeština, Škofja Loka, façade', 'Cestina, Skofja Loka, facade'], ['naïve señor œuvre', 'naìve señor oeuvre'], ['½ ① ﬁne', '½ 1 fine'], ['ok 👍 привет', 'ok 👍 привет'],
  ])('is simplified: %s', (typed, plain) => {
    expect(transliterate(typed)).toBe(plain);
    expect(transliterate(plain)).toBe(plain);
  });
  it.each<[string, string, number, number]>([
    ['', 'latin1', 0, 140], ['È già così [1]', 'latin1', 1, 126], ['costa 5 €', 'ucs2', 1, 61], ['l’ufficio', 'ucs2', 1, 61], ['è\t', 'ucs2', 1, 68],
    ['È'.repeat(140), 'latin1', 1, 0], ['È'.repeat(141), 'latin1', 2, 127], ['a'.repeat(268), 'latin1', 2, 0], ['a'.repeat(269), 'latin1', 3, 133],
  ])('by an SMSC of Latin-1 is counted in bytes: %s', (text, alphabet, parts, left) => expect(countSms(text, 'latin1')).toMatchObject({ alphabet, parts, left }));
  it('is simplified for Latin-1', () => {
    expect(transliterate('L’UFFICIO È CHIUSO…', 'latin1')).toBe('L\'UFFICIO È CHIUSO...');
    expect(transliterate('«Škofja Loka», œuvre 👍', 'latin1')).toBe('«Skofja Loka», oeuvre 👍');
    expect(specialCharacters('È €', 'latin1')).toEqual(['€']);
  });
  it('says which characters are dear', () => expect(specialCharacters('È già 👍 È’')).toEqual(['È', '👍', '’']));
  it.each([['0.045', 3, '0.135'], ['0.07', 3, '0.21'], ['0.1', 3, '0.3'], ['1', 2, '2'], ['0', 5, '0'], ['0.000001', 1600, '0.001600'], ['12.5', 0, '0.0']])('costs %s a part: %i', (price, parts, cost) => {
    expect(costOf(price, parts)).toBe(cost);
  });
  it('has its cost written as one writes it', () => {
    expect(money('it', '0.135', 'EUR').replace(/\s/g, ' ')).toBe('0,135 €');
    expect(money('it', '1234.5', 'EUR').replace(/\s/g, ' ')).toBe('1234,50 €');
    expect(money('en', '0.090', 'EUR')).toBe('€0.09');
    expect(money('en', '0.1', 'nonsense')).toBe('0.1 nonsense');
  });
});

const message = (id: string, rest: Partial<MessageEntry> = {}): Entry => ({ kind: 'message', id, contact: 'ct_1', direction: 'outbound', channel: 'webchat', at: '', filed_at: '', to: [], text: '', has_html: false, attachments: [], has_raw: false, ...rest });

describe('what is news to me', () => {
  const note = (id: string, author: string): Entry => ({ kind: 'note', id, contact: 'ct_1', at: '', author, author_name: '', text: '' });
  it('is what others wrote in the contact, and what failed', () => {
    const entries = [message('in', { direction: 'inbound' }), message('out', { delivery: 'sent' }), note('mine', 'op_me'), message('elsewhere', { direction: 'inbound', contact: 'ct_2' })];
    expect(newsOf(entries, 'ct_1', 'op_me')).toBe('in');
    expect(newsOf([...entries, note('theirs', 'op_other')], 'ct_1', 'op_me')).toBe('in theirs');
    expect(newsOf([...entries, message('lost', { delivery: 'unknown' })], 'ct_1', 'op_me')).toBe('in lost/unknown');
    expect(newsOf([], 'ct_1', 'op_me')).toBe('');
  });
});

describe('signs', () => {
  it('typing ends by itself, or with the message', () => {
    const typing = withSign(NO_SIGNS, { type: 'typing', contact: 'ct_1' }, 1_000);
    expect(typing.typing).toEqual({ ct_1: 1_000 + TYPING_MS });
    expect(withSign(typing, { type: 'typing', contact: 'ct_2' }, 1_000 + TYPING_MS).typing).toEqual({ ct_2: 1_000 + 2 * TYPING_MS });
    expect(withoutTyping(typing, 'ct_1').typing).toEqual({});
    expect(withoutTyping(typing, 'ct_9')).toBe(typing);
  });
  it('what was read is everything of ours up to there, in that contact', () => {
    const entries = [message('a'), message('in', { direction: 'inbound' }), message('b'), message('other', { contact: 'ct_2' }), message('c')];
    expect([...readMessages(entries, { ct_1: 'b' })].sort()).toEqual(['a', 'b']);
    expect([...readMessages(entries, {})]).toEqual([]);
    expect([...readMessages([message('a'), message('b', { read: true }), message('c')], {})].sort()).toEqual(['a', 'b']);
    expect(newestInbound(entries, 'ct_1')).toBe('in');
    expect(newestInbound(entries, 'ct_2')).toBeUndefined();
  });
  it('go at most once in so long, for each contact', () => {
    let now = 0;
    const every = new Every(3_000, () => now);
    const may = (at: number, key = 'a') => { now = at; return every.may(key); };
    expect([may(0), may(2_999), may(2_999, 'b'), may(3_000), may(3_001)]).toEqual([true, false, true, true, false]);
    every.anew('a');
    expect(may(3_002)).toBe(true);
  });
});

describe('where to go next', () => {
  const contact = (id: string, rest: Partial<ContactView> = {}) => ({ id, mode: 'deferrable', state: 'active', due: `2026-11-23T1${id}:00:00Z`, ...rest }) as ContactView;
  const contacts = Object.fromEntries([contact('1'), contact('2', { mode: 'live' }), contact('3', { mode: 'live' }), contact('4', { state: 'pending' })].map((each) => [each.id, each]));
  // In the list: 2, 3 (live), 1, 4 (pending).
  it.each([
    [{ 4: 1 }, '2', '4'], [{ 2: 1, 4: 1 }, '1', '2'], [{ 1: 1, 4: 1 }, '2', '1'], [{ 2: 1 }, '4', '2'], [{ 2: 1, 1: 1 }, undefined, '2'], [{ 2: 1 }, '2', '3'], [{}, '2', '3'], [{}, '3', '2'], [{}, undefined, '2'],
  ])('unread %j, open %s: %s', (unread, open, next) => expect(nextWaiting(contacts, unread as unknown as Record<string, number>, open)).toBe(next));
  it('nowhere, if nobody waits', () => expect(nextWaiting({ 1: contact('1') }, {}, '1')).toBeUndefined());
});
