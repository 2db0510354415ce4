import { VaultError, isDangerousVariable } from "#base";
import type { Variable } from "#storage";
import { parseReference, parseTemplate } from "./reference.ts";

/** A manifest's variables, or `null` for `all`: every `inject` secret of the launch's scope under its own name. */
export type Variables = Readonly<Record<string, Variable>> | null;

export interface VariableDiff {
  readonly variable: string;
  readonly change: "added" | "removed" | "changed";
  readonly before: Variable | null;
  readonly after: Variable | null;
}

/** The references of one variable, as written. */
export function referencesOf(variable: Variable): readonly string[] {
  if ("secret" in variable) return [variable.secret];
  if ("value" in variable) return [];
  return (parseTemplate(variable.template) ?? []).flatMap((part) => ("reference" in part ? [part.reference] : []));
}

export const DANGEROUS = "this name changes how programs load; an admin can allow it for this workload";

/**
 * Whether a variable of this workload may have the name. Asked at save and deploy, and at each launch too: `all` takes the
 * names of secrets, which their writers choose, and an admin may have taken the permission back.
 */
export function mayBeNamed(name: string, allowed: readonly string[]): boolean {
  return !isDangerousVariable(name) || allowed.includes(name);
}

export function isRequired(variable: Variable): boolean {
  return "value" in variable || variable.required !== false;
}

/**
 * Throws `invalid_input` for what no launch could use: a reference or template that cannot be read, and a name that
 * changes how programs load unless an admin allowed it for this workload.
 */
export function checkVariables(variables: Variables, allowed: readonly string[]): void {
  const faults: { field: string; message: string }[] = [];
  for (const [name, variable] of Object.entries(variables ?? {})) {
    const field = `variables.${name}`;
    if (!mayBeNamed(name, allowed)) {
      faults.push({ field, message: DANGEROUS });
    }
    if ("secret" in variable && parseReference(variable.secret) === null)
      faults.push({ field, message: "not a reference: NAME, namespace/NAME or environment/namespace/NAME" });
    if ("template" in variable && parseTemplate(variable.template) === null)
      faults.push({ field, message: "the template has a ${…} that is not a reference; write $$ for a dollar sign" });
  }
  if (faults.length > 0) throw new VaultError("invalid_input", undefined, { detail: { faults } });
}

/** What changed from one version to the next, variable by variable. `all` counts as having none. */
export function diffVariables(before: Variables, after: Variables): VariableDiff[] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].sort();
  return names.flatMap((variable): VariableDiff[] => {
    const was = ownVariable(before, variable);
    const is = ownVariable(after, variable);
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    return [{ variable, change: was === null ? "added" : is === null ? "removed" : "changed", before: was, after: is }];
  });
}

function ownVariable(variables: Variables, name: string): Variable | null {
  return variables !== null && Object.hasOwn(variables, name) ? (variables[name] ?? null) : null;
}

/** What whoever may not list secrets sees: literal variables, and how many others there are. */
export function maskVariables(variables: Variables): { shown: Readonly<Record<string, Variable>>; masked: number } {
  const all = Object.entries(variables ?? {});
  const literal = all.filter(([, variable]) => "value" in variable);
  return { shown: Object.fromEntries(literal), masked: all.length - literal.length };
}

/** The same for a diff. */
export function maskDiff(diff: readonly VariableDiff[]): VariableDiff[] {
  const literal = (variable: Variable | null): boolean => variable === null || "value" in variable;
  return diff.filter((one) => literal(one.before) && literal(one.after));
}
