/**
 * One at a time for each key, in the order of coming, within this process: for work that would otherwise only collide and
 * be repeated. It is a courtesy and never a guarantee: what must not happen twice is expected in the change.
 */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  async take<T>(key: string, job: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const work = before.then(job);
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await work;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
