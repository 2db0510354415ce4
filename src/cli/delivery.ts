import { Redacted, SECRET_NAME } from "#base";
import type { Response } from "#contract";
import type { Client, Received } from "./client.ts";
import { CliError } from "./error.ts";

/** What an exchange delivered. */
export interface Delivery {
  /** As the vault sent it. */
  readonly answer: Response<"token.exchange">;
  readonly variables: ReadonlyMap<string, Redacted<Buffer>>;
  readonly lease: Lease;
}

export interface Lease {
  readonly token: string;
  /** How long it is good, from the moment of the answer, by the vault's own clock. */
  readonly lastsMs: number;
}

/** 128 bits: enough for the vault to take a repetition for the same exchange (DESIGN 6.6). */
const KEY_BYTES = 16;

/**
 * Exchanges an injection token, once. Where the connection was lost it is asked once more with the same Idempotency-Key:
 * either the first question never arrived, or its answer is given again.
 *
 * Errors: `token_invalid`, `runner_required`, `launch_refused`, `unreachable`, and what else the vault answers.
 */
export async function exchangeToken(client: Client, token: string, runner: string | null): Promise<Delivery> {
  return deliveryOf(await repeatOnce(await askedOf(token, runner), (asked) => client.receive("token.exchange", asked)));
}

/** The same exchange in a format that is put out as it comes: the text, and the lease's token. */
export async function exchangeTokenAs(
  client: Client,
  token: string,
  runner: string | null,
  format: "dotenv" | "shell",
) {
  const asked = await askedOf(token, runner);
  const answer = await repeatOnce(
    { ...asked, query: { format }, headers: { ...asked.headers, accept: "*/*" } },
    (again) => client.raw("token.exchange", again),
  );
  const lease = answer.headers["sallyport-lease"];
  return { text: answer.body, lease: typeof lease === "string" ? lease : null };
}

/** Loads what an exchange needs while something else is waited for. */
export function prepareExchange(): void {
  // A failure comes out where it is needed.
  loadCrypto().catch(() => {});
}

const loadCrypto = () => import("#crypto");

async function askedOf(bearer: string, runner: string | null) {
  const { randomBytes } = await loadCrypto();
  const idempotencyKey = randomBytes(KEY_BYTES).toString("hex");
  return { bearer, headers: { idempotencyKey, ...(runner === null ? {} : { runner }) } };
}

async function repeatOnce<A, R>(asked: A, ask: (asked: A) => Promise<R>): Promise<R> {
  try {
    return await ask(asked);
  } catch (error) {
    if (error instanceof CliError && error.code === "unreachable" && error.status === null) return ask(asked);
    throw error;
  }
}

function deliveryOf({ answer, answeredAtMs }: Received<"token.exchange">): Delivery {
  const variables = new Map<string, Redacted<Buffer>>();
  for (const [name, { value, encoding }] of Object.entries(answer.variables)) {
    if (!SECRET_NAME.test(name)) throw new CliError("unreachable", "its answer holds a variable whose name is none");
    variables.set(name, new Redacted(Buffer.from(value, encoding)));
  }
  return {
    answer,
    variables,
    lease: { token: answer.lease.token, lastsMs: Date.parse(answer.lease.expiresAt) - answeredAtMs },
  };
}
