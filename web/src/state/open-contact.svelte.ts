// The contact that is open on the screen: its view, its conversation, kept fresh.
import { ApiError } from '../api/errors';
import type { ContactView, Conversation } from '../api/types';
import { desk } from './console.svelte';
import { isOlder } from './model';
import { Outdated, Reading } from './reading';

const GATHER_MS = 120;
interface Open { contact: ContactView; conversation: Conversation }

class OpenContact {
  id = $state('');
  conversation = $state.raw<Conversation | undefined>();
  /** Why the last reading failed; it is tried again, unless the answer is final. */
  error = $state.raw<ApiError | undefined>();
  /** There may be more than what is on the screen: it is on its way, or could not be read. */
  stale = $state(false);
  private seen = $state.raw<ContactView | undefined>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private opening: Promise<void> = Promise.resolve();
  private readonly reading = new Reading<Open>();

  /** Mine from the model, which is freshest; somebody else's as last read. */
  contact = $derived<ContactView | undefined>(desk.model.contacts[this.id] ?? this.seen);
  isMine = $derived(this.id in desk.model.contacts);

  constructor() {
    desk.onConversation((conversation) => {
      // As long as nobody knows which conversation it is, it may be this one.
      const open = this.conversation?.id ?? this.contact?.conversation ?? conversation;
      if (open === conversation) this.soon();
    });
    desk.onGap(() => this.soon());
    desk.onLeave(() => this.show(''));
  }

  /** Opens a contact; done when it can be seen. */
  open(id: string): Promise<void> {
    if (id !== this.id) {
      this.show(id);
      this.opening = this.read();
    }
    return this.opening;
  }

  private show(id: string): void {
    clearTimeout(this.timer);
    this.reading.forget();
    this.id = id;
    this.conversation = this.seen = this.error = undefined;
    this.stale = false;
  }

  /** Reads again a moment later: several events of one commit make one request. */
  soon(): void {
    if (!this.id) return;
    this.stale = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.read(), GATHER_MS);
  }

  /** Reads it until it is there. */
  async read(): Promise<void> {
    const { id } = this;
    if (!id) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stale = true;
    await this.reading.read(() => this.load(id), (open) => this.take(open), (error) => {
      this.error = error instanceof ApiError ? error : new ApiError('unexpected', 0);
    });
  }

  private async load(id: string): Promise<Open> {
    const contact = desk.model.contacts[id] ?? (await desk.client.contact(id));
    // Who it is can be seen while the words are on their way.
    if (id === this.id) this.seen ??= contact;
    const conversation = await desk.client.conversation(contact.conversation);
    if (id === this.id && isOlder(conversation, this.conversation)) throw new Outdated();
    return { contact, conversation };
  }

  private take({ contact, conversation }: Open): void {
    this.conversation = conversation;
    // The conversation has the newer state of its contacts, but not their citizen's name.
    this.seen = { ...contact, ...conversation.contacts.find((each) => each.id === contact.id), ...(contact.citizen ? { citizen: contact.citizen } : {}) };
    this.error = undefined;
    this.stale = !this.reading.isSettled || this.timer !== undefined;
  }
}

export const openContact = new OpenContact();
