import { holdsToken } from "#client";

/**
 * The environment of a launched child: what this process has, without anything of the vault's own (every SALLYPORT_
 * variable, and every variable in whose value a token of a vault stands), and then the launch's variables, which win.
 */
export function childEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment = new Map<string, string>();
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !name.startsWith("SALLYPORT_") && !holdsToken(value)) environment.set(name, value);
  }
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return Object.fromEntries(environment);
}
