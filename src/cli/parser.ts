import type { Command as Parser, Option as ParserOption } from "commander";
import { Given } from "./given.ts";
import type { Command, Noun, Option } from "./command.ts";
import { GLOBAL } from "./options.ts";

export type Commander = typeof import("commander");
export type Perform = (command: Command, given: Given) => Promise<void>;

/** The parser of a noun or a command, with all that its table says. */
export function buildParser(commander: Commander, parent: Parser, it: Noun | Command, perform: Perform): Parser {
  if (!("commands" in it)) return buildCommand(commander, parent, it, perform);
  const parser = new commander.Command(it.name)
    .copyInheritedSettings(parent)
    .summary(it.summary)
    .description(`${it.summary}.`);
  parser.enablePositionalOptions().helpCommand(false);
  addOptions(commander, parser, GLOBAL, true);
  for (const command of it.commands) parser.addCommand(buildCommand(commander, parser, command, perform));
  parser.addHelpText("after", `\nWhat a command takes, with examples: sallyport ${it.name} <command> --help\n`);
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

export function addOptions(commander: Commander, parser: Parser, options: readonly Option[], hidden = false): void {
  for (const row of options) {
    const otherwise = row.otherwise === undefined ? "" : ` (default: ${row.otherwise})`;
    const many = row.many === true ? " (may be repeated)" : "";
    const option: ParserOption = new commander.Option(row.flags, `${row.meaning}${many}${otherwise}`);
    if (row.choices !== undefined) option.choices([...row.choices]);
    if (row.group !== undefined) option.helpGroup(row.group);
    if (row.required === true) option.makeOptionMandatory();
    if (row.many === true)
      option.argParser((value: string, all: readonly string[] | undefined) => [...(all ?? []), value]);
    parser.addOption(option.hideHelp(hidden));
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
