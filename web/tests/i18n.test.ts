// Every key in both languages, every key that the sources name, and the words of time.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DICTIONARIES, translate, translateCode, translateError } from '../src/i18n/translate';
import { bytes, countdown, dayKey, instantOf, short, span, urgency, wallTimeOf, workingDay } from '../src/i18n/format';
import { FUNCTION_KEYS, LETTERS } from '../src/lib/keys';

const italian = DICTIONARIES.it as Record<string, string>;
const english = DICTIONARIES.en as Record<string, string>;
const names = (text: string) => [...text.matchAll(/\{(\w+)[|}]/g)].map((match) => match[1]).filter((name, at, all) => all.indexOf(name) === at).sort();

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : /\.(svelte|ts)$/.test(entry.name) && !path.includes('i18n') ? [readFileSync(path, 'utf8')] : [];
  });
}

describe('dictionaries', () => {
  it('have the same keys and the same parameters', () => {
    expect(Object.keys(english).sort()).toEqual(Object.keys(italian).sort());
    for (const key of Object.keys(italian)) {
      expect(english[key], key).not.toBe('');
      expect(names(english[key]!), key).toEqual(names(italian[key]!));
    }
  });
  it('have a word for every code of the API', () => {
    const codes: Record<string, string[]> = {
      state: ['queued', 'offered', 'active', 'pending', 'wrap_up', 'deferred', 'abandoned', 'closed'],
      delivery: ['queued', 'attempting', 'sent', 'failed', 'unknown', 'delivered', 'bounced'],
      resolution: ['resolved', 'handed_over', 'no_answer', 'not_a_request', 'duplicate', 'not_given'],
      presence: ['offline', 'ready', 'away'], presence_reason: ['screen_break', 'lunch', 'training', 'meeting', 'back_office', 'missed'],
      reject: ['busy', 'not_competent', 'conflict', 'technical', 'other'], identity: ['claimed', 'verified', 'spid'],
      pending: ['citizen', 'office'], automatic: ['auto_reply', 'bounce', 'receipt', 'list', 'loop'], role: ['operator', 'supervisor', 'admin'],
      released: ['untouched', 'owner_lost', 'returned'], gone: ['transferred', 'deferred', 'abandoned', 'queued'], put_away: ['missed', 'away', 'offline'],
      error: ['not_found', 'not_owner', 'version_changed', 'wrong_state', 'offer_expired', 'offer_revoked', 'offer_ended', 'operator_not_ready', 'operator_not_allowed', 'not_connected', 'other_administration', 'no_reply_channel', 'invalid', 'limit_reached', 'quarantined', 'router_unavailable', 'bad_credentials', 'too_many_attempts', 'busy', 'bad_attachment', 'bad_password', 'broker_unavailable', 'cannot_retry', 'held_again', 'files_unavailable', 'foreign_origin', 'internal', 'login_taken', 'name_taken', 'no_right_to_content', 'not_held', 'refused', 'store_unavailable', 'too_many_consoles', 'not_json', 'too_large', 'forbidden', 'offline', 'timeout'],
      key: [...LETTERS, ...FUNCTION_KEYS].map(([, action]) => action),
    };
    for (const [family, words] of Object.entries(codes)) for (const code of words) expect(italian, `${family}.${code}`).toHaveProperty([`${family}.${code}`]);
  });
  it('have no key that nobody uses', () => {
    const text = sources('src').join('\n');
    const families = new Set([...text.matchAll(/word\('(\w+)'/g)].map((match) => match[1]));
    const unused = Object.keys(italian).filter((key) => !text.includes(`'${key}'`) && !families.has(key.split('.')[0]!) && !key.startsWith('error.'));
    expect(unused).toEqual([]);
  });
  it('fill in, choose by number, and fall back', () => {
    expect(translate('it', 'wait.in_days', { n: 1 })).toBe('Tra 1 giorno lavorativo');
    expect(translate('it', 'wait.in_days', { n: 3 })).toBe('Tra 3 giorni lavorativi');
    expect(translate('it', 'history.none_of', { n: 1 })).toBe('Nessuno nell\'unico contatto caricato.');
    expect(translate('it', 'history.none_of', { n: 50 })).toBe('Nessuno tra i 50 caricati.');
    expect(translate('it', 'account.drafts_lost', { n: 1 })).toContain('C\'è una bozza non inviata. Uscendo viene cancellata');
    expect(translateCode('it', 'language', 'ro')).toBe('Rumeno');
    expect(translateCode('en', 'language', 'sl')).toMatch(/^Slov/);
    expect(translateCode('it', 'language', 'not a code')).toBe('Not a code');
    expect(translateCode('en', 'reject', 'gone_fishing')).toBe('Gone fishing');
    expect(translateCode('it', 'constructor', 'x')).toBe('X');
    expect(translateError('en', 'strange_code', 'disk is full')).toContain('disk is full');
  });
});

describe('times', () => {
  it('are in Rome, whatever the computer says', () => {
    expect(short('it', '2026-07-01T22:30:00Z', Date.parse('2026-07-01T22:40:00Z'))).toBe('00:30');
    expect(dayKey('2026-07-01T22:30:00Z')).toBe('2026-07-02');
    expect(short('en', '2026-11-20T08:05:00Z', Date.parse('2026-11-23T08:00:00Z'))).toMatch(/^Fri,? 20 Nov,? 09:05$/);
  });
  it.each([
    ['2026-01-15T09:00', '2026-01-15T08:00:00.000Z'],
    ['2026-07-15T09:00', '2026-07-15T07:00:00.000Z'],
    ['2026-03-29T03:30', '2026-03-29T01:30:00.000Z'],
    ['2026-10-25T03:30', '2026-10-25T02:30:00.000Z'],
  ])('wall time %s is %s', (wall, instant) => {
    expect(instantOf(wall)).toBe(instant);
    expect(wallTimeOf(Date.parse(instant))).toBe(wall);
  });
  it('refuses what is no time', () => expect(instantOf('soon')).toBeUndefined());
  it('counts working days', () => {
    const friday = Date.parse('2026-11-27T15:00:00Z');
    expect(workingDay(friday, 1, 9)).toBe('2026-11-30T09:00');
    expect(workingDay(friday, 5, 9)).toBe('2026-12-04T09:00');
  });
  it.each([[7_000, '0:07'], [750_000, '12:30'], [3_900_000, '1:05:00'], [-5, '0:00']])('countdown %d', (ms, text) => expect(countdown(ms)).toBe(text));
  it.each([[45_000, '45 s'], [12 * 60_000, '12 min'], [200 * 60_000, '3 h 20 min'], [-26 * 3_600_000, '1 g 2 h'], [200 * 3_600_000, '8 g']])('span %d', (ms, text) => expect(span('it', ms)).toBe(text));
  it('sizes', () => expect([bytes('it', 812), bytes('it', 14_200), bytes('it', 2_345_000)]).toEqual(['812 B', '14 kB', '2,3 MB']));
  it('urgency is stricter for letters', () => {
    const now = Date.parse('2026-11-23T09:00:00Z');
    expect([urgency('2026-11-23T08:59:00Z', now, true), urgency('2026-11-23T09:30:00Z', now, true), urgency('2026-11-23T09:30:00Z', now, false)]).toEqual(['late', 'calm', 'soon']);
  });
});
