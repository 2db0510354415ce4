/**
 * audit: an append-only, hash-chained, checkpointed log.
 *
 * It promises: each event follows from the one before by hash; how long a chain is and what it says is signed every minute
 * outside the database; whoever holds the public key can verify both. It is written inside the commit of what it tells of
 * (the store asks the scribe), so nothing happens without its event. It decides nothing about who may read.
 */
export { writeEvent } from "./event.ts";
export type { PrivatePart, PublicPart } from "./event.ts";
export { Checkpoints } from "./checkpoints.ts";
export type { Covered } from "./checkpoints.ts";
export { verifyChain } from "./verify.ts";
export type { Fault, Kept, KeptNote, Verdict } from "./verdict.ts";
export {
  EMPTY_ROOT,
  MerkleFrontier,
  consistencyProof,
  inclusionProof,
  leafHash,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";
export { formatCheckpoint, formatVerifierKey, openNote, parseCheckpoint, parseVerifierKey, signNote } from "./note.ts";
export type { Checkpoint, Verifier } from "./note.ts";
