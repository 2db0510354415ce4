import type { Client } from "./client.ts";
import { SallyportError } from "./error.ts";

export interface Lease {
  readonly token: string;
  /** How long it is good, from the moment of the answer, by the vault's own clock. */
  readonly lastsMs: number;
}

/** Holds a launch's lease while it runs. */
export interface LeaseKeeper {
  /** When the lease ends unless it is renewed. */
  readonly endsAt: Date;
  /** As {@link endLease}; nothing is renewed after it. */
  end(exitCode?: number): Promise<void>;
}

const END_PATIENCE_MS = 2_000;
const SOONEST_MS = 1_000;
/** setTimeout holds no more. */
const LATEST_MS = 2 ** 31 - 1;

/**
 * Renews the lease each time half of it is over. Where the vault does not answer it tries again at half of what is left;
 * where it refuses, the lease runs out, and the launch goes on: it has what it was given. Nothing of it keeps the process
 * alive but the end.
 */
export function keepLease(client: Client, lease: Lease, warn: (text: string) => void): LeaseKeeper {
  let endsAtMs = Date.now() + lease.lastsMs;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const schedule = () => {
    const leftMs = endsAtMs - Date.now();
    if (ended || leftMs <= 0) return;
    timer = setTimeout(() => void renew(), Math.min(Math.max(leftMs / 2, SOONEST_MS), LATEST_MS));
    timer.unref();
  };
  const renew = async () => {
    try {
      const asked = { bearer: lease.token, patienceMs: 0, background: true };
      const { answer, answeredAtMs } = await client.receive("lease.renew", asked);
      endsAtMs = Date.now() + Date.parse(answer.expiresAt) - answeredAtMs;
    } catch (error) {
      const isRefusal =
        error instanceof SallyportError && error.status !== null && error.status < 500 && error.status !== 429;
      if (isRefusal) {
        if (!ended)
          warn(`The launch's lease was not renewed (${error.message}); it ends ${new Date(endsAtMs).toISOString()}.`);
        return;
      }
    }
    schedule();
  };
  schedule();
  return {
    get endsAt() {
      return new Date(endsAtMs);
    },
    end(exitCode) {
      ended = true;
      clearTimeout(timer);
      return endLease(client, lease.token, exitCode);
    },
  };
}

/** Ends a lease. Takes at most two seconds and never fails: a launch's end does not depend on the vault. */
export async function endLease(client: Client, token: string, exitCode?: number): Promise<void> {
  let patience: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => (patience = setTimeout(resolve, END_PATIENCE_MS)));
  const body = exitCode === undefined ? {} : { exitCode };
  const told = client.call("lease.end", { bearer: token, body, timeoutMs: END_PATIENCE_MS }).then(
    () => {},
    () => {},
  );
  await Promise.race([told, enough]);
  clearTimeout(patience);
}
