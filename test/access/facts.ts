import { randomBytes } from "node:crypto";
import { makeId } from "#base";
import type { Id, IdPrefix } from "#base";
import type { AccessFacts, Place, Subject } from "#access";
import type { Row } from "#storage";

/** Rows that decisions look at, with what a test does not care about filled in. */

let clock = 0;
export function newId<P extends IdPrefix>(prefix: P): Id<P> {
  clock += 1;
  return makeId(prefix, clock, randomBytes(10));
}

export const ORG = newId("org");
export const NOW = new Date("2030-01-01T12:00:00Z");
const changedBy = newId("evt");

export function subject(fields: Partial<Subject> = {}): Subject {
  return { id: newId("prn"), org: ORG, active: true, orgRole: null, kind: null, instanceAdmin: false, ...fields };
}

export function environment(
  mode: Row<"environments">["mode"],
  fields: Partial<Row<"environments">> = {},
): Row<"environments"> {
  const made = { createdAt: NOW, deletedAt: null, description: "", changedBy };
  return { id: newId("env"), name: mode, mode, localRun: false, state: "active", ...made, ...fields };
}

export function namespace(name = "default"): Row<"namespaces"> {
  return { id: newId("nsp"), name, state: "active", description: "", createdAt: NOW, changedBy };
}

export function workload(fields: Partial<Row<"workloads">> = {}): Row<"workloads"> {
  return {
    id: newId("wkl"),
    namespaceId: newId("nsp"),
    name: "etl",
    state: "active",
    access: "inherit",
    allowedVariables: [],
    description: "",
    createdAt: NOW,
    createdBy: newId("prn"),
    changedBy,
    ...fields,
  };
}

export function grant(role: string, fields: Partial<Row<"grants">> = {}): Row<"grants"> {
  return {
    id: newId("grt"),
    principalId: newId("prn"),
    role,
    environmentId: null,
    namespaceId: null,
    workloadId: null,
    startsAt: null,
    endsAt: null,
    reason: "",
    grantedBy: newId("prn"),
    state: "active",
    createdAt: NOW,
    changedBy,
    ...fields,
  };
}

export function facts(
  grants: readonly Row<"grants">[] = [],
  settings: Partial<AccessFacts["settings"]> = {},
): AccessFacts {
  return { grants, settings: { reveal: "admins", viewerAudit: "scope", ...settings } };
}

export function place(fields: Partial<Place> = {}): Place {
  return { org: ORG, environment: null, namespace: null, workload: null, ...fields };
}
