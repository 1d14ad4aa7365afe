// The dictionaries and the way into them. Italian is the model: English must have the same keys.
import { en } from './en';
import type { UiLanguage } from './format';
import { it } from './it';

export type Key = keyof typeof it;
export type Parameters = Record<string, string | number>;
export const DICTIONARIES: Record<UiLanguage, Record<Key, string>> = { it, en };
export const LANGUAGES: readonly UiLanguage[] = ['it', 'en'];

/** The text of a key. `{name}` is filled in; `{n|one|other}` chooses by the number, and may itself have a name to fill in. */
export function translate(language: UiLanguage, key: Key, parameters: Parameters = {}): string {
  const fill = (text: string): string => text.replace(/\{(\w+)(?:\|((?:[^{}|]|\{\w+\})*)\|((?:[^{}]|\{\w+\})*))?\}/g, (whole, name: string, one?: string, other?: string) => {
    const value = parameters[name];
    if (value === undefined) return whole;
    if (one !== undefined && other !== undefined) return fill(Number(value) === 1 ? one : other);
    return String(value);
  });
  return fill(DICTIONARIES[language][key]);
}

/** The text for a code that comes from outside (a reason, a state): its own words if there are any, else the code itself. Languages have
 * the browser's words. */
export function translateCode(language: UiLanguage, family: string, code: string): string {
  const key = `${family}.${code}`;
  const dictionary = DICTIONARIES[language] as Record<string, string>;
  if (Object.hasOwn(dictionary, key)) return dictionary[key]!;
  const words = (family === 'language' && languageName(language, code)) || code.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function languageName(language: UiLanguage, code: string): string | undefined {
  try {
    return new Intl.DisplayNames(language, { type: 'language' }).of(code);
  } catch {
    // Not a code of that form.
    return undefined;
  }
}

/** The sentence for an error: what happened and what to do. */
export function translateError(language: UiLanguage, code: string, detail = ''): string {
  const dictionary = DICTIONARIES[language] as Record<string, string>;
  const sentence = dictionary[`error.${code}`];
  // Which value is not acceptable is only known to the server.
  if (code === 'invalid' && detail) return `${sentence} (${detail})`;
  if (sentence !== undefined) return sentence;
  const general = dictionary['error.unexpected']!;
  return detail ? `${general} (${detail})` : `${general} (${code})`;
}
