import type { CreateTableBuilder, Kysely, RawBuilder } from "kysely";
import { sql } from "kysely";
import type { Engine } from "../engine.ts";
import { giveToService } from "./tenants.ts";

type Type = "bytes" | "int" | "text";
type Columns = Readonly<Record<string, Type | `${Type}?`>>;

interface Shape {
  readonly columns: Columns;
  readonly key: readonly string[];
  /** Under a row MAC. */
  readonly proved?: true;
  /** Outside any org. */
  readonly directory?: true;
  /** What the vault's role may do with it, on PostgreSQL; everything, unless said. */
  readonly verbs?: string;
  readonly references?: readonly {
    readonly columns: readonly string[];
    readonly table: string;
    readonly key: readonly string[];
  }[];
}

const SCOPE = { environment_id: "bytes", namespace_id: "bytes" } as const;

/** The first schema. Frozen: what changes later is another migration. */
const SHAPES: Readonly<Record<string, Shape>> = {
  meta: { columns: { name: "text", value: "text" }, key: ["name"], directory: true, verbs: "select, insert, update" },
  orgs: {
    columns: { id: "bytes", slug: "text", state: "text", created_at: "int" },
    key: ["id"],
    directory: true,
    verbs: "select, insert, update",
  },
  keys: {
    columns: {
      id: "bytes",
      environment_id: "bytes?",
      purpose: "text",
      generation: "int",
      parent_id: "bytes",
      state: "text",
      wrapped: "bytes",
      encryptions: "int",
      created_at: "int",
    },
    key: ["id"],
  },
  epochs: { columns: { name: "text", epoch: "int" }, key: ["name"] },
  org_settings: {
    columns: { id: "bytes", reveal: "text", viewer_audit: "text", created_at: "int" },
    key: ["id"],
    proved: true,
  },
  principals: {
    columns: {
      id: "bytes",
      type: "text",
      name: "text",
      org_role: "text?",
      kind: "text?",
      instance_admin: "int",
      state: "text",
      security_version: "int",
      description: "text",
      created_at: "int",
      last_sign_in_at: "int?",
    },
    key: ["id"],
    proved: true,
  },
  credentials: {
    columns: {
      id: "bytes",
      principal_id: "bytes",
      kind: "text",
      issuer: "text",
      subject: "text",
      verifier: "bytes",
      note: "text",
      state: "text",
      cidrs: "text",
      created_at: "int",
      expires_at: "int?",
      last_used_at: "int?",
      last_used_from: "text?",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["principal_id"], table: "principals", key: ["id"] }],
  },
  sessions: {
    columns: {
      id: "bytes",
      principal_id: "bytes",
      digest: "bytes",
      security_version: "int",
      created_at: "int",
      last_seen_at: "int",
      expires_at: "int",
      state: "text",
      address: "text?",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["principal_id"], table: "principals", key: ["id"] }],
  },
  environments: {
    columns: {
      id: "bytes",
      name: "text",
      mode: "text",
      local_run: "int",
      state: "text",
      description: "text",
      created_at: "int",
      deleted_at: "int?",
    },
    key: ["id"],
    proved: true,
  },
  namespaces: {
    columns: { id: "bytes", name: "text", state: "text", description: "text", created_at: "int" },
    key: ["id"],
    proved: true,
  },
  workloads: {
    columns: {
      id: "bytes",
      namespace_id: "bytes",
      name: "text",
      state: "text",
      access: "text",
      allowed_variables: "text",
      description: "text",
      created_at: "int",
      created_by: "bytes",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["namespace_id"], table: "namespaces", key: ["id"] }],
  },
  grants: {
    columns: {
      id: "bytes",
      principal_id: "bytes",
      role: "text",
      environment_id: "bytes?",
      namespace_id: "bytes?",
      workload_id: "bytes?",
      starts_at: "int?",
      ends_at: "int?",
      reason: "text",
      granted_by: "bytes",
      state: "text",
      created_at: "int",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["principal_id"], table: "principals", key: ["id"] }],
  },
  secrets: {
    columns: {
      id: "bytes",
      ...SCOPE,
      name: "text",
      current_version: "int",
      delivery: "text",
      state: "text",
      policy: "text?",
      description: "text",
      tags: "text",
      owner: "text",
      rotate_by: "int?",
      created_at: "int",
      created_by: "bytes",
      updated_at: "int",
      updated_by: "bytes",
      deleted_at: "int?",
    },
    key: ["id"],
    proved: true,
    references: [
      { columns: ["environment_id"], table: "environments", key: ["id"] },
      { columns: ["namespace_id"], table: "namespaces", key: ["id"] },
    ],
  },
  secret_versions: {
    columns: {
      secret_id: "bytes",
      version: "int",
      key_id: "bytes",
      sealed: "bytes?",
      bytes: "int",
      created_at: "int",
      created_by: "bytes",
    },
    key: ["secret_id", "version"],
    references: [
      { columns: ["secret_id"], table: "secrets", key: ["id"] },
      { columns: ["key_id"], table: "keys", key: ["id"] },
    ],
  },
  manifests: {
    columns: {
      id: "bytes",
      workload_id: "bytes",
      version: "int",
      variables: "text?",
      note: "text",
      created_at: "int",
      created_by: "bytes",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["workload_id"], table: "workloads", key: ["id"] }],
  },
  deployments: {
    columns: {
      id: "bytes",
      workload_id: "bytes",
      environment_id: "bytes",
      version: "int?",
      bindings: "text",
      deployed_at: "int",
      deployed_by: "bytes",
      state: "text",
    },
    key: ["id"],
    proved: true,
    references: [
      { columns: ["workload_id"], table: "workloads", key: ["id"] },
      { columns: ["environment_id"], table: "environments", key: ["id"] },
    ],
  },
  injections: {
    columns: {
      id: "bytes",
      workload_id: "bytes",
      ...SCOPE,
      manifest_version: "int",
      deployment_id: "bytes?",
      digest: "bytes",
      state: "text",
      bound: "int",
      cidrs: "text",
      note: "text",
      minted_by: "bytes",
      minted_at: "int",
      expires_at: "int",
    },
    key: ["id"],
    proved: true,
  },
  exchanges: {
    columns: {
      injection_id: "bytes",
      at: "int",
      address: "text?",
      runner_id: "bytes?",
      lease_id: "bytes",
      repeat_digest: "bytes?",
      delivered: "text",
    },
    key: ["injection_id"],
    proved: true,
    verbs: "select, insert",
    references: [{ columns: ["injection_id"], table: "injections", key: ["id"] }],
  },
  leases: {
    columns: {
      id: "bytes",
      injection_id: "bytes",
      digest: "bytes",
      state: "text",
      created_at: "int",
      expires_at: "int",
      ended_at: "int?",
      exit_code: "int?",
    },
    key: ["id"],
    proved: true,
    references: [{ columns: ["injection_id"], table: "injections", key: ["id"] }],
  },
  idempotency: { columns: { digest: "bytes", target: "text", created_at: "int" }, key: ["digest"] },
  audit_events: {
    columns: {
      id: "bytes",
      slot: "int",
      seq: "int",
      time: "int",
      action: "text",
      result: "text",
      actor_id: "text?",
      target_id: "text?",
      environment_id: "bytes?",
      namespace_id: "bytes?",
      workload_id: "bytes?",
      public: "text",
      private: "text?",
      salt: "bytes?",
      private_hash: "bytes",
      previous_hash: "bytes",
      hash: "bytes",
    },
    key: ["slot", "seq"],
    verbs: "select, insert",
  },
  audit_checkpoints: {
    columns: { slot: "int", size: "int", root: "bytes", frontier: "bytes", time: "int", note: "text" },
    key: ["slot", "size"],
    verbs: "select, insert",
  },
};

interface Index {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly unique?: true;
  /** A name is taken only by rows that still stand. */
  readonly where?: RawBuilder<unknown>;
}

const INDEXES: readonly Index[] = [
  { name: "orgs_slug", table: "orgs", columns: ["slug"], unique: true },
  { name: "keys_current", table: "keys", columns: ["org_id", "purpose", "environment_id", "generation"], unique: true },
  {
    name: "principals_name",
    table: "principals",
    columns: ["org_id", "name"],
    unique: true,
    where: sql`state <> 'deleted'`,
  },
  { name: "credentials_principal", table: "credentials", columns: ["org_id", "principal_id"] },
  {
    name: "credentials_subject",
    table: "credentials",
    columns: ["org_id", "kind", "issuer", "subject"],
    unique: true,
    where: sql`state = 'active'`,
  },
  { name: "sessions_principal", table: "sessions", columns: ["org_id", "principal_id"] },
  {
    name: "environments_name",
    table: "environments",
    columns: ["org_id", "name"],
    unique: true,
    where: sql`state <> 'deleted'`,
  },
  {
    name: "namespaces_name",
    table: "namespaces",
    columns: ["org_id", "name"],
    unique: true,
    where: sql`state <> 'deleted'`,
  },
  { name: "grants_principal", table: "grants", columns: ["org_id", "principal_id"] },
  {
    name: "secrets_name",
    table: "secrets",
    columns: ["org_id", "environment_id", "namespace_id", "name"],
    unique: true,
    where: sql`state = 'active'`,
  },
  {
    name: "workloads_name",
    table: "workloads",
    columns: ["org_id", "namespace_id", "name"],
    unique: true,
    where: sql`state <> 'deleted'`,
  },
  { name: "manifests_version", table: "manifests", columns: ["org_id", "workload_id", "version"], unique: true },
  {
    name: "deployments_place",
    table: "deployments",
    columns: ["org_id", "workload_id", "environment_id"],
    unique: true,
    where: sql`state = 'active'`,
  },
  { name: "injections_workload", table: "injections", columns: ["org_id", "workload_id", "id"] },
  { name: "leases_injection", table: "leases", columns: ["org_id", "injection_id"] },
  { name: "audit_events_id", table: "audit_events", columns: ["org_id", "id"], unique: true },
  { name: "audit_events_actor", table: "audit_events", columns: ["org_id", "actor_id", "time"] },
  { name: "audit_events_target", table: "audit_events", columns: ["org_id", "target_id", "time"] },
  { name: "audit_events_time", table: "audit_events", columns: ["org_id", "time", "slot", "seq"] },
];

export async function up(db: Kysely<unknown>, kind: Engine["kind"]): Promise<void> {
  const types =
    kind === "sqlite"
      ? ({ bytes: "blob", int: "integer", text: "text" } as const)
      : // Byte order, as SQLite has it, whatever the database's own is.
        ({ bytes: "bytea", int: "bigint", text: sql`text collate "C"` } as const);
  for (const [name, shape] of Object.entries(SHAPES)) {
    let table: CreateTableBuilder<string, string> = db.schema.createTable(name);
    const column = (columnName: string, type: Type | `${Type}?`): void => {
      const bare = type.replace("?", "") as Type;
      table = table.addColumn(columnName, types[bare], (built) => (type.endsWith("?") ? built : built.notNull()));
    };
    const owned = shape.directory !== true;
    if (owned) column("org_id", "bytes");
    for (const [columnName, type] of Object.entries(shape.columns)) column(columnName, type);
    if (shape.proved === true) {
      for (const [columnName, type] of Object.entries({
        changed_by: "bytes",
        mac_version: "int",
        mac_key: "bytes",
        mac: "bytes",
      } as const))
        column(columnName, type);
    }
    const inOrg = (columns: readonly string[]): string[] => (owned ? ["org_id", ...columns] : [...columns]);
    table = table.addPrimaryKeyConstraint(`${name}_pk`, inOrg(shape.key));
    for (const [at, to] of (shape.references ?? []).entries()) {
      // The org is part of every reference: a row cannot point into another org.
      table = table.addForeignKeyConstraint(`${name}_fk${String(at)}`, inOrg(to.columns), to.table, inOrg(to.key));
    }
    await (kind === "sqlite" ? table.modifyEnd(sql`strict`) : table).execute();
    if (kind === "postgres")
      await giveToService(db, name, { owned, ...(shape.verbs === undefined ? {} : { verbs: shape.verbs }) });
  }
  for (const index of INDEXES) {
    let built = db.schema
      .createIndex(index.name)
      .on(index.table)
      .columns([...index.columns]);
    if (index.unique === true) built = built.unique();
    if (index.where !== undefined) {
      const condition = index.where;
      await built.where(() => condition as RawBuilder<never>).execute();
    } else await built.execute();
  }
}
