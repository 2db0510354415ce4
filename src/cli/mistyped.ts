import type { CommanderError } from "commander";
import type { Command, Noun } from "./command.ts";
import { usage } from "./error.ts";
import type { CliError } from "./error.ts";
import { NOUNS } from "./nouns.ts";

/** Words that other programs use, and what is called so here: of these, the ones that the noun has are named. */
const CALLED_HERE: Readonly<Record<string, readonly string[]>> = {
  add: ["set", "create"],
  cat: ["reveal"],
  cp: ["copy"],
  create: ["set"],
  describe: ["show"],
  diff: ["compare"],
  edit: ["set", "update"],
  find: ["search"],
  get: ["show", "reveal"],
  history: ["versions"],
  info: ["show", "status"],
  ls: ["list"],
  mv: ["move"],
  new: ["set", "create"],
  put: ["set"],
  read: ["reveal", "show"],
  remove: ["delete", "undeploy"],
  rename: ["move"],
  rm: ["delete"],
  serve: ["up"],
  server: ["up"],
  start: ["up"],
  unset: ["delete"],
  view: ["show"],
  write: ["set"],
};

/** What the parser refused, with the help of the command that was meant, and the word for it here where it has another. */
export async function mistyped(
  error: CommanderError,
  loaded: Noun | Command | null,
  argv: readonly string[],
): Promise<CliError> {
  const message = error.message.replace(/^error: /, "").replace(/\s*\n/g, " ");
  const said = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  const command = commandOf(loaded, argv);
  const path = ["sallyport", loaded?.name, command === loaded ? undefined : command?.name];
  const help = `See \`${path.filter((word) => word !== undefined).join(" ")} --help\`.`;
  if (error.code === "commander.unknownCommand") {
    const [, word = ""] = /'([^']*)'/.exec(message) ?? [];
    const meant = await meantBy(word, loaded);
    if (meant.length > 0) return usage(`Unknown command '${word}' (Did you mean ${meant.join(" or ")}?)`, help);
  }
  if (error.code === "commander.excessArguments" && command?.noMore !== undefined)
    return usage(said, `${command.noMore} ${help}`);
  return usage(said, help);
}

function commandOf(loaded: Noun | Command | null, argv: readonly string[]): Command | null {
  if (loaded === null || !("commands" in loaded)) return loaded;
  const after = argv.slice(argv.indexOf(loaded.name) + 1);
  const commands = new Map(loaded.commands.map((command) => [command.name, command]));
  return after.map((word) => commands.get(word)).find((command) => command !== undefined) ?? null;
}

/** The commands that are called so elsewhere. Without a noun it is most likely about a secret. */
async function meantBy(word: string, loaded: Noun | Command | null): Promise<string[]> {
  const names = Object.hasOwn(CALLED_HERE, word) ? (CALLED_HERE[word] ?? []) : [];
  if (loaded !== null) return "commands" in loaded ? among(names, loaded) : [];
  const own = names.filter((name) => Object.hasOwn(NOUNS, name));
  if (own.length > 0) return own;
  const secret = await NOUNS.secret?.load();
  if (secret === undefined || !("commands" in secret)) return [];
  return among([word, ...names], secret).map((name) => `secret ${name}`);
}

function among(names: readonly string[], { commands }: Noun): string[] {
  return names.filter((name) => commands.some((command) => command.name === name));
}
