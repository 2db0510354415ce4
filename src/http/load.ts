import { SECOND, VaultError, sourceOf } from "#base";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export interface LoadSettings {
  /** Operations at work at the same time, over all sources. */
  readonly maxInFlight: number;
  /** Bytes of bodies that arrived and are not answered yet, over all sources; one source has a quarter of it. */
  readonly maxBodyBytes: number;
  /** Bytes of answers that their clients have not taken yet, over all connections; one source has a quarter of it. */
  readonly maxAnswerBytes: number;
  /** Resident memory of the process, from which on nothing new is begun. */
  readonly maxMemoryBytes: number;
  /** How long the process may lag behind itself, in ms, before nothing new is begun. */
  readonly maxLagMs: number;
}

const MiB = 1024 * 1024;

export const DEFAULT_LOAD: LoadSettings = {
  maxInFlight: 1_000,
  maxBodyBytes: 64 * MiB,
  maxAnswerBytes: 64 * MiB,
  maxMemoryBytes: Number.POSITIVE_INFINITY,
  maxLagMs: 1_000,
};

/** What a body costs beside its bytes, so that many that hardly begin count as well. */
const BODY_BYTES_AT_LEAST = 16 * 1024;
const SHARE_OF_ONE_SOURCE = 1 / 4;
const PULSE_MS = 100;
const LOOK_EVERY_MS = 250;
/** Of what V8 may use: above this it collects garbage more than it works, and then ends the process. */
const FULL_HEAP = 0.85;
const COLLECT_EVERY_MS = 10 * SECOND;

/** What the process measures of its memory. */
export interface Vitals {
  /** `null` where the system would not say: then what it said last holds. */
  readonly residentBytes: number | null;
  /** Of the heap that V8 may use, from 0 to 1. */
  readonly heap: number;
}

/** The bytes of one body, taken as they arrive and given back with its answer. */
export interface BodyRoom {
  /** @throws {VaultError} `overloaded`. */
  take(bytes: number): void;
  release(): void;
}

/**
 * How much is at work, and the refusal (`overloaded`) of what would be too much, before memory grows. The machine's own
 * socket is counted, and refused nothing.
 */
export class Load {
  readonly #settings: LoadSettings;
  readonly #look: () => Vitals;
  readonly #pulse: NodeJS.Timeout;
  readonly #bodies = new Bytes();
  readonly #answers = new Bytes();
  #inFlight = 0;
  #lagMs = 0;
  #residentBytes = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #isFull = false;

  constructor(settings: LoadSettings, look: () => Vitals = vitals) {
    this.#settings = settings;
    this.#look = look;
    let last = performance.now();
    let lagBefore = 0;
    this.#pulse = setInterval(() => {
      const now = performance.now();
      const lag = now - last - PULSE_MS;
      last = now;
      // Two in a row: a machine that slept lags once.
      this.#lagMs = Math.min(lag, lagBefore);
      lagBefore = lag;
    }, PULSE_MS).unref();
  }

  /** Before anything of a request is looked at. @throws {VaultError} `overloaded`. */
  admit(address: string | null): void {
    if (address === null) return;
    const { maxAnswerBytes: most } = this.#settings;
    const own = this.#answers.of(sourceOf(address));
    const tooMuch = this.#answers.total >= most || own >= most * SHARE_OF_ONE_SOURCE;
    if (tooMuch || this.#isStrained()) throw new VaultError("overloaded");
  }

  /** Takes a place among the operations at work; the answer gives it back. @throws {VaultError} `overloaded`. */
  enter(exempt = false): () => void {
    if (!exempt && this.#inFlight >= this.#settings.maxInFlight) throw new VaultError("overloaded");
    this.#inFlight++;
    return () => {
      this.#inFlight--;
    };
  }

  /** Room for a body, by the bytes that are there: what a client announces costs it nothing. */
  body(address: string | null): BodyRoom {
    const { maxBodyBytes } = this.#settings;
    const source = address === null ? null : sourceOf(address);
    let arrived = 0;
    let held = 0;
    const hold = (bytes: number) => {
      this.#bodies.add(source, bytes - held);
      held = bytes;
    };
    return {
      take: (bytes) => {
        arrived += bytes;
        hold(Math.max(BODY_BYTES_AT_LEAST, arrived));
        const own = this.#bodies.of(source);
        const tooMuch = this.#bodies.total > maxBodyBytes || own > maxBodyBytes * SHARE_OF_ONE_SOURCE;
        if (!tooMuch || source === null) return;
        hold(0);
        throw new VaultError("overloaded");
      },
      release: () => hold(0),
    };
  }

  /** An answer that was made and must still be settled, where it can yet be refused. @throws {VaultError} `overloaded`. */
  mayAnswer(address: string | null, bytes: number): void {
    if (address === null) return;
    const most = 2 * this.#settings.maxAnswerBytes;
    const own = this.#answers.of(sourceOf(address));
    if (this.#answers.total + bytes > most || own + bytes > most * SHARE_OF_ONE_SOURCE)
      throw new VaultError("overloaded");
  }

  /** Counts the bytes of an answer until it was taken, or its connection is gone. */
  answering(address: string | null, bytes: number): () => void {
    const source = address === null ? null : sourceOf(address);
    this.#answers.add(source, bytes);
    return () => this.#answers.add(source, -bytes);
  }

  close(): void {
    clearInterval(this.#pulse);
  }

  /** Looks at the memory a few times a second, and only while requests come. */
  #isStrained(): boolean {
    if (this.#lagMs > this.#settings.maxLagMs) return true;
    const now = performance.now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return this.#isFull;
    this.#lookedAt = now;
    const { residentBytes, heap } = this.#look();
    this.#residentBytes = residentBytes ?? this.#residentBytes;
    this.#isFull = this.#residentBytes > this.#settings.maxMemoryBytes || heap > FULL_HEAP;
    // Where everything is refused nothing is allocated, so nothing would be collected, and the memory would stay full.
    if (this.#isFull && now - this.#collectedAt > COLLECT_EVERY_MS) {
      this.#collectedAt = now;
      collectGarbage();
    }
    return this.#isFull;
  }
}

/** Bytes in memory, of all and of each source that holds any. The machine's own socket has no source. */
class Bytes {
  readonly #of = new Map<string, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  of(source: string | null): number {
    return source === null ? 0 : (this.#of.get(source) ?? 0);
  }

  add(source: string | null, bytes: number): void {
    this.#total += bytes;
    if (source === null) return;
    const left = this.of(source) + bytes;
    if (left > 0) this.#of.set(source, left);
    else this.#of.delete(source);
  }
}

function vitals(): Vitals {
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  return { residentBytes: residentBytes(), heap: used / most };
}

/** Linux tells it in a file, and where no descriptor is left that cannot be opened. */
function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

/** V8 has no other way to ask for it from inside of the process. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (() => void) | undefined;
  setFlagsFromString("--no-expose-gc");
  collect?.();
}
