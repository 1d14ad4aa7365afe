// The action a person asked for by key or button, and the dialog that is open for it. One at a time.

export type ContactAction = 'pend' | 'defer' | 'transfer' | 'close' | 'case' | 'assign' | 'give_back' | 'wrap_up';
export interface Asked { action: ContactAction; contact: string }

class Actions {
  asked = $state.raw<Asked | undefined>();
  help = $state(false);
  /** Grows when the composer should take the focus. */
  compose = $state.raw<{ kind: 'reply' | 'note'; count: number }>({ kind: 'reply', count: 0 });

  ask(action: ContactAction, contact: string): void {
    this.asked = { action, contact };
  }

  done(): void {
    this.asked = undefined;
  }

  /** The person leaves, and what they had open goes with them. */
  reset(): void {
    this.asked = undefined;
    this.help = false;
  }

  focusComposer(kind: 'reply' | 'note'): void {
    this.compose = { kind, count: this.compose.count + 1 };
  }
}

export const actions = new Actions();
