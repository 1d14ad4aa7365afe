// A small board of emoji: arrows move, Enter takes, Esc closes. Screen readers know their names in every language.
import { h, set, show } from './dom';

const BOARD = ['🙂', '😊', '😀', '😂', '😉', '😍', '🤔', '😕', '😢', '😮', '😡', '🙏', '👍', '👎', '👋', '👏', '💪', '✅', '❌', '❗', '❓', '❤️', '🎉', '📎', '📄', '📅', '📞', '🏠', '🏫', '🚗'];
const COLUMNS = 6;

export class EmojiBoard {
  readonly root: HTMLElement;
  private readonly buttons: HTMLButtonElement[];

  constructor(label: string, private readonly toggle: HTMLButtonElement, onPick: (emoji: string) => void) {
    this.buttons = BOARD.map((emoji, at) => h('button', { type: 'button', tabindex: at === 0 ? 0 : -1, onclick: () => { this.close(); onPick(emoji); } }, emoji));
    this.root = h('div', { class: 'emoji', role: 'group', 'aria-label': label, hidden: true, onkeydown: (event) => this.key(event) }, ...this.buttons);
    set(toggle, 'aria-expanded', 'false');
    toggle.addEventListener('click', () => (this.root.hidden ? this.open() : this.close(true)));
    this.root.addEventListener('focusout', (event) => {
      const to = event.relatedTarget;
      if (to instanceof Node && to !== toggle && !this.root.contains(to)) this.close();
    });
  }

  get isOpen(): boolean { return !this.root.hidden; }

  close(back = false): void {
    show(this.root, false);
    set(this.toggle, 'aria-expanded', 'false');
    if (back) this.toggle.focus();
  }

  private open(): void {
    show(this.root, true);
    set(this.toggle, 'aria-expanded', 'true');
    this.move(0);
  }

  private key(event: KeyboardEvent): void {
    const at = this.buttons.indexOf(event.target as HTMLButtonElement);
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS, Home: -at, End: this.buttons.length - 1 - at };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.move(Math.min(this.buttons.length - 1, Math.max(0, at + step)));
  }

  private move(to: number): void {
    this.buttons.forEach((button, at) => set(button, 'tabindex', at === to ? 0 : -1));
    this.buttons[to]?.focus();
  }
}
