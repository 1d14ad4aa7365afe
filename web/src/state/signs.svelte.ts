// Signs as components see them, and the telling of our own: at most one typing in three seconds, each reading once.
import type { Sign } from '../api/types';
import { Every } from '../lib/every';
import { clock } from './clock.svelte';
import { desk } from './console.svelte';
import { NO_SIGNS, withoutTyping, withSign, type SignModel } from './signs';

const TYPING_EVERY_MS = 3_000;

class Signs {
  model = $state.raw<SignModel>(NO_SIGNS);
  private readonly typed = new Every(TYPING_EVERY_MS);
  private readonly told = new Map<string, string>();

  constructor() {
    desk.onLeave(() => {
      this.model = NO_SIGNS;
      this.typed.anew();
      this.told.clear();
    });
    desk.onSign((sign: Sign) => (this.model = withSign(this.model, sign, clock.now)));
    desk.onEvent((event) => {
      if (event.event === 'message.received' && event.about) this.model = withoutTyping(this.model, event.about.contact);
    });
  }

  isTyping(contact: string): boolean {
    return (this.model.typing[contact] ?? 0) > clock.now;
  }

  /** The operator types in a chat. */
  type(contact: string): void {
    if (this.typed.may(contact)) desk.say({ type: 'typing', contact, on: true });
  }

  /** The message went, or there is nothing to send any more. */
  rest(contact: string): void {
    this.typed.anew(contact);
  }

  /** The operator has the citizen's message on the screen. */
  read(contact: string, message: string): void {
    if (this.told.get(contact) === message) return;
    if (desk.say({ type: 'read', contact, message })) this.told.set(contact, message);
  }
}

export const signs = new Signs();
