import type { Id } from "#base";
import type { Response } from "#contract";
import type { Facts, Store } from "#storage";
import { keyAges } from "#access";
import type { Metrics } from "#http";
import type { Condition } from "./condition.ts";

type Status = Response<"status.get">;

/** Where the parts of the answer come from. */
export interface StatusParts {
  readonly version: string;
  readonly startedAt: Date;
  readonly store: Store;
  readonly facts: Facts;
  readonly condition: Condition;
  readonly metrics: Metrics;
  readonly address: () => string;
  readonly certificateExpiresAt: () => Date | null;
}

/**
 * What `/v1/status` says to somebody of an org. What others keep and how busy they are is not for him to know: keys and
 * events are the own org's, and what can only be told of all together goes to who may read the instance (`whole`).
 */
export function statusOf(parts: StatusParts): (org: Id<"org">, whole: boolean) => Promise<Status> {
  const { version, startedAt, store, facts, condition } = parts;
  return async (org, whole) => {
    const { dataKeys, oldestDataKeyAt, rootKeyAt } = await keyAges(facts, org);
    return {
      version,
      node: process.version,
      store: store.kind,
      startedAt: startedAt.toISOString(),
      address: parts.address(),
      ...(await condition.status(org)),
      keys: {
        dataKeys,
        oldestDataKeyAt: oldestDataKeyAt?.toISOString() ?? null,
        rootKeyAt: rootKeyAt.toISOString(),
      },
      certificateExpiresAt: parts.certificateExpiresAt()?.toISOString() ?? null,
      instance: whole ? await loadOf(parts) : null,
    };
  };
}

async function loadOf({ store, metrics }: StatusParts): Promise<NonNullable<Status["instance"]>> {
  const { queued, queuedBytes } = await store.health();
  return {
    databaseBytes: await store.bytes(),
    queue: { jobs: queued, bytes: queuedBytes },
    nodes: (await store.nodes()).map(({ slot, isHeld, isOwn, since, seenAt }) => ({
      slot,
      held: isHeld,
      own: isOwn,
      since: since.toISOString(),
      seenAt: seenAt.toISOString(),
    })),
    turnedAway: metrics.turnedAway(),
  };
}
