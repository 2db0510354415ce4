import type { Writable } from "node:stream";
import { ERRORS, isVaultError } from "#base";
import { CliError, isErrorCode } from "./error.ts";
import { cut, escapeControls, safeJson, width } from "./text.ts";

/** A stream that may be a terminal. */
export type TerminalWritable = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export type Cell = string | number | boolean | readonly string[] | null | undefined;
/** The columns of a table in their order: header → what a row shows there. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

const GAP = "  ";
const NARROWEST = 8;

/** Where results and messages go: results to stdout, everything about them to stderr. */
export class Output {
  readonly #stdout: TerminalWritable;
  readonly #stderr: TerminalWritable;
  /** Programs read it: results are JSON, and stderr holds one JSON object a line. */
  readonly json: boolean;

  constructor(stdout: TerminalWritable, stderr: TerminalWritable, json: boolean) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.json = json;
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** A line of the result, for people. */
  line(text: string): void {
    this.#stdout.write(`${escapeControls(text)}\n`);
  }

  /** The result for programs. */
  value(value: unknown): void {
    this.#stdout.write(`${safeJson(value)}\n`);
  }

  /** The result to the byte. The caller has thought of terminals. */
  bytes(bytes: Uint8Array): void {
    this.#stdout.write(bytes);
  }

  /** Something to know about the result; programs are not told. */
  note(text: string): void {
    if (!this.json) this.#stderr.write(`${escapeControls(text)}\n`);
  }

  warn(text: string): void {
    this.#stderr.write(this.json ? `${safeJson({ warning: text }, 0)}\n` : `warning: ${escapeControls(text)}\n`);
  }

  /** Rows under a header line, cut to the width of a terminal, whole for a pipe. */
  table<Row>(rows: readonly Row[], columns: Columns<Row>): void {
    const lines = [
      Object.keys(columns).map((header) => header.toUpperCase()),
      ...rows.map((row) => Object.values(columns).map((cell) => cellText(cell(row)))),
    ];
    const widths = this.#fit(
      Object.keys(columns).map((_, at) => Math.max(...lines.map((line) => width(line[at] ?? "")))),
    );
    for (const line of lines) {
      const cells = line.map((text, at) => {
        const cells = widths[at] ?? 0;
        const shown = this.isTerminal ? cut(text, cells) : text;
        return shown + " ".repeat(Math.max(0, cells - width(shown)));
      });
      this.#stdout.write(`${cells.join(GAP).trimEnd()}\n`);
    }
  }

  /** One thing, a line for each of its fields. */
  fields(fields: Readonly<Record<string, Cell>>): void {
    const widest = Math.max(...Object.keys(fields).map(width));
    for (const [name, cell] of Object.entries(fields)) {
      this.#stdout.write(`${escapeControls(name)}:${" ".repeat(widest - width(name))}${GAP}${cellText(cell)}\n`);
    }
  }

  /** What went wrong, with which parts, what to do, and the id to ask about. */
  error(error: unknown): void {
    const problem = describe(error);
    if (this.json) {
      this.#stderr.write(`${safeJson(problem.document, 0)}\n`);
      return;
    }
    const lines = [`sallyport: ${problem.message}`, ...problem.parts.map((part) => `  ${part}`)];
    if (problem.remedy !== null) lines.push(problem.remedy);
    if (problem.requestId !== null) lines.push(`Request: ${problem.requestId}`);
    if (problem.code !== null) lines.push(`More: sallyport help ${problem.code}`);
    this.#stderr.write(lines.map((line) => `${escapeControls(line)}\n`).join(""));
  }

  #fit(widths: number[]): number[] {
    const known = this.isTerminal ? (this.#stdout.columns ?? 0) : 0;
    // A terminal that does not know its width says 0.
    const columns = known === 0 ? Infinity : known;
    const fitted = [...widths];
    const total = () => fitted.reduce((sum, cells) => sum + cells, GAP.length * (fitted.length - 1));
    while (total() > columns) {
      const widest = fitted.indexOf(Math.max(...fitted));
      if ((fitted[widest] ?? 0) <= NARROWEST) break;
      fitted[widest] = (fitted[widest] ?? 0) - 1;
    }
    return fitted;
  }
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined || cell === "") return "-";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  if (typeof cell === "number") return String(cell);
  if (typeof cell === "string") return escapeControls(cell);
  return cell.length === 0 ? "-" : escapeControls(cell.join(", "));
}

interface Described {
  readonly message: string;
  readonly parts: readonly string[];
  readonly remedy: string | null;
  readonly requestId: string | null;
  /** Where the manual has a page about it. */
  readonly code: string | null;
  readonly document: Readonly<Record<string, unknown>>;
}

/** For what no table of ours knows. */
const OWN_FAULT = "This is a fault of the program: report it, with the command but without any value.";

function describe(error: unknown): Described {
  if (isVaultError(error)) return describe(new CliError(error.code, error.message, { detail: error.detail }));
  if (!(error instanceof CliError)) {
    const message = error instanceof Error ? error.message : "something that is no error was thrown";
    return {
      message,
      parts: [],
      remedy: OWN_FAULT,
      requestId: null,
      code: null,
      document: { code: "internal", title: ERRORS.internal.title, detail: message, remedy: OWN_FAULT },
    };
  }
  const { detail, code, title, why, remedy, requestId } = error;
  const named = [
    // Where the whole says it already, the part names its field alone.
    ...(detail.faults ?? []).map(({ field, message }) =>
      message === error.explanation ? field : `${field}: ${message}`,
    ),
    ...(detail.missing === undefined ? [] : [`missing: ${detail.missing.permission} on ${detail.missing.on}`]),
    ...(detail.variables ?? []).map((fault) => `${fault.variable}: ${fault.reason}`),
    ...(detail.usedBy === undefined ? [] : [`used by: ${detail.usedBy.join(", ")}`]),
    ...(detail.id === undefined ? [] : [`id: ${detail.id}`]),
    ...(detail.retryAfterSeconds === undefined ? [] : [`try again in ${String(detail.retryAfterSeconds)} s`]),
    ...(detail.allow === undefined ? [] : [`allowed: ${detail.allow}`]),
  ];
  // Where nothing is known of this one, what is known of its kind.
  const parts = named.length === 0 && error.explanation === null && why !== null ? [why] : named;
  const document = error.problem ?? {
    code,
    title,
    detail: error.explanation ?? title,
    ...detail,
    ...(remedy === null ? {} : { remedy }),
  };
  return { message: error.message, parts, remedy, requestId, code: isErrorCode(code) ? code : null, document };
}
