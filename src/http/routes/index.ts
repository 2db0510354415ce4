import type { Handlers } from "../operation.ts";
import { accessRoutes } from "./access.ts";
import { auditRoutes } from "./audit.ts";
import { identityRoutes } from "./identity.ts";
import type { Rooms } from "./rooms.ts";
import { secretRoutes } from "./secrets.ts";
import { workloadRoutes } from "./workloads.ts";

/** The handlers of every operation that has an actor or a credential. Those for anybody are in health.ts. */
export function routes(rooms: Rooms): Omit<Handlers, "health.live" | "health.ready" | "metrics.get" | "openapi.get"> {
  return {
    ...accessRoutes(rooms),
    ...identityRoutes(rooms),
    ...secretRoutes(rooms),
    ...workloadRoutes(rooms),
    ...auditRoutes(rooms),
  };
}
