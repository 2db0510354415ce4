import { VaultError } from "#base";
import type { Actor } from "#base";
import { listPage, oneOf } from "#storage";
import type { Facts, Page, PageRequest, Row, Store, Where as RowWhere } from "#storage";
import { verifyChain } from "#audit";
import type { Checkpoints, PrivatePart, PublicPart, Verdict } from "#audit";
import type { Guard } from "./guard.ts";
import { inScopes } from "./visible.ts";

export interface EventFilter {
  readonly action?: string | undefined;
  readonly result?: Row<"auditEvents">["result"] | undefined;
  readonly actor?: string | undefined;
  readonly target?: string | undefined;
}
export type ChainName = "org" | "instance";

/** An event as one reader may see it. */
export interface EventView {
  readonly public: PublicPart;
  readonly private: PrivatePart | null;
  readonly previousHash: Buffer;
  readonly hash: Buffer;
  /** Something was left out that this reader may not know. */
  readonly masked: boolean;
}

const BY_SIZE = ["slot", "size"] as const;
const BY_TIME = ["time", "slot", "size"] as const;

/** Who may read which events, and with which names: own, scope, org (REQUIREMENTS C1, C13). */
export class AuditView {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #checkpoints: Checkpoints;
  readonly #facts: Facts;

  constructor(guard: Guard, store: Store, checkpoints: Checkpoints, facts: Facts) {
    this.#guard = guard;
    this.#store = store;
    this.#checkpoints = checkpoints;
    this.#facts = facts;
  }

  /** Newest first. The whole org's for `audit.read.org`; else those of the scopes with `audit.read`, and one's own. */
  async list(actor: Actor, chain: ChainName, filter: EventFilter, page: PageRequest): Promise<Page<EventView>> {
    const where: RowWhere<"auditEvents"> = {
      action: filter.action,
      result: filter.result,
      actorId: filter.actor,
      targetId: filter.target,
    };
    const order = ["time", "slot", "seq"] as const;
    if (chain === "instance") {
      const permit = await this.#guard.require(actor, "instance.admin", { on: "instance" });
      const all = await listPage(this.#store.read(permit), "auditEvents", { where, order, descending: true }, page);
      return { items: all.items.map((row) => view(row, true)), next: all.next };
    }
    const { permit, seen } = await this.#guard.among(actor, "audit.read");
    const whole = (
      await this.#guard.weigh(actor, "audit.read.org", { environment: null, namespace: null, workload: null })
    ).allowed;
    const listable = await this.#guard.visible(actor, "secret.list");
    const own: RowWhere<"auditEvents">[] = "id" in actor ? [{ actorId: actor.id }] : [];
    // What happens to a workload outside of any environment is for whoever sees the workload in one.
    const reach: RowWhere<"auditEvents">[] = [
      ...own,
      ...(seen.rows === "all" ? [{}] : (seen.rows as readonly RowWhere<"auditEvents">[])),
      { environmentId: null, workloadId: oneOf(seen.granted) },
    ];
    const { items, next } = await listPage(
      this.#store.read(permit),
      "auditEvents",
      { where, anyOf: whole ? undefined : reach, order, descending: true },
      page,
    );
    return { items: items.map((row) => view(row, inScopes(listable, row.environmentId, row.namespaceId))), next };
  }

  async verify(actor: Actor, chain: ChainName): Promise<Verdict> {
    const permit = await this.#permitFor(actor, chain);
    const kept = await this.#checkpoints.kept(permit.org);
    return verifyChain(this.#store.read(permit), kept, this.#checkpoints.verifier, this.#facts);
  }

  /** Newest first, of all slots. */
  async checkpoints(
    actor: Actor,
    chain: ChainName,
    page: PageRequest,
  ): Promise<Page<Row<"auditCheckpoints">> & { verifierKey: string }> {
    const permit = await this.#permitFor(actor, chain);
    // In one slot they are in the order of time by their key, without a search.
    const order = (await this.#facts.slots()).length === 1 ? BY_SIZE : BY_TIME;
    const found = await listPage(this.#store.read(permit), "auditCheckpoints", { order, descending: true }, page);
    return { ...found, verifierKey: this.#checkpoints.verifierKey };
  }

  #permitFor(actor: Actor, chain: ChainName) {
    return chain === "instance"
      ? this.#guard.require(actor, "instance.admin", { on: "instance" })
      : this.#guard.require(actor, "audit.read.org", { on: "org" });
  }
}

/** Names of secrets, and manifests' changes, are for readers who may list them there. */
function view(row: Row<"auditEvents">, mayList: boolean): EventView {
  const publicPart = parsed<PublicPart>(row.public);
  const privatePart = row.private === null ? null : parsed<PrivatePart>(row.private);
  if (privatePart === null)
    return { public: publicPart, private: null, previousHash: row.previousHash, hash: row.hash, masked: true };
  const aboutSecrets = ["secret", "manifest", "deployment"].includes(publicPart.target?.type ?? "");
  const hides = !mayList && (aboutSecrets || privatePart.secrets !== null);
  const shown = hides
    ? {
        ...privatePart,
        secrets: null,
        changes: null,
        reason: null,
        target: publicPart.target?.type === "secret" ? null : privatePart.target,
      }
    : privatePart;
  return { public: publicPart, private: shown, previousHash: row.previousHash, hash: row.hash, masked: hides };
}

/** An event that cannot be read was changed behind the vault's back: verification says which. */
function parsed<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new VaultError("integrity_failed");
  }
}
