import { join } from "node:path";
import { INSTANCE, VaultError, systemClock } from "#base";
import { Keyring, createIdSource, fileRootKey, frame, loadSigner, sha256 } from "#crypto";
import { Transfer, openStore } from "#storage";
import type { Engine, Facts, StoreAt, TableCopy } from "#storage";
import { Checkpoints } from "#audit";
import { keySource, rowIntegrity } from "#access";
import { openValues, proveRows, verifyLogs } from "./arrival.ts";
import type { Alarm, Arrived, Chain, MoveProgress } from "./arrival.ts";

export interface Move {
  readonly from: StoreAt;
  readonly to: StoreAt;
  /** Holds the vault's key files. They are read, and stay where they are. */
  readonly keysFolder: string;
  /** What the vault has signed of its log. Held against what arrives, and stays where it is. */
  readonly checkpointFile: string;
  readonly onProgress: (progress: MoveProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Moved {
  readonly instance: string;
  /** It went on from where an earlier one had ended. */
  readonly continued: boolean;
  readonly tables: readonly TableCopy[];
  readonly orgs: number;
  /** Rows that have proved themselves at the target. */
  readonly proved: number;
  /** Versions of values that open there. */
  readonly values: number;
  readonly chains: readonly Chain[];
}

/**
 * Copies a vault that is stopped to another database, and then makes sure of what arrived: every table is the same row by
 * row, every row under a MAC proves itself, every value opens, every audit log verifies against its checkpoints. Only then
 * may a vault start there. Nothing is decrypted on the way; the source is only read.
 *
 * @throws {VaultError} what {@link Transfer.open} throws, before anything is written; `key_file_missing`, `key_file_invalid`,
 * `key_file_unsafe`, also before; `integrity_failed`, which names what did not arrive as it has to be; `store_unavailable`;
 * `in_use`: a vault was started on the source meanwhile. After any of the latter the same again goes on.
 */
export async function move({ from, to, keysFolder, checkpointFile, onProgress, signal }: Move): Promise<Moved> {
  const transfer = await Transfer.open(from, to, (fields) => sha256(frame(fields)));
  const opened: Keyring[] = [];
  try {
    const rootFile = join(keysFolder, "root.key");
    const signer = await loadSigner(join(keysFolder, "checkpoint.key"), (id) => `sallyport/${id}`);
    const source = await openVault(transfer.source, rootFile, opened);
    // Also that it opens: a key of the same id with other bytes is another vault's.
    await source.keyring.macKey(INSTANCE);

    await transfer.copy({ onProgress, signal });
    const tables = await transfer.compare({ onProgress, signal });

    const target = await openVault(transfer.target, rootFile, opened);
    const arrived: Arrived = { ...target, onProgress, signal, tables };
    const orgs = await target.facts.of(INSTANCE).list("orgs", { order: ["id"] });
    const all = [INSTANCE, ...orgs.map(({ id }) => id)];
    const proved = await proveRows(arrived, all);
    const values = await openValues(arrived, all);
    const checkpoints = new Checkpoints({
      path: checkpointFile,
      facts: target.facts,
      signer,
      clock: systemClock,
      onFault: () => undefined,
    });
    const chains = await verifyLogs(arrived, checkpoints, [{ id: INSTANCE, slug: null }, ...orgs]);
    await transfer.finish();
    const { instance, isContinued: continued } = transfer;
    return { instance, continued, tables, orgs: orgs.length, proved, values, chains };
  } finally {
    for (const keyring of opened) keyring.close();
    await transfer.close();
  }
}

/** The rows and keys of one side, without a vault. */
async function openVault(
  engine: Engine,
  rootFile: string,
  opened: Keyring[],
): Promise<{ readonly facts: Facts; readonly keyring: Keyring; readonly alarm: Alarm }> {
  const alarm: Alarm = { row: null };
  const { facts } = openStore(
    engine,
    rowIntegrity(() => keyring),
    (_org, table, row) => {
      alarm.row = { table, row };
    },
  );
  const root = await fileRootKey(rootFile).load();
  const keyring: Keyring = new Keyring(root, keySource(facts), createIdSource(systemClock));
  opened.push(keyring);
  const top = await facts.of(INSTANCE).get("keys", { purpose: "instance", state: "current" });
  if (top === null) throw new VaultError("schema_unknown", "The database has an instance and no keys: it is damaged.");
  if (top.parentId !== root.id)
    throw new VaultError("key_file_invalid", `The root key in ${rootFile} is not the one of the vault to copy.`);
  return { facts, keyring, alarm };
}
