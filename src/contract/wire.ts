import type { OperationId } from "./catalog.ts";
import { accessWire } from "./wire/access.ts";
import { auditWire } from "./wire/audit.ts";
import { identityWire } from "./wire/identity.ts";
import { secretsWire } from "./wire/secrets.ts";
import type { Wire } from "./wire/shape.ts";
import { workloadsWire } from "./wire/workloads.ts";

/** The schemas of every operation of the catalog. An operation without one does not compile. */
export const WIRE = {
  ...accessWire,
  ...auditWire,
  ...identityWire,
  ...secretsWire,
  ...workloadsWire,
} as const satisfies Record<OperationId, Wire>;
