import type { Id } from "#base";

export interface Fault {
  /** Which event, checkpoint, row or line of the checkpoint file: `event 17`. */
  readonly where: string;
  readonly what: string;
}

export interface Verdict {
  readonly intact: boolean;
  readonly events: number;
  readonly checkpoints: number;
  readonly faults: readonly Fault[];
}

/** A signed checkpoint of ours. */
export interface KeptNote {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
}

/** What the checkpoint file holds of one chain, and what is wrong with the file itself. */
export interface Kept {
  readonly chain: Id<"org">;
  /** What the chain's notes are of. */
  readonly origin: string;
  readonly notes: readonly KeptNote[];
  readonly faults: readonly Fault[];
}
