/**
 * Begun in one turn of the event loop: between two turns the process accepts, reads and keeps its time. Few, because libuv
 * accepts one connection in a turn: whoever connects waits for as many turns as connections came before.
 */
const AT_ONCE = 2;

/**
 * What waits to be begun, in bites that leave room for everything else the process does. Sources take turns, whatever
 * each of them has waiting, so that one with hundreds of connections holds up itself and nobody else.
 */
export class FairQueue {
  readonly #atOnce: number;
  readonly #waiting = new Map<string, (() => void)[]>();
  #begun = 0;
  #isArmed = false;

  constructor(atOnce = AT_ONCE) {
    this.#atOnce = atOnce;
  }

  /** Begins it now, where there is room in this turn and nobody is before it; else when its time has come. */
  add(source: string, begin: () => void): void {
    if (this.#waiting.size === 0 && this.#begun < this.#atOnce) {
      this.#begun++;
      this.#arm();
      begin();
      return;
    }
    const own = this.#waiting.get(source);
    if (own === undefined) this.#waiting.set(source, [begin]);
    else own.push(begin);
    this.#arm();
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => {
      this.#isArmed = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#begun = 0;
    while (this.#begun < this.#atOnce) {
      const [first] = this.#waiting;
      if (first === undefined) break;
      const [source, own] = first;
      const begin = own.shift();
      // To the end of the round, where it has more.
      this.#waiting.delete(source);
      if (own.length > 0) this.#waiting.set(source, own);
      this.#begun++;
      begin?.();
    }
    if (this.#begun > 0) this.#arm();
  }
}
