import { isUtf8 } from "node:buffer";
import { Redacted, VaultError } from "#base";
import type { Id } from "#base";
import type { Reader, Row } from "#storage";
import type { Decision, Guard, LaunchPlace, Place } from "#access";
import { authorMayReference, deployedAt, manifestVersion, parseTemplate, resolveManifest } from "#workloads";
import type { Deployed, Need, Resolved } from "#workloads";
import type { Values } from "#secrets";
import type { Variables } from "./formats/encode.ts";

/** What a launch delivers: the variables, and which versions of which secrets went into them. */
export interface Delivery {
  readonly variables: Variables;
  readonly used: readonly { readonly id: Id<"sec">; readonly name: string; readonly version: number }[];
}

export type Delivered = Row<"exchanges">["delivered"];

/** What one variable can hold: no system passes a longer one to a process, and no template may grow without end. */
const MOST_VARIABLE_BYTES = 64 * 1024;
/** What the secrets of one launch may hold together: more than 100 variables can, and as little as memory has for many. */
const MOST_LAUNCH_BYTES = 8 * 1024 * 1024;
/** So many versions are asked for at once: a query has no room for a thousand. */
const VERSIONS_AT_ONCE = 100;

/**
 * Whether the launch may take place, by the minter's authority, now: what is checked when a token is minted and again when
 * it is exchanged or its lease is renewed. A reason, or `null`.
 */
export async function whyNot(
  guard: Guard,
  org: Id<"org">,
  place: LaunchPlace,
  minter: Id<"prn">,
  bound: boolean,
): Promise<string | null> {
  const run = await guard.weighFor(org, minter, "workload.run", place);
  if (!run.allowed) return `the minter may not run this: ${run.because}`;
  if (bound) return null;
  const receive = await guard.weighFor(org, minter, "injection.receive", place);
  return receive.allowed ? null : `the minter may not take delivery: ${receive.because}`;
}

/**
 * Whether whoever it is may take delivery of all that these variables are made of: in the place of the launch, and in the
 * place of each secret, so that nobody reads an environment by launching in another that may reach into it.
 */
export async function mayReceive(
  place: LaunchPlace,
  needs: readonly Need[],
  weigh: (place: Omit<Place, "org">) => Promise<Decision>,
): Promise<boolean> {
  if (!(await weigh(place)).allowed) return false;
  const targets = new Map(
    needs
      .flatMap((need) => [...need.resolved.values()])
      .map(({ environment, namespace }) => [
        `${environment.id}/${namespace.id}`,
        { environment, namespace, workload: null },
      ]),
  );
  targets.delete(`${place.environment.id}/${place.namespace.id}`);
  for (const target of targets.values()) {
    // What a policy offers to the workload is the workload's, in every namespace of the launch's own environment.
    if (target.environment.id !== place.environment.id && !(await weigh(target)).allowed) return false;
  }
  return true;
}

/** The manifest a launch uses: the deployed one when it is minted, the version that the token pins afterwards. */
export async function pinned(
  guard: Guard,
  reader: Reader,
  org: Id<"org">,
  place: LaunchPlace,
  version: number | null,
): Promise<Deployed> {
  const deployed = await deployedAt(guard, reader, org, place);
  if (deployed === null) throw new VaultError("not_deployed");
  if (version === null || deployed.manifest.version === version) return deployed;
  // Another version was deployed since: the token keeps its own, whose references nobody has bound any more.
  const manifest = await manifestVersion(reader, place.workload, version);
  return { ...deployed, manifest, author: manifest.createdBy, bindings: null };
}

/** Every variable of the launch, resolved. Throws `launch_refused`, with names only for those who may know them. */
export async function needsOf(
  guard: Guard,
  reader: Reader,
  org: Id<"org">,
  place: LaunchPlace,
  deployed: Deployed,
  mayKnow: boolean,
): Promise<readonly Need[]> {
  const check =
    deployed.bindings === null ? authorMayReference(guard, org, place, deployed.author) : () => Promise.resolve(null);
  const needs = await resolveManifest(reader, place, deployed.manifest.variables, deployed.bindings, check);
  refuse(
    needs
      .filter((need) => need.problem !== null && need.required)
      .map((need) => ({ variable: need.name, reason: need.problem ?? "" })),
    mayKnow,
  );
  return needs.filter((need) => need.problem === null);
}

/**
 * Opens what the variables need. All or nothing: a version that is gone or does not open refuses the launch.
 *
 * @param only the versions to deliver, where an exchange is repeated: those and no others, or none.
 */
export async function deliver(
  values: Values,
  reader: Reader,
  org: Id<"org">,
  needs: readonly Need[],
  only: Delivered | null,
): Promise<Delivery> {
  const chosen = only === null ? needs : needs.map((need) => asBefore(need, only)).filter((need) => need !== null);
  const wanted = new Map(
    chosen.flatMap((need) => [...need.resolved.values()]).map((one) => [keyOf(one.secret.id, one.version), one]),
  );
  if (only?.some(([id, version]) => !wanted.has(keyOf(id, version))) === true) throw new VaultError("launch_refused");
  const opened = await openAll(values, reader, org, [...wanted.values()]);
  const variables = new Map<string, Redacted<Buffer>>();
  const gone: { variable: string; reason: string }[] = [];
  for (const need of chosen) {
    const value = assemble(need, (reference) => {
      const resolved = need.resolved.get(reference);
      return resolved === undefined ? null : (opened.get(keyOf(resolved.secret.id, resolved.version)) ?? null);
    });
    if (typeof value === "string") gone.push({ variable: need.name, reason: value });
    else variables.set(need.name, value);
  }
  refuse(gone, true);
  const used = [...wanted.values()].map(({ secret, version }) => ({ id: secret.id, name: secret.name, version }));
  return { variables, used };
}

function refuse(variables: readonly { variable: string; reason: string }[], mayKnow: boolean): void {
  if (variables.length > 0) throw new VaultError("launch_refused", undefined, { detail: mayKnow ? { variables } : {} });
}

/**
 * The variable with the versions that were delivered then; `null` when its secret was not delivered then. A version only
 * rises: where the one that is meant now was not delivered, the reference follows the newest, and meant the newest then.
 */
function asBefore(need: Need, delivered: Delivered): Need | null {
  const resolved = new Map<string, Resolved>();
  for (const [reference, one] of need.resolved) {
    const versions = delivered.filter(([id]) => id === one.secret.id).map(([, version]) => version);
    if (versions.length === 0) return null;
    resolved.set(reference, { ...one, version: versions.includes(one.version) ? one.version : Math.max(...versions) });
  }
  return { ...need, resolved };
}

async function openAll(
  values: Values,
  reader: Reader,
  org: Id<"org">,
  wanted: readonly Pick<Resolved, "secret" | "version">[],
): Promise<Map<string, Redacted<Buffer>>> {
  const heads = new Map(wanted.map((one) => [one.secret.id, one.secret]));
  const opened = new Map<string, Redacted<Buffer>>();
  let bytes = 0;
  for (let from = 0; from < wanted.length; from += VERSIONS_AT_ONCE) {
    const pairs = wanted
      .slice(from, from + VERSIONS_AT_ONCE)
      .map((one) => ({ secretId: one.secret.id, version: one.version }));
    for (const row of await reader.list("secretVersions", { anyOf: pairs })) {
      const head = heads.get(row.secretId);
      if (head === undefined || row.sealed === null) continue;
      bytes += row.sealed.length;
      if (bytes > MOST_LAUNCH_BYTES)
        throw new VaultError("launch_refused", "The secrets of the launch hold more than 8 MiB together.");
      opened.set(keyOf(row.secretId, row.version), await values.open(org, head, row));
    }
  }
  return opened;
}

/** The value of one variable, or why there is none. */
function assemble(
  { variable }: Need,
  valueOf: (reference: string) => Redacted<Buffer> | null,
): Redacted<Buffer> | string {
  if ("value" in variable) return new Redacted(Buffer.from(variable.value));
  if ("secret" in variable) return valueOf(variable.secret) ?? "the version it names is not there any more";
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const part of parseTemplate(variable.template) ?? []) {
    const piece = "text" in part ? Buffer.from(part.text) : (valueOf(part.reference)?.reveal() ?? null);
    if (piece === null) return "a version that its template names is not there any more";
    if (!isUtf8(piece)) return "its template takes a value that is not text";
    bytes += piece.length;
    if (bytes > MOST_VARIABLE_BYTES) return "its template makes more than 64 KiB";
    parts.push(piece);
  }
  return new Redacted(Buffer.concat(parts));
}

function keyOf(secret: Id<"sec">, version: number): string {
  return `${secret}@${String(version)}`;
}
