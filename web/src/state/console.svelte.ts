// The console's heart: session, model, live link, and the carrying out of what the reducer asks for.
import { DeskClient, API, type PresenceChange } from '../api/client';
import { ApiError } from '../api/errors';
import { LiveLink, type LinkState } from '../api/live';
import type { ContactView, DeskEvent, DeskSnapshot, Me, OwnSign, Sign } from '../api/types';
import { errorText, i18n } from '../i18n/i18n.svelte';
import { clock } from './clock.svelte';
import { Drafts } from './drafts';
import { asRead, emptyModel, fromSnapshot, Names, withContact, withoutOffer, type DeskModel } from './model';
import { notices } from './notices.svelte';
import { reduce, type Effect } from './reducer';
import { Renewal } from './renewal';
import { isOperator, isSupervisor } from './rights';
import { router } from './router.svelte';
import { tellOperator } from './telling';

export type Phase = 'starting' | 'signed_out' | 'ready' | 'unreachable';
/** Failed connections in a row after which the session itself is checked. */
const PROBE_AFTER = 1;

class Console {
  phase = $state<Phase>('starting');
  me = $state.raw<Me | undefined>();
  model = $state.raw<DeskModel>(emptyModel(''));
  link = $state<LinkState>('connecting');
  /** Why the sign-in page is shown: the session ended by itself. */
  expired = $state(false);
  names = $derived(new Names(this.model.plan));
  /** Grows with each saved or cleared draft, so that lists can show the mark. */
  draftsVersion = $state(0);
  drafts = new Drafts(localStorage, '');

  readonly client = new DeskClient();
  private live: LiveLink | undefined;
  private lostLinks = 0;
  private readonly listeners = new Set<(event: DeskEvent) => void>();
  private readonly signListeners = new Set<(sign: Sign) => void>();
  private readonly gapListeners = new Set<() => void>();
  private readonly renewal = new Renewal<DeskSnapshot>({ read: () => this.client.state(), put: (snapshot, meanwhile) => this.put(snapshot, meanwhile) });
  private readonly conversationListeners = new Set<(conversation: string) => void>();

  constructor() {
    this.client.onSessionEnd = () => this.sessionEnded();
  }

  /** Reads the session; without one, the sign-in page. */
  async start(): Promise<void> {
    this.phase = 'starting';
    try {
      await this.enter(await this.client.me());
    } catch (error) {
      this.phase = error instanceof ApiError && error.status === 401 ? 'signed_out' : 'unreachable';
    }
  }

  async signIn(login: string, password: string): Promise<void> {
    await this.enter(await this.client.signIn(login, password));
  }

  async signOut(): Promise<void> {
    this.drafts.clearAll();
    this.live?.stop();
    await this.client.signOut().catch(() => {});
    this.expired = false;
    this.leave();
  }

  private async enter(me: Me): Promise<void> {
    this.me = me;
    this.model = emptyModel(me.operator);
    this.drafts = new Drafts(localStorage, me.operator);
    this.drafts.sweep();
    i18n.suggest(me.language);
    await this.readState();
    this.expired = false;
    // Who only watches the room begins there.
    if (!isOperator(me) && this.supervises && /^#?\/?$/.test(location.hash)) router.go({ view: 'room' });
    this.phase = 'ready';
    const url = new URL(`${API}/live`, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.live?.stop();
    this.live = new LiveLink({
      url: url.href,
      after: () => this.model.seq,
      onEvent: (event) => this.take(event),
      onSeen: (contact) => this.seenElsewhere(contact),
      onSign: (sign) => { for (const listener of this.signListeners) listener(sign); },
      onLink: (link) => this.linkChanged(link),
      onGap: () => void this.renew(),
      onSessionEnd: () => this.sessionEnded(),
    });
    this.live.start();
  }

  private sessionEnded(): void {
    if (this.phase !== 'ready') return;
    this.live?.stop();
    this.expired = true;
    this.leave();
  }

  private leave(): void {
    this.me = undefined;
    this.model = emptyModel('');
    this.phase = 'signed_out';
  }

  /** Connects again now: the network is back. */
  hurry(): void {
    this.live?.hurry();
  }

  private linkChanged(link: LinkState): void {
    // A short blink between two attempts is still "offline" for the person.
    if (link === 'connecting' && this.link === 'offline') return;
    this.link = link;
    if (link === 'online') this.lostLinks = 0;
    if (link !== 'offline') return;
    this.lostLinks += 1;
    if (this.lostLinks > PROBE_AFTER) {
      // A refused upgrade looks like any lost socket: ask whether the session is still there.
      this.client.me().catch((error: unknown) => {
        if (error instanceof ApiError && error.status === 401) this.sessionEnded();
      });
    }
  }

  /** Reads the whole state. */
  readState(): Promise<void> {
    return this.renewal.once();
  }

  private put(snapshot: DeskSnapshot, meanwhile: DeskEvent[]): void {
    clock.align(snapshot.server_time);
    const me = this.me;
    if (!me) return;
    // What the events ask for was carried out when they came.
    const model = meanwhile.reduce((before, event) => reduce(before, event).model, fromSnapshot(me.operator, snapshot));
    this.set(model);
  }

  /** The link has a gap: everything on the screen may be old. */
  private async renew(): Promise<void> {
    if (!(await this.renewal.untilRead(() => this.phase === 'ready'))) return;
    for (const listener of this.gapListeners) listener();
  }

  private set(model: DeskModel): void {
    this.model = model;
  }

  private take(event: DeskEvent): void {
    this.renewal.note(event);
    const { model, effects } = reduce(this.model, event);
    this.set(model);
    for (const effect of effects) this.carryOut(effect);
    for (const listener of this.listeners) listener(event);
  }

  private carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'load_contact': void this.refresh(effect.contact); break;
      case 'reload_conversation': for (const listener of this.conversationListeners) listener(effect.conversation); break;
      case 'reload_state': void this.renew(); break;
      case 'tell': tellOperator(effect, this.model, this.names); break;
    }
  }

  /** Reads a contact again; one that is not there any more leaves the list with the next snapshot. */
  async refresh(id: string): Promise<ContactView | undefined> {
    try {
      const contact = await this.client.contact(id);
      this.set(withContact(this.model, contact));
      return contact;
    } catch {
      return undefined;
    }
  }

  /** I have this contact on the screen. */
  looked(id: string): void {
    this.set(asRead(this.model, id));
  }

  /** The same, with its conversation as it was at that time: kept by the desk, for all my consoles. */
  async markRead(id: string, until: string): Promise<void> {
    this.looked(id);
    await this.client.markRead(id, until);
    this.looked(id);
  }

  /** Another console of mine has read a contact: what is left of it, the desk knows. */
  private seenElsewhere(id: string): void {
    if (this.model.unread[id]) void this.refresh(id);
  }

  /** Every event, for views with more to show than the model: the room. */
  onEvent(listener: (event: DeskEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Called for what passes: a citizen types, or has read. */
  onSign(listener: (sign: Sign) => void): () => void {
    this.signListeners.add(listener);
    return () => this.signListeners.delete(listener);
  }

  /** Sends a sign of one's own; false, and lost, if there is no line. */
  say(sign: OwnSign): boolean {
    return this.live?.say(sign) ?? false;
  }

  /** Called when events were missed and the state has been read anew. */
  onGap(listener: () => void): () => void {
    this.gapListeners.add(listener);
    return () => this.gapListeners.delete(listener);
  }

  /** Called when a conversation has something new. */
  onConversation(listener: (conversation: string) => void): () => void {
    this.conversationListeners.add(listener);
    return () => this.conversationListeners.delete(listener);
  }

  /** Runs a command and says how it ended; true if it was done. */
  async run(command: () => Promise<unknown>, done?: string): Promise<boolean> {
    try {
      await command();
      if (done) notices.show('success', done);
      return true;
    } catch (error) {
      this.explain(error);
      return false;
    }
  }

  /** Puts an error in words. */
  explain(error: unknown): void {
    const known = error instanceof ApiError ? error : new ApiError('unexpected', 0, String(error));
    if (known.endsSession) return;
    notices.show('danger', errorText(known.code, known.detail));
  }

  async setPresence(change: PresenceChange): Promise<void> {
    const before = this.model.presence;
    const reason = 'reason' in change ? { reason: change.reason } : {};
    this.set({ ...this.model, presence: { state: change.state, ...reason, connected: before.connected, since: new Date(clock.now).toISOString() } });
    const done = await this.run(() => this.client.presence(change));
    if (!done) this.set({ ...this.model, presence: before });
  }

  async accept(id: string, ordinal: number): Promise<boolean> {
    const done = await this.run(() => this.client.accept(id, ordinal));
    this.set(withoutOffer(this.model, id, ordinal));
    if (done) await this.refresh(id);
    return done;
  }

  async reject(id: string, ordinal: number, reason: string): Promise<boolean> {
    const done = await this.run(() => this.client.reject(id, ordinal, reason));
    this.set(withoutOffer(this.model, id, ordinal));
    return done;
  }

  get supervises(): boolean {
    return this.me !== undefined && isSupervisor(this.me);
  }
}

export const desk = new Console();
