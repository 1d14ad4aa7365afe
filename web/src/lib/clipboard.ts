// Copying. Without HTTPS the browser lets no page near the clipboard: then it is left to the person's own keys.
import { t } from '../i18n/i18n.svelte';
import { notices } from '../state/notices.svelte';

/** Copies a text; where that is not allowed, `select` selects it, and the person is told. */
export async function copyText(text: string, select: () => void): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notices.show('success', t('done.copied'));
  } catch {
    select();
    notices.show('info', t('common.copy_by_hand'));
  }
}
