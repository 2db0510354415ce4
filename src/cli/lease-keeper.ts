import type { Client } from "./client.ts";
import type { Lease } from "./delivery.ts";
import { CliError } from "./error.ts";

/** Holds a launch's lease while its child runs. */
export interface LeaseKeeper {
  /** Ends the lease. Takes at most two seconds and never fails: a launch's end does not depend on the vault. */
  end(exitCode: number): Promise<void>;
}

const END_PATIENCE_MS = 2_000;
const SOONEST_MS = 1_000;
/** setTimeout holds no more. */
const LATEST_MS = 2 ** 31 - 1;

/**
 * Renews the lease each time half of it is over. Where the vault does not answer it tries again at half of what is left;
 * where it refuses, the lease runs out, and the launch goes on: it has what it was given.
 */
export function keepLease(client: Client, lease: Lease, warn: (text: string) => void): LeaseKeeper {
  let endsAtMs = Date.now() + lease.lastsMs;
  let timer: NodeJS.Timeout | undefined;
  const schedule = () => {
    const leftMs = endsAtMs - Date.now();
    if (leftMs <= 0) return;
    timer = setTimeout(() => void renew(), Math.min(Math.max(leftMs / 2, SOONEST_MS), LATEST_MS));
    // The child keeps this process alive; its lease does not.
    timer.unref();
  };
  const renew = async () => {
    try {
      const { answer, answeredAtMs } = await client.receive("lease.renew", { bearer: lease.token });
      endsAtMs = Date.now() + Date.parse(answer.expiresAt) - answeredAtMs;
    } catch (error) {
      const isRefusal =
        error instanceof CliError && error.status !== null && error.status < 500 && error.status !== 429;
      if (isRefusal) {
        warn(`The launch's lease was not renewed (${error.message}); it ends ${new Date(endsAtMs).toISOString()}.`);
        return;
      }
    }
    schedule();
  };
  schedule();
  return {
    async end(exitCode) {
      clearTimeout(timer);
      let patience: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => (patience = setTimeout(resolve, END_PATIENCE_MS)));
      const told = client
        .call("lease.end", { bearer: lease.token, body: { exitCode }, timeoutMs: END_PATIENCE_MS })
        .then(
          () => {},
          () => {},
        );
      await Promise.race([told, enough]);
      clearTimeout(patience);
    },
  };
}
