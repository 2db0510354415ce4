import type { Command as Parser } from "commander";
import { Cli, GUEST_HINT } from "./cli.ts";
import type { Command, Noun } from "./command.ts";
import type { Given } from "./given.ts";
import type { Doors } from "./doors.ts";
import { CliError, usage } from "./error.ts";
import { EXIT_MEANINGS, exitCodeOf } from "./exit-codes.ts";
import { NOUNS } from "./nouns.ts";
import { GLOBAL } from "./options.ts";
import { Output } from "./output.ts";
import { addOptions, buildParser } from "./parser.ts";
import type { Commander } from "./parser.ts";
import { inWordsOf } from "./words.ts";

/**
 * Runs one command line (what follows the program's name) and returns its exit code. Every failure is reported on stderr;
 * nothing is thrown.
 */
export async function runCli(typed: readonly string[], doors: Doors): Promise<number> {
  // A reader that has seen enough (`| head`) is no failure.
  for (const stream of [doors.stdout, doors.stderr]) stream.on("error", () => {});
  if (typed[0] === "complete") return (await import("./completion/complete.ts")).complete(typed.slice(1), doors);
  if (typed[0] === "help" && typed.length === 2) {
    const word = typed[1] ?? "";
    const page = (await import("./manual.ts")).manualPage(word);
    if (page !== null) {
      doors.stdout.write(page);
      return 0;
    }
    if (!word.startsWith("-") && !Object.hasOwn(NOUNS, word)) {
      const failure = usage(`There is no command, topic or error called “${word}”.`, "See `sallyport help topics`.");
      new Output(doors.stdout, doors.stderr, false).error(failure);
      return exitCodeOf(failure);
    }
  }
  const argv = withHelp(typed);
  const state: { loaded: Noun | Command | null; json: boolean; exitCode: number } = {
    loaded: null,
    json: beforeDashes(argv).includes("--json"),
    exitCode: 0,
  };
  try {
    const commander = await import("commander");
    const root = makeRoot(commander, doors);
    const chosen = chosenNoun(argv);
    for (const [name, row] of Object.entries(NOUNS)) {
      if (name === chosen) {
        state.loaded = await row.load();
        const perform = async (command: Command, given: Given) => {
          state.json = given.flag("json");
          state.exitCode = await runCommand(command, given, doors);
        };
        root.addCommand(buildParser(commander, root, state.loaded, perform).helpGroup(row.group));
      } else root.command(name).helpGroup(row.group).summary(row.summary).description(row.summary);
    }
    await root.parseAsync(argv, { from: "user" });
    return state.exitCode;
  } catch (error) {
    const { failure, help } = await parserFailure(error, state.loaded, argv);
    if (help !== null) return help;
    new Output(doors.stdout, doors.stderr, state.json).error(failure);
    const failsWith = state.loaded !== null && "failsWith" in state.loaded ? state.loaded.failsWith : undefined;
    return failsWith ?? exitCodeOf(failure);
  }
}

async function runCommand(command: Command, given: Given, doors: Doors): Promise<number> {
  const cli = new Cli(doors, given);
  try {
    return (await command.run(cli, given)) ?? 0;
  } catch (error) {
    if (!(error instanceof CliError) || error.status === null) throw error;
    const said = inWordsOf(command, error);
    const isRefused = error.code === "forbidden" || error.code === "not_found";
    throw isRefused && (await cli.isGuest()) ? said.with({ remedy: `${said.remedy ?? ""} ${GUEST_HINT}` }) : said;
  } finally {
    cli.close();
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
    `\nExamples:\n  $ sallyport up\n  $ sallyport secret set DB_URL\n  $ sallyport run -- npm start\n\n` +
      `Topics, errors: sallyport help topics\n\nExit codes:\n${codes}\n`,
  );
  return root;
}

/** The noun whose table has to be loaded: the first word that is no option, nor the value of one. */
function chosenNoun(argv: readonly string[]): string | undefined {
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? "";
    if (!word.startsWith("-")) return word;
    if (GLOBAL.some(({ flags }) => flags.startsWith(`${word} <`))) at += 1;
  }
  return undefined;
}

/** `sallyport` alone and `sallyport help a b` as the parser understands them. */
function withHelp(argv: readonly string[]): string[] {
  if (argv.length === 0) return ["--help"];
  return argv[0] === "help" ? [...argv.slice(1), "--help"] : [...argv];
}

function beforeDashes(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf("--");
  return at < 0 ? argv : argv.slice(0, at);
}

/** What the parser says by throwing: that help was shown (and how that ends), or what was typed wrong. */
async function parserFailure(
  error: unknown,
  loaded: Noun | Command | null,
  argv: readonly string[],
): Promise<{ failure: unknown; help: number | null }> {
  const { CommanderError } = await import("commander");
  if (!(error instanceof CommanderError)) return { failure: error, help: null };
  if (error.exitCode === 0) return { failure: error, help: 0 };
  if (error.code === "commander.help") return { failure: error, help: 2 };
  return { failure: await (await import("./mistyped.ts")).mistyped(error, loaded, beforeDashes(argv)), help: null };
}
