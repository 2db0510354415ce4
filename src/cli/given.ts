import { DAY, SECOND, parseDuration } from "#base";
import { usage } from "./error.ts";

/** What was typed, by the names of the help. */
export class Given {
  readonly #arguments: readonly (string | readonly string[] | undefined)[];
  readonly #options: Readonly<Record<string, unknown>>;

  constructor(args: readonly (string | readonly string[] | undefined)[], options: Readonly<Record<string, unknown>>) {
    this.#arguments = args;
    this.#options = options;
  }

  /** A required argument. */
  argument(at: number): string {
    const value = this.#arguments[at];
    if (typeof value !== "string") throw usage("An argument is missing.");
    return value;
  }

  optionalArgument(at: number): string | undefined {
    const value = this.#arguments[at];
    return typeof value === "string" ? value : undefined;
  }

  /** The arguments of a `[many...]`. */
  rest(at: number): readonly string[] {
    const value = this.#arguments[at];
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }

  text(option: string): string | undefined {
    const value = this.#options[option];
    return typeof value === "string" ? value : undefined;
  }

  /** One of a fixed set of words; the parser has refused all others. */
  choice<const T extends string>(option: string, words: readonly T[]): T | undefined {
    const value = this.text(option);
    return words.find((word) => word === value);
  }

  flag(option: string): boolean {
    return this.#options[option] === true;
  }

  list(option: string): readonly string[] | undefined {
    const value = this.#options[option];
    return Array.isArray(value) ? (value as readonly string[]) : undefined;
  }

  number(option: string): number | undefined {
    const value = this.text(option);
    return value === undefined ? undefined : parseNumber(value, `--${option}`);
  }

  /** `90s`, `15m`, `1h`, or a bare number of seconds, as seconds. */
  seconds(option: string): number | undefined {
    const value = this.text(option);
    if (value === undefined) return undefined;
    const ms = /^\d{1,9}$/.test(value) ? Number(value) * SECOND : parseDuration(value);
    if (ms === null || ms < SECOND || ms % SECOND !== 0)
      throw usage(`--${option}: “${value}” is not a duration like 60s, 15m or 1h.`);
    return ms / SECOND;
  }

  /** `30d` from now, `2026-12-31`, or a time with its zone, as an ISO time. */
  time(option: string): string | undefined {
    const value = this.text(option);
    if (value === undefined) return undefined;
    const time = parseTime(value);
    if (time === null)
      throw usage(`--${option}: “${value}” is not a time like 30d (from now), 2026-12-31 or 2026-12-31T12:00:00Z.`);
    return time;
  }

  /** `30d` ago, `2026-12-31`, or a time with its zone, as an ISO time. */
  timeAgo(option: string): string | undefined {
    const value = this.text(option);
    if (value === undefined) return undefined;
    const time = parseTime(value, -1);
    if (time === null)
      throw usage(`--${option}: “${value}” is not a time like 30d (ago), 2026-01-31 or 2026-01-31T12:00:00Z.`);
    return time;
  }

  /** A duration before or after now as an ISO time, and nothing else. */
  onlyDuration(option: string, direction: 1 | -1): string | undefined {
    const value = this.text(option);
    if (value === undefined) return undefined;
    const time = parseDuration(value) === null ? null : parseTime(value, direction);
    if (time === null) throw usage(`--${option}: “${value}” is not a duration like 14d or 12h.`);
    return time;
  }
}

const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;
const MOST_MS = 200 * 365 * DAY;

/** A duration from now (or, with -1, before it), a date, or a time with its zone, as an ISO time; `null` for anything else. */
export function parseTime(text: string, direction: 1 | -1 = 1): string | null {
  const ms = parseDuration(text);
  if (ms === null && !TIME.test(text)) return null;
  // What lies before 1970 is before all that there is.
  const date = ms === null ? new Date(text) : new Date(Math.max(0, Date.now() + direction * ms));
  return Number.isNaN(date.getTime()) || date.getTime() > Date.now() + MOST_MS ? null : date.toISOString();
}

/** `5` or `v5` as a number of 1 or more. */
export function parseNumber(text: string, what: string): number {
  const digits = /^v?([1-9]\d{0,9})$/.exec(text)?.[1];
  if (digits === undefined) throw usage(`${what}: “${text}” is not a number of 1 or more.`);
  return Number(digits);
}
