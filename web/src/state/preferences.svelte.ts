// What an operator chose for this browser: sound, notifications, keys, signature, ready-made texts. No citizen's data.

export interface Snippet { name: string; text: string }
interface Saved { sound: boolean; volume: number; desktop: boolean; keys: boolean; signature: string; snippets: Snippet[] }

const KEY = 'sportello.preferences';
const DEFAULTS: Saved = { sound: true, volume: 0.6, desktop: true, keys: true, signature: '', snippets: [] };

function read(): Saved {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Saved>) };
  } catch {
    return DEFAULTS;
  }
}

class Preferences {
  private saved = $state<Saved>(read());

  get sound() { return this.saved.sound; }
  get volume() { return this.saved.volume; }
  get desktop() { return this.saved.desktop; }
  /** Whether single letters are shortcuts (WCAG 2.1.4: they can be turned off). */
  get keys() { return this.saved.keys; }
  get signature() { return this.saved.signature; }
  get snippets() { return this.saved.snippets; }

  set(change: Partial<Saved>): void {
    this.saved = { ...this.saved, ...change };
    localStorage.setItem(KEY, JSON.stringify(this.saved));
  }
}

export const preferences = new Preferences();
