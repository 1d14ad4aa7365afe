// The console's heart: session, model, live link, and the carrying out of what the reducer asks for.
import { DeskClient, API, type PresenceChange } from '../api/client';
import type { CommandId } from '../api/command-id';
import { ApiError } from '../api/errors';
import { LiveLink, type LinkState } from '../api/live';
import type { DeskEvent, DeskSnapshot, Me, OwnSign, Sign } from '../api/types';
import { errorText, i18n, t } from '../i18n/i18n.svelte';
import { withdraw } from '../lib/desktop';
import { actions } from './actions.svelte';
import { clock } from './clock.svelte';
import { ContactReads } from './contact-reads';
import { Drafts } from './drafts';
import { Farewell } from './farewell';
import { asRead, emptyModel, fromSnapshot, Names, withContact, withoutOffer, type DeskModel } from './model';
import { notices } from './notices.svelte';
import { preferences } from './preferences.svelte';
import { untilDone } from './reading';
import { isPutAway, reduce, type Effect } from './reducer';
import { Renewal } from './renewal';
import { isOperator, isSupervisor } from './rights';
import type { Route } from './route';
import { router } from './router.svelte';
import { offerTag, tellOperator, tellPutAway } from './telling';

export type Phase = 'starting' | 'signed_out' | 'leaving' | 'ready' | 'unreachable';
/** Failed connections in a row after which the session itself is checked. */
const PROBE_AFTER = 1;
/** Failed connections in a row, with a server that answers otherwise, after which it must be the line that is refused. */
const REFUSED_AFTER = 3;
/** Who signed in last in this browser: its tabs have one session, whoever's console they show. */
const SIGNED_IN_KEY = 'sportello.signed_in';

class Console {
  phase = $state<Phase>('starting');
  me = $state.raw<Me | undefined>();
  model = $state.raw<DeskModel>(emptyModel(''));
  link = $state<LinkState>('connecting');
  /** The server answers, but takes no line from us. */
  refused = $state(false);
  /** Why the sign-in page is shown: the session ended by itself, or somebody else signed in in this browser. */
  ended = $state<'expired' | 'replaced' | undefined>();
  /** Somebody left, and the desk has not answered that it knows. */
  unconfirmed = $state(false);
  names = $derived(new Names(this.model.plan));
  /** Grows with each saved or cleared draft, so that lists can show the mark. */
  draftsVersion = $state(0);
  drafts = new Drafts(localStorage, '');

  readonly client = new DeskClient();
  private readonly farewell = new Farewell({ storage: localStorage, signOut: () => this.client.signOut() });
  private live: LiveLink | undefined;
  private lostLinks = 0;
  private readonly listeners = new Set<(event: DeskEvent) => void>();
  private readonly signListeners = new Set<(sign: Sign) => void>();
  private readonly gapListeners = new Set<() => void>();
  private readonly leaveListeners = new Set<() => void>();
  private readonly renewal = new Renewal<DeskSnapshot>({ read: () => this.client.state(), put: (snapshot, meanwhile) => this.put(snapshot, meanwhile) });
  private readonly reads = new ContactReads({ read: (id) => this.client.contact(id), put: (contact) => this.set(withContact(this.model, contact)) });
  private readonly conversationListeners = new Set<(conversation: string) => void>();
  /** Where somebody was when their session ended: they come back to it, and nobody else does. */
  private place: { operator: string; route: Route } | undefined;
  /** How many changes of presence are on their way: what is heard meanwhile may be from before. */
  private presenceAsked = 0;
  /** The notice that I was put away. */
  private awayNotice = 0;

  constructor() {
    this.client.onSessionEnd = () => this.sessionEnded('expired');
  }

  /** Reads the session; without one, the sign-in page. A sign-out that was not confirmed comes first. */
  async start(): Promise<void> {
    this.drafts.sweep();
    if (this.farewell.isOpen) return this.sayFarewell();
    this.phase = 'starting';
    try {
      await this.enter(await this.client.me());
    } catch (error) {
      this.phase = error instanceof ApiError && error.status === 401 ? 'signed_out' : 'unreachable';
    }
  }

  async signIn(login: string, password: string): Promise<void> {
    const me = await this.client.signIn(login, password);
    // Their session takes the place of one whose end was not confirmed, in another tab.
    this.farewell.confirm();
    await this.enter(me);
  }

  async signOut(): Promise<void> {
    if (!this.me) return;
    this.farewell.begin(this.me.operator);
    this.drafts.close();
    this.ended = undefined;
    this.place = undefined;
    this.leave();
    await this.sayFarewell();
  }

  private async sayFarewell(): Promise<void> {
    this.phase = 'leaving';
    await this.farewell.untilConfirmed(() => (this.unconfirmed = true));
    this.unconfirmed = false;
    this.phase = 'signed_out';
  }

  private async enter(me: Me): Promise<void> {
    localStorage.setItem(SIGNED_IN_KEY, me.operator);
    this.me = me;
    this.model = emptyModel(me.operator);
    preferences.belongTo(me.operator);
    this.drafts = new Drafts(localStorage, me.operator);
    this.drafts.sweep();
    i18n.suggest(me.language);
    await this.readState();
    this.ended = undefined;
    if (this.place?.operator === me.operator) router.replace(this.place.route);
    this.place = undefined;
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
      onBeat: (at) => clock.align(at),
      onLink: (link) => this.linkChanged(link),
      onGap: () => void this.renew(),
      onSessionEnd: () => this.sessionEnded('expired'),
    });
    this.live.start();
    // Somebody else may have been quicker, while the state was read.
    this.checkPerson();
  }

  private sessionEnded(why: 'expired' | 'replaced'): void {
    if (this.phase !== 'ready' || !this.me) return;
    this.place = { operator: this.me.operator, route: router.route };
    this.ended = why;
    this.leave();
  }

  /** Somebody else may have signed in in another tab: what is done here would be done in their name. */
  checkPerson(): void {
    const signedIn = localStorage.getItem(SIGNED_IN_KEY);
    if (signedIn !== null && this.me && signedIn !== this.me.operator) this.sessionEnded('replaced');
  }

  /** Nothing of the person stays for who comes next: not on the screen, not in the address, not on its way. */
  private leave(): void {
    this.live?.stop();
    this.client.leave();
    this.renewal.forget();
    this.reads.forget();
    this.me = undefined;
    this.model = emptyModel('');
    preferences.belongTo('');
    withdraw();
    this.link = 'connecting';
    this.refused = false;
    this.lostLinks = 0;
    actions.reset();
    notices.clear();
    router.replace({ view: 'workspace' });
    for (const listener of this.leaveListeners) listener();
    this.phase = 'signed_out';
  }

  /** Connects again now, if there is no line or it may be dead: the network is back, or somebody looks. */
  hurry(): void {
    this.checkPerson();
    this.live?.hurry();
  }

  private linkChanged(link: LinkState): void {
    // A short blink between two attempts is still "offline" for the person.
    if (link === 'connecting' && this.link === 'offline') return;
    if (link === 'offline' && this.link !== 'offline') notices.say(`${t('link.offline')} ${t('link.offline_help')}`, true);
    if (link === 'online' && this.link === 'offline') notices.say(t('link.restored'));
    this.link = link;
    if (link === 'online') {
      this.lostLinks = 0;
      this.refused = false;
    }
    if (link !== 'offline') return;
    this.lostLinks += 1;
    if (this.lostLinks > PROBE_AFTER) void this.probe();
  }

  /** A refused upgrade looks like any lost socket: asks whether the session is still there, and the server. */
  private async probe(): Promise<void> {
    try {
      await this.client.me();
      const refused = this.link === 'offline' && this.lostLinks >= REFUSED_AFTER;
      if (refused && !this.refused) notices.say(t('link.refused'), true);
      this.refused = refused;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.sessionEnded('expired');
    }
  }

  /** Reads the whole state. */
  private async readState(): Promise<void> {
    await this.renewal.once();
  }

  private put(snapshot: DeskSnapshot, meanwhile: DeskEvent[]): void {
    clock.align(snapshot.server_time);
    const me = this.me;
    if (!me) return;
    const before = this.model;
    let model = fromSnapshot(me.operator, snapshot, before);
    // What was read before is not in the new model: it is read anew. All else that the events ask for was carried out when they came.
    const wanted = new Set(this.reads.ids);
    for (const event of meanwhile) {
      const step = reduce(model, event);
      model = step.model;
      for (const effect of step.effects) {
        if (effect.do === 'load_contact') wanted.add(effect.contact);
        if (effect.do === 'drop_contact') wanted.delete(effect.contact);
      }
    }
    this.set(model);
    this.client.asked.forget();
    if (isPutAway(before, model.presence)) this.tellPutAway();
    for (const id of wanted) this.refresh(id);
  }

  /** The link has a gap: everything on the screen may be old. */
  private async renew(): Promise<void> {
    if (!(await this.renewal.untilRead(() => this.phase === 'ready'))) return;
    for (const listener of this.gapListeners) listener();
  }

  private set(model: DeskModel): void {
    for (const { id } of this.model.offers) if (!model.offers.some((offer) => offer.id === id)) withdraw(offerTag(id));
    if (model.presence.state === 'ready' && this.awayNotice > 0) {
      notices.dismiss(this.awayNotice);
      this.awayNotice = 0;
    }
    this.model = model;
  }

  private take(event: DeskEvent): void {
    clock.atLeast(event.at);
    this.renewal.note(event);
    const before = this.model;
    const { model, effects } = reduce(before, event);
    this.set(model);
    if (event.about) this.reads.heard(event.about.contact, event.about.version);
    const isNews = !this.client.asked.explains(event);
    for (const effect of effects) if (isNews || effect.do !== 'tell') this.carryOut(effect, before);
    for (const listener of this.listeners) listener(event);
  }

  private carryOut(effect: Effect, before: DeskModel): void {
    switch (effect.do) {
      case 'load_contact': this.refresh(effect.contact); break;
      case 'drop_contact': this.reads.forget(effect.contact); break;
      case 'reload_conversation': for (const listener of this.conversationListeners) listener(effect.conversation); break;
      case 'reload_state': void this.renew(); break;
      case 'tell_put_away': this.tellPutAway(); break;
      // What has left is known from before.
      case 'tell': tellOperator(effect, this.model.contacts[effect.contact] ?? before.contacts[effect.contact], this.names); break;
    }
  }

  private tellPutAway(): void {
    if (this.presenceAsked > 0) return;
    notices.dismiss(this.awayNotice);
    this.awayNotice = tellPutAway(this.model.presence, { label: t('presence.back'), run: () => void this.setPresence({ state: 'ready' }) });
  }

  /** Reads a contact until it is there; one that is not for us any more leaves the list with the next snapshot. */
  refresh(id: string): void {
    void this.reads.read(id);
  }

  /** I have this contact on the screen, with its conversation as it was at that time: kept by the desk, for all my consoles. */
  async markRead(id: string, until: string, wanted: () => boolean): Promise<void> {
    const before = this.model.unread[id];
    const done = await untilDone(() => this.client.markRead(id, until).then(() => true), { wanted });
    // What came meanwhile is not read.
    if (done && this.model.unread[id] === before) this.set(asRead(this.model, id));
    // And what is on its way may be from before.
    if (this.reads.ids.includes(id)) this.refresh(id);
  }

  /** Another console of mine has read a contact: what is left of it, the desk knows. */
  private seenElsewhere(id: string): void {
    if (this.model.unread[id]) this.refresh(id);
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

  /** Called when the person leaves: nothing of theirs may stay. */
  onLeave(listener: () => void): void {
    this.leaveListeners.add(listener);
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
    if (known.endsSession || known.code === 'left') return;
    notices.show('danger', errorText(known.code, known.detail));
  }

  async setPresence(change: PresenceChange): Promise<void> {
    const { me } = this;
    const { connected } = this.model.presence;
    const reason = 'reason' in change ? { reason: change.reason } : {};
    this.set({ ...this.model, presence: { state: change.state, ...reason, connected, since: new Date(clock.now).toISOString() } });
    this.presenceAsked += 1;
    const done = await this.run(() => this.client.presence(change));
    // Refused, or nobody knows how it ended: what it was before may be old.
    if (!done && me === this.me) await this.readState().catch(() => void this.renew());
    this.presenceAsked -= 1;
  }

  /** Reads the colleagues' presence anew: only supervisors hear of its changes. */
  async readColleagues(): Promise<void> {
    const state = await this.client.state().catch(() => undefined);
    if (state) this.set({ ...this.model, colleagues: state.colleagues });
  }

  /** My live contacts that go back to their queue a minute after I am gone; what is only left to complete stays. */
  get liveHeld(): number {
    return Object.values(this.model.contacts).filter((contact) => contact.mode === 'live' && contact.state === 'active').length;
  }

  async accept(id: string, ordinal: number, command: CommandId): Promise<boolean> {
    const done = await this.answer(id, ordinal, () => this.client.accept(id, ordinal, { id: command }));
    if (done) this.refresh(id);
    return done;
  }

  reject(id: string, ordinal: number, reason: string): Promise<boolean> {
    return this.answer(id, ordinal, () => this.client.reject(id, ordinal, reason));
  }

  /** Answers an offer; while nobody knows how that ended it goes on ringing. */
  private async answer(id: string, ordinal: number, command: () => Promise<unknown>): Promise<boolean> {
    let isOver = true;
    const done = await this.run(() => command().catch((error: unknown) => {
      isOver = !(error instanceof ApiError && error.isRetryable);
      throw error;
    }));
    if (isOver) this.set(withoutOffer(this.model, id, ordinal));
    return done;
  }

  get supervises(): boolean {
    return this.me !== undefined && isSupervisor(this.me);
  }
}

export const desk = new Console();
