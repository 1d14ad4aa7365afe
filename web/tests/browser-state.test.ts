// What a browser keeps for an operator, and what it shows outside of the page.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Memory } from './memory';

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal('localStorage', new Memory());
});

describe('preferences', () => {
  const load = async () => (await import('../src/state/preferences.svelte')).preferences;
  it('sign with nobody else\'s name, and keep what is the browser\'s', async () => {
    localStorage.setItem('sportello.preferences', JSON.stringify({ volume: 0.3, signature: 'Somebody', snippets: [{ name: 'x', text: 'y' }] }));
    const preferences = await load();
    preferences.belongTo('op_1');
    expect([preferences.volume, preferences.signature, preferences.snippets]).toEqual([0.3, '', []]);
    preferences.setOwn({ signature: 'Anna' });
    preferences.set({ keys: false });
    preferences.belongTo('op_2');
    expect([preferences.keys, preferences.signature]).toEqual([false, '']);
    preferences.belongTo('');
    preferences.setOwn({ signature: 'Nobody' });
    preferences.belongTo('op_1');
    expect(preferences.signature).toBe('Anna');
    expect(localStorage.getItem('sportello.preferences')).not.toContain('Somebody');
  });
});

describe('desktop notifications', () => {
  it('are heard each time, and go when what they said is over', async () => {
    const made: { options: NotificationOptions & { renotify?: boolean }; close: ReturnType<typeof vi.fn> }[] = [];
    class Notification {
      static permission = 'granted';
      close = vi.fn();
      constructor(_title: string, readonly options: NotificationOptions) { made.push(this); }
    }
    vi.stubGlobal('Notification', Notification);
    vi.stubGlobal('document', { hidden: true });
    const { notify, withdraw } = await import('../src/lib/desktop');
    for (const tag of ['offer-a', 'offer-b', 'message-c']) notify('Sportello', 'x', tag, () => {});
    expect(made.every((each) => each.options.renotify)).toBe(true);
    withdraw('offer-a');
    expect(made.map((each) => each.close.mock.calls.length)).toEqual([1, 0, 0]);
    withdraw();
    expect(made.map((each) => each.close.mock.calls.length)).toEqual([1, 1, 1]);
  });
});
