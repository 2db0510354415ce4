import { setImmediate as nextTurn } from "node:timers/promises";
import { VaultError, isVaultError } from "#base";
import type { Id } from "#base";
import type { Keyring } from "#crypto";
import { PROVED_TABLES, oneOf } from "#storage";
import type { Facts, Progress, Row, TableCopy } from "#storage";
import { verifyChain } from "#audit";
import type { Checkpoints } from "#audit";
import { Values } from "#secrets";

export type MoveStep = Progress["step"] | "prove" | "open" | "audit";
export type MoveProgress = Omit<Progress, "step"> & { readonly step: MoveStep };

/** The last row that did not prove itself. */
export interface Alarm {
  row: { readonly table: string; readonly row: string } | null;
}

/** What has arrived, and how to tell how far one is. */
export interface Arrived {
  readonly facts: Facts;
  readonly keyring: Keyring;
  readonly alarm: Alarm;
  readonly tables: readonly TableCopy[];
  readonly onProgress: (progress: MoveProgress) => void;
  readonly signal: AbortSignal | undefined;
}

/** An audit log that verifies. */
export interface Chain {
  /** `null`: the instance's. */
  readonly org: string | null;
  readonly events: number;
  readonly checkpoints: number;
}

const PAGE = 500;
/** Of rows that may be large. */
const SHORT_PAGE = 100;

/** Reads every row that grants power, which proves it. @returns how many. */
export async function proveRows(arrived: Arrived, orgs: readonly Id<"org">[]): Promise<number> {
  const of = PROVED_TABLES.reduce((sum, { name }) => sum + rowsOf(arrived, snakeOf(name)), 0);
  let done = 0;
  for (const org of orgs)
    for (const table of PROVED_TABLES)
      for await (const rows of pages(arrived, org, table)) {
        done += rows.length;
        arrived.onProgress({ step: "prove", table: snakeOf(table.name), done, of });
      }
  return done;
}

/** Opens every value that was not destroyed, and forgets it. @returns how many. */
export async function openValues(arrived: Arrived, orgs: readonly Id<"org">[]): Promise<number> {
  const values = new Values(arrived.keyring);
  const of = rowsOf(arrived, "secret_versions");
  let [done, opened] = [0, 0];
  for (const org of orgs) {
    const reader = arrived.facts.of(org);
    let after: readonly unknown[] | undefined;
    for (;;) {
      const rows = await reader.list("secretVersions", { order: ["secretId", "version"], after, limit: SHORT_PAGE });
      const ids = [...new Set(rows.map(({ secretId }) => secretId))];
      const heads = new Map((await reader.list("secrets", { where: { id: oneOf(ids) } })).map((one) => [one.id, one]));
      for (const row of rows) {
        if (row.sealed === null) continue;
        await openOne(values, org, heads.get(row.secretId), row);
        opened += 1;
      }
      done += rows.length;
      if (rows.length > 0) arrived.onProgress({ step: "open", table: "secret_versions", done, of });
      await nextTurn();
      stopIfAsked(arrived);
      const last = rows.at(-1);
      if (last === undefined || rows.length < SHORT_PAGE) break;
      after = [last.secretId, last.version];
    }
  }
  return opened;
}

/** Walks every audit log, and holds it against the checkpoints in the database and in the file. */
export async function verifyLogs(
  arrived: Arrived,
  checkpoints: Checkpoints,
  chains: readonly { readonly id: Id<"org">; readonly slug: string | null }[],
): Promise<readonly Chain[]> {
  const verified: Chain[] = [];
  for (const { id, slug } of chains) {
    const kept = await checkpoints.kept(id);
    const verdict = await verifyChain(arrived.facts.of(id), kept, checkpoints.verifier, arrived.facts);
    const [first] = verdict.faults;
    if (first !== undefined)
      throw new VaultError(
        "integrity_failed",
        `The audit log of ${slug === null ? "the instance" : `the org ${slug}`} does not verify: ${first.where}: ${first.what}.`,
      );
    verified.push({ org: slug, events: verdict.events, checkpoints: verdict.checkpoints });
    arrived.onProgress({ step: "audit", table: "audit_events", done: verified.length, of: chains.length });
    stopIfAsked(arrived);
  }
  return verified;
}

async function* pages(
  arrived: Arrived,
  org: Id<"org">,
  { name, key }: (typeof PROVED_TABLES)[number],
): AsyncGenerator<readonly unknown[]> {
  const reader = arrived.facts.of(org);
  const limit = name === "manifests" ? SHORT_PAGE : PAGE;
  let after: readonly unknown[] | undefined;
  for (;;) {
    // So that a signal is heard.
    await nextTurn();
    stopIfAsked(arrived);
    const rows: readonly Readonly<Record<string, unknown>>[] = await reader
      .list(name, { order: [key as never], after, limit })
      .catch((error: unknown) => {
        const { row } = arrived.alarm;
        if (!isVaultError(error, "integrity_failed") || row === null) throw error;
        throw new VaultError(
          "integrity_failed",
          `The row ${row.row} of the table ${snakeOf(row.table)} does not prove itself.`,
        );
      });
    if (rows.length > 0) yield rows;
    if (rows.length < limit) return;
    after = [rows.at(-1)?.[key]];
  }
}

async function openOne(
  values: Values,
  org: Id<"org">,
  head: Row<"secrets"> | undefined,
  row: Row<"secretVersions">,
): Promise<void> {
  const what = `The version ${String(row.version)} of the secret ${row.secretId}`;
  if (head === undefined) throw new VaultError("integrity_failed", `${what} belongs to no secret.`);
  try {
    (await values.open(org, head, row)).reveal().fill(0);
  } catch (error) {
    if (!isVaultError(error, "integrity_failed")) throw error;
    throw new VaultError("integrity_failed", `${what} does not open.`);
  }
}

function rowsOf({ tables }: Arrived, name: string): number {
  return tables.find(({ table }) => table === name)?.rows ?? 0;
}

/** As the database calls it. */
function snakeOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function stopIfAsked({ signal }: Arrived): void {
  if (signal?.aborted === true) throw new VaultError("copy_unfinished", "It was interrupted.");
}
