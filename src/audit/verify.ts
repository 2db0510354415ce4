import { INSTANCE } from "#base";
import { equal } from "#crypto";
import type { Facts, Reader, Row } from "#storage";
import { foundingOf } from "./founding.ts";
import { readNote } from "./kept-notes.ts";
import type { Verifier } from "./note.ts";
import { Slots } from "./slots.ts";
import type { Kept, KeptNote, Verdict } from "./verdict.ts";
import { Walk } from "./walk.ts";

const MOST_FAULTS = 100;

/**
 * Walks one chain from its first event. In each slot: sequence without a gap, each hash from the one before, both parts as
 * hashed, the indexed columns as the public part says, time never backwards; the tree at each checkpoint, in the database and
 * outside it, as signed; no event beside the slots. Over all slots, in the order (time, slot, seq): the proved rows of the org
 * as the newest event about each left them, the founding of the org in the instance's chain being the first. Events that are
 * missing at the end of a slot, or with the whole slot, are found by a checkpoint that covers them.
 */
export async function verifyChain(
  reader: Reader,
  kept: Kept,
  verifier: Verifier,
  facts: Pick<Facts, "of" | "slots">,
): Promise<Verdict> {
  const faults = [...kept.faults];
  const fault = (where: string, what: string): void => {
    if (faults.length < MOST_FAULTS) faults.push({ where, what });
  };
  const stored = await storedNotes(reader, kept.origin, verifier);
  const notes = [...stored.flatMap(({ note }) => note ?? []), ...kept.notes];
  const slots = new Slots(await facts.slots());
  const walk = new Walk({ chain: kept.chain, reader, leased: () => facts.slots(), fault }, slots, notes);
  for (const { row, what } of stored) if (what !== null) fault(slots.checkpoint(row.slot, row.size), what);
  const founded =
    kept.chain === INSTANCE ? null : await foundingOf(facts.of(INSTANCE), slots.numbers, kept.chain, fault);
  if (founded !== null) walk.ledger.found(founded);
  await walk.onwards();
  await walk.end();

  // The instance's chain tells of the founding of orgs, whose rows are held when those orgs are verified.
  if (kept.chain !== INSTANCE) {
    const { taken } = walk;
    const rows = await walk.ledger.hold(reader);
    // What was changed while the rows were read is not at fault.
    await walk.onwards();
    for (const { where, what } of walk.ledger.laundered) fault(where, what);
    for (const { table, row, where, what } of rows)
      if (!walk.ledger.changedSince(taken, table, row)) fault(where, what);
  }
  return {
    intact: faults.length === 0,
    events: walk.size,
    checkpoints: notes.length,
    faults: faults.slice(0, MOST_FAULTS),
  };
}

/** The checkpoints in the database: each with its note, or with what is wrong where it is not what was signed. */
async function storedNotes(
  reader: Reader,
  origin: string,
  verifier: Verifier,
): Promise<readonly { row: Row<"auditCheckpoints">; note: KeptNote | null; what: string | null }[]> {
  const rows = await reader.list("auditCheckpoints", { order: ["slot", "size"] });
  return rows.map((row) => {
    const note = readNote(row.note, verifier, origin);
    if (note === "unsigned") return { row, note: null, what: "its signature is not ours" };
    if (note === "of another chain") return { row, note: null, what: "is of another chain" };
    const same = row.slot === note.slot && row.size === note.size && equal(row.root, note.root);
    return same ? { row, note, what: null } : { row, note: null, what: "the row is not what was signed" };
  });
}
