import { ERRORS } from "#base";
import type { ErrorCode, ErrorDetail } from "#base";

/** The vault's own codes, and three that only a command line can meet. */
export type CliCode =
  | ErrorCode
  /** The command was not written as its help says. */
  | "usage"
  /** The person at the terminal stopped it. */
  | "interrupted"
  /** A value cannot stand in a process's environment. */
  | "not_an_environment";

const OWN = {
  usage: { title: "The command is not complete", cause: null, remedy: null },
  interrupted: { title: "Interrupted", cause: null, remedy: null },
  not_an_environment: {
    title: "A value cannot stand in a process's environment",
    cause: null,
    remedy: "Nothing was started. Store text without NUL bytes, or take it with `sallyport exchange`.",
  },
} as const;

interface CliErrorOptions {
  readonly detail?: ErrorDetail;
  /** What to do about it, where the code's own remedy is not the best word. */
  readonly remedy?: string;
  readonly requestId?: string;
  readonly status?: number;
  /** The problem document as the vault sent it. */
  readonly problem?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Every failure of a command: its own, and what the vault answered. Never holds a value or a credential. */
export class CliError extends Error {
  readonly code: CliCode;
  readonly title: string;
  /** Why this happens in general, for where nothing more is known. */
  readonly why: string | null;
  readonly remedy: string | null;
  readonly detail: ErrorDetail;
  readonly requestId: string | null;
  /** The HTTP status, where a vault answered. */
  readonly status: number | null;
  readonly problem: Readonly<Record<string, unknown>> | null;

  constructor(code: CliCode, message?: string, options: CliErrorOptions = {}) {
    const known = isErrorCode(code) ? ERRORS[code] : OWN[code];
    super(message ?? known.title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CliError";
    this.code = code;
    this.title = known.title;
    this.why = known.cause;
    this.remedy = options.remedy ?? known.remedy;
    this.detail = options.detail ?? {};
    this.requestId = options.requestId ?? null;
    this.status = options.status ?? null;
    this.problem = options.problem ?? null;
  }

  /** The same failure with another word about what to do, or about its parts. */
  with(other: Pick<CliErrorOptions, "detail" | "remedy">): CliError {
    const { message, detail, remedy, requestId, status, problem, cause } = this;
    return new CliError(this.code, message, {
      detail,
      cause,
      ...(remedy === null ? {} : { remedy }),
      ...(requestId === null ? {} : { requestId }),
      ...(status === null ? {} : { status }),
      ...(problem === null ? {} : { problem }),
      ...other,
    });
  }
}

export function usage(message: string, remedy?: string): CliError {
  return new CliError("usage", message, remedy === undefined ? {} : { remedy });
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
