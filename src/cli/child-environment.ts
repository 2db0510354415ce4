import type { Redacted } from "#base";
import { CliError } from "./error.ts";
import { holdsToken } from "./token.ts";

/**
 * The environment of a launched child: what this process has, without anything of the vault's own (every SALLYPORT_
 * variable, and every variable in whose value a token of a vault stands), and then the launch's variables, which win.
 *
 * Errors: `not_an_environment`, naming the variables, when a value is not UTF-8 or holds a NUL byte: a process's
 * environment is text that ends in NUL, and half a value is worse than none.
 */
export function childEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  variables: ReadonlyMap<string, Redacted<Buffer>>,
): Record<string, string> {
  const environment = new Map<string, string>();
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !name.startsWith("SALLYPORT_") && !holdsToken(value)) environment.set(name, value);
  }
  const unfit: { variable: string; reason: string }[] = [];
  for (const [variable, redacted] of variables) {
    const text = textOf(redacted.reveal());
    if (text === null) unfit.push({ variable, reason: "its value is not UTF-8 text without NUL bytes" });
    else environment.set(variable, text);
  }
  if (unfit.length > 0) throw new CliError("not_an_environment", undefined, { detail: { variables: unfit } });
  return Object.fromEntries(environment);
}

function textOf(bytes: Buffer): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
