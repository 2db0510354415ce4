import type { EventView } from "#access";
import type { Verdict } from "#audit";
import type { Response } from "#contract";
import type { Page, Row } from "#storage";
import type { Handlers } from "../operation.ts";
import type { Rooms } from "./rooms.ts";
import { isoOf, pageOf } from "./shape.ts";

type AuditHandlers = Pick<
  Handlers,
  | "audit.list"
  | "audit.checkpoints"
  | "audit.verify"
  | "instance-audit.list"
  | "instance-audit.checkpoints"
  | "instance-audit.verify"
  | "status.get"
>;

/** The audit log of the org and of the instance, and what the process says of itself. */
export function auditRoutes({ audit, guard, status }: Rooms): AuditHandlers {
  return {
    "audit.list": async ({ caller, query }) => pageOf(await audit.list(caller, "org", query, query), shapeEvent),
    "audit.checkpoints": async ({ caller, query }) => shapeCheckpoints(await audit.checkpoints(caller, "org", query)),
    "audit.verify": async ({ caller }) => shapeVerdict(await audit.verify(caller, "org")),
    "instance-audit.list": async ({ caller, query }) =>
      pageOf(await audit.list(caller, "instance", query, query), shapeEvent),
    "instance-audit.checkpoints": async ({ caller, query }) =>
      shapeCheckpoints(await audit.checkpoints(caller, "instance", query)),
    "instance-audit.verify": async ({ caller }) => shapeVerdict(await audit.verify(caller, "instance")),
    "status.get": async ({ caller }) => {
      await guard.require(caller, "self", { on: "self" });
      const nowhere = { environment: null, namespace: null, workload: null };
      return status(caller.org, (await guard.weigh(caller, "instance.admin", nowhere)).allowed);
    },
  };
}

function shapeVerdict({ intact, events, checkpoints, faults }: Verdict): Response<"audit.verify"> {
  return { intact, events, checkpoints, faults: [...faults] };
}

function shapeCheckpoints({
  verifierKey,
  ...page
}: Page<Row<"auditCheckpoints">> & { verifierKey: string }): Response<"audit.checkpoints"> {
  const items = pageOf(page, (row) => ({
    slot: row.slot,
    size: row.size,
    root: row.root.toString("base64"),
    time: isoOf(row.time),
    note: row.note,
  }));
  return { ...items, verifierKey };
}

function shapeEvent(view: EventView): Response<"audit.list">["items"][number] {
  const { public: open, private: names } = view;
  const named = (id: string | null, name: string | null | undefined): { id: string; name: string | null } | null =>
    id === null ? null : { id, name: name ?? null };
  return {
    id: open.id as Response<"audit.list">["items"][number]["id"],
    slot: open.slot,
    seq: open.seq,
    time: open.time,
    actor: { ...open.actor, name: names?.actor ?? null },
    onBehalfOf: open.onBehalfOf,
    action: open.action,
    permission: open.permission,
    result: open.result as "success",
    code: open.code,
    because: open.because,
    target: open.target === null ? null : { ...open.target, name: names?.target ?? null },
    environment: named(open.environment, names?.environment),
    namespace: named(open.namespace, names?.namespace),
    workload: named(open.workload, names?.workload),
    requestId: open.requestId,
    address: open.address,
    secrets: names?.secrets == null ? null : names.secrets.map((one) => ({ ...one })),
    changes:
      names?.changes == null
        ? null
        : names.changes.map((one) => ({ field: one.field, before: one.before, after: one.after })),
    reason: names?.reason ?? null,
    facts: open.facts === null ? null : { ...open.facts },
    masked: view.masked,
    previousHash: view.previousHash.toString("hex"),
    hash: view.hash.toString("hex"),
  };
}
