// The words in the language of the citizen: Italian and English are in the build, the others come as a file when they are wanted.
import { en } from './en';
import { it } from './it';

export type Key = keyof typeof it;
export type Dictionary = Record<Key, string>;

const BUILT_IN: Readonly<Record<string, Dictionary>> = { it, en };
/** Every language there are words for, by its own name. */
export const LANGUAGES: Readonly<Record<string, string>> = { it: 'Italiano', en: 'English', de: 'Deutsch', fr: 'Français', sl: 'Slovenščina' };

/** The first wanted language that is offered; `de-AT` wants `de`. */
export function choose(wanted: readonly string[], offered: readonly string[]): string {
  const known = offered.filter((language) => language in LANGUAGES);
  const found = wanted.map((tag) => tag.toLowerCase().split('-')[0] ?? '').find((language) => known.includes(language));
  return found ?? known[0] ?? 'it';
}

/** The dictionary of a language. A file that can't be had, or lacks a word, leaves English in its place. */
export async function dictionaryOf(language: string, load: (language: string) => Promise<Record<string, string>>): Promise<Dictionary> {
  const built = BUILT_IN[language];
  if (built) return built;
  if (!(language in LANGUAGES)) return en;
  const file: Record<string, string> = await load(language).catch(() => ({}));
  const known = Object.entries(file).filter(([key, text]) => key in it && typeof text === 'string');
  return { ...en, ...(Object.fromEntries(known) as Partial<Dictionary>) };
}

/** A text with its `{places}` filled. */
export function fill(text: string, places: Record<string, string | number> = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(places[name] ?? whole));
}

/** The words and formats of one language. */
export class Words {
  constructor(readonly language: string, private readonly dictionary: Dictionary) {}

  t = (key: Key, places?: Record<string, string | number>) => fill(this.dictionary[key], places);

  /** The words for a code that comes from outside, or those of the general case. */
  code(family: 'ended' | 'error', code: string | undefined, places?: Record<string, string | number>): string {
    const key = `${family}.${code ?? ''}`;
    const general = family === 'ended' ? 'ended.unknown' : 'error.unexpected';
    return this.t(Object.hasOwn(this.dictionary, key) ? (key as Key) : general, places);
  }

  time(at: string | number): string {
    return new Intl.DateTimeFormat(this.language, { hour: '2-digit', minute: '2-digit' }).format(new Date(at));
  }

  day(at: string | number): string {
    return new Intl.DateTimeFormat(this.language, { weekday: 'long', day: 'numeric', month: 'long' }).format(new Date(at));
  }

  bytes(size: number): string {
    const [value, unit] = size < 1_000_000 ? [Math.max(1, Math.round(size / 1000)), 'kB'] : [size / 1_000_000, 'MB'];
    return `${new Intl.NumberFormat(this.language, { maximumFractionDigits: 1 }).format(value as number)} ${unit}`;
  }

  /** `0:45`. */
  countdown(ms: number): string {
    const seconds = Math.max(0, Math.ceil(ms / 1000));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
}
