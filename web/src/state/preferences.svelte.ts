// What an operator chose in this browser. Sound, notifications and keys are the browser's; signature and ready-made texts are
// their own, and nobody else's letters are signed with them. No citizen's data.

export interface Snippet { name: string; text: string }
interface Shared { sound: boolean; volume: number; desktop: boolean; keys: boolean }
interface Own { signature: string; snippets: Snippet[] }

const SHARED_KEY = 'sportello.preferences';
const OWN_KEY = 'sportello.writing';
const SHARED: Shared = { sound: true, volume: 0.6, desktop: true, keys: true };
const OWN: Own = { signature: '', snippets: [] };

/** What is kept under a key, of the fields that belong there. */
function read<T extends object>(key: string, defaults: T): T {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<T>;
    return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, kept[name as keyof T] ?? value])) as T;
  } catch {
    return defaults;
  }
}

class Preferences {
  private shared = $state<Shared>(read(SHARED_KEY, SHARED));
  private own = $state<Own>(OWN);
  private operator = '';

  get sound() { return this.shared.sound; }
  get volume() { return this.shared.volume; }
  get desktop() { return this.shared.desktop; }
  /** Whether single letters are shortcuts (WCAG 2.1.4: they can be turned off). */
  get keys() { return this.shared.keys; }
  get signature() { return this.own.signature; }
  get snippets() { return this.own.snippets; }

  /** Whose they are from now on; without anybody, nothing of their own is there. */
  belongTo(operator: string): void {
    this.operator = operator;
    this.own = operator ? read(`${OWN_KEY}/${operator}`, OWN) : OWN;
  }

  set(change: Partial<Shared>): void {
    this.shared = { ...this.shared, ...change };
    localStorage.setItem(SHARED_KEY, JSON.stringify(this.shared));
  }

  setOwn(change: Partial<Own>): void {
    if (!this.operator) return;
    this.own = { ...this.own, ...change };
    localStorage.setItem(`${OWN_KEY}/${this.operator}`, JSON.stringify(this.own));
  }
}

export const preferences = new Preferences();
