/**
 * One at a time for each key, in the order of coming, within this process: for work that would otherwise only collide and
 * be repeated. It is a courtesy and never a guarantee: what must not happen twice is expected in the change.
 */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  async take<T>(key: string, job: () => Promise<T>): Promise<T> {
    return this.takeAll([key], job);
  }

  /**
   * The turn of several keys at once. All are taken in the same instant, so a job waits only for jobs that came before it,
   * and no two can wait for each other.
   */
  async takeAll<T>(keys: readonly string[], job: () => Promise<T>): Promise<T> {
    const before = keys.map((key) => this.#last.get(key)).filter((one) => one !== undefined);
    const work = Promise.all(before).then(job);
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    for (const key of keys) this.#last.set(key, settled);
    try {
      return await work;
    } finally {
      for (const key of keys) if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
