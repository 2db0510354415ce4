import { ERRORS } from "#base";
import type { ErrorCode, ErrorDetail } from "#base";

/** Failures that no vault answers with: they happen on this side. */
const OWN = {
  usage: {
    title: "It was asked for in a way that cannot work",
    cause: null,
    remedy: null,
  },
  interrupted: { title: "Interrupted", cause: null, remedy: null },
  not_an_environment: {
    title: "A value cannot stand in a process's environment",
    cause: "An environment holds text in UTF-8 without NUL bytes.",
    remedy: "Store text without NUL bytes, or take the value as bytes.",
  },
  not_text: {
    title: "A value is not text",
    cause: "Its bytes are not UTF-8.",
    remedy: "Take it as bytes: `secretBytes`.",
  },
  unknown_variable: {
    title: "The launch has no such variable",
    cause: "The manifest that is deployed does not name it, or it is not required and its secret is not there.",
    remedy: "Check its spelling, and the manifest of the workload.",
  },
} as const;

/** Every code that there is: the vault's, and those of this side. */
export type ClientCode = ErrorCode | keyof typeof OWN;

export interface FailureOptions {
  readonly detail?: ErrorDetail;
  /** What to do about it, where the code's own remedy is not the best word. */
  readonly remedy?: string;
  readonly requestId?: string;
  readonly status?: number;
  /** The problem document as the vault sent it. */
  readonly problem?: Readonly<Record<string, unknown>>;
}

/**
 * Every failure: what the vault answered, and what went wrong on this side. It never holds a value or a credential, and so
 * no `cause` either: the errors of parsers and sockets repeat pieces of what they could not read.
 */
export class SallyportError extends Error {
  /** Stable, one of a closed list. */
  readonly code: ClientCode;
  /** The HTTP status, where a vault answered. */
  readonly status: number | null;
  /** What to name when asking whoever runs the vault. */
  readonly requestId: string | null;
  /** What to do about it. */
  readonly remedy: string | null;
  /** Which fields, variables or permissions it is about. */
  readonly detail: ErrorDetail;
  readonly #explanation: string | null;
  readonly #problem: Readonly<Record<string, unknown>> | null;

  constructor(code: ClientCode, explanation?: string, options: FailureOptions = {}) {
    const { title, remedy } = known(code);
    const isPlain = explanation === undefined || explanation === title;
    super(isPlain ? title : code === "usage" ? explanation : `${title}: ${explanation}`);
    this.name = "SallyportError";
    this.code = code;
    this.status = options.status ?? null;
    this.requestId = options.requestId ?? null;
    this.remedy = options.remedy ?? remedy;
    this.detail = options.detail ?? {};
    this.#explanation = isPlain ? null : explanation;
    this.#problem = options.problem ?? null;
  }

  /** What the code means, always in the same words. */
  get title(): string {
    return known(this.code).title;
  }

  /** Why this happens in general, for where nothing more is known. */
  get why(): string | null {
    return known(this.code).cause;
  }

  /** What is special here; `null` where the title says it all. */
  get explanation(): string | null {
    return this.#explanation;
  }

  /** The problem document (RFC 9457) as the vault sent it. */
  get problem(): Readonly<Record<string, unknown>> | null {
    return this.#problem;
  }

  /** The same failure with another word about what to do, or about its parts. */
  with(other: Pick<FailureOptions, "detail" | "remedy">): SallyportError {
    const { detail, remedy, requestId, status } = this;
    return new SallyportError(this.code, this.#explanation ?? undefined, {
      detail,
      ...(remedy === null ? {} : { remedy }),
      ...(requestId === null ? {} : { requestId }),
      ...(status === null ? {} : { status }),
      ...(this.#problem === null ? {} : { problem: this.#problem }),
      ...other,
    });
  }
}

export function usage(message: string, remedy?: string): SallyportError {
  return new SallyportError("usage", message, remedy === undefined ? {} : { remedy });
}

/** Something else than a vault answered, which may hold anything. */
export function notOfAVault(why: string): SallyportError {
  return new SallyportError("unreachable", `what answers there is not a vault (${why})`);
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

function known(code: ClientCode) {
  return isErrorCode(code) ? ERRORS[code] : OWN[code];
}
