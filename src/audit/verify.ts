import { INSTANCE } from "#base";
import { equal } from "#crypto";
import { below, noneOf } from "#storage";
import type { Reader } from "#storage";
import { foundingOf } from "./founding.ts";
import { openNote, parseCheckpoint } from "./note.ts";
import type { Verifier } from "./note.ts";
import type { Fault, Kept, KeptNote, Verdict } from "./verdict.ts";
import { SLOT, Walk } from "./walk.ts";

const MOST_FAULTS = 100;

/**
 * Walks one chain from its first event: sequence without a gap, each hash from the one before, both parts as hashed, the
 * indexed columns as the public part says, time never backwards, no event beside the chain; the tree at each checkpoint, in
 * the database and outside it, as signed; and the proved rows of the org as the newest event about each left them, the
 * founding of the org in the instance's chain being the first. An event that is missing at the end is found by a checkpoint
 * that covers it.
 */
export async function verifyChain(reader: Reader, kept: Kept, verifier: Verifier, instance: Reader): Promise<Verdict> {
  const faults: Fault[] = [...kept.faults];
  const fault = (where: string, what: string): void => {
    if (faults.length < MOST_FAULTS) faults.push({ where, what });
  };
  const stored = await storedNotes(reader, kept.origin, verifier, fault);
  const walk = new Walk(kept.chain, [...stored, ...kept.notes], fault);
  const founded = kept.chain === INSTANCE ? null : await foundingOf(instance, kept.chain, fault);
  if (founded !== null) walk.ledger.found(founded);
  await walk.onwards(reader);
  walk.end();
  const beside =
    (await reader.count("auditEvents", { slot: noneOf([SLOT]) })) +
    (await reader.count("auditEvents", { slot: SLOT, seq: below(1) }));
  if (beside > 0) fault("the log", `${String(beside)} events stand outside the chain`);

  // The instance's chain tells of the founding of orgs, whose rows are held when those orgs are verified.
  if (kept.chain !== INSTANCE) {
    const { seq } = walk;
    const rows = await walk.ledger.hold(reader);
    // What was changed while the rows were read is not at fault.
    await walk.onwards(reader);
    for (const { where, what } of walk.ledger.laundered) fault(where, what);
    for (const { table, row, where, what } of rows) if (!walk.ledger.changedSince(seq, table, row)) fault(where, what);
  }
  return {
    intact: faults.length === 0,
    events: walk.size,
    checkpoints: stored.length + kept.notes.length,
    faults: faults.slice(0, MOST_FAULTS),
  };
}

/** The checkpoints in the database, those that are what was signed. */
async function storedNotes(
  reader: Reader,
  origin: string,
  verifier: Verifier,
  fault: (where: string, what: string) => void,
): Promise<readonly KeptNote[]> {
  const rows = await reader.list("auditCheckpoints", { order: ["slot", "size"] });
  const notes: KeptNote[] = [];
  for (const row of rows) {
    const where = `checkpoint of ${String(row.size)} events`;
    const note = readNote(row.note, verifier);
    if (note === null) fault(where, "its signature is not ours");
    else if (note.origin !== origin) fault(where, "is of another chain");
    else if (row.slot !== SLOT || note.size !== row.size || !equal(note.root, row.root))
      fault(where, "the row is not what was signed");
    else notes.push(note);
  }
  return notes;
}

/** A signed note of ours, or `null`. */
export function readNote(note: string, verifier: Verifier): KeptNote | null {
  const opened = openNote(note, [verifier]);
  if (opened === null || opened.verifiedBy.length === 0) return null;
  const checkpoint = parseCheckpoint(opened.text);
  return checkpoint === null
    ? null
    : { origin: checkpoint.origin, size: checkpoint.size, root: Buffer.from(checkpoint.root), note };
}
