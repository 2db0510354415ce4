import { nul } from "./format.ts";
import type { Format, Rule } from "./format.ts";

/** Names that sh, dash or bash set themselves, refuse to set, or do not pass on as they were set. */
const SHELLS_OWN =
  /^(?:_|BASHOPTS|BASHPID|BASH_(?:ALIASES|ARGC|ARGV|ARGV0|CMDS|COMMAND|LINENO|REMATCH|SOURCE|SUBSHELL|VERSINFO)|DIRSTACK|EPOCH(?:REALTIME|SECONDS)|E?UID|FUNCNAME|GROUPS|HISTCMD|LINENO|OPTIND|PIPESTATUS|PPID|S?RANDOM|SECONDS|SHELLOPTS|SHLVL)$/;

/**
 * Names whose mere assignment is a way to run something. Bash reads what is assigned to its integer variables as
 * arithmetic, and `a[$(command)]` is arithmetic; an interactive shell expands its prompts and MAILPATH, and runs
 * PROMPT_COMMAND.
 */
const RUN_BY_SHELLS =
  /^(?:S?RANDOM|SECONDS|OPTIND|LINENO|HISTCMD|BASHPID|EPOCHSECONDS|E?UID|PPID|PS[0-4]|PROMPT_COMMAND|MAILPATH)$/;

export const shellsOwn: Rule = ({ name }) =>
  SHELLS_OWN.test(name) ? "its name is one that shells keep for themselves" : null;

/** For every format that people source, whether it was made for that or not. */
export const runByShells: Rule = ({ name }) =>
  RUN_BY_SHELLS.test(name) ? "a shell that reads the file could run its value as a command" : null;

/**
 * `export NAME='…'` for sh, dash and bash (POSIX.1-2024, XCU 2.2.2): nothing is special between single quotes, and one that
 * is part of the value stands outside of them, as `\'`. Safe to source. Carries any bytes but NUL, byte by byte: no locale
 * has a character that ends in the byte of a single quote.
 */
export const shell: Format = {
  cannot: [nul, shellsOwn, runByShells],
  write: (entries) =>
    Buffer.concat(
      entries.flatMap(({ name, value }) => [
        Buffer.from(`export ${name}='`),
        ...escapeQuotes(value),
        Buffer.from("'\n"),
      ]),
    ),
};

function escapeQuotes(value: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = value.indexOf(0x27); at >= 0; at = value.indexOf(0x27, from)) {
    parts.push(value.subarray(from, at), Buffer.from("'\\''"));
    from = at + 1;
  }
  return [...parts, value.subarray(from)];
}
