import { lines, notText, nul } from "./format.ts";
import type { Format, Rule } from "./format.ts";
import { runByShells } from "./shell.ts";

/**
 * Files of NAME=value that are no shell's own, and that people source all the same. dotenv and systemd are written so that
 * this is safe; docker's format has no quotes, so it cannot be.
 */

/**
 * `NAME='…'`, for Node's `util.parseEnv` and the package dotenv (their README and code are the only specification): nothing
 * is expanded between single quotes, and nothing can be escaped there. A value with a single quote goes between double
 * quotes, if it holds nothing that they or a shell would read; backticks, which these readers know as a third kind, would
 * be a command to a shell.
 *
 * Safe to source: what stands between either kind of quotes is literal to sh as well. Other libraries differ where a value
 * holds `\\` or `\'`.
 */
export const dotenv: Format = {
  cannot: [
    notText,
    nul,
    // Read as a line feed.
    ({ value }) => (value.includes(0x0d) ? "its value holds a carriage return" : null),
    // `'…\'` is an escaped quote to dotenv, which then reads on into the next variable.
    ({ value }) => (value.at(-1) === 0x5c ? "its value ends in a backslash" : null),
    ({ value }) =>
      value.includes("'") && /["\\$`]/.test(value.toString())
        ? 'its value holds a single quote together with one of " \\ $ `'
        : null,
    runByShells,
  ],
  write: lines((name, text) => (text.includes("'") ? `${name}="${text}"` : `${name}='${text}'`)),
};

/** bufio.Scanner, which docker reads lines with, holds no longer one. */
const DOCKER_LINE_BYTES = 65_535;

/**
 * `NAME=value` for `docker run --env-file` (docker/cli, pkg/kvfile; podman reads the same): one line each, the value taken
 * verbatim from the `=` to the line's end. There are no quotes and no escapes. Lines that begin with `#` are left out, but
 * no name can. UTF-8 only.
 *
 * NOT safe to source: a shell would run what the values say. The first line tells whoever looks into it.
 */
export const docker: Format = {
  cannot: [
    notText,
    nul,
    ({ value }) =>
      value.includes(0x0a) || value.includes(0x0d)
        ? "its value holds a line break, and there is no way to write one"
        : null,
    ({ name, value }) =>
      name.length + 1 + value.length > DOCKER_LINE_BYTES
        ? "its line would hold more than the 65,535 bytes that docker reads"
        : null,
  ],
  write: (entries, manifest) =>
    Buffer.concat([
      Buffer.from("# For docker --env-file. Values stand here without quotes: never source it in a shell.\n"),
      lines((name, text) => `${name}=${text}`)(entries, manifest),
    ]),
};

/** Unicode's noncharacters: valid UTF-8 (RFC 3629), but not to systemd. */
const noncharacter: Rule = ({ value }) =>
  /\p{Noncharacter_Code_Point}/u.test(value.toString()) ? "its value holds a Unicode noncharacter" : null;

/**
 * `NAME='…'"…"` for EnvironmentFile= (systemd.exec(5); src/basic/env-file.c): quoted pieces that follow each other are one
 * value. Single quotes and backslashes stand between double quotes, each backslash doubled, everything else between
 * single ones: systemd up to 239 took a backslash between single quotes for an escape. Carries any UTF-8 but NUL.
 *
 * Safe to source: a POSIX shell reads the same. A backslash always follows a quote or another backslash, so no locale takes
 * it for the second byte of a character.
 */
export const systemd: Format = {
  cannot: [notText, nul, noncharacter, runByShells],
  write: lines((name, text) => {
    const pieces = text.replace(/[^'\\]+|['\\]+/g, (piece) =>
      /^['\\]/.test(piece) ? `"${piece.replaceAll("\\", "\\\\")}"` : `'${piece}'`,
    );
    return `${name}=${pieces === "" ? "''" : pieces}`;
  }),
};
