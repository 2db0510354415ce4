import { Cli } from "../cli.ts";
import type { Command, Noun, Option } from "../command.ts";
import type { Doors } from "../doors.ts";
import { Given } from "../given.ts";
import { NOUNS } from "../nouns.ts";
import { MANUAL } from "../manual.ts";
import { GLOBAL } from "../options.ts";
import { escapeControls } from "../text.ts";
import { ARGUMENTS, NAMES, OPTIONS } from "./names.ts";
import type { NameKind } from "./names.ts";
import { SHELLS } from "./scripts.ts";

/** What may stand where the cursor is: words with what they mean, and whether the name of a file may. */
interface Offer {
  readonly words: readonly (readonly [word: string, meaning: string])[];
  readonly files: boolean;
}

const NOTHING: Offer = { words: [], files: false };
const FILES: Offer = { words: [], files: true };
/** Bash divides words at these; what is offered follows the last of them. */
const BREAKS = /^[=:@]$/;
/** What a shell may be given: names come from a vault, and this is typed for somebody. */
const HARMLESS = /^[\w@.+/:=,-]{1,256}$/;
const PLACES_OF_FILES = /^<(?:file|folder)>$/;

/**
 * Answers a completion script: what may follow the words, of which the last is being typed. Says nothing rather than
 * anything wrong: no vault, no credential or no such command completes to nothing.
 */
export async function complete(typed: readonly string[], doors: Doors): Promise<number> {
  const [shell = "", , ...asked] = typed;
  if (!SHELLS.some((one) => one === shell) || typed[1] !== "--") return 2;
  const words = shell === "bash" ? joined(asked) : asked;
  const current = words.at(-1) ?? "";
  const offer = await offerFor(words.slice(0, -1), current, doors).catch(() => NOTHING);
  const cut = shell === "bash" ? current.length - (/[^=:@]*$/.exec(current)?.[0].length ?? 0) : 0;
  const lines = offer.words
    .filter(([word]) => word.startsWith(current) && HARMLESS.test(word))
    .map(([word, meaning]) => `${word.slice(cut)}\t${escapeControls(meaning)}\n`);
  doors.stdout.write(`${lines.join("")}${offer.files ? ":files\n" : ""}`);
  return 0;
}

/** `--env`, `=`, `pr` is what bash makes of `--env=pr`. */
function joined(words: readonly string[]): string[] {
  const whole: string[] = [];
  for (const [at, word] of words.entries()) {
    const goesOn = at > 0 && (BREAKS.test(word) || BREAKS.test(words[at - 1] ?? ""));
    if (goesOn && whole.length > 0) whole.push((whole.pop() ?? "") + word);
    else whole.push(word);
  }
  return whole;
}

async function offerFor(before: readonly string[], current: string, doors: Doors): Promise<Offer> {
  if (before.length === 1 && before[0] === "help") return { words: [...nounWords(), ...MANUAL], files: false };
  const line = await read(before);
  if (line === null) return NOTHING;
  const { noun, command, args, options, awaited, ended } = line;
  const known = [...(command?.options ?? []), ...GLOBAL];
  if (awaited !== null) return valuesOf(awaited, line, current, "", doors);
  const inline = ended ? null : /^--([\w-]+)=/.exec(current);
  if (inline !== null) {
    const option = known.find((row) => nameOf(row) === inline[1] && takesValue(row));
    return option === undefined ? NOTHING : valuesOf(option, line, current, inline[0], doors);
  }
  if (current.startsWith("-") && !ended) {
    const free = known.filter((row) => row.many === true || options[nameOf(row)] === undefined);
    return { words: free.map((row) => [`--${nameOf(row)}`, row.meaning]), files: false };
  }
  if (noun === null) {
    return { words: [...nounWords(), ["help", "Explain a command, a topic or an error"]], files: false };
  }
  if (command === null) {
    const commands = "commands" in noun ? noun.commands : [];
    return { words: commands.map((row) => [row.name, row.summary]), files: false };
  }
  if (command.passThrough === true && args.length > 0) return FILES;
  const syntax = command.arguments?.at(Math.min(args.length, command.arguments.length - 1))?.[0];
  const place = syntax === undefined ? null : placeOf(syntax);
  if (place === null || (args.length >= (command.arguments?.length ?? 0) && !place.many)) return NOTHING;
  // A name that is about to be made is not one that is there.
  if (command.name === "create") return NOTHING;
  const kind = ARGUMENTS[`${noun.name} ${place.name}`] ?? null;
  if (kind === null) return NOTHING;
  return kind === "files" ? FILES : namesOf(kind, line, current, "", doors);
}

function nounWords(): Offer["words"] {
  return Object.entries(NOUNS).map(([name, row]) => [name, row.summary]);
}

interface Line {
  readonly noun: Noun | Command | null;
  readonly command: Command | null;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  /** The option whose value comes next. */
  readonly awaited: Option | null;
  /** After `--` there are no options. */
  readonly ended: boolean;
}

/** What was typed before the cursor, as far as it can be understood; `null` for what is no command. */
async function read(words: readonly string[]): Promise<Line | null> {
  let noun: Noun | Command | null = null;
  let command: Command | null = null;
  let awaited: Option | null = null;
  let ended = false;
  const args: string[] = [];
  const options: Record<string, unknown> = {};
  const take = (option: Option, value: string) => {
    const name = nameOf(option);
    const all = options[name];
    options[name] = option.many === true ? [...(Array.isArray(all) ? (all as string[]) : []), value] : value;
  };
  for (const word of words) {
    const passed = command?.passThrough === true && args.length > 0;
    if (awaited !== null) {
      take(awaited, word);
      awaited = null;
    } else if (word === "--" && !ended) ended = true;
    else if (word.startsWith("-") && !ended && !passed) {
      const [flag = "", ...value] = word.split("=");
      const option = [...(command?.options ?? []), ...GLOBAL].find((row) => flagsOf(row).includes(flag));
      if (option === undefined) return null;
      if (!takesValue(option)) options[nameOf(option)] = true;
      else if (value.length > 0) take(option, value.join("="));
      else awaited = option;
    } else if (noun === null) {
      const row = Object.hasOwn(NOUNS, word) ? NOUNS[word] : undefined;
      if (row === undefined) return null;
      noun = await row.load();
      if (!("commands" in noun)) command = noun;
    } else if (command === null) {
      command = ("commands" in noun ? noun.commands : []).find((row) => row.name === word) ?? null;
      if (command === null) return null;
    } else args.push(word);
  }
  return { noun, command, args, options, awaited, ended };
}

async function valuesOf(option: Option, line: Line, current: string, lead: string, doors: Doors): Promise<Offer> {
  if (option.choices !== undefined) return { words: option.choices.map((word) => [lead + word, ""]), files: false };
  if (PLACES_OF_FILES.test(option.flags.split(" ").at(-1) ?? "")) return FILES;
  const kind = OPTIONS[nameOf(option)];
  return kind === undefined ? NOTHING : namesOf(kind, line, current, lead, doors);
}

async function namesOf(kind: NameKind, line: Line, current: string, lead: string, doors: Doors): Promise<Offer> {
  const given = new Given([...line.args], line.options);
  const cli = new Cli({ ...doors, env: { ...doors.env, SALLYPORT_NO_WARN: "1" } }, given);
  try {
    const names = await NAMES[kind](cli, given, current.slice(lead.length));
    return { words: names.map((name) => [lead + name, ""]), files: false };
  } finally {
    cli.close();
  }
}

/** `<name>`, `[version]`, `[versions...]`. */
function placeOf(syntax: string): { name: string; many: boolean } {
  return { name: syntax.replace(/[<>[\].]/g, ""), many: syntax.includes("...") };
}

function flagsOf(option: Option): string[] {
  return option.flags.split(/[ ,]+/).filter((part) => part.startsWith("-"));
}

function nameOf(option: Option): string {
  return (flagsOf(option).at(-1) ?? "").replace(/^--/, "");
}

function takesValue(option: Option): boolean {
  return /[<[]/.test(option.flags);
}
