import { isUtf8 } from "node:buffer";
import { Redacted, VaultError } from "#base";
import type { Id } from "#base";
import type { Reader, Row } from "#storage";
import type { Guard, LaunchPlace } from "#access";
import { authorMayReference, deployedAt, manifestVersion, parseTemplate, resolveManifest } from "#workloads";
import type { Deployed, Need, Resolved } from "#workloads";
import type { Values } from "#secrets";
import type { Variables } from "./format.ts";

/** What a launch delivers: the variables, and which versions of which secrets went into them. */
export interface Delivery {
  readonly variables: Variables;
  readonly used: readonly { readonly id: Id<"sec">; readonly name: string; readonly version: number }[];
}

export type Delivered = Row<"exchanges">["delivered"];

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
 * @param only the versions to deliver, where an exchange is repeated.
 */
export async function deliver(
  values: Values,
  reader: Reader,
  org: Id<"org">,
  needs: readonly Need[],
  only: Delivered | null,
): Promise<Delivery> {
  const repeated = only === null ? null : new Map(only);
  const wanted = needs
    .flatMap((need) => [...need.resolved.values()])
    .map((one) => ({ ...one, version: repeated?.get(one.secret.id) ?? one.version }));
  const opened = await openAll(values, reader, org, wanted);
  const variables = new Map<string, Redacted<Buffer>>();
  const gone: { variable: string; reason: string }[] = [];
  for (const need of needs) {
    const value = assemble(need, (reference) => {
      const resolved = need.resolved.get(reference);
      return resolved === undefined
        ? null
        : (opened.get(keyOf(resolved.secret.id, repeated?.get(resolved.secret.id) ?? resolved.version)) ?? null);
    });
    if (typeof value === "string") gone.push({ variable: need.name, reason: value });
    else variables.set(need.name, value);
  }
  refuse(gone, true);
  const used = new Map(
    wanted.map(({ secret, version }) => [keyOf(secret.id, version), { id: secret.id, name: secret.name, version }]),
  );
  return { variables, used: [...used.values()] };
}

function refuse(variables: readonly { variable: string; reason: string }[], mayKnow: boolean): void {
  if (variables.length > 0) throw new VaultError("launch_refused", undefined, { detail: mayKnow ? { variables } : {} });
}

async function openAll(
  values: Values,
  reader: Reader,
  org: Id<"org">,
  wanted: readonly Pick<Resolved, "secret" | "version">[],
): Promise<Map<string, Redacted<Buffer>>> {
  const heads = new Map(wanted.map((one) => [one.secret.id, one.secret]));
  const pairs = [
    ...new Map(
      wanted.map((one) => [keyOf(one.secret.id, one.version), { secretId: one.secret.id, version: one.version }]),
    ).values(),
  ];
  const rows = pairs.length === 0 ? [] : await reader.list("secretVersions", { anyOf: pairs });
  const opened = new Map<string, Redacted<Buffer>>();
  for (const row of rows) {
    const head = heads.get(row.secretId);
    if (head !== undefined && row.sealed !== null)
      opened.set(keyOf(row.secretId, row.version), await values.open(org, head, row));
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
  for (const part of parseTemplate(variable.template) ?? []) {
    const piece = "text" in part ? Buffer.from(part.text) : (valueOf(part.reference)?.reveal() ?? null);
    if (piece === null) return "a version that its template names is not there any more";
    if (!isUtf8(piece)) return "its template takes a value that is not text";
    parts.push(piece);
  }
  return new Redacted(Buffer.concat(parts));
}

function keyOf(secret: Id<"sec">, version: number): string {
  return `${secret}@${String(version)}`;
}
