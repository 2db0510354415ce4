import { INSTANCE, VaultError } from "#base";
import type { Actor, Call, ErrorCode, Id, Outcome, Permit, Redacted } from "#base";
import { equal, parseToken, tokenId } from "#crypto";
import type { ParsedToken } from "#crypto";
import type { Facts, Reader, Row, Store } from "#storage";
import { placeOfLaunch } from "#access";
import type { Guard, LaunchPlace, Tally } from "#access";
import type { Authenticator } from "#identity";

interface Presenting {
  readonly guard: Guard;
  readonly store: Store;
  readonly facts: Facts;
  readonly tally: Tally;
  readonly authenticator: Authenticator;
}

/** A token's row with where it would launch, and who presents it. */
export interface Launch {
  readonly org: Id<"org">;
  readonly injection: Row<"injections">;
  readonly place: LaunchPlace;
  readonly permit: Permit;
  readonly reader: Reader;
  readonly runner: Extract<Actor, { type: "service" }> | null;
}

/** Finds the token's row. A token that nobody knows, or whose place is gone, is counted and refused. */
export async function present(
  { facts, tally, guard, authenticator, store }: Presenting,
  call: Call,
  token: Redacted<string> | null,
  runnerToken: Redacted<string> | null,
): Promise<Launch> {
  const parsed = token === null ? null : parseToken(token.reveal());
  const org = parsed?.kind === "inj" ? await facts.of(INSTANCE).get("orgs", { id: parsed.org, state: "active" }) : null;
  const injection =
    parsed === null || org === null
      ? null
      : await facts.of(org.id).get("injections", { id: tokenId(parsed as ParsedToken<"inj">) });
  if (parsed === null || org === null || injection === null || !equal(injection.digest, parsed.digest)) {
    tally.count(call, token === null ? "no_credential" : "token_unknown", org?.id ?? INSTANCE);
    throw new VaultError(token === null ? "unauthenticated" : "token_invalid");
  }
  const runner = runnerToken === null ? null : await authenticator.service(call, runnerToken);
  const actor =
    runner?.org === org.id
      ? runner
      : ({ type: "token", call, org: org.id, id: injection.id, minter: injection.mintedBy } as const);
  const place = await placeOfLaunch(facts.of(org.id), injection);
  const permit = guard.bearer(
    actor,
    place,
    injection.mintedBy,
    actor === runner ? "a bound token and its runner" : "the token itself",
  );
  const launch = {
    org: org.id,
    injection,
    permit,
    reader: store.read(permit),
    runner: actor === runner ? runner : null,
  };
  if (place === null) return refuse(guard, launch, "token_invalid", "the workload or environment is gone");
  return { ...launch, place };
}

/** The refusal is durable before the caller hears of it. The reason is the log's; the caller gets the code. */
export async function refuse(
  guard: Guard,
  launch: Pick<Launch, "permit" | "injection">,
  code: "token_invalid" | "runner_required" | "launch_refused",
  why: string,
): Promise<never> {
  await settleRefused(guard, launch, code, { why });
  throw new VaultError(code);
}

/** The same without throwing, for a reason that was thrown already. */
export async function settleRefused(
  guard: Guard,
  { permit, injection }: Pick<Launch, "permit" | "injection">,
  code: ErrorCode,
  facts: NonNullable<Outcome["facts"]>,
): Promise<void> {
  const target = { type: "injection", id: injection.id, name: null };
  await guard.settle(permit, { result: "refused", code, target, facts });
}
