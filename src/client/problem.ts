import type { ErrorCode, ErrorDetail } from "#base";
import { SallyportError, isErrorCode } from "./error.ts";
import type { Answer } from "./transport.ts";

type Json = Readonly<Record<string, unknown>>;

/** For an answer whose code this version does not know, or that came from something in front of the vault. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: "bad_request",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  408: "timeout",
  409: "conflict",
  412: "precondition_failed",
  413: "payload_too_large",
  422: "invalid_input",
  429: "rate_limited",
  502: "unreachable",
  503: "overloaded",
  504: "unreachable",
};

/**
 * A refusal as an error: RFC 9457's problem document with the vault's fields. Every field is looked at before it is
 * believed, because what answers may be something else than a vault.
 */
export function problemError(answer: Answer): SallyportError {
  const { status } = answer;
  const problem = parseProblem(answer);
  if (problem === null) {
    if (status >= 300 && status <= 399) {
      return new SallyportError("unreachable", "it answers with a redirect, which is not followed", {
        status,
        remedy: "Give the address that it leads to, if that is your vault.",
      });
    }
    return new SallyportError(
      BY_STATUS[status] ?? "internal",
      `it answered ${String(status)}, and not as a vault does`,
      {
        status,
      },
    );
  }
  const sent = text(problem, "code") ?? "";
  const code = isErrorCode(sent) ? sent : (BY_STATUS[status] ?? "internal");
  const title = text(problem, "title");
  const requestId = text(problem, "requestId");
  const message = text(problem, "detail") ?? (isErrorCode(sent) ? undefined : (title ?? sent));
  const remedy = isErrorCode(sent) ? undefined : text(problem, "remedy");
  const retryAfter = Number(answer.headers["retry-after"] ?? "");
  return new SallyportError(code, message, {
    status,
    problem,
    detail: { ...(retryAfter > 0 ? { retryAfterSeconds: retryAfter } : {}), ...detailOf(problem) },
    ...(remedy === undefined ? {} : { remedy }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}

/** The fields that hold a name of something, also of one side of two (`to.environment`). */
const NAMING = /^(?:(?:from|to)\.)?(?:environment|namespace|workload|secret|user|serviceUser|principal)$/;

/**
 * The vault says which of the things that were named is not there, and does not repeat the name: it is put in here, from
 * what was asked.
 */
export function namingWhatIsNot(
  error: SallyportError,
  asked: { readonly params?: unknown; readonly query?: unknown; readonly body?: unknown },
): SallyportError {
  const { faults } = error.detail;
  if (error.code !== "not_found" || faults === undefined || faults.length === 0) return error;
  const named = faults.map(({ field, message }) => {
    const name = NAMING.test(field)
      ? [asked.params, asked.query, asked.body].map((part) => at(part, field.split("."))).find((one) => one !== "")
      : undefined;
    return { field, message: name === undefined ? message : `“${name}”: ${message}` };
  });
  return error.with({ detail: { ...error.detail, faults: named } });
}

function at(part: unknown, path: readonly string[]): string {
  const found = path.reduce<unknown>((inside, name) => (isObject(inside) ? inside[name] : undefined), part);
  return typeof found === "string" ? found : "";
}

function parseProblem(answer: Answer): Json | null {
  if (!(answer.headers["content-type"] ?? "").includes("json")) return null;
  try {
    const content: unknown = JSON.parse(answer.body.toString("utf8"));
    return isObject(content) ? content : null;
  } catch {
    return null;
  }
}

function detailOf(problem: Json): ErrorDetail {
  const missing = problem.missing;
  const retryAfterSeconds = problem.retryAfterSeconds;
  const id = text(problem, "id");
  const allow = text(problem, "allow");
  return {
    faults: pairs(problem, "faults", "field", "message").map(([field, message]) => ({ field, message })),
    variables: pairs(problem, "variables", "variable", "reason").map(([variable, reason]) => ({ variable, reason })),
    ...(isObject(missing)
      ? { missing: { permission: text(missing, "permission") ?? "?", on: text(missing, "on") ?? "?" } }
      : {}),
    ...(Array.isArray(problem.usedBy) ? { usedBy: problem.usedBy.filter((item) => typeof item === "string") } : {}),
    ...(id === undefined ? {} : { id }),
    ...(typeof retryAfterSeconds === "number" ? { retryAfterSeconds } : {}),
    ...(allow === undefined ? {} : { allow }),
  };
}

function pairs(problem: Json, list: string, first: string, second: string): [string, string][] {
  const items = problem[list];
  if (!Array.isArray(items)) return [];
  return items.filter(isObject).map((item) => [text(item, first) ?? "?", text(item, second) ?? "?"]);
}

function text(object: Json, field: string): string | undefined {
  const value = object[field];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
