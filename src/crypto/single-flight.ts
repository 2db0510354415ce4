/** One piece of work at a time for each key: whoever asks for a key that is being worked on gets that work's result. */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  run(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => {
      if (this.#running.get(key) === started) this.#running.delete(key);
    });
    this.#running.set(key, started);
    return started;
  }

  /** Who asks from now on starts anew; who waits still gets what was started before. */
  forget(key: string): void {
    this.#running.delete(key);
  }
}
