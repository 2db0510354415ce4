import type { Handlers } from "./operation.ts";
import { Reply } from "./reply.ts";

/** Whether requests can be served now, and what each part says of itself, in words that anybody may read. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

type OpenHandlers = Pick<Handlers, "health.live" | "health.ready" | "openapi.get">;

/** The operations for anybody: liveness, readiness (503 while not ready), and the OpenAPI document. */
export function openHandlers(ready: () => Promise<Readiness>, document: Record<string, unknown>): OpenHandlers {
  // Made once: whoever asks for it by the thousand, and does not read it, makes nothing grow.
  const written = Reply.bytes(Buffer.from(JSON.stringify(document)), "application/json");
  return {
    "health.live": async () => ({ status: "ok" }),
    "health.ready": async () => {
      const now = await ready();
      const checks = { ...now.checks };
      return now.ready ? { status: "ok", checks } : Reply.json({ status: "unavailable", checks }, { status: 503 });
    },
    "openapi.get": async () => written,
  };
}
