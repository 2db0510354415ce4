import { ERRORS } from "#base";
import { isErrorCode } from "./error.ts";
import { EXIT_CODES, EXIT_MEANINGS } from "./exit-codes.ts";
import { TOPICS } from "./topics.ts";

const ERRORS_TOPIC = "errors";
const EXIT_TOPIC = "exit-codes";
const LIST_TOPIC = "topics";

/** Every word that `sallyport help` knows beside the commands and the codes of errors, with what it is about. */
export const MANUAL: readonly (readonly [topic: string, summary: string])[] = [
  ...Object.entries(TOPICS).map(([name, { summary }]) => [name, summary] as const),
  [ERRORS_TOPIC, "The codes of errors; `sallyport help CODE` explains one"],
  [EXIT_TOPIC, "What each exit code means"],
  [LIST_TOPIC, "This list"],
];

/** The page that `sallyport help WORD` shows, or `null` where the word is a command's or nobody's. */
export function manualPage(word: string): string | null {
  if (word === LIST_TOPIC) return `TOPICS\n\n${columns(MANUAL)}\n`;
  if (word === EXIT_TOPIC) return `${title(word, "What each exit code means")}${columns(EXIT_MEANINGS)}\n`;
  if (word === ERRORS_TOPIC) {
    const codes = Object.entries(ERRORS).map(([code, { title: what }]) => [code, what] as const);
    return `${title(word, "The codes of errors")}${columns(codes)}\n\n  sallyport help CODE explains one.\n`;
  }
  if (isErrorCode(word)) {
    const { title: what, cause, remedy } = ERRORS[word];
    const own = String(EXIT_CODES[word]);
    const exit =
      word === "store_unavailable"
        ? `\`sallyport up\` that meets it ends with exit code ${own}, a command that a vault answers so with 8.`
        : `A command that meets it ends with exit code ${own}.`;
    return [title(word, what), section("WHY", cause), section("WHAT TO DO", remedy), section("EXIT CODE", exit)].join(
      "",
    );
  }
  const topic = Object.hasOwn(TOPICS, word) ? TOPICS[word] : undefined;
  if (topic === undefined) return null;
  const see = topic.see.map((other) => `sallyport help ${other}`).join("\n  ");
  return `${title(word, topic.summary)}DESCRIPTION\n${indented(topic.text)}\n\nSEE ALSO\n\n  ${see}\n`;
}

function title(name: string, summary: string): string {
  return `NAME\n\n  ${name} - ${summary}\n\n`;
}

function section(name: string, text: string): string {
  return `${name}\n\n${wrapped(text)}\n\n`;
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

const WIDTH = 78;

function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = `${lines.pop() ?? ""} ${word}`.trimStart();
    if (line.length <= WIDTH || !line.includes(" ")) lines.push(line);
    else lines.push(line.slice(0, line.lastIndexOf(" ")), word);
  }
  return indented(lines.join("\n"));
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const widest = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, meaning]) => `  ${name.padEnd(widest)}  ${meaning}`).join("\n");
}
