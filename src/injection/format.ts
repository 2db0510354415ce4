import { isUtf8 } from "node:buffer";
import { VaultError } from "#base";
import type { Redacted } from "#base";

/** The variables of a launch, in the manifest's order. */
export type Variables = ReadonlyMap<string, Redacted<Buffer>>;

export type FormatName = "json" | "dotenv" | "shell";

/** Names that sh, dash or bash set themselves, refuse to set, or do not pass on as they were set. */
const SHELLS_OWN =
  /^(?:_|BASHOPTS|BASHPID|BASH_(?:ALIASES|ARGC|ARGV|ARGV0|CMDS|COMMAND|LINENO|REMATCH|SOURCE|SUBSHELL|VERSINFO)|DIRSTACK|EPOCH(?:REALTIME|SECONDS)|E?UID|FUNCNAME|GROUPS|HISTCMD|LINENO|OPTIND|PIPESTATUS|PPID|S?RANDOM|SECONDS|SHELLOPTS|SHLVL)$/;

interface Format {
  readonly contentType: string;
  /** One assignment, or `null` when the format cannot carry this value. */
  readonly line: (name: string, value: Buffer) => Buffer | null;
}

/**
 * Text forms of a set of variables. What one cannot carry exactly is refused by name, never approximated.
 *
 * - `dotenv`: quoted so that nothing is expanded. The quotes do not nest and nothing is escaped, so a value that holds all
 *   three kinds of quotes, or a carriage return, cannot be carried.
 * - `shell`: `export NAME='…'` for sh, dash and bash: single quotes, each one inside as `'\''`. Any bytes but NUL; but not
 *   the names that a shell keeps for itself.
 */
export const FORMATS: Readonly<Record<Exclude<FormatName, "json">, Format>> = {
  dotenv: {
    contentType: "text/plain; charset=utf-8",
    line: (name, value) => {
      if (!isUtf8(value) || value.includes(0) || value.includes(0x0d)) return null;
      const text = value.toString();
      const quote = ["'", "`", '"'].find((one) => !text.includes(one) && !(one === '"' && text.includes("\\")));
      return quote === undefined ? null : Buffer.from(`${name}=${quote}${text}${quote}\n`);
    },
  },
  shell: {
    contentType: "application/octet-stream",
    line: (name, value) => {
      if (value.includes(0) || SHELLS_OWN.test(name)) return null;
      return Buffer.concat([Buffer.from(`export ${name}='`), ...escapeQuotes(value), Buffer.from("'\n")]);
    },
  },
};

/** Writes all of them. Throws `not_representable`, naming each variable that the format cannot carry. */
export function encodeText(
  format: Exclude<FormatName, "json">,
  variables: Variables,
): { body: Buffer; contentType: string } {
  const { contentType, line } = FORMATS[format];
  const refused: { variable: string; reason: string }[] = [];
  const lines: Buffer[] = [];
  for (const [name, value] of variables) {
    const written = line(name, value.reveal());
    if (written === null) refused.push({ variable: name, reason: `its value cannot be written as ${format}` });
    else lines.push(written);
  }
  if (refused.length > 0) throw new VaultError("not_representable", undefined, { detail: { variables: refused } });
  return { body: Buffer.concat(lines), contentType };
}

/** A value for JSON: as text where it is UTF-8, else in base64. */
export function encodeValue(value: Redacted<Buffer>): { value: string; encoding: "utf8" | "base64" } {
  const bytes = value.reveal();
  return isUtf8(bytes)
    ? { value: bytes.toString(), encoding: "utf8" }
    : { value: bytes.toString("base64"), encoding: "base64" };
}

function escapeQuotes(value: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = value.indexOf(0x27); at >= 0; at = value.indexOf(0x27, from)) {
    parts.push(value.subarray(from, at), Buffer.from("'\\''"));
    from = at + 1;
  }
  return [...parts, value.subarray(from)];
}
