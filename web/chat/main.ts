// Entry point of widget.js: `<script src="https://…/chat/widget.js" data-account="…" async></script>` and nothing else.
import { SportelloChat } from './element';

const NAME = 'sportello-chat';
// Only known while the script itself runs.
const script = document.currentScript instanceof HTMLScriptElement ? document.currentScript : null;

if (!customElements.get(NAME)) customElements.define(NAME, SportelloChat);

function place(): void {
  const account = script?.dataset['account'];
  // A page may have put the element where it wants it.
  if (!script || !account || document.querySelector(NAME)) return;
  const element = document.createElement(NAME);
  element.setAttribute('account', account);
  element.setAttribute('base', new URL('.', script.src).href);
  const language = script.dataset['language'];
  if (language) element.setAttribute('language', language);
  document.body.append(element);
}

if (document.body) place();
else addEventListener('DOMContentLoaded', place);
