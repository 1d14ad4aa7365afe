// Desktop notifications: for the operator whose console is behind another window. Never a citizen's name or words.

export type Permission = NotificationPermission | 'unsupported';

export function permission(): Permission {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.permission;
}

export async function askPermission(): Promise<Permission> {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.requestPermission();
}

/** Shows a notification if the console is not in front; a click brings it there. */
export function notify(title: string, body: string, tag: string, onClick: () => void): void {
  if (permission() !== 'granted' || (!document.hidden && document.hasFocus())) return;
  try {
    const notification = new Notification(title, { body, tag, requireInteraction: tag.startsWith('offer') });
    notification.onclick = () => {
      window.focus();
      notification.close();
      onClick();
    };
  } catch {
    // Some mobile browsers know the word and refuse the constructor.
  }
}
