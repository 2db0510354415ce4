import type { Bindings, Reader, Row, Variable } from "#storage";
import { environmentNamed, mayReach, namespaceNamed } from "#access";
import type { LaunchPlace } from "#access";
import { offers } from "#secrets";
import { DANGEROUS, isRequired, mayBeNamed, referencesOf } from "./manifest.ts";
import type { Variables } from "./manifest.ts";
import { parseReference } from "./reference.ts";
import type { Reference } from "./reference.ts";

/** Where a reference points to. */
export interface Target {
  readonly environment: Row<"environments">;
  readonly namespace: Row<"namespaces">;
}

/** The secret that a reference names, with the version to take. */
export interface Resolved extends Target {
  readonly secret: Row<"secrets">;
  readonly version: number;
}

/** One variable of a launch: what it is made of, or why it cannot be. */
export interface Need {
  readonly name: string;
  readonly variable: Variable;
  readonly required: boolean;
  readonly resolved: ReadonlyMap<string, Resolved>;
  /** Holds names of the manifest only. */
  readonly problem: string | null;
  /** The problem is only that there is no such secret: an optional variable is left out. */
  readonly absent: boolean;
}

/**
 * Says, beyond the rules that every reference obeys, whether this one may be made; `null`: yes. It is asked of the place
 * first, with no secret, and only then of the secret found there: whoever may reference nothing in a place learns neither
 * what is in it nor whether there is such a place.
 */
export type ReferenceCheck = (target: Target, secret: Row<"secrets"> | null) => Promise<string | null>;

/** One sentence for what is not there and for what is not the asker's to know. */
export const NOT_THERE = "there is no such secret, or it may not be referenced here";

const MOST_OF_ALL = 1_000;

/**
 * What the variables of a manifest stand for, in this launch, now: every reference looked up (by the id it was bound to, or
 * by name where it is not bound), held against the cross-environment rule, the secret's policy and its delivery.
 *
 * `all` takes the secrets of the launch's scope that nothing speaks against: it leaves out those whose policy does not
 * offer them or names roles (these are referenced by name, by one who has the role), and names that change how programs
 * load.
 */
export async function resolveManifest(
  reader: Reader,
  place: LaunchPlace,
  variables: Variables,
  bindings: Bindings | null,
  check: ReferenceCheck,
): Promise<readonly Need[]> {
  const { environment, namespace } = place;
  if (variables !== null) {
    return Promise.all(
      Object.entries(variables).map(([name, variable]) =>
        resolveVariable(reader, place, name, variable, bindings, check),
      ),
    );
  }
  const target: Target = { environment, namespace };
  const closed = await check(target, null);
  if (closed !== null) return [need("*", new Map(), closed)];
  const where = {
    environmentId: environment.id,
    namespaceId: namespace.id,
    state: "active",
    delivery: "inject",
  } as const;
  const secrets = await reader.list("secrets", { where, order: ["name"], limit: MOST_OF_ALL });
  return secrets
    .filter(
      (secret) =>
        offers(secret, place.workload) &&
        (secret.policy?.roles ?? []).length === 0 &&
        mayBeNamed(secret.name, place.workload.allowedVariables),
    )
    .map((secret) =>
      need(secret.name, new Map([[secret.name, { ...target, secret, version: secret.currentVersion }]]), null),
    );
}

/** A variable of `all`, which nobody asked for by name. */
function need(name: string, resolved: ReadonlyMap<string, Resolved>, problem: string | null): Need {
  return { name, variable: { secret: name }, required: false, resolved, problem, absent: false };
}

async function resolveVariable(
  reader: Reader,
  place: LaunchPlace,
  name: string,
  variable: Variable,
  bindings: Bindings | null,
  check: ReferenceCheck,
): Promise<Need> {
  const resolved = new Map<string, Resolved>();
  const problems: Problem[] = mayBeNamed(name, place.workload.allowedVariables)
    ? []
    : [{ problem: DANGEROUS, absent: false }];
  for (const reference of referencesOf(variable)) {
    const found = await resolveReference(reader, place, reference, bindings, check);
    if ("problem" in found) problems.push(found);
    else resolved.set(reference, found);
  }
  const first = problems.find((one) => !one.absent) ?? problems[0];
  return {
    name,
    variable,
    required: isRequired(variable),
    resolved,
    problem: first?.problem ?? null,
    absent: first?.absent ?? false,
  };
}

interface Problem {
  readonly problem: string;
  readonly absent: boolean;
}

async function resolveReference(
  reader: Reader,
  place: LaunchPlace,
  text: string,
  bindings: Bindings | null,
  check: ReferenceCheck,
): Promise<Resolved | Problem> {
  const refused = (problem: string): Problem => ({ problem, absent: false });
  const reference = parseReference(text);
  if (reference === null) return refused("not a reference");
  const target = await targetOf(reader, place, reference);
  const closed = target === null ? NOT_THERE : await check(target, null);
  if (target === null || closed !== null) return refused(closed ?? NOT_THERE);
  if (!mayReach(place.environment, target.environment))
    return refused(`${place.environment.name} may not reach into ${target.environment.name}`);
  if (target.environment.state !== "active") return refused(`the environment ${target.environment.name} is disabled`);
  const secret = await boundSecret(reader, target, reference, text, bindings);
  if (secret === null || !offers(secret, place.workload)) return { problem: NOT_THERE, absent: true };
  const withheld = await check(target, secret);
  if (withheld !== null) return { problem: withheld, absent: withheld === NOT_THERE };
  if (secret.delivery === "broker") return refused("this secret can only be used through a tool");
  if (reference.version !== null && !(await isLive(reader, secret, reference.version)))
    return refused(`version ${String(reference.version)} of it is not there, or was destroyed`);
  return { secret, version: reference.version ?? secret.currentVersion, ...target };
}

async function isLive(reader: Reader, secret: Row<"secrets">, version: number): Promise<boolean> {
  const row = await reader.get("secretVersions", { secretId: secret.id, version });
  return row !== null && row.sealed !== null;
}

async function targetOf(
  reader: Reader,
  place: LaunchPlace,
  { environment, namespace }: Reference,
): Promise<Target | null> {
  const [inEnvironment, inNamespace] = await Promise.all([
    environment === null ? place.environment : environmentNamed(reader, environment),
    namespace === null ? place.namespace : namespaceNamed(reader, namespace),
  ]);
  return inEnvironment === null || inNamespace === null ? null : { environment: inEnvironment, namespace: inNamespace };
}

/** A binding holds an id: a secret deleted and made anew under the same name is another one. */
async function boundSecret(
  reader: Reader,
  target: Target,
  { name }: Reference,
  text: string,
  bindings: Bindings | null,
): Promise<Row<"secrets"> | null> {
  const where = { environmentId: target.environment.id, namespaceId: target.namespace.id, state: "active" } as const;
  if (bindings === null) return reader.get("secrets", { ...where, name });
  const id = Object.hasOwn(bindings, text) ? bindings[text] : null;
  return id == null ? null : reader.get("secrets", { ...where, id });
}
