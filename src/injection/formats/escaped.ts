import { lines, notText } from "./format.ts";
import type { Format, Rule } from "./format.ts";

/**
 * Formats with escapes. All four write printable ASCII only, so that neither an encoding nor a byte order mark nor a line
 * separator can change what is read. Text of any characters, NUL too, can be carried; what is not UTF-8 cannot, because
 * these formats know text only.
 */

/**
 * `"NAME": "…"` (YAML 1.2.2, 5.7 and 7.3.1): both always between double quotes, so that no reader of 1.1 or 1.2 takes NO,
 * `1e3` or `null` for anything but a string. Bytes could be `!!binary`, but the schemas of 1.2 do not have it, and a reader
 * that does not know it gives the base64 for the value: refused, not approximated.
 */
export const yaml: Format = {
  cannot: [notText],
  write: lines((name, text) => `"${name}": ${quoted(text)}`, "{}\n"),
};

/** `NAME = "…"` (TOML 1.0.0, basic strings): every name of a variable is a bare key. */
export const toml: Format = {
  cannot: [notText],
  write: lines((name, text) => `${name} = ${quoted(text)}`),
};

/** Terraform's own words in a module block: no variable can have their name. */
const TERRAFORMS_OWN = /^(?:source|version|providers|count|for_each|lifecycle|depends_on|locals)$/;

const terraformsOwn: Rule = ({ name }) =>
  TERRAFORMS_OWN.test(name) ? "its name is one that Terraform keeps for itself" : null;

/** HCL brings every string into Unicode's normal form C. */
const notNormal: Rule = ({ value }) => {
  const text = value.toString();
  return text === text.normalize("NFC")
    ? null
    : "its value is not in Unicode's normal form C, into which Terraform would bring it";
};

/**
 * `NAME = "…"` for Terraform and OpenTofu (HCL native syntax, quoted template expressions): `${` and `%{` would begin a
 * template, so the sign before the brace is an escape: `$${` is one as well, but not after another `$`.
 */
export const tfvars: Format = {
  cannot: [notText, notNormal, terraformsOwn],
  write: lines(
    (name, text) =>
      `${name} = ${quoted(text).replace(/[$%](?=\{)/g, (sign) => (sign === "$" ? "\\u0024" : "\\u0025"))}`,
  ),
};

/**
 * `NAME=…` for `java.util.Properties.load`: read as ISO 8859-1, so what is not ASCII is written as UTF-16 units. White space
 * before a value is skipped, so the first space is escaped.
 */
export const properties: Format = {
  cannot: [notText],
  write: lines((name, text) => {
    const escaped = text.replace(/[^ -[\]-~]/g, (unit) => SHORT[unit] ?? `\\u${hex(unit.charCodeAt(0), 4)}`);
    return `${name}=${escaped.startsWith(" ") ? "\\" : ""}${escaped}`;
  }),
};

const SHORT: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A string as YAML, TOML and HCL all read it: they share these escapes, and `\U` for what is beyond the first plane. */
function quoted(text: string): string {
  const escaped = text.replace(/[^ !#-[\]-~]/gu, (character) => {
    if (character === '"') return '\\"';
    const code = character.codePointAt(0) ?? 0;
    return SHORT[character] ?? (code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`);
  });
  return `"${escaped}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, "0");
}
