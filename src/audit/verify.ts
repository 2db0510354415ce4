import { equal } from "#crypto";
import type { Reader, Row } from "#storage";
import { above } from "#storage";
import { hashEvent, hashPrivate, indexed } from "./event.ts";
import type { PublicPart } from "./event.ts";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import { openNote, parseCheckpoint } from "./note.ts";
import type { Verifier } from "./note.ts";

export interface Fault {
  /** Which event or checkpoint: `slot 0, event 17`. */
  readonly where: string;
  readonly what: string;
}

export interface Verdict {
  readonly intact: boolean;
  readonly events: number;
  readonly checkpoints: number;
  readonly faults: readonly Fault[];
}

/** A signed checkpoint from a place outside the database. */
export interface KeptNote {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
}

const PAGE = 1_000;
const MOST_FAULTS = 100;

/**
 * Walks one chain from its first event: sequence without a gap, each hash from the one before, both parts as hashed, the
 * indexed columns as the public part says, time never backwards; and the tree at each checkpoint, in the database and
 * outside it, as signed. An event that is missing at the end is found by a checkpoint that covers it.
 */
export async function verifyChain(reader: Reader, kept: readonly KeptNote[], verifier: Verifier): Promise<Verdict> {
  const faults: Fault[] = [];
  const fault = (where: string, what: string): void => {
    if (faults.length < MOST_FAULTS) faults.push({ where, what });
  };
  const stored = await reader.list("auditCheckpoints", { where: { slot: 0 }, order: ["size"] });
  const signed = [...stored.map((row) => noteOf(row, verifier, fault)), ...kept].filter((one) => one !== null);
  const expected = new Map<number, Buffer[]>();
  for (const { size, root } of signed) expected.set(size, [...(expected.get(size) ?? []), root]);

  const frontier = new MerkleFrontier();
  let previous: Buffer = Buffer.alloc(32);
  let time = 0;
  let seq = 0;
  for (;;) {
    const events = await reader.list("auditEvents", {
      where: { slot: 0, seq: above(seq) },
      order: ["slot", "seq"],
      limit: PAGE,
    });
    for (const event of events) {
      const where = `event ${String(event.seq)}`;
      if (event.seq !== seq + 1) fault(where, `the ${String(event.seq - seq - 1)} events before it are missing`);
      for (const what of faultsOf(event, previous, time)) fault(where, what);
      previous = event.hash;
      time = event.time.getTime();
      seq = event.seq;
      frontier.append(leafHash(event.hash));
      for (const root of expected.get(frontier.size) ?? []) {
        if (!equal(root, frontier.root()))
          fault(`checkpoint of ${String(frontier.size)} events`, "the events are not those that were signed");
      }
    }
    if (events.length < PAGE) break;
  }
  for (const size of expected.keys()) {
    if (size > frontier.size)
      fault(`checkpoint of ${String(size)} events`, `only ${String(frontier.size)} events are left`);
  }
  return { intact: faults.length === 0, events: frontier.size, checkpoints: signed.length, faults };
}

function faultsOf(event: Row<"auditEvents">, previous: Buffer, time: number): string[] {
  const found: string[] = [];
  if (!equal(event.previousHash, previous)) found.push("does not follow from the event before it");
  if (!equal(hashEvent(event.previousHash, event.privateHash, event.public), event.hash))
    found.push("its hash is not of its content");
  if (
    event.private !== null &&
    event.salt !== null &&
    !equal(hashPrivate(event.salt, event.private), event.privateHash)
  ) {
    found.push("its private part is not the one that was hashed");
  }
  if (event.time.getTime() < time) found.push("is older than the event before it");
  const part = parsePublic(event.public);
  if (part === null) return [...found, "its public part cannot be read"];
  const said = { ...indexed(part), id: part.id, slot: part.slot, seq: part.seq };
  const columns = event as unknown as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(said)) {
    if (columns[name] !== value) found.push(`its column ${name} is not what the event says`);
  }
  if (part.time !== event.time.toISOString()) found.push("its column time is not what the event says");
  return found;
}

function parsePublic(text: string): PublicPart | null {
  try {
    return JSON.parse(text) as PublicPart;
  } catch {
    return null;
  }
}

function noteOf(
  row: Row<"auditCheckpoints">,
  verifier: Verifier,
  fault: (where: string, what: string) => void,
): KeptNote | null {
  const where = `checkpoint of ${String(row.size)} events`;
  const note = readNote(row.note, verifier);
  if (note === null) fault(where, "its signature is not ours");
  else if (note.size !== row.size || !equal(note.root, row.root)) fault(where, "the row is not what was signed");
  return note;
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
