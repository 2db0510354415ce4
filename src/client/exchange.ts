import { Redacted, SECRET_NAME } from "#base";
import type { ExchangeFormat, Response } from "#contract";
import type { Client, Received } from "./client.ts";
import { SallyportError } from "./error.ts";
import { newIdempotencyKey } from "./idempotency-key.ts";
import type { Lease } from "./lease-keeper.ts";

/** What an exchange delivered. */
export interface Delivery {
  /** As the vault sent it. */
  readonly answer: Response<"token.exchange">;
  readonly variables: ReadonlyMap<string, Redacted<Buffer>>;
  readonly lease: Lease;
}

/** A format that is put out as it comes, with what a Kubernetes Secret is called. */
export interface TextForm {
  readonly format: Exclude<ExchangeFormat, "json">;
  readonly name?: string;
  readonly namespace?: string;
}

/** An injection token, and the launch that it is for. */
export interface Minted {
  readonly token: string;
  readonly injectionId: Response<"injection.get">["id"];
}

/** What is launched where. */
export interface Target {
  readonly namespace: string;
  readonly workload: string;
  readonly environment: string;
}

/**
 * Exchanges an injection token, once. Where the connection was lost it is asked once more with the same Idempotency-Key:
 * either the first question never arrived, or its answer is given again.
 *
 * Errors: `token_invalid`, `runner_required`, `launch_refused`, `unreachable`, and what else the vault answers.
 */
export async function exchangeToken(
  client: Client,
  token: string,
  runner: string | null,
  signal?: AbortSignal,
): Promise<Delivery> {
  return deliveryOf(
    await client.receive("token.exchange", {
      bearer: token,
      headers: runnerHeader(runner),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

/** The same exchange in a format that is put out as it comes: the text, and the lease's token. */
export async function exchangeTokenAs(
  client: Client,
  token: string,
  runner: string | null,
  form: TextForm,
): Promise<{ text: Buffer; lease: string | null }> {
  const headers = { ...runnerHeader(runner), accept: "*/*" };
  const answer = await client.raw("token.exchange", { bearer: token, query: form, headers });
  const lease = answer.headers["sallyport-lease"];
  return { text: answer.body, lease: typeof lease === "string" ? lease : null };
}

/**
 * Mints an injection token for a launch that follows at once. Where the answer was lost, what it made is revoked and
 * another is minted: a token is shown once.
 *
 * Errors: `runner_required` where the token is bound and there is no `runner`; what else the vault answers.
 */
export async function mintToken(
  client: Client,
  { namespace, workload, environment }: Target,
  runner: string | null,
  signal?: AbortSignal,
): Promise<Minted> {
  const mint = () =>
    client.call("token.mint", {
      params: { namespace, workload },
      body: { environment },
      headers: { idempotencyKey: newIdempotencyKey() },
      ...(signal === undefined ? {} : { signal }),
    });
  const minted = await mint().catch(async (error: unknown) => {
    if (!(error instanceof SallyportError) || error.code !== "idempotency_reused") throw error;
    if (error.detail.id !== undefined) await revokeUnused(client, error.detail.id);
    return mint();
  });
  const [item] = minted.items;
  if (item === undefined) throw new SallyportError("internal", "the vault minted no token");
  if (!minted.bound || runner !== null) return item;
  // It would lie there until it expires, and nobody is going to use it.
  await revokeUnused(client, item.injectionId);
  throw new SallyportError(
    "runner_required",
    "you may launch this workload here, but not take delivery of it yourself",
  );
}

/** Revokes a token that nobody is going to use, as well as it goes: it expires by itself. */
export async function revokeUnused(client: Client, injection: string): Promise<void> {
  const id = injection as Minted["injectionId"];
  await client.call("injection.revoke", { params: { id } }).catch(() => {});
}

function runnerHeader(runner: string | null): { runner?: string } {
  return runner === null ? {} : { runner };
}

function deliveryOf({ answer, answeredAtMs }: Received<"token.exchange">): Delivery {
  const variables = new Map<string, Redacted<Buffer>>();
  for (const [name, { value, encoding }] of Object.entries(answer.variables)) {
    if (!SECRET_NAME.test(name))
      throw new SallyportError("unreachable", "its answer holds a variable whose name is none");
    variables.set(name, new Redacted(Buffer.from(value, encoding)));
  }
  return {
    answer,
    variables,
    lease: { token: answer.lease.token, lastsMs: Date.parse(answer.lease.expiresAt) - answeredAtMs },
  };
}
