import { VaultError } from "#base";
import type { Metrics } from "./metrics.ts";
import type { Handlers } from "./operation.ts";
import { Reply } from "./reply.ts";

/** Whether requests can be served now, and what each part says of itself, in words that anybody may read. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

type OpenHandlers = Pick<Handlers, "health.live" | "health.ready" | "metrics.get" | "openapi.get">;

/** Metrics, and who may read them: nobody, who comes from this machine, or everybody. */
export interface OfferedMetrics {
  readonly to: "off" | "machine" | "any";
  readonly metrics: Metrics;
}

/** The operations without a credential: liveness, readiness (503 while not ready), metrics, and the OpenAPI document. */
export function openHandlers(
  ready: () => Promise<Readiness>,
  document: Record<string, unknown>,
  { to, metrics }: OfferedMetrics,
): OpenHandlers {
  // Made once: whoever asks for it by the thousand, and does not read it, makes nothing grow.
  const written = Reply.bytes(Buffer.from(JSON.stringify(document)), "application/json");
  return {
    "metrics.get": async ({ isNear }) => {
      // The same answer as for a path that is not there.
      if (to === "off" || (to === "machine" && !isNear)) throw new VaultError("not_found");
      return Reply.bytes(Buffer.from(await metrics.text()), metrics.contentType);
    },
    "health.live": async () => ({ status: "ok" }),
    "health.ready": async () => {
      const now = await ready();
      const checks = { ...now.checks };
      return now.ready ? { status: "ok", checks } : Reply.json({ status: "unavailable", checks }, { status: 503 });
    },
    "openapi.get": async () => written,
  };
}
