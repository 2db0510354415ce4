import { provedRows } from "#storage";
import type { ProvedRow, Reader } from "#storage";
import type { PublicPart } from "./event.ts";
import type { Slots } from "./slots.ts";
import type { Fault } from "./verdict.ts";

/** Where an event stands in the org's chain. */
export interface Place {
  readonly slot: number;
  readonly seq: number;
  /** The how manieth of all slots it is; 0 for the founding, which is in the instance's chain. */
  readonly ordinal: number;
}

/** The newest event about a row. */
interface Said extends Place {
  readonly event: string;
  readonly gone: boolean;
}

const FOUNDING: Place = { slot: 0, seq: 0, ordinal: 0 };

/**
 * What the founding of an org and the events of its chain say of the org's proved rows, to be held against the rows themselves: an old row that was put
 * back proves itself, but the newest event about it is another than the one it names.
 *
 * Holds one entry a row, about 200 bytes.
 */
export class RowLedger {
  readonly #said = new Map<string, Map<string, Said>>();
  readonly #faults: Fault[] = [];
  readonly #slots: Slots;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** Begins with the rows that the org was founded with: comes before any event of its chain. */
  found(part: PublicPart): void {
    this.take(part, FOUNDING);
  }

  /** Takes the next event, whatever its slot. A change that was made to another state than the newest one hides a tampering. */
  take(part: PublicPart, place: Place): void {
    for (const [table, row, digest, before] of part.rows) {
      const last = this.#said.get(table)?.get(row);
      if (last !== undefined && before !== last.event) {
        const what = `${this.#named(place)} changed another state of it than ${this.#named(last)} had left: an old one had been put back`;
        this.#faults.push({ where: `row ${row} of ${table}`, what });
      }
      const rows = this.#said.get(table) ?? new Map<string, Said>();
      this.#said.set(table, rows);
      rows.set(row, { ...place, event: part.id, gone: digest === null });
    }
  }

  /** Rows whose old state was put back and then changed as if nothing had been. */
  get laundered(): readonly Fault[] {
    return this.#faults;
  }

  /** Where the rows are not as the events say. What changes meanwhile may be among it: see {@link changedSince}. */
  async hold(reader: Reader): Promise<readonly (Fault & { readonly table: string; readonly row: string })[]> {
    const faults: (Fault & { table: string; row: string })[] = [];
    for (const [table, rows] of this.#said) {
      for await (const [row, stands] of provedRows(reader, table, [...rows.keys()])) {
        const said = rows.get(row);
        const what = said === undefined ? null : faultOf(said, this.#named(said), stands);
        if (what !== null) faults.push({ table, row, where: `row ${row} of ${table}`, what });
      }
    }
    return faults;
  }

  /** Whether one of the events after the first `ordinal` is about the row. */
  changedSince(ordinal: number, table: string, row: string): boolean {
    return (this.#said.get(table)?.get(row)?.ordinal ?? 0) > ordinal;
  }

  #named({ slot, seq, ordinal }: Place): string {
    return ordinal === 0 ? "the founding of the org" : this.#slots.event(slot, seq);
  }
}

function faultOf({ event, gone }: Said, named: string, stands: ProvedRow | null): string | null {
  if (stands === null) return `${named} names it, and there can be no such row`;
  if (stands === "unproved") return "does not prove itself: it was changed behind the vault's back";
  if (stands === "gone") return gone ? null : `is gone, and no event says so: the last is ${named}`;
  if (gone) return `is there, and ${named} says that it is gone`;
  return stands.changedBy === event ? null : `is not as ${named} left it: another state of the row was put back`;
}
