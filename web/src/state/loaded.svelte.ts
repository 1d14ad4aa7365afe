// A list that a page reads when it is opened, and again when it was changed or could not be read.

export class Loaded<T> {
  list = $state.raw<T[] | undefined>();
  /** Why the last reading failed. */
  failed = $state.raw<unknown>();

  constructor(private readonly read: () => Promise<T[]>) {}

  load = async (): Promise<void> => {
    this.failed = undefined;
    try {
      this.list = await this.read();
    } catch (error) {
      this.failed = error;
    }
  };
}
