import type { ClientRequest, Response } from "#contract";
import type { Cli, Scope } from "../cli.ts";
import { notOfAVault } from "#client";
import { CliError } from "../error.ts";
import type { FileSecret } from "../file-content.ts";
import { countOf } from "../text.ts";

/** What one transaction takes: the vault's limits. */
export const MOST_NAMES = 500;
const MOST_BYTES = 1024 * 1024;
/** What a body holds beside its secrets, and beside each of them: a comma, and the version it must have. */
const [AROUND_ALL_BYTES, AROUND_ONE_BYTES] = [64, 32];

/** After these nobody here knows whether the vault has done it. */
const OUTCOME_UNKNOWN: readonly string[] = ["unreachable", "timeout", "outcome_unknown", "internal"];

export type Item = Response<"secret.bulk">["items"][number];
type Sent = ClientRequest<"secret.bulk">["body"]["secrets"][number];
/** Secrets that are written together, as they are sent, and where they stand in the file. */
export type Part = readonly { readonly sent: Sent; readonly line: number }[];

/** The secrets in their order, in as few parts as that takes: each fits in one transaction. */
export function split(secrets: readonly FileSecret[]): Part[] {
  const parts: { sent: Sent; line: number }[][] = [];
  let bytes = 0;
  for (const { line, ...sent } of secrets) {
    const own = Buffer.byteLength(JSON.stringify(sent)) + AROUND_ONE_BYTES;
    const last = parts.at(-1);
    if (last === undefined || last.length === MOST_NAMES || bytes + own > MOST_BYTES) {
      parts.push([{ sent, line }]);
      bytes = AROUND_ALL_BYTES + own;
    } else {
      last.push({ sent, line });
      bytes += own;
    }
  }
  return parts;
}

/** What would become of all the parts. */
export async function previewParts(cli: Cli, scope: Scope, parts: readonly Part[]): Promise<Item[]> {
  const items: Item[] = [];
  for (const part of parts) items.push(...(await ask(cli, scope, part, true)));
  return items;
}

/**
 * Writes the parts in their order. Where there are several, each is told when it is done; and when one fails, `show` gets
 * what is written by then, and the error says what of the rest is not, and of what that is not known.
 */
export async function writeParts(
  cli: Cli,
  scope: Scope,
  parts: readonly Part[],
  show: (items: readonly Item[]) => void,
): Promise<Item[]> {
  const items: Item[] = [];
  for (const [at, part] of parts.entries()) {
    try {
      items.push(...(await ask(cli, scope, part, false)));
    } catch (error) {
      if (parts.length === 1 || !(error instanceof CliError)) throw error;
      show(items);
      throw error.with({ remedy: whatIsWritten(error, parts, at) });
    }
    if (parts.length > 1)
      cli.out.note(`Part ${String(at + 1)} of ${String(parts.length)} is written: ${countOf(part.length, "name")}.`);
  }
  return items;
}

async function ask(cli: Cli, scope: Scope, part: Part, preview: boolean): Promise<readonly Item[]> {
  const body = { secrets: part.map(({ sent }) => sent), ...(preview ? { preview } : {}) };
  try {
    const { items } = await cli.call("secret.bulk", { params: { ...scope }, body });
    if (!Array.isArray(items)) throw notOfAVault("it is no list");
    return items;
  } catch (error) {
    throw error instanceof CliError ? byLines(error, part) : error;
  }
}

/** `secrets.3.tags` is the name and line in the file. */
function byLines(error: CliError, part: Part): CliError {
  const faults = error.detail.faults?.map(({ field, message }) => {
    const [list, at = "", ...rest] = field.split(".");
    const one = list === "secrets" ? part[Number(at)] : undefined;
    if (one === undefined) return { field, message };
    return { field: [`line ${String(one.line)}, ${one.sent.name}`, ...rest].join(" "), message };
  });
  return faults === undefined ? error : error.with({ detail: { ...error.detail, faults } });
}

function whatIsWritten(error: CliError, parts: readonly Part[], failed: number): string {
  const names = (from: number, to?: number): string => {
    const some = parts.slice(from, to).flat();
    const [first, last] = [some[0], some.at(-1)];
    return `${countOf(some.length, "name")} from ${first?.sent.name ?? ""} (line ${String(first?.line)}) to ${last?.sent.name ?? ""}`;
  };
  const isKnown = !OUTCOME_UNKNOWN.includes(error.code);
  const written = parts.slice(0, failed).flat().length;
  return [
    ...(error.remedy === null ? [] : [error.remedy]),
    written === 0 ? "" : `Written: the ${countOf(written, "name")} above.`,
    isKnown ? "" : `Not known: the ${names(failed, failed + 1)}.`,
    isKnown || failed + 1 < parts.length ? `Not written: the ${names(isKnown ? failed : failed + 1)}.` : "",
    "Import the file again when the cause is gone: what is written stays as it is.",
  ]
    .filter((sentence) => sentence !== "")
    .join(" ");
}
