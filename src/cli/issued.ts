import type { Cli } from "./cli.ts";
import type { Given } from "./given.ts";
import { openPrivateFile } from "./file.ts";

/** Something secret that the vault shows once. */
export interface Issued {
  /** What goes to stdout or into the file: the credentials alone, one a line. */
  readonly credentials: readonly string[];
  /** What a person should know about them; goes to stderr. */
  readonly notes: readonly string[];
  /** More lines for a person who sees stdout on a terminal. */
  readonly forPeople?: readonly string[];
}

/** What the person types whose set-up credential this is. */
export function setUpLine(login: string, given: Given): string {
  const file = given.text("output");
  return `${login} runs: sallyport login --set-up${file === undefined ? "" : ` --set-up-file ${file}`}`;
}

/**
 * Calls for something that is shown once and puts it out: to `--output`, which is made sure of first, else to stdout, where
 * `$(…)` and `>` get the credentials alone. With `--json` and without `--output` programs get the API's answer.
 */
export async function issue<T>(
  cli: Cli,
  given: Given,
  ask: () => Promise<T>,
  describe: (answer: T) => Issued,
): Promise<void> {
  const path = given.text("output");
  const file = path === undefined ? null : openPrivateFile(path);
  try {
    const answer = await ask();
    const { credentials, notes, forPeople } = describe(answer);
    if (file !== null) file.commit(credentials.map((credential) => `${credential}\n`).join(""));
    else if (cli.out.json) cli.out.value(answer);
    else for (const credential of credentials) cli.out.line(credential);
    if (file === null && cli.out.isTerminal && !cli.out.json) for (const line of forPeople ?? []) cli.out.line(line);
    for (const note of notes) cli.out.note(note);
    if (file !== null) cli.out.note(`It was written to ${path ?? ""}, which only you can read.`);
  } catch (error) {
    file?.discard();
    throw error;
  }
}
