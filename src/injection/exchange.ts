import { SECOND, VaultError, isVaultError } from "#base";
import type { Call, ErrorCode, Id, IdSource, Outcome, Redacted } from "#base";
import { equal, generateToken, sha256 } from "#crypto";
import type { ExchangeFormat } from "#contract";
import { Change, MissedExpectation, oneOf } from "#storage";
import type { Facts, Row, Store } from "#storage";
import { placeOfLaunch } from "#access";
import type { Guard, LaunchPlace, Place, Tally } from "#access";
import { addressAllowed } from "#identity";
import type { Authenticator } from "#identity";
import type { Values } from "#secrets";
import { encodeText, encodeValue } from "./formats/encode.ts";
import type { Variables } from "./formats/encode.ts";
import { secretNameOf } from "./formats/kubernetes.ts";
import type { SecretManifest } from "./formats/format.ts";
import { deliver, mayReceive, needsOf, pinned, whyNot } from "./launch.ts";
import type { Delivery } from "./launch.ts";
import type { LastUses } from "./last-uses.ts";
import { injectionState, leaseState, newLease } from "./lease.ts";
import { present, refuse, settleRefused } from "./presented.ts";
import type { Launch } from "./presented.ts";

const REPEAT_MS = 10 * SECOND;
/** 128 bits in any usual spelling. */
const REPEAT_KEY = /^[\x21-\x7e]{22,200}$/;
const MOST_TRIES = 8;
/** After one of these about it, a token is no longer good. */
const ENDS_A_TOKEN = ["token.exchange", "exchange.repeated", "injection.revoke"];
/** What a launch is refused with by those below, where the reason is in what was thrown. */
const REFUSALS: readonly ErrorCode[] = ["launch_refused", "not_deployed", "not_representable"];

export interface ExchangeRequest {
  readonly token: Redacted<string> | null;
  readonly runner: Redacted<string> | null;
  readonly idempotencyKey: string | null;
  /** `null`: the client accepts none of those there are. */
  readonly format: ExchangeFormat | null;
  /** Of a Kubernetes Secret; its name is else the workload's. */
  readonly manifest?: Partial<SecretManifest>;
}

type Wanted = ExchangeRequest & { readonly format: ExchangeFormat };

export interface Exchanged {
  readonly injectionId: Id<"inj">;
  readonly workload: string;
  readonly environment: string;
  readonly manifestVersion: number;
  /** JSON's variables, or the text of another format. */
  readonly variables: Readonly<Record<string, { value: string; encoding: "utf8" | "base64" }>>;
  readonly text: { readonly body: Buffer; readonly contentType: string } | null;
  readonly lease: { readonly token: Redacted<string>; readonly expiresAt: Date };
}

export interface Looked {
  readonly injectionId: Id<"inj">;
  readonly workload: string;
  readonly environment: string;
  readonly manifestVersion: number;
  readonly state: "minted" | "exchanged" | "revoked" | "expired";
  readonly bound: boolean;
  readonly expiresAt: Date;
}

interface Parts {
  readonly guard: Guard;
  readonly store: Store;
  readonly facts: Facts;
  readonly tally: Tally;
  readonly values: Values;
  readonly authenticator: Authenticator;
  readonly lastUses: LastUses;
  readonly ids: IdSource;
}

/**
 * Exchanges an injection token for its variables, at most once.
 *
 * Everything is checked again, the values are opened and encoded, and only then one commit consumes the token and appends
 * the event; the answer leaves after that commit is durable. The commit expects the org's epoch to be the one that was read
 * at the beginning, so whatever was changed meanwhile makes it compute again; and it inserts a row whose key is the
 * injection's id, so a token is used once whatever its own row says.
 */
export class Exchange {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * @throws {VaultError} `token_invalid`, one error for unknown, used, expired and revoked; `runner_required`;
   *   `launch_refused`, `not_representable`: the token stays unused; `overloaded` when the org changes faster than this
   *   can compute.
   */
  async exchange(call: Call, request: ExchangeRequest): Promise<Exchanged> {
    const launch = await present(this.#parts, call, request.token, request.runner);
    const { format } = request;
    if (format === null) {
      await settleRefused(this.#parts.guard, launch, "not_acceptable", {});
      throw new VaultError("not_acceptable");
    }
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      try {
        return await this.#attempt(launch, { ...request, format });
      } catch (error) {
        // Somebody used the token first: the next turn sees that. Or something changed: the next turn sees it as it is.
        if (error instanceof MissedExpectation) continue;
        if (!launch.permit.settled && isVaultError(error) && REFUSALS.includes(error.code))
          await settleRefused(this.#parts.guard, launch, error.code, {});
        throw error;
      }
    }
    throw new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } });
  }

  /** What the token would launch. Says nothing of names, and uses nothing. */
  async lookup(call: Call, token: Redacted<string> | null): Promise<Looked> {
    const { injection, place, permit, reader } = await present(this.#parts, call, token, null);
    const used = (await reader.count("exchanges", { injectionId: injection.id })) > 0;
    await this.#parts.guard.settle(permit, {
      result: "success",
      target: { type: "injection", id: injection.id, name: null },
    });
    return {
      injectionId: injection.id,
      workload: `${place.namespace.name}/${place.workload.name}`,
      environment: place.environment.name,
      manifestVersion: injection.manifestVersion,
      state: injectionState(injection, used, this.#parts.store.now()),
      bound: injection.bound,
      expiresAt: injection.expiresAt,
    };
  }

  async #attempt(launch: Launch, request: Wanted): Promise<Exchanged> {
    const { store, ids } = this.#parts;
    const { org, reader, permit } = launch;
    const epoch = await reader.get("epochs", { name: "access" });
    const injection = await reader.get("injections", { id: launch.injection.id });
    const place = injection === null ? null : await placeOfLaunch(reader, injection);
    if (epoch === null || injection === null || place === null)
      return refuse(this.#parts.guard, launch, "token_invalid", "the workload or environment is gone");
    // Read after the epoch like all else: a credential that was ended meanwhile must not count.
    if (launch.runner !== null && !(await this.#stillPresents(launch.runner, request.runner)))
      return refuse(this.#parts.guard, launch, "runner_required", "the runner's credential has ended");
    const used = await reader.get("exchanges", { injectionId: injection.id });
    if (used !== null) return this.#again({ ...launch, injection, place }, used, request, epoch.epoch);
    const now = store.now();
    if (injection.state !== "minted") return refuse(this.#parts.guard, launch, "token_invalid", injection.state);
    // The log counts for more than the rows: old ones put back behind the vault's back grant nothing again.
    const over = { targetId: injection.id, action: oneOf(ENDS_A_TOKEN), result: "success" } as const;
    if ((await reader.count("auditEvents", over)) > 0) {
      // Used since the look above, by somebody quicker: that is told like every other second use.
      const since = await reader.get("exchanges", { injectionId: injection.id });
      if (since !== null) return this.#again({ ...launch, injection, place }, since, request, epoch.epoch);
      return refuse(this.#parts.guard, launch, "token_invalid", "used or revoked before, whatever the rows say");
    }
    if (injection.expiresAt <= now) return refuse(this.#parts.guard, launch, "token_invalid", "expired");
    const { address } = permit.actor.call;
    if (!addressAllowed(injection.cidrs, address))
      return refuse(this.#parts.guard, launch, "token_invalid", "from an address that it is not for");
    const refused = await this.#mayNot({ ...launch, injection, place });
    if (refused !== null) return refuse(this.#parts.guard, launch, ...refused);

    const delivery = await this.#deliver({ ...launch, injection, place }, null);
    const encoded = encode(request, place, delivery.variables);
    const lease = newLease(ids, org, injection.id, now);
    const change = new Change()
      .expectEpoch(epoch.epoch)
      .replace("injections", injection, { state: "exchanged" })
      .insert("exchanges", {
        injectionId: injection.id,
        at: now,
        address,
        runnerId: launch.runner?.id ?? null,
        leaseId: lease.row.id,
        repeatDigest: repeatDigest(request.idempotencyKey),
        delivered: delivery.used.map(({ id, version }) => [id, version] as const),
      })
      .insert("leases", lease.row);
    await store.commit(permit, change, this.#success(injection, delivery, request.format));
    this.#note(org, place, delivery, now);
    return {
      ...this.#answer(injection, place),
      ...encoded,
      lease: { token: lease.token, expiresAt: lease.row.expiresAt },
    };
  }

  /**
   * A used token. Whoever holds the Idempotency-Key of its exchange may repeat it for ten seconds from the same address:
   * the same versions are opened again, and the lease's token is made anew, since only its digest was kept. Anybody else is
   * refused, and the org is told of both sources.
   */
  async #again(launch: Launch, used: Row<"exchanges">, request: Wanted, epoch: number): Promise<Exchanged> {
    const { store } = this.#parts;
    const { org, reader, permit, injection, place } = launch;
    const { address } = permit.actor.call;
    const digest = repeatDigest(request.idempotencyKey);
    const lease = await reader.get("leases", { id: used.leaseId });
    const now = store.now();
    const repeats =
      digest !== null &&
      used.repeatDigest !== null &&
      equal(digest, used.repeatDigest) &&
      now.getTime() - used.at.getTime() < REPEAT_MS &&
      used.address === address &&
      used.runnerId === (launch.runner?.id ?? null) &&
      lease !== null &&
      leaseState(lease, place, now) === "active" &&
      (await this.#mayNot(launch)) === null;
    if (!repeats) {
      await this.#parts.guard.settle(permit, {
        result: "refused",
        code: "token_invalid",
        action: "token.replayed",
        target: { type: "injection", id: injection.id, name: null },
        facts: { firstAddress: used.address, firstAt: used.at.toISOString(), address },
      });
      throw new VaultError("token_invalid");
    }
    const delivery = await this.#deliver(launch, used.delivered);
    const encoded = encode(request, place, delivery.variables);
    const token = generateToken("lease", org, lease.id);
    const change = new Change().expectEpoch(epoch).replace("leases", lease, { digest: token.digest });
    await store.commit(permit, change, {
      ...this.#success(injection, delivery, request.format),
      action: "exchange.repeated",
    });
    this.#note(org, place, delivery, now);
    return { ...this.#answer(injection, place), ...encoded, lease: { token: token.text, expiresAt: lease.expiresAt } };
  }

  async #stillPresents(runner: NonNullable<Launch["runner"]>, credential: Redacted<string> | null): Promise<boolean> {
    const now = credential === null ? null : await this.#parts.authenticator.service(runner.call, credential);
    return now?.credential === runner.credential;
  }

  /** Why the launch may not take place now, with the code that says so. */
  async #mayNot({
    org,
    place,
    injection,
    runner,
  }: Launch): Promise<readonly ["runner_required" | "launch_refused", string] | null> {
    const { guard } = this.#parts;
    if (injection.bound) {
      if (runner === null) return ["runner_required", "no runner's credential"];
      const receives = await guard.weighFor(org, runner.id, "injection.receive", place);
      if (!receives.allowed) return ["runner_required", `the runner may not take delivery here: ${receives.because}`];
    }
    const reason = await whyNot(guard, org, place, injection.mintedBy, injection.bound);
    return reason === null ? null : ["launch_refused", reason];
  }

  async #deliver(
    { org, reader, place, injection }: Launch,
    only: Row<"exchanges">["delivered"] | null,
  ): Promise<Delivery> {
    const { guard, values } = this.#parts;
    const deployed = await pinned(guard, reader, org, place, injection.manifestVersion);
    const needs = await needsOf(guard, reader, org, place, deployed, true);
    const weigh = (there: Omit<Place, "org">) => guard.weighFor(org, injection.mintedBy, "injection.receive", there);
    if (!injection.bound && !(await mayReceive(place, needs, weigh))) throw new VaultError("launch_refused");
    return deliver(values, reader, org, needs, only);
  }

  #success(injection: Row<"injections">, delivery: Delivery, format: ExchangeFormat): Outcome {
    return {
      result: "success",
      target: { type: "injection", id: injection.id, name: null },
      secrets: delivery.used,
      facts: { format, variables: delivery.variables.size, manifestVersion: injection.manifestVersion },
    };
  }

  #note(org: Id<"org">, place: LaunchPlace, { used }: Delivery, at: Date): void {
    const secrets = used.map(({ id }) => id);
    this.#parts.lastUses.note(org, place, secrets, at);
  }

  #answer(injection: Row<"injections">, place: LaunchPlace) {
    return {
      injectionId: injection.id,
      workload: `${place.namespace.name}/${place.workload.name}`,
      environment: place.environment.name,
      manifestVersion: injection.manifestVersion,
    };
  }
}

function encode(
  { format, manifest }: Wanted,
  place: LaunchPlace,
  variables: Variables,
): Pick<Exchanged, "variables" | "text"> {
  if (format !== "json") {
    const name = manifest?.name ?? secretNameOf(place.workload.name);
    return { variables: {}, text: encodeText(format, variables, { name, namespace: manifest?.namespace ?? null }) };
  }
  return {
    variables: Object.fromEntries([...variables].map(([name, value]) => [name, encodeValue(value)])),
    text: null,
  };
}

/** A key too short to be a secret of its own repeats nothing. */
function repeatDigest(key: string | null): Buffer | null {
  return key === null || !REPEAT_KEY.test(key) ? null : sha256(Buffer.from(key));
}
