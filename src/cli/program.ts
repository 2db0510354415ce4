import type { Command as Parser, Option as ParserOption } from "commander";
import { Cli } from "./cli.ts";
import { Given } from "./command.ts";
import type { Command, Noun, Option } from "./command.ts";
import type { Doors } from "./doors.ts";
import { usage } from "./error.ts";
import { EXIT_MEANINGS, exitCodeOf } from "./exit-codes.ts";
import { NOUNS } from "./nouns.ts";
import { GLOBAL } from "./options.ts";
import { Output } from "./output.ts";

type Commander = typeof import("commander");
type Perform = (command: Command, given: Given) => Promise<void>;

/**
 * Runs one command line (what follows the program's name) and returns its exit code. Every failure is reported on stderr;
 * nothing is thrown.
 */
export async function runCli(argv: readonly string[], doors: Doors): Promise<number> {
  // A reader that has seen enough (`| head`) is no failure.
  for (const stream of [doors.stdout, doors.stderr]) stream.on("error", () => {});
  const state: { ended: number; command: Command | null } = { ended: 0, command: null };
  try {
    const commander = await import("commander");
    const perform: Perform = async (command, given) => {
      state.command = command;
      state.ended = await runCommand(command, given, doors);
    };
    const root = makeRoot(commander, doors);
    const chosen = chosenNoun(argv);
    for (const [name, row] of Object.entries(NOUNS)) {
      if (name === chosen) root.addCommand(build(commander, root, await row.load(), perform).helpGroup(row.group));
      else root.command(name).helpGroup(row.group).summary(row.summary).description(row.summary);
    }
    await root.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
    return state.ended;
  } catch (error) {
    const { failure, help } = await parserFailure(error);
    if (help !== null) return help;
    new Output(doors.stdout, doors.stderr, argv.includes("--json")).error(failure);
    return state.command?.failsWith ?? (chosenNoun(argv) === "run" ? 125 : exitCodeOf(failure));
  }
}

async function runCommand(command: Command, given: Given, doors: Doors): Promise<number> {
  const cli = new Cli(doors, given);
  try {
    return (await command.run(cli, given)) ?? 0;
  } finally {
    await cli.close();
  }
}

function makeRoot(commander: Commander, doors: Doors): Parser {
  const root = new commander.Command("sallyport")
    .summary("A secrets vault")
    .description("A secrets vault: builders refer to secrets by name, and each runtime gets exactly its own, once.")
    .version(doors.version)
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => doors.stdout.write(text),
      writeErr: (text) => doors.stderr.write(text),
      // Reported with all other failures.
      outputError: () => {},
      getOutHelpWidth: () => doors.stdout.columns ?? 100,
      getErrHelpWidth: () => doors.stderr.columns ?? 100,
    });
  addOptions(commander, root, GLOBAL);
  const codes = EXIT_MEANINGS.map(([code, meaning]) => `  ${code.padEnd(7)} ${meaning}`).join("\n");
  root.addHelpText(
    "after",
    `\nExamples:\n  $ sallyport up\n  $ sallyport secret set DB_URL\n  $ sallyport run -- npm start\n\nExit codes:\n${codes}\n`,
  );
  return root;
}

/** The parser of a noun or a command, with all that its table says. */
function build(commander: Commander, parent: Parser, it: Noun | Command, perform: Perform): Parser {
  if (!("commands" in it)) return buildCommand(commander, parent, it, perform);
  const parser = new commander.Command(it.name)
    .copyInheritedSettings(parent)
    .summary(it.summary)
    .description(`${it.summary}.`);
  parser.enablePositionalOptions();
  addOptions(commander, parser, GLOBAL);
  for (const command of it.commands) parser.addCommand(buildCommand(commander, parser, command, perform));
  return parser;
}

function buildCommand(commander: Commander, parent: Parser, command: Command, perform: Perform): Parser {
  const about = command.about === undefined ? "" : `\n\n${command.about}`;
  const parser = new commander.Command(command.name).copyInheritedSettings(parent).summary(command.summary);
  parser.description(`${command.summary}.${about}`);
  for (const [syntax, meaning] of command.arguments ?? []) parser.argument(syntax, meaning);
  addOptions(commander, parser, command.options ?? []);
  parser.optionsGroup("Options of every command:");
  const own = new Set(parser.options.map((option) => option.long));
  addOptions(
    commander,
    parser,
    GLOBAL.filter(({ flags }) => !own.has(flags.split(" ")[0])),
  );
  if (command.passThrough === true) parser.passThroughOptions();
  parser.addHelpText("after", `\nExamples:\n${command.examples.map((line) => `  $ ${line}`).join("\n")}\n`);
  parser.action(() => perform(command, givenOf(parser)));
  return parser;
}

function addOptions(commander: Commander, parser: Parser, options: readonly Option[]): void {
  for (const row of options) {
    const otherwise = row.otherwise === undefined ? "" : ` (default: ${row.otherwise})`;
    const many = row.many === true ? " (may be repeated)" : "";
    const option: ParserOption = new commander.Option(row.flags, `${row.meaning}${many}${otherwise}`);
    if (row.choices !== undefined) option.choices([...row.choices]);
    if (row.required === true) option.makeOptionMandatory();
    if (row.many === true)
      option.argParser((value: string, all: readonly string[] | undefined) => [...(all ?? []), value]);
    parser.addOption(option);
  }
}

/** Options by their long names; those of every command may also stand before it. */
function givenOf(parser: Parser): Given {
  const options: Record<string, unknown> = {};
  for (let level: Parser | null = parser; level !== null; level = level.parent) {
    for (const option of level.options) {
      const name = option.negate ? option.name().replace(/^no-/, "") : option.name();
      const value: unknown = level.getOptionValue(option.attributeName());
      if (value !== undefined && !(name in options)) options[name] = value;
    }
  }
  return new Given(parser.processedArgs as (string | string[] | undefined)[], options);
}

/** The noun whose table has to be loaded: the first word that is no option, or the one after `help`. */
function chosenNoun(argv: readonly string[]): string | undefined {
  const words: string[] = [];
  for (let at = 0; at < argv.length && words.length < 2; at += 1) {
    const word = argv[at] ?? "";
    if (!word.startsWith("-")) words.push(word);
    else if (GLOBAL.some(({ flags }) => flags.startsWith(`${word} <`))) at += 1;
  }
  return words[0] === "help" ? words[1] : words[0];
}

/** What the parser says by throwing: that help was shown (and how that ends), or what was typed wrong. */
async function parserFailure(error: unknown): Promise<{ failure: unknown; help: number | null }> {
  const { CommanderError } = await import("commander");
  if (!(error instanceof CommanderError)) return { failure: error, help: null };
  if (error.exitCode === 0) return { failure: error, help: 0 };
  if (error.code === "commander.help") return { failure: error, help: 2 };
  const message = error.message.replace(/^error: /, "").replace(/\s*\n/g, " ");
  return { failure: usage(`${message.charAt(0).toUpperCase()}${message.slice(1)}`, "See --help."), help: null };
}
