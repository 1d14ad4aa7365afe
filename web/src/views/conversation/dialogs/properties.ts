// What every action dialog gets.
import type { ContactView } from '../../../api/types';

export interface DialogProperties {
  contact: ContactView;
  /** Runs the command; true if it was done. */
  carry: (command: () => Promise<unknown>, done: string) => Promise<boolean>;
  onclose: () => void;
}
