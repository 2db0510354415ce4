import { VaultError } from "#base";
import type { Committed, Job } from "./engine.ts";

/** How much may wait for a commit before a job is turned away with `overloaded`. */
export interface QueueLimits {
  readonly jobs: number;
  readonly bytes: number;
}

/** A job of the largest value takes about 66 KiB: a thousand of those, or twenty thousand small ones. */
export const QUEUE_LIMITS: QueueLimits = { jobs: 20_000, bytes: 64 * 1024 * 1024 };

/** What a job holds in memory beside its values: its entry, its promise, the request that waits. A guess on the high side. */
const JOB_BYTES = 1_024;

/** A job that waits for a commit, and whoever waits for it. */
export interface Waiting {
  readonly job: Job;
  readonly bytes: number;
  /** By a clock that nobody sets, in ms. */
  readonly since: number;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: Error) => void;
}

/** What waits for a commit, counted: memory that waits for the store is bounded. */
export class Backlog {
  readonly #limits: QueueLimits;
  #jobs = 0;
  #bytes = 0;
  #isClosed = false;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get jobs(): number {
    return this.#jobs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** From now on nothing is taken. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Hands the job to `enqueue`, or rejects with `store_unavailable` once closed, `overloaded` where too much waits. Whatever
   * its size, a job that nothing waits before is taken: else it never would be.
   */
  admit(job: Job, enqueue: (waiting: Waiting) => void): Promise<Committed> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new VaultError("store_unavailable"));
        return;
      }
      const bytes = bytesOf(job);
      const isFull = this.#jobs >= this.#limits.jobs || this.#bytes + bytes > this.#limits.bytes;
      if (isFull && this.#jobs > 0) {
        reject(new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } }));
        return;
      }
      this.#jobs += 1;
      this.#bytes += bytes;
      enqueue({ job, bytes, since: performance.now(), resolve, reject });
    });
  }

  /** These wait no longer. */
  release(batch: readonly Waiting[]): void {
    this.#jobs -= batch.length;
    for (const { bytes } of batch) this.#bytes -= bytes;
  }
}

/** What a job that waits takes, in bytes: its statements' values, and a little. */
function bytesOf(job: Job): number {
  let bytes = JOB_BYTES;
  for (const { values } of job.statements)
    for (const value of values) bytes += typeof value === "string" || Buffer.isBuffer(value) ? value.length : 8;
  return bytes;
}
