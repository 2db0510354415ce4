import { VaultError } from "#base";
import type { Id } from "#base";
import type { CheckpointFile } from "./checkpoint-file.ts";
import { openNote, parseCheckpoint } from "./note.ts";
import type { Verifier } from "./note.ts";
import type { Fault, Kept, KeptNote } from "./verdict.ts";

const SLOT = /^(?:0|[1-9][0-9]{0,14})$/;

/** The notes in a checkpoint file that are ours. */
export class KeptNotes {
  readonly #file: CheckpointFile;
  readonly #verifier: Verifier;

  constructor(file: CheckpointFile, verifier: Verifier) {
    this.#file = file;
    this.#verifier = verifier;
  }

  /** Those of one chain. A line that is not as it was written is a fault and not just left out. */
  async of(chain: Id<"org">): Promise<Kept> {
    const notes: KeptNote[] = [];
    const faults: Fault[] = [];
    for await (const { number, line } of this.#file.lines()) {
      const where = `line ${String(number)} of the checkpoint file`;
      // The note says of which chain it is, too. A line that can be no chain's is everybody's concern.
      if (line === null || slotOf(line.note, this.#origin(line.chain)) === null)
        faults.push({ where, what: "is no checkpoint of ours" });
      else if (line.chain === chain) {
        const note = readNote(line.note, this.#verifier, this.#origin(chain));
        if (typeof note === "string") faults.push({ where, what: "its signature is not ours" });
        else notes.push(note);
      }
    }
    return { chain, origin: this.#origin(chain), notes, faults };
  }

  /**
   * The newest of each chain and slot. Only the last line of each is verified, unless it fails.
   *
   * @throws {VaultError} `database_rolled_back` when there are lines and none is ours.
   */
  async newest(): Promise<readonly { readonly chain: Id<"org">; readonly note: KeptNote }[]> {
    const last = new Map<string, { chain: Id<"org">; slot: number; text: string }>();
    let lines = 0;
    for await (const { line } of this.#file.lines()) {
      lines += 1;
      const slot = line === null ? null : slotOf(line.note, this.#origin(line.chain));
      if (line !== null && slot !== null)
        last.set(`${line.chain}/${String(slot)}`, { chain: line.chain, slot, text: line.note });
    }
    const newest: { chain: Id<"org">; note: KeptNote }[] = [];
    for (const { chain, slot, text } of last.values()) {
      const read = readNote(text, this.#verifier, this.#origin(chain));
      const note = typeof read === "string" ? (await this.of(chain)).notes.findLast((one) => one.slot === slot) : read;
      if (note !== undefined) newest.push({ chain, note });
    }
    if (lines > 0 && newest.length === 0) {
      throw new VaultError(
        "database_rolled_back",
        `Nothing in the checkpoint file ${this.#file.path} was signed by this vault's checkpoint key, so it cannot tell how old the database is.`,
      );
    }
    return newest;
  }

  #origin(chain: Id<"org">): string {
    return originOf(this.#verifier, chain);
  }
}

/** How the origin of each note of a chain begins: named by the signing key, so that no other vault's chain is taken for ours. */
export function originOf({ name }: Verifier, chain: Id<"org">): string {
  return `${name}/${chain}`;
}

/** The slot that a note says it is of; `null` where it is of no slot of this chain. To be trusted once the note was read. */
export function slotOf(note: string, origin: string): number | null {
  const [line = ""] = note.split("\n", 1);
  if (!line.startsWith(`${origin}/`)) return null;
  const slot = line.slice(origin.length + 1);
  return SLOT.test(slot) ? Number(slot) : null;
}

/** A signed note of ours, of the chain whose notes have this origin; else what is wrong with it. */
export function readNote(note: string, verifier: Verifier, origin: string): KeptNote | "unsigned" | "of another chain" {
  const opened = openNote(note, [verifier]);
  const checkpoint = opened === null ? null : parseCheckpoint(opened.text);
  if (checkpoint === null) return "unsigned";
  const slot = slotOf(note, origin);
  return slot === null ? "of another chain" : { slot, size: checkpoint.size, root: Buffer.from(checkpoint.root), note };
}
