import type { Id } from "#base";

export interface Fault {
  /** Which event, checkpoint, row or line of the checkpoint file: `event 17`; of several slots, `event 17 of slot 2`. */
  readonly where: string;
  readonly what: string;
}

export interface Verdict {
  readonly intact: boolean;
  /** Of all slots. */
  readonly events: number;
  readonly checkpoints: number;
  readonly faults: readonly Fault[];
}

/** A signed checkpoint of ours. */
export interface KeptNote {
  /** How many events of this slot, from its first on. */
  readonly slot: number;
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
}

/** What the checkpoint file holds of one chain, and what is wrong with the file itself. */
export interface Kept {
  readonly chain: Id<"org">;
  /** How the origin of each of the chain's notes begins; its slot follows: see kept-notes.ts. */
  readonly origin: string;
  readonly notes: readonly KeptNote[];
  readonly faults: readonly Fault[];
}
