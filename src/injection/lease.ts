import { DAY, HOUR } from "#base";
import type { Id, IdSource, Redacted } from "#base";
import { generateToken } from "#crypto";
import type { NewRow, Row } from "#storage";
import type { LaunchPlace } from "#access";

export const LEASE_MS = HOUR;
export const LONGEST_LEASE_MS = 30 * DAY;

export type LeaseState = "active" | "ended" | "revoked" | "expired";

/** A lease for a launch: the row, and the token that the launcher keeps. */
export function newLease(
  ids: IdSource,
  org: Id<"org">,
  injection: Id<"inj">,
  now: Date,
): { row: NewRow<"leases">; token: Redacted<string> } {
  const id = ids.next("lea");
  const { text, digest } = generateToken("lease", org, id);
  const row: NewRow<"leases"> = {
    id,
    injectionId: injection,
    digest,
    state: "active",
    createdAt: now,
    expiresAt: new Date(now.getTime() + LEASE_MS),
    endedAt: null,
    exitCode: null,
  };
  return { row, token: text };
}

/**
 * A lease's state as it is now. Where its launch could not take place any more, because workload, namespace or environment
 * is disabled or gone, it is over whatever its row says.
 */
export function leaseState(
  lease: Pick<Row<"leases">, "state" | "expiresAt">,
  place: Pick<LaunchPlace, "environment" | "workload"> | null,
  now: Date,
): LeaseState {
  if (lease.state !== "active") return lease.state;
  if (lease.expiresAt <= now) return "expired";
  return place?.environment.state === "active" && place.workload.state === "active" ? "active" : "revoked";
}

export function injectionState(
  injection: Pick<Row<"injections">, "state" | "expiresAt">,
  exchanged: boolean,
  now: Date,
): "minted" | "exchanged" | "revoked" | "expired" {
  // The row of the exchange counts for more than the token's own: it is what makes an exchange happen once.
  if (exchanged) return "exchanged";
  return injection.state === "minted" && injection.expiresAt <= now ? "expired" : injection.state;
}
