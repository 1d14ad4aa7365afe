// Desktop notifications: for the operator whose console is behind another window. Never a citizen's name or words.

export type Permission = NotificationPermission | 'unsupported';
/** What is shown, by tag. */
const shown = new Map<string, Notification>();

export function permission(): Permission {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.permission;
}

export async function askPermission(): Promise<Permission> {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.requestPermission();
}

/** Shows a notification if the console is not in front; a click brings it there. One of the same tag takes its place, and is heard again. */
export function notify(title: string, body: string, tag: string, onClick: () => void): void {
  if (permission() !== 'granted' || (!document.hidden && document.hasFocus())) return;
  try {
    // The compiler's own list of options does not have all of the standard's.
    const options: NotificationOptions & { renotify: boolean } = { body, tag, renotify: true, requireInteraction: tag.startsWith('offer') };
    const notification = new Notification(title, options);
    shown.set(tag, notification);
    notification.onclick = () => {
      window.focus();
      withdraw(tag);
      onClick();
    };
  } catch {
    // Some mobile browsers know the word and refuse the constructor.
  }
}

/** What it said is over; without a tag, all of it. */
export function withdraw(tag?: string): void {
  for (const [each, notification] of shown) {
    if (tag !== undefined && each !== tag) continue;
    notification.close();
    shown.delete(each);
  }
}
