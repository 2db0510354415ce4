/**
 * Text from elsewhere, made fit for a terminal: what a vault sends was written by somebody, and a terminal obeys control
 * characters and reorders by direction marks.
 */

/** Controls, lone surrogates, separators and format characters; but the joiners, which real words and emoji need. */
const UNSAFE = /(?!\u200c|\u200d)[\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNSAFE_BUT_LINES = /(?!\u200c|\u200d|\n|\t)[\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}]/gu;
const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** `text` on one line, each unsafe character written as `\u{1b}`, line ends and tabs as `\n`, `\r`, `\t`. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escapeOne);
}

/** As {@link escapeControls}, with line feeds and tabs left as they are. */
export function escapeControlsInLines(text: string): string {
  return text.replace(UNSAFE_BUT_LINES, escapeOne);
}

/** Indented JSON that holds the same value and no unsafe character. */
export function safeJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE_BUT_LINES, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${hex(character.charCodeAt(at))}`).join(""),
  );
}

const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const WIDE =
  /^[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60]$/u;

/** How many cells of a terminal `text` takes, as well as can be known without asking it. */
export function width(text: string): number {
  let cells = 0;
  for (const character of text) cells += NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return cells;
}

/** The first `cells` cells of `text`, ending in `…` where something was cut. */
export function cut(text: string, cells: number): string {
  if (width(text) <= cells) return text;
  let out = "";
  let used = 0;
  for (const character of text) {
    const next = width(character);
    if (used + next > cells - 1) break;
    out += character;
    used += next;
  }
  return `${out}…`;
}

/** `1 name`, `2 names`. */
export function countOf(number: number, what: string): string {
  return `${String(number)} ${what}${number === 1 ? "" : "s"}`;
}

/** `2026-01-31 12:03:04Z`; `-` for what has not happened. */
export function formatTime(time: string | null): string {
  if (time === null) return "-";
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toISOString().slice(0, 19).replace("T", " ") + "Z";
}

function escapeOne(character: string): string {
  return NAMED[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function hex(unit: number): string {
  return unit.toString(16).padStart(4, "0");
}
