import type { FileContent, FileFault, FileSecret } from "./file-content.ts";

/**
 * Reads `NAME=value` lines as `util.parseEnv` does (`export NAME=`, comments, values in ', " or a backtick over several
 * lines, `\n` for a line end between "), with one difference: what it would pass over or cut off, and what its versions and
 * other readers take differently, is a fault here. A value that silently became another one is found out late, far from here.
 *
 * No fault repeats what stands in the file: a line that cannot be read may be the middle of a key.
 */
export function readDotenv(text: string): FileContent {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const secrets: FileSecret[] = [];
  const faults: FileFault[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const number = at + 1;
    if (/^[ \t]*(?:#|$)/.test(line)) continue;
    const equals = line.indexOf("=");
    if (equals < 0) {
      faults.push({ line: number, fault: "it is not NAME=value" });
      continue;
    }
    const name = line
      .slice(0, equals)
      .trim()
      .replace(/^export[ \t]+/, "");
    const value = readValue(lines, at, line.slice(equals + 1));
    if ("fault" in value) faults.push({ line: number, fault: value.fault });
    else secrets.push({ name, line: number, value: value.text, encoding: "utf8" });
    at = value.lastLine;
  }
  return { secrets, faults };
}

type Value = { readonly lastLine: number } & ({ readonly text: string } | { readonly fault: string });

function readValue(lines: readonly string[], at: number, assigned: string): Value {
  const rest = assigned.trimStart();
  const quote = rest.charAt(0);
  if (quote === "" || !"'\"`".includes(quote)) return { ...readBare(assigned), lastLine: at };
  const parts: string[] = [];
  let lastLine = at;
  let part: string | undefined = rest.slice(1);
  while (part?.includes(quote) === false) {
    parts.push(part);
    lastLine += 1;
    part = lines[lastLine];
  }
  if (part === undefined) return { fault: `the quote (${quote}) is not closed`, lastLine: at };
  const close = part.indexOf(quote);
  const text = [...parts, part.slice(0, close)].join("\n");
  // Some readers take \" for a quote inside the value, others for its end.
  if (quote === '"' && text.endsWith("\\"))
    return { fault: 'it has \\" between ": put the value in \' or `', lastLine };
  if (!/^[ \t]*(?:#|$)/.test(part.slice(close + 1))) return { fault: "something follows the closing quote", lastLine };
  return { text: quote === '"' ? text.replaceAll("\\n", "\n") : text, lastLine };
}

function readBare(assigned: string): { text: string } | { fault: string } {
  const comment = assigned.indexOf("#");
  if (comment < 0) return { text: assigned.trim() };
  // Node ends the value at any #, others only at one after a space.
  if (!/[ \t]/.test(assigned.charAt(comment - 1)))
    return { fault: "its # may be the value's or begin a comment: put the value in quotes" };
  return { text: assigned.slice(0, comment).trim() };
}
