// The contact that is open on the screen: its view, its conversation, kept fresh.
import { ApiError } from '../api/errors';
import type { ContactView, Conversation } from '../api/types';
import { desk } from './console.svelte';

const GATHER_MS = 120;

class OpenContact {
  id = $state('');
  conversation = $state.raw<Conversation | undefined>();
  error = $state.raw<ApiError | undefined>();
  loading = $state(false);
  private seen = $state.raw<ContactView | undefined>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Mine from the model, which is freshest; somebody else's as last read. */
  contact = $derived<ContactView | undefined>(desk.model.contacts[this.id] ?? this.seen);
  isMine = $derived(this.id in desk.model.contacts);

  constructor() {
    desk.onConversation((conversation) => {
      if (conversation === this.conversation?.id) this.soon();
    });
    desk.onGap(() => {
      if (this.id) this.soon();
    });
  }

  async open(id: string): Promise<void> {
    if (id === this.id && this.conversation) return;
    this.id = id;
    this.conversation = undefined;
    this.seen = undefined;
    this.error = undefined;
    if (!id) return;
    this.loading = true;
    await this.read(id);
    if (this.id === id) this.loading = false;
  }

  /** Reads again a moment later: several events of one commit make one request. */
  soon(): void {
    clearTimeout(this.timer);
    const id = this.id;
    this.timer = setTimeout(() => void this.read(id), GATHER_MS);
  }

  async read(id = this.id): Promise<void> {
    try {
      const contact = desk.model.contacts[id] ?? (await desk.client.contact(id));
      if (this.id !== id) return;
      this.seen = contact;
      const conversation = await desk.client.conversation(contact.conversation);
      if (this.id !== id) return;
      this.conversation = conversation;
      // The conversation has the newer state of its contacts, but not their citizen's name.
      this.seen = { ...contact, ...conversation.contacts.find((each) => each.id === id), ...(contact.citizen ? { citizen: contact.citizen } : {}) };
      this.error = undefined;
    } catch (error) {
      if (this.id === id) this.error = error instanceof ApiError ? error : new ApiError('unexpected', 0);
    }
  }
}

export const openContact = new OpenContact();
