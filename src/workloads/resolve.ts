import type { Bindings, Reader, Row, Variable } from "#storage";
import { environmentNamed, mayReach, namespaceNamed } from "#access";
import type { LaunchPlace } from "#access";
import { offers } from "#secrets";
import { isRequired, referencesOf } from "./manifest.ts";
import type { Variables } from "./manifest.ts";
import { parseReference } from "./reference.ts";
import type { Reference } from "./reference.ts";

/** The secret that a reference names, with the version to take. */
export interface Resolved {
  readonly secret: Row<"secrets">;
  readonly version: number;
  readonly environment: Row<"environments">;
  readonly namespaceId: Row<"namespaces">["id"];
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

/** Says, beyond the rules that every reference obeys, whether this one may be made. `null`: yes. */
export type ReferenceCheck = (resolved: Resolved) => Promise<string | null>;

const MOST_OF_ALL = 1_000;
const ABSENT = "there is no such secret, or it may not be referenced here";

/**
 * What the variables of a manifest stand for, in this launch, now: every reference looked up (by the id it was bound to, or
 * by name where it is not bound), held against the cross-environment rule, the secret's policy and its delivery.
 */
export async function resolveManifest(
  reader: Reader,
  place: LaunchPlace,
  variables: Variables,
  bindings: Bindings | null,
  check: ReferenceCheck,
): Promise<readonly Need[]> {
  const { environment, namespace } = place;
  if (variables === null) {
    const where = {
      environmentId: environment.id,
      namespaceId: namespace.id,
      state: "active",
      delivery: "inject",
    } as const;
    const secrets = await reader.list("secrets", { where, order: ["name"], limit: MOST_OF_ALL });
    const resolved = secrets.map((secret): Resolved => ({
      secret,
      version: secret.currentVersion,
      environment,
      namespaceId: namespace.id,
    }));
    return Promise.all(
      resolved.map(async (one): Promise<Need> => {
        const name = one.secret.name;
        const problem = offers(one.secret, place.workload) ? await check(one) : ABSENT;
        return {
          name,
          variable: { secret: name },
          required: false,
          resolved: new Map([[name, one]]),
          problem,
          absent: false,
        };
      }),
    );
  }
  return Promise.all(
    Object.entries(variables).map(([name, variable]) =>
      resolveVariable(reader, place, name, variable, bindings, check),
    ),
  );
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
  let problem: string | null = null;
  for (const reference of referencesOf(variable)) {
    const found = await resolveReference(reader, place, reference, bindings);
    if (typeof found === "string") problem ??= found;
    else {
      const refused = await check(found);
      if (refused !== null) problem ??= refused;
      resolved.set(reference, found);
    }
  }
  return { name, variable, required: isRequired(variable), resolved, problem, absent: problem === ABSENT };
}

async function resolveReference(
  reader: Reader,
  place: LaunchPlace,
  text: string,
  bindings: Bindings | null,
): Promise<Resolved | string> {
  const reference = parseReference(text);
  if (reference === null) return "not a reference";
  const target = await targetOf(reader, place, reference);
  if (target === null) return ABSENT;
  if (!mayReach(place.environment, target.environment))
    return `${place.environment.name} may not reach into ${target.environment.name}`;
  if (target.environment.state !== "active") return `the environment ${target.environment.name} is disabled`;
  const secret = await boundSecret(reader, target, reference, text, bindings);
  if (secret === null || !offers(secret, place.workload)) return ABSENT;
  if (secret.delivery === "broker") return "this secret can only be used through a tool";
  return { secret, version: reference.version ?? secret.currentVersion, ...target };
}

interface Target {
  readonly environment: Row<"environments">;
  readonly namespaceId: Row<"namespaces">["id"];
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
  return inEnvironment === null || inNamespace === null
    ? null
    : { environment: inEnvironment, namespaceId: inNamespace.id };
}

/** A binding holds an id: a secret deleted and made anew under the same name is another one. */
async function boundSecret(
  reader: Reader,
  target: Target,
  { name }: Reference,
  text: string,
  bindings: Bindings | null,
): Promise<Row<"secrets"> | null> {
  const where = { environmentId: target.environment.id, namespaceId: target.namespaceId, state: "active" } as const;
  if (bindings === null) return reader.get("secrets", { ...where, name });
  const id = Object.hasOwn(bindings, text) ? bindings[text] : null;
  return id == null ? null : reader.get("secrets", { ...where, id });
}
