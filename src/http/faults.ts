import { VaultError } from "#base";
import type { ErrorDetail } from "#base";
import type { z } from "zod";

export type Fault = NonNullable<ErrorDetail["faults"]>[number];
type Issue = z.core.$ZodIssue;

const MAX_FAULTS = 20;
/** Keys that may be repeated to the client. A token is longer than this, a pasted value rarely looks like it. */
const SAFE_KEY = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/**
 * `value` as the schema reads it.
 *
 * @throws {VaultError} `invalid_input` with a fault for each field. A fault names the field and the rule, never the value.
 */
export function parse(schema: z.ZodType, value: unknown, part: "path" | "query" | "body"): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalid(...result.error.issues.flatMap((issue) => faultsOf(issue, [], part)).slice(0, MAX_FAULTS));
}

export function invalid(...faults: readonly Fault[]): VaultError {
  return new VaultError("invalid_input", undefined, { detail: { faults } });
}

/** A client's own word where it is harmless, else a question mark. */
export function safeKey(key: PropertyKey): string {
  if (typeof key === "number") return String(key);
  return typeof key === "string" && SAFE_KEY.test(key) ? key : "?";
}

function faultsOf(issue: Issue, above: readonly PropertyKey[], part: string): readonly Fault[] {
  const path = [...above, ...issue.path];
  const field = (keys: readonly PropertyKey[]) => (keys.length === 0 ? part : keys.map(safeKey).join("."));
  switch (issue.code) {
    case "unrecognized_keys":
      // zod's own message lists the keys as they came.
      return issue.keys.map((key) => ({ field: field([...path, key]), message: "unknown field" }));
    case "invalid_key":
      return [{ field: field(path), message: issue.issues[0]?.message ?? "not a name that can stand here" }];
    case "invalid_union": {
      const meant = meantBranch(issue.errors);
      if (meant) return meant.flatMap((inner) => faultsOf(inner, path, part));
      return [{ field: field(path), message: issue.message }];
    }
    case "custom":
    case "invalid_element":
    case "invalid_format":
    case "invalid_type":
    case "invalid_value":
    case "not_multiple_of":
    case "too_big":
    case "too_small":
      return [{ field: field(path), message: issue.message }];
  }
}

/** Of a union of objects the one whose fields the client used: the only one with the fewest unknown fields. */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | null {
  const unknown = branches.map((issues) =>
    issues.reduce(
      (n, issue) => n + (issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys.length : 0),
      0,
    ),
  );
  const least = Math.min(...unknown);
  const found = branches.filter((_, at) => unknown[at] === least);
  return found.length === 1 ? (found[0] ?? null) : null;
}
