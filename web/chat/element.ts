// <sportello-chat account="…" base="…">: the custom element around one chat, with a shadow root that the page's styles don't reach.
import { ChatApi } from './api';
import { Chat } from './chat';
import { Keep, memoryShelf, shelfOf } from './storage';
import { Panel } from './view/panel';
import css from './widget.css?inline';
import { choose, dictionaryOf, LANGUAGES, Words } from './words/words';

/** A style sheet made by script: pages whose policy forbids inline styles let it through. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);

export class SportelloChat extends HTMLElement {
  private chat: Chat | undefined;
  private panel: Panel | undefined;
  private wanted = 0;

  connectedCallback(): void {
    void this.begin();
  }

  disconnectedCallback(): void {
    this.wanted += 1;
    this.panel?.destroy();
    this.chat?.stop();
    this.chat = this.panel = undefined;
    removeEventListener('online', this.wake);
    removeEventListener('offline', this.lost);
    removeEventListener('storage', this.follow);
    removeEventListener('pageshow', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
  }

  /** Opens the panel, for a page that has a link of its own to the chat. */
  open(): void {
    this.panel?.open();
  }

  private async begin(): Promise<void> {
    this.wanted += 1;
    const mine = this.wanted;
    const account = this.getAttribute('account') ?? '';
    const api = new ChatApi(this.getAttribute('base') ?? new URL('/chat/', location.href).href, account);
    const local = shelfOf(() => localStorage);
    const keep = new Keep(account, local, shelfOf(() => sessionStorage) ?? memoryShelf());
    const wished = [this.getAttribute('language') ?? '', document.documentElement.lang, ...navigator.languages];
    const language = keep.session?.language ?? choose(wished, Object.keys(LANGUAGES));
    const words = new Words(language, await dictionaryOf(language, api.words));
    // Taken off the page while the words were on their way.
    if (mine !== this.wanted) return;
    const chat = new Chat({ api, keep, language });
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    root.replaceChildren();
    chat.resume();
    this.chat = chat;
    this.panel = new Panel(chat, words, root, api.words);
    addEventListener('online', this.wake);
    addEventListener('offline', this.lost);
    addEventListener('storage', this.follow);
    addEventListener('pageshow', this.wake);
    document.addEventListener('visibilitychange', this.wake);
  }

  private readonly wake = () => {
    if (document.visibilityState === 'visible') this.chat?.wake();
  };
  private readonly lost = () => this.chat?.lost();
  private readonly follow = (event: StorageEvent) => {
    if (event.key === this.chat?.keep.sessionKey) this.chat?.follow();
  };
}
