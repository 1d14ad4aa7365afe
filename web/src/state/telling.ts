// Turns "worth telling" into a sound, a desktop notification, a notice and a spoken line.
import { t, word } from '../i18n/i18n.svelte';
import { notify } from '../lib/desktop';
import { play, type Chime } from '../lib/sound';
import type { DeskModel, Names } from './model';
import { notices, type Tone } from './notices.svelte';
import { preferences } from './preferences.svelte';
import type { Effect, Telling } from './reducer';
import { router } from './router.svelte';

const CHIME: Partial<Record<Telling, Chime>> = {
  offer: 'offer', assigned: 'assigned', message: 'message', delivery_failed: 'trouble', bounced: 'trouble', released: 'trouble', escalated: 'trouble',
};
const TONE: Partial<Record<Telling, Tone>> = {
  assigned: 'info', message: 'info', offer_ended: 'warning', released: 'warning', reassigned: 'warning',
  delivery_failed: 'danger', bounced: 'danger', escalated: 'danger',
};

/** Tells the operator; the queue and the channel are named, the citizen never is outside of the page. */
export function tellOperator(effect: Extract<Effect, { do: 'tell' }>, model: DeskModel, names: Names): void {
  const contact = model.contacts[effect.contact];
  const offer = model.offers.find((each) => each.id === effect.contact);
  const queue = names.queue(contact?.queue ?? offer?.queue ?? effect.queue ?? '');
  const chime = CHIME[effect.what];
  if (chime && preferences.sound) play(chime, preferences.volume);
  const text = sentence(effect, queue);
  if (preferences.desktop && chime) {
    notify('Sportello', text, `${effect.what}-${effect.contact}`, () => router.go({ view: 'workspace', contact: effect.contact }));
  }
  const tone = TONE[effect.what];
  const open = router.route.view === 'workspace' && router.route.contact === effect.contact;
  if (effect.what === 'offer' || (effect.what === 'message' && open && !document.hidden)) notices.say(text, effect.what === 'offer');
  else if (tone) notices.show(tone, text);
}

function sentence(effect: Extract<Effect, { do: 'tell' }>, queue: string): string {
  const code = effect.code ?? '';
  switch (effect.what) {
    case 'offer': return t('tell.offer', { queue });
    case 'offer_ended': return t('tell.offer_ended', { how: word('offer_ended', code) });
    case 'assigned': return queue ? t('tell.assigned', { queue }) : t('tell.assigned_new');
    case 'message': return queue ? t('tell.message', { queue }) : t('tell.message_new');
    case 'released': return t('tell.released', { reason: word('released', code) });
    case 'reassigned': return t('tell.reassigned');
    case 'delivery_failed': return t('tell.delivery_failed');
    case 'bounced': return t('tell.bounced');
    case 'escalated': return t('tell.escalated', { queue });
  }
}
