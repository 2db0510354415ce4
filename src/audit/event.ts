import type { Actor, EventChange } from "#base";
import { randomBytes, sha256 } from "#crypto";
import type { AuditRow, ChainHead, Entry } from "#storage";

/** What everybody may see of an event: ids, words and numbers of ours, no name that a person chose. */
export interface PublicPart {
  readonly v: 1;
  readonly id: string;
  readonly chain: string;
  readonly slot: number;
  readonly seq: number;
  /** UTC, ISO 8601 with milliseconds. */
  readonly time: string;
  readonly actor: { readonly type: string; readonly id: string | null; readonly role: string | null };
  readonly onBehalfOf: string | null;
  readonly action: string;
  readonly permission: string;
  readonly result: string;
  readonly code: string | null;
  readonly because: string;
  readonly target: { readonly type: string; readonly id: string | null } | null;
  readonly environment: string | null;
  readonly namespace: string | null;
  readonly workload: string | null;
  readonly requestId: string;
  readonly address: string | null;
  readonly facts: Readonly<Record<string, string | number | boolean | null>> | null;
  /** The proved rows that changed: table, key, SHA-256 of what the row's MAC covers (null: the row is gone), the event named before (null: the row is new). */
  readonly rows: readonly (readonly [string, string, string | null, string | null])[];
}

/** Names and configuration: masked for readers who may not know them, and cut away whole when a segment is pruned. */
export interface PrivatePart {
  readonly actor: string | null;
  readonly target: string | null;
  readonly environment: string | null;
  readonly namespace: string | null;
  readonly workload: string | null;
  readonly secrets: readonly { readonly id: string; readonly name: string; readonly version: number | null }[] | null;
  readonly changes: readonly EventChange[] | null;
  readonly reason: string | null;
}

/**
 * The next event of a chain.
 *
 * ```
 * private hash = SHA-256(salt(32) || private part)          both parts: JSON, UTF-8, as stored
 * hash         = SHA-256("sallyport event 1\n" || previous hash(32) || private hash(32) || public part)
 * ```
 *
 * The salt keeps a masked name from being guessed by its hash. The first event builds on 32 zero bytes.
 */
export function writeEvent(entry: Entry, head: ChainHead, now: Date): AuditRow {
  const { permit, outcome, rows } = entry;
  const { actor, event } = permit;
  const seq = head.seq + 1;
  const who = actorId(actor);
  const role = "role" in actor ? actor.role : null;
  const publicPart: PublicPart = {
    v: 1,
    id: event.id,
    chain: event.chain,
    slot: head.slot,
    seq,
    time: now.toISOString(),
    actor: { type: actor.type, id: who, role },
    onBehalfOf: event.onBehalfOf,
    action: outcome.action ?? actor.call.operation,
    permission: permit.action,
    result: outcome.result,
    code: outcome.code ?? null,
    because: event.because,
    target: outcome.target === undefined ? null : { type: outcome.target.type, id: outcome.target.id },
    environment: event.environment?.id ?? null,
    namespace: event.namespace?.id ?? null,
    workload: event.workload?.id ?? null,
    requestId: actor.call.id,
    address: actor.call.address,
    facts: outcome.facts ?? null,
    rows: rows.map(({ table, row, digest, before }) => [table, row, digest?.toString("hex") ?? null, before] as const),
  };
  const privatePart: PrivatePart = {
    actor: "name" in actor ? actor.name : null,
    target: outcome.target?.name ?? null,
    environment: event.environment?.name ?? null,
    namespace: event.namespace?.name ?? null,
    workload: event.workload?.name ?? null,
    secrets: outcome.secrets ?? null,
    changes: outcome.changes ?? null,
    reason: outcome.reason ?? null,
  };
  const publicText = JSON.stringify(publicPart);
  const privateText = JSON.stringify(privatePart);
  const salt = randomBytes(32);
  const privateHash = hashPrivate(salt, privateText);
  return {
    id: event.id,
    slot: head.slot,
    seq,
    time: now,
    ...indexed(publicPart),
    public: publicText,
    private: privateText,
    salt,
    privateHash,
    previousHash: head.hash,
    hash: hashEvent(head.hash, privateHash, publicText),
  };
}

/** The columns that questions are asked by: copies of the public part, held against it by verification. */
export function indexed(
  part: PublicPart,
): Pick<AuditRow, "action" | "result" | "actorId" | "targetId" | "environmentId" | "namespaceId" | "workloadId"> {
  return {
    action: part.action,
    result: part.result as AuditRow["result"],
    actorId: part.actor.id,
    targetId: part.target?.id ?? null,
    environmentId: part.environment as AuditRow["environmentId"],
    namespaceId: part.namespace as AuditRow["namespaceId"],
    workloadId: part.workload as AuditRow["workloadId"],
  };
}

export function hashPrivate(salt: Buffer, privateText: string): Buffer {
  return sha256(salt, Buffer.from(privateText));
}

export function hashEvent(previous: Buffer, privateHash: Buffer, publicText: string): Buffer {
  return sha256(Buffer.from("sallyport event 1\n"), previous, privateHash, Buffer.from(publicText));
}

function actorId(actor: Actor): string | null {
  return "id" in actor ? actor.id : null;
}
