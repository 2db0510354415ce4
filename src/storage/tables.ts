import { DAY } from "#base";
import type { Id, OrgRole, ServiceKind } from "#base";
import { bool, bytes, id, int, json, nullable, text, time } from "./column.ts";
import type { Draft, RowOf, TableSpec } from "./table.ts";

/** Fills in what most tables have in common. */
function table<const C, const M extends Readonly<Record<number, readonly (keyof C & string)[]>> | null = null>(
  columns: C,
  more: {
    key?: readonly (keyof C & string)[];
    owner?: "directory";
    macs?: M;
    unaudited?: readonly (keyof C & string)[];
    lasts?: { readonly since: keyof C & string; readonly ms: number };
    fact?: true;
  } = {},
): Omit<TableSpec<C>, "macs"> & { readonly macs: M } {
  return {
    columns,
    key: more.key ?? (["id"] as unknown as (keyof C & string)[]),
    owner: more.owner ?? "org",
    macs: (more.macs ?? null) as M,
    unaudited: more.unaudited ?? [],
    lasts: more.lasts ?? null,
    fact: more.fact ?? false,
  };
}

/** Which scopes may reference a secret beside its own namespace, and which roles may make such a reference. */
export interface SecretPolicy {
  readonly namespaces: readonly Id<"nsp">[];
  readonly workloads: readonly Id<"wkl">[];
  /** Empty: every role that holds `secret.reference`. */
  readonly roles: readonly string[];
}

/** A variable as its author wrote it. */
export type Variable =
  | { readonly secret: string; readonly required?: boolean | undefined }
  | { readonly value: string }
  | { readonly template: string; readonly required?: boolean | undefined };

/** Which secret each reference of a deployed manifest was bound to: a secret of the same name made later is another one. */
export type Bindings = Readonly<Record<string, Id<"sec"> | null>>;

/**
 * Every table, declared once for both engines: what a row is in the program, what identifies it, which columns its MAC
 * covers. The migrations make what is declared here; a test holds the two against each other.
 */
export const TABLES = {
  meta: table({ name: text(), value: text() }, { key: ["name"], owner: "directory", fact: true }),
  orgs: table(
    { id: id("org"), slug: text(), state: text<"active" | "disabled">(), createdAt: time },
    { owner: "directory", fact: true },
  ),
  keys: table(
    {
      id: id("key"),
      environmentId: nullable(id("env")),
      purpose: text<"instance" | "org" | "mac" | "data">(),
      generation: int,
      parentId: id("key"),
      state: text<"current" | "retired">(),
      wrapped: bytes,
      encryptions: int,
      createdAt: time,
    },
    { unaudited: ["encryptions"], fact: true },
  ),
  epochs: table({ name: text<"access">(), epoch: int }, { key: ["name"], fact: true }),
  orgSettings: table(
    { id: id("org"), reveal: text<"admins" | "nobody">(), viewerAudit: text<"scope" | "none">(), createdAt: time },
    { macs: { 1: ["id", "reveal", "viewerAudit"] }, fact: true },
  ),
  principals: table(
    {
      id: id("prn"),
      type: text<"user" | "service">(),
      /** A user's login, a service user's name. */
      name: text(),
      orgRole: nullable(text<OrgRole>()),
      kind: nullable(text<ServiceKind>()),
      instanceAdmin: bool,
      state: text<"invited" | "active" | "disabled" | "deleted">(),
      /** Rises with role, password or state; sessions of an older version are over. */
      securityVersion: int,
      description: text(),
      createdAt: time,
      lastSignInAt: nullable(time),
    },
    {
      macs: { 1: ["id", "type", "name", "orgRole", "kind", "instanceAdmin", "state", "securityVersion"] },
      unaudited: ["lastSignInAt"],
      fact: true,
    },
  ),
  credentials: table(
    {
      id: id("crd"),
      principalId: id("prn"),
      kind: text<"password" | "token" | "set-up">(),
      issuer: text(),
      subject: text(),
      /** SHA-256 of a token, or the PHC string of a password. */
      verifier: bytes,
      note: text(),
      state: text<"active" | "ended">(),
      cidrs: json<readonly string[]>(),
      createdAt: time,
      expiresAt: nullable(time),
      lastUsedAt: nullable(time),
      lastUsedFrom: nullable(text()),
    },
    {
      macs: { 1: ["id", "principalId", "kind", "issuer", "subject", "verifier", "state", "cidrs", "expiresAt"] },
      unaudited: ["lastUsedAt", "lastUsedFrom"],
      fact: true,
    },
  ),
  sessions: table(
    {
      id: id("ses"),
      principalId: id("prn"),
      digest: bytes,
      securityVersion: int,
      createdAt: time,
      lastSeenAt: time,
      expiresAt: time,
      state: text<"active" | "ended">(),
      address: nullable(text()),
    },
    {
      macs: { 1: ["id", "principalId", "digest", "securityVersion", "createdAt", "expiresAt", "state"] },
      unaudited: ["lastSeenAt"],
      fact: true,
    },
  ),
  environments: table(
    {
      id: id("env"),
      name: text(),
      mode: text<"open" | "restricted" | "private">(),
      localRun: bool,
      state: text<"active" | "disabled" | "deleted">(),
      description: text(),
      createdAt: time,
      deletedAt: nullable(time),
    },
    { macs: { 1: ["id", "name", "mode", "localRun", "state"] }, fact: true },
  ),
  namespaces: table(
    { id: id("nsp"), name: text(), state: text<"active" | "deleted">(), description: text(), createdAt: time },
    { macs: { 1: ["id", "name", "state"] }, fact: true },
  ),
  grants: table(
    {
      id: id("grt"),
      principalId: id("prn"),
      role: text(),
      environmentId: nullable(id("env")),
      namespaceId: nullable(id("nsp")),
      workloadId: nullable(id("wkl")),
      startsAt: nullable(time),
      endsAt: nullable(time),
      reason: text(),
      grantedBy: id("prn"),
      state: text<"active" | "removed">(),
      createdAt: time,
    },
    {
      macs: {
        1: ["id", "principalId", "role", "environmentId", "namespaceId", "workloadId", "startsAt", "endsAt", "state"],
      },
      fact: true,
    },
  ),
  secrets: table(
    {
      id: id("sec"),
      environmentId: id("env"),
      namespaceId: id("nsp"),
      name: text(),
      currentVersion: int,
      delivery: text<"inject" | "broker">(),
      state: text<"active" | "deleted" | "destroyed">(),
      policy: nullable(json<SecretPolicy>()),
      description: text(),
      tags: json<readonly string[]>(),
      owner: text(),
      rotateBy: nullable(time),
      createdAt: time,
      createdBy: id("prn"),
      updatedAt: time,
      updatedBy: id("prn"),
      deletedAt: nullable(time),
      /** The launch that was given it last: noted a little later, and at most once a minute. */
      lastUsedAt: nullable(time),
      lastUsedBy: nullable(id("wkl")),
      lastUsedIn: nullable(id("env")),
    },
    {
      macs: {
        1: ["id", "environmentId", "namespaceId", "name", "currentVersion", "delivery", "state", "policy", "deletedAt"],
      },
      unaudited: ["lastUsedAt", "lastUsedBy", "lastUsedIn"],
    },
  ),
  secretVersions: table(
    {
      secretId: id("sec"),
      version: int,
      keyId: id("key"),
      /** Null once destroyed. */
      sealed: nullable(bytes),
      bytes: int,
      createdAt: time,
      createdBy: id("prn"),
    },
    { key: ["secretId", "version"] },
  ),
  workloads: table(
    {
      id: id("wkl"),
      namespaceId: id("nsp"),
      name: text(),
      state: text<"active" | "disabled" | "deleted">(),
      access: text<"inherit" | "explicit">(),
      /** Names that change how programs load, which an admin allowed for this workload. */
      allowedVariables: json<readonly string[]>(),
      description: text(),
      createdAt: time,
      createdBy: id("prn"),
    },
    { macs: { 1: ["id", "namespaceId", "name", "state", "access", "allowedVariables", "createdBy"] }, fact: true },
  ),
  manifests: table(
    {
      id: id("man"),
      workloadId: id("wkl"),
      version: int,
      /** Null: `all`, every `inject` secret of the launch's scope under its own name. */
      variables: nullable(json<Readonly<Record<string, Variable>>>()),
      note: text(),
      createdAt: time,
      createdBy: id("prn"),
    },
    { macs: { 1: ["id", "workloadId", "version", "variables", "createdBy"] } },
  ),
  deployments: table(
    {
      id: id("dep"),
      workloadId: id("wkl"),
      environmentId: id("env"),
      /** Null: follows the latest version. */
      version: nullable(int),
      bindings: json<Bindings>(),
      deployedAt: time,
      deployedBy: id("prn"),
      state: text<"active" | "removed">(),
    },
    { macs: { 1: ["id", "workloadId", "environmentId", "version", "bindings", "deployedBy", "state"] }, fact: true },
  ),
  injections: table(
    {
      id: id("inj"),
      workloadId: id("wkl"),
      namespaceId: id("nsp"),
      environmentId: id("env"),
      manifestVersion: int,
      deploymentId: nullable(id("dep")),
      digest: bytes,
      state: text<"minted" | "exchanged" | "revoked">(),
      bound: bool,
      cidrs: json<readonly string[]>(),
      note: text(),
      mintedBy: id("prn"),
      mintedAt: time,
      expiresAt: time,
    },
    {
      macs: {
        1: [
          "id",
          "workloadId",
          "namespaceId",
          "environmentId",
          "manifestVersion",
          "deploymentId",
          "digest",
          "state",
          "bound",
          "cidrs",
          "mintedBy",
          "mintedAt",
          "expiresAt",
        ],
      },
    },
  ),
  /** One row for each token that was ever used, whatever the token's own row says: what makes an exchange happen at most once. */
  exchanges: table(
    {
      injectionId: id("inj"),
      at: time,
      address: nullable(text()),
      runnerId: nullable(id("prn")),
      leaseId: id("lea"),
      /** SHA-256 of the Idempotency-Key that may repeat this exchange, and the versions it delivered. */
      repeatDigest: nullable(bytes),
      delivered: json<readonly (readonly [Id<"sec">, number])[]>(),
    },
    {
      key: ["injectionId"],
      macs: { 1: ["injectionId", "at", "address", "runnerId", "leaseId", "repeatDigest", "delivered"] },
    },
  ),
  leases: table(
    {
      id: id("lea"),
      injectionId: id("inj"),
      digest: bytes,
      state: text<"active" | "ended" | "revoked">(),
      createdAt: time,
      expiresAt: time,
      endedAt: nullable(time),
      exitCode: nullable(int),
    },
    { macs: { 1: ["id", "injectionId", "digest", "state", "createdAt", "expiresAt", "endedAt"] } },
  ),
  /** Idempotency-Keys of operations that made something: the digest of key, caller and operation, and what was made. */
  idempotency: table(
    { digest: bytes, target: text(), createdAt: time },
    { key: ["digest"], lasts: { since: "createdAt", ms: DAY } },
  ),
  auditEvents: table(
    {
      id: id("evt"),
      slot: int,
      seq: int,
      time: time,
      action: text(),
      result: text<"success" | "refused" | "failed">(),
      actorId: nullable(text()),
      targetId: nullable(text()),
      environmentId: nullable(id("env")),
      namespaceId: nullable(id("nsp")),
      workloadId: nullable(id("wkl")),
      /** Canonical JSON; what the hash covers, with the digest of the private part. */
      public: text(),
      private: nullable(text()),
      salt: nullable(bytes),
      privateHash: bytes,
      previousHash: bytes,
      hash: bytes,
    },
    { key: ["slot", "seq"] },
  ),
  auditCheckpoints: table(
    { slot: int, size: int, root: bytes, frontier: bytes, time: time, note: text() },
    { key: ["slot", "size"], unaudited: ["slot", "size", "root", "frontier", "time", "note"] },
  ),
} as const;

export type TableName = keyof typeof TABLES;
export type Row<T extends TableName> = RowOf<(typeof TABLES)[T]>;
export type NewRow<T extends TableName> = Draft<(typeof TABLES)[T]>;
