/**
 * The parts of the documents that are printed from the code's tables, between marks: `<!-- errors: … -->` and
 * `<!-- /errors -->`. `npm run docs` writes them; a test holds that they are as this would write them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HOLDERS, roleTable } from "#access";
import { ERRORS } from "#base";
import type { ErrorCode } from "#base";
import { EXIT_CODES, EXIT_MEANINGS } from "#cli";
import { LOG_LINES, Metrics, STATUS } from "#http";
import { SETTINGS, SETTING_NAMES, flagOf, variableOf } from "#settings";
import type { Setting } from "#settings";

export interface Section {
  readonly file: string;
  readonly mark: string;
  readonly text: string;
}

const ROOT = join(import.meta.dirname, "..");

export function sections(): readonly Section[] {
  return [
    { file: "src/access/README.md", mark: "roles", text: roles() },
    { file: "src/http/README.md", mark: "errors", text: errors() },
    { file: "README.md", mark: "exit-codes", text: exitCodes() },
    { file: "src/cli/README.md", mark: "exit-codes", text: exitCodes() },
    { file: "README.md", mark: "settings", text: settings() },
    { file: "src/http/README.md", mark: "metrics", text: metrics() },
    { file: "src/http/README.md", mark: "log", text: logLines() },
  ];
}

/** What stands between the marks now; `undefined` where there are none. */
export function written({ file, mark }: Pick<Section, "file" | "mark">): string | undefined {
  return between(mark).exec(readFileSync(join(ROOT, file), "utf8"))?.[2];
}

/** Throws for a document without the marks. */
export function write({ file, mark, text }: Section): void {
  const path = join(ROOT, file);
  const before = readFileSync(path, "utf8");
  if (!between(mark).test(before)) throw new Error(`${file} has no place for ${mark}`);
  writeFileSync(
    path,
    before.replace(between(mark), (_, open: string, __, close: string) => `${open}${text}${close}`),
  );
}

function between(mark: string): RegExp {
  return new RegExp(`(<!-- ${mark}:[^>]*-->\\n)([\\s\\S]*?)(\\n<!-- /${mark} -->)`);
}

function roles(): string {
  const names = roleTable().map((role) => role.name);
  return table(
    ["permission", ...names],
    Object.entries<readonly string[]>(HOLDERS).map(([permission, holders]) => [
      `\`${permission}\``,
      ...names.map((name) => (holders.includes(name) ? "✓" : " ")),
    ]),
  );
}

function errors(): string {
  return table(
    ["status", "exit", "code", "what", "why", "what to do"],
    (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
      const { title, cause, remedy } = ERRORS[code];
      return [String(STATUS[code]), String(EXIT_CODES[code]), `\`${code}\``, title, cause, remedy];
    }),
  );
}

function exitCodes(): string {
  return table(["exit code", "meaning"], EXIT_MEANINGS);
}

function settings(): string {
  let above = "";
  const rows = SETTING_NAMES.flatMap((name) => {
    const { otherwiseShown, meaning, group }: Setting<unknown> = SETTINGS[name];
    const heading = group === above ? [] : [[`**${group}**`, "", "", "", ""]];
    above = group;
    return [
      ...heading,
      [`\`${flagOf(name)}\``, `\`${variableOf(name)}\``, `\`${name}\``, `\`${otherwiseShown}\``, meaning],
    ];
  });
  return table(["option", "variable", "in the file", "default", "meaning"], rows);
}

function metrics(): string {
  const all = new Metrics({ version: "", store: "" }, () => Promise.reject(new Error("nobody asks")));
  const rows = all
    .described()
    .map(({ name, labels, help }) => [`\`${name}\``, labels.map((label) => `\`${label}\``).join(" "), help]);
  return table(["metric", "labels", "what"], rows);
}

function logLines(): string {
  const rows = Object.entries(LOG_LINES).map(([message, { level, fields }]) => [
    message,
    level,
    fields.map((field) => `\`${field}\``).join(" "),
  ]);
  return table(["message", "level", "fields"], rows);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), `|${header.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

if (process.argv[1] === import.meta.filename) for (const section of sections()) write(section);
