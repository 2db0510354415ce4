import { INSTANCE, VaultError } from "#base";
import type { Call, Id, Permit, Redacted } from "#base";
import { equal, parseToken, tokenId } from "#crypto";
import type { ParsedToken } from "#crypto";
import { Change } from "#storage";
import type { Facts, Row, Store } from "#storage";
import { placeOfLaunch } from "#access";
import type { Guard, LaunchPlace, Tally } from "#access";
import { leaseView } from "./injections.ts";
import type { LeaseView } from "./injections.ts";
import { LEASE_MS, LONGEST_LEASE_MS, leaseState } from "./lease.ts";
import { whyNot } from "./launch.ts";

interface Held {
  readonly org: Id<"org">;
  readonly lease: Row<"leases">;
  readonly injection: Row<"injections">;
  readonly place: LaunchPlace | null;
  readonly permit: Permit;
}

/** What the bearer of a lease does with it. Its rights are those of the launch, looked at anew each time. */
export class Leases {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #facts: Facts;
  readonly #tally: Tally;

  constructor(guard: Guard, store: Store, facts: Facts, tally: Tally) {
    this.#guard = guard;
    this.#store = store;
    this.#facts = facts;
    this.#tally = tally;
  }

  async get(
    call: Call,
    token: Redacted<string> | null,
  ): Promise<LeaseView & { injectionId: Id<"inj">; workload: string; environment: string }> {
    const { lease, injection, place } = await this.#held(call, token);
    return {
      ...leaseView(lease, place, this.#store.now()),
      injectionId: injection.id,
      workload: place === null ? injection.workloadId : `${place.namespace.name}/${place.workload.name}`,
      environment: place?.environment.name ?? injection.environmentId,
    };
  }

  /** For another hour, at most 30 days in all, while the launch would still be allowed. Throws `token_invalid`. */
  async renew(call: Call, token: Redacted<string> | null): Promise<LeaseView> {
    const { org, lease, injection, place, permit } = await this.#held(call, token);
    const now = this.#store.now();
    const refused = place === null ? "the workload or environment is gone" : await this.#whyNot(org, injection, place);
    if (leaseState(lease, place, now) !== "active" || refused !== null) {
      const facts = { why: refused ?? leaseState(lease, place, now) };
      await this.#guard.settle(permit, {
        result: "refused",
        code: "token_invalid",
        target: { type: "lease", id: lease.id, name: null },
        facts,
      });
      throw new VaultError("token_invalid", "The lease cannot be renewed.");
    }
    const expiresAt = new Date(Math.min(now.getTime() + LEASE_MS, lease.createdAt.getTime() + LONGEST_LEASE_MS));
    await this.#store.commit(permit, new Change().replace("leases", lease, { expiresAt }), {
      result: "success",
      target: { type: "lease", id: lease.id, name: null },
    });
    return leaseView({ ...lease, expiresAt }, place, now);
  }

  /** Ends it, with the child's exit code. A lease that is over stays as it is. */
  async end(call: Call, token: Redacted<string> | null, exitCode: number | null): Promise<LeaseView> {
    const { lease, permit, place } = await this.#held(call, token);
    const now = this.#store.now();
    const target = { type: "lease", id: lease.id, name: null };
    const state = leaseState(lease, place, now);
    if (state !== "active") {
      await this.#guard.settle(permit, { result: "success", target, facts: { state, exitCode } });
      return leaseView(lease, place, now);
    }
    const ended = { ...lease, state: "ended" as const, endedAt: now, exitCode };
    await this.#store.commit(permit, new Change().replace("leases", lease, ended), {
      result: "success",
      target,
      facts: { exitCode },
    });
    return leaseView(ended, place, now);
  }

  /** A bound launch goes on while its runner, too, may still take delivery there. */
  async #whyNot(org: Id<"org">, injection: Row<"injections">, place: LaunchPlace): Promise<string | null> {
    const reason = await whyNot(this.#guard, org, place, injection.mintedBy, injection.bound);
    if (reason !== null || !injection.bound) return reason;
    const runner = (await this.#facts.of(org).get("exchanges", { injectionId: injection.id }))?.runnerId ?? null;
    if (runner === null) return "no runner took delivery";
    const receive = await this.#guard.weighFor(org, runner, "injection.receive", place);
    return receive.allowed ? null : `the runner may not take delivery here: ${receive.because}`;
  }

  async #held(call: Call, token: Redacted<string> | null): Promise<Held> {
    const parsed = token === null ? null : parseToken(token.reveal());
    const org =
      parsed?.kind === "lease" ? await this.#facts.of(INSTANCE).get("orgs", { id: parsed.org, state: "active" }) : null;
    const reader = org === null ? null : this.#facts.of(org.id);
    const lease =
      parsed === null || reader === null
        ? null
        : await reader.get("leases", { id: tokenId(parsed as ParsedToken<"lease">) });
    const injection =
      lease === null || reader === null ? null : await reader.get("injections", { id: lease.injectionId });
    if (
      parsed === null ||
      org === null ||
      reader === null ||
      lease === null ||
      injection === null ||
      !equal(lease.digest, parsed.digest)
    ) {
      this.#tally.count(call, token === null ? "no_credential" : "token_unknown", org?.id ?? INSTANCE);
      throw new VaultError("unauthenticated");
    }
    const place = await placeOfLaunch(reader, injection);
    const permit = this.#guard.bearer(
      { type: "token", call, org: org.id, id: lease.id, minter: injection.mintedBy },
      place,
      injection.mintedBy,
      "the lease itself",
    );
    return { org: org.id, lease, injection, place, permit };
  }
}
