import { sep } from "node:path";
import { SECOND, formatSpan } from "#base";
import type { Id } from "#base";
import type { Response } from "#contract";
import type { Facts, Store } from "#storage";
import type { Checkpoints } from "#audit";
import type { Logger, Readiness } from "#http";

const LOOK_EVERY_MS = 5 * SECOND;
/** What a clock is corrected by in the ordinary course of things, and nobody needs to hear of. */
const CLOCK_LEEWAY_MS = 5 * SECOND;
/**
 * How far a node's clock may be from the database server's. No event is earlier than the newest one of any node: a clock that is
 * far ahead would end everything that others have given a time.
 */
export const MAX_SKEW_MS = 60 * SECOND;

type Status = Response<"status.get">;

/** What it looks at. */
export interface ConditionParts {
  readonly store: Store;
  readonly facts: Facts;
  readonly checkpoints: Checkpoints;
  readonly log: Logger;
  readonly sealed: () => boolean;
  /** What is wrong with the certificate's time, in a sentence. */
  readonly certificate: () => string | null;
  /** See {@link MAX_SKEW_MS}; `null` where the clock is not held against the server's. */
  readonly maxSkewMs: number | null;
  readonly dataFolder: string;
  readonly checkpointFile: string;
}

/**
 * How the running vault is, for `/readyz`, for `/v1/status` and for the log. It looks every few seconds by itself, so that
 * what was over is found to be over without a request, and logs a change once.
 */
export class Condition {
  readonly #parts: ConditionParts;
  readonly #said = new Map<string, string | null>();
  #timer: NodeJS.Timeout | null = null;
  #draining = false;

  constructor(parts: ConditionParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** From now on it is not ready, so that balancers turn away. */
  drain(): void {
    this.#draining = true;
  }

  /** What each part says of itself. Checkpoints that cannot be written do not make a vault unready: events are durable. */
  async ready(): Promise<Readiness> {
    const { writable, reason, clockAheadMs } = await this.#parts.store.health();
    const { maxSkewMs } = this.#parts;
    const isSkewed = clockAheadMs !== null && maxSkewMs !== null && Math.abs(clockAheadMs) > maxSkewMs;
    const sealed = this.#parts.sealed();
    const store = writable ? "ok" : `not writable: ${reason ?? "a write failed"}`;
    const checks = {
      seal: sealed ? "sealed" : "unsealed",
      store,
      audit: store,
      checkpoints: this.#parts.checkpoints.fault === null ? "ok" : `late: ${this.#parts.checkpoints.fault.reason}`,
      ...(clockAheadMs === null ? {} : { clock: isSkewed ? apartOf(clockAheadMs) : "ok" }),
      ...(this.#draining ? { door: "draining" } : {}),
    };
    return { ready: writable && !sealed && !isSkewed && !this.#draining, checks };
  }

  async status(org: Id<"org">): Promise<Pick<Status, "ready" | "sealed" | "audit" | "warnings">> {
    const { facts, checkpoints, dataFolder, checkpointFile } = this.#parts;
    const last = await checkpoints.newest(org);
    const { ready } = await this.ready();
    const certificate = this.#parts.certificate();
    const sameFolder = checkpointFile.startsWith(`${dataFolder}${sep}`);
    return {
      ready,
      sealed: this.#parts.sealed(),
      audit: {
        events: await facts.of(org).count("auditEvents"),
        lastCheckpointAt: last?.time.toISOString() ?? null,
        checkpointedEvents: last?.size ?? 0,
        checkpointPlace: sameFolder ? "the data folder" : "outside the data folder",
      },
      warnings: [
        ...Object.values(await this.#wrong()).filter((one) => one !== null),
        ...(certificate === null ? [] : [certificate]),
        ...(sameFolder
          ? [
              "Checkpoints lie beside the database: whoever can roll one back can roll back both. Set SALLYPORT_CHECKPOINTS to another disk.",
            ]
          : []),
        ...(process.versions.node.startsWith("20.")
          ? ["Node 20 is past its end of life: Node 24 is recommended."]
          : []),
      ],
    };
  }

  /** Logs what is wrong when it begins, and that it is over when it ends. */
  async look(): Promise<void> {
    for (const [what, now] of Object.entries(await this.#wrong())) {
      const before = this.#said.get(what) ?? null;
      this.#said.set(what, now);
      if (now !== null && before === null) this.#parts.log.warn({ what }, now);
      if (now === null && before !== null) this.#parts.log.info({ what }, "over, what was warned of before");
    }
  }

  /** In sentences for operators; `null` where all is well. */
  async #wrong(): Promise<
    Readonly<Record<"store" | "checkpoints" | "checkpointFile" | "clock" | "serverClock", string | null>>
  > {
    const { writable, reason, clockBehindMs, clockAheadMs } = await this.#parts.store.health();
    const { checkpoints, maxSkewMs } = this.#parts;
    const { fault, isBegunAnew } = checkpoints;
    return {
      store: writable
        ? null
        : `The store cannot be written: ${reason ?? "a write failed"}. Everything that leaves a trace is refused until it can.`,
      checkpoints:
        fault === null
          ? null
          : `No checkpoint was written since ${fault.since.toISOString()}: ${fault.reason}. What happens meanwhile is recorded, but covered by no signature yet.`,
      checkpointFile: isBegunAnew
        ? "The checkpoint file was not there at the start, though the database has checkpoints: an older database would not have been noticed. Mount its disk or put it back, and start again. Where it was moved on purpose this ends with the next start: a new one was begun."
        : null,
      clock:
        clockBehindMs < CLOCK_LEEWAY_MS
          ? null
          : `The machine's clock is ${formatSpan(clockBehindMs)} behind the last event. The vault's time goes on from that event at half speed until the clock has caught up: set it right.`,
      serverClock:
        clockAheadMs === null || maxSkewMs === null || Math.abs(clockAheadMs) <= CLOCK_LEEWAY_MS
          ? null
          : `This machine's clock is ${apartOf(clockAheadMs)}, and the nodes go by the one that is furthest ahead: set it right. From ${formatSpan(maxSkewMs)} on this node is not ready.`,
    };
  }
}

function apartOf(aheadMs: number): string {
  return `${formatSpan(aheadMs)} ${aheadMs > 0 ? "ahead of" : "behind"} the database server's`;
}
