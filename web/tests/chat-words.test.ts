// Every language has every word, with the same places; languages are chosen and files read as they should.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { en } from '../chat/words/en';
import { it as italian } from '../chat/words/it';
import { choose, dictionaryOf, fill, LANGUAGES, Words } from '../chat/words/words';

const FOLDER = new URL('../chat/public/lang/', import.meta.url);
const file = (language: string) => JSON.parse(readFileSync(new URL(`${language}.json`, FOLDER), 'utf8')) as Record<string, string>;
const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();
const languages: [string, Record<string, string>][] = [['en', en], ...['de', 'fr', 'sl'].map((language): [string, Record<string, string>] => [language, file(language)])];

describe('words', () => {
  it('there is a file for each language that is not in the build', () => {
    expect(readdirSync(FOLDER).sort()).toEqual(Object.keys(LANGUAGES).filter((language) => language !== 'it' && language !== 'en').map((language) => `${language}.json`).sort());
  });
  it.each(languages)('%s has every word with its places', (_language, words) => {
    expect(Object.keys(words).sort()).toEqual(Object.keys(italian).sort());
    for (const [key, text] of Object.entries(italian)) {
      expect(words[key], key).not.toBe('');
      expect(places(words[key]!), key).toEqual(places(text));
    }
  });
  it('no word is unused', () => {
    const sources = ['../chat', '../chat/view'].flatMap((folder) => readdirSync(new URL(folder, import.meta.url)).filter((name) => name.endsWith('.ts')).map((name) => readFileSync(new URL(`${folder}/${name}`, import.meta.url), 'utf8'))).join('\n');
    const families = ['error.', 'ended.', 'progress.', 'log.'];
    expect(Object.keys(italian).filter((key) => !sources.includes(`'${key}'`) && !families.some((family) => key.startsWith(family)))).toEqual([]);
  });
  it('the first wanted language that is offered is taken', () => {
    expect(choose(['de-AT', 'it'], ['it', 'en', 'de'])).toBe('de');
    expect(choose(['ja'], ['en', 'it'])).toBe('en');
    expect(choose(['', 'IT-it'], ['en', 'it'])).toBe('it');
    expect(choose(['xx'], ['yy'])).toBe('it');
  });
  it('a file that can\'t be had, or is not what it should be, leaves English', async () => {
    expect(await dictionaryOf('de', () => Promise.reject(new Error('offline')))).toEqual(en);
    const partly = await dictionaryOf('sl', () => Promise.resolve({ 'write.send': 'Pošlji', 'other': 'x', 'start.name': 7 as unknown as string }));
    expect([partly['write.send'], partly['start.name'], 'other' in partly]).toEqual(['Pošlji', en['start.name'], false]);
  });
  it('a code that nobody knows has general words', () => {
    const words = new Words('it', italian);
    expect(words.code('error', 'constructor')).toBe(italian['error.unexpected']);
    expect(words.code('ended', undefined)).toBe(italian['ended.unknown']);
    expect(fill('{a} {b}', { a: '$&' })).toBe('$& {b}');
    expect([words.countdown(61_000), words.countdown(-1), words.bytes(2_300_000), words.bytes(10)]).toEqual(['1:01', '0:00', '2,3 MB', '1 kB']);
  });
});
