// The action a person asked for by key or button, and the dialog that is open for it. One at a time.

export type ContactAction = 'pend' | 'defer' | 'transfer' | 'close' | 'case' | 'assign' | 'give_back' | 'wrap_up';
export interface Asked { action: ContactAction; contact: string }

class Actions {
  asked = $state.raw<Asked | undefined>();
  help = $state(false);
  /** Where one wants to write: the composer of that contact takes the focus, at once or when it is there. */
  compose = $state.raw<{ kind: 'reply' | 'note'; contact: string } | undefined>();

  ask(action: ContactAction, contact: string): void {
    this.asked = { action, contact };
  }

  done(): void {
    this.asked = undefined;
  }

  /** The person leaves, or takes up something else: what they had open goes. */
  reset(): void {
    this.asked = undefined;
    this.help = false;
    this.compose = undefined;
  }

  focusComposer(kind: 'reply' | 'note', contact: string): void {
    this.compose = { kind, contact };
  }
}

export const actions = new Actions();
