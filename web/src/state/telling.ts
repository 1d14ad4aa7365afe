// Turns "worth telling" into a sound, a desktop notification, a notice and a spoken line.
import type { ContactView, Presence } from '../api/types';
import { fmt, t, word } from '../i18n/i18n.svelte';
import { notify } from '../lib/desktop';
import { play, type Chime } from '../lib/sound';
import { clock } from './clock.svelte';
import type { Names } from './model';
import { notices, type NoticeAction, type Tone } from './notices.svelte';
import { preferences } from './preferences.svelte';
import type { Tell, Telling } from './reducer';
import { router } from './router.svelte';

const CHIME: Partial<Record<Telling, Chime>> = {
  offer: 'offer', assigned: 'assigned', resumed: 'assigned', message: 'message', silent: 'message', wrap_up: 'message', closed: 'message',
  reassigned: 'message', released: 'trouble', gone: 'trouble', delivery_failed: 'trouble', delivery_unknown: 'trouble', bounced: 'trouble', escalated: 'trouble',
};
const TONE: Record<Exclude<Telling, 'offer'>, Tone> = {
  assigned: 'info', resumed: 'info', message: 'info', wrap_up: 'info', closed: 'info', silent: 'warning', offer_ended: 'warning', released: 'warning',
  reassigned: 'warning', gone: 'warning', delivery_failed: 'danger', delivery_unknown: 'danger', bounced: 'danger', escalated: 'danger',
};

/** The tag of an offer's desktop notification. */
export const offerTag = (contact: string) => `offer-${contact}`;

/** Tells the operator. Outside of the page the queue is named, the citizen never. */
export function tellOperator(tell: Tell, contact: ContactView | undefined, names: Names): void {
  const queue = names.queue(contact?.queue ?? tell.queue);
  const outside = t('tell.in_queue', { queue });
  const inside = contact?.citizen ? t('tell.citizen', { citizen: contact.citizen, queue }) : outside;
  const chime = CHIME[tell.what];
  if (chime) ring(chime);
  if (preferences.desktop && chime) {
    const tag = tell.what === 'offer' ? offerTag(tell.contact) : `${tell.what}-${tell.contact}`;
    notify('Sportello', sentence(tell, queue, outside), tag, () => router.go({ view: 'workspace', contact: tell.contact }));
  }
  const text = sentence(tell, queue, inside);
  const open = router.route.view === 'workspace' && router.route.contact === tell.contact;
  if (tell.what === 'offer' || (tell.what === 'message' && open && !document.hidden)) notices.say(text, tell.what === 'offer');
  else notices.show(TONE[tell.what], text);
}

/** Tells the operator that they get nothing more, and how to be back; gives the notice's number. */
export function tellPutAway(presence: Presence, back: NoticeAction): number {
  const text = t('tell.put_away', { why: word('put_away', presence.reason === 'missed' ? 'missed' : presence.state) });
  ring('trouble');
  if (preferences.desktop) notify('Sportello', text, 'put_away', () => {});
  return notices.show('warning', text, back);
}

function ring(chime: Chime): void {
  if (preferences.sound) play(chime, preferences.volume);
}

function sentence(tell: Tell, queue: string, who: string): string {
  const code = tell.code ?? '';
  switch (tell.what) {
    case 'offer': return t('tell.offer', { queue });
    case 'offer_ended': return t('tell.offer_ended', { how: word('offer_ended', code) });
    case 'assigned': return t('tell.assigned', { who });
    case 'resumed': return t('tell.resumed', { who });
    case 'message': return t('tell.message', { who });
    case 'silent': return t('tell.silent', { who, at: fmt.short(tell.until ?? clock.now, clock.now) });
    case 'wrap_up': return t('tell.wrap_up', { who });
    case 'closed': return t('tell.closed', { who, outcome: word('resolution', code) });
    case 'gone': return t('tell.gone', { who, how: word('gone', code) });
    case 'released': return t('tell.released', { who, reason: word('released', code) });
    case 'reassigned': return t('tell.reassigned', { who });
    case 'delivery_failed': return t('tell.delivery_failed', { who });
    case 'delivery_unknown': return t('tell.delivery_unknown', { who });
    case 'bounced': return t('tell.bounced', { who });
    case 'escalated': return t('tell.escalated', { queue });
  }
}
