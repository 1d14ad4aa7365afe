// The ids of a dialog's commands: what is sent again as it was, after an end that nobody knows, has the id it had.
import { newCommandId, type CommandId } from './command-id';
import { ApiError } from './errors';

export class Once {
  private readonly ids = new Map<string, CommandId>();

  /** Sends a command that says `what`; one that was refused for sure is another one when it is sent again. */
  async send<T>(what: unknown, command: (options: { id: CommandId }) => Promise<T>): Promise<T> {
    const key = JSON.stringify(what);
    const id = this.ids.get(key) ?? newCommandId();
    this.ids.set(key, id);
    try {
      return await command({ id });
    } catch (error) {
      if (error instanceof ApiError && !error.isRetryable) this.ids.delete(key);
      throw error;
    }
  }
}
