import { VaultError } from "#base";
import type { ErrorDetail } from "#base";
import type { Reader, Row } from "#storage";
import { decide, isInTime } from "./decide.ts";
import { find } from "./find.ts";
import type { EventScope } from "./find.ts";
import type { Known } from "./knowledge.ts";
import type { Where } from "./where.ts";

type Part = "environment" | "namespace" | "workload";

/** Constant, so that what is closed and what never was read the same to the letter. */
const MESSAGES: Readonly<Record<Part, string>> = {
  environment: "there is no such environment that you may know of",
  namespace: "there is no such namespace that you may know of",
  workload: "there is no such workload that you may know of",
};

/**
 * Which parts of a place the subject does not know of, each under the name of the field that it came in. It is found out from
 * what is open to the subject alone: a part that is closed to it is told exactly as one that is not there. Where each part
 * is known by itself and the place is not, nothing is named.
 */
export async function unknownParts(reader: Reader, known: Known, where: Where, now: Date): Promise<ErrorDetail> {
  const parts = partsOf(where);
  const isKnown = await Promise.all(parts.map((part) => knows(reader, known, part, now)));
  const unknown = parts.filter((_, at) => isKnown[at] === false);
  const hasNamespace = unknown.every(({ on }) => on !== "namespace");
  const faults = unknown
    // In a namespace that is not known nobody looks for a workload.
    .filter(({ on }) => on !== "workload" || hasNamespace)
    .map(({ on }) => ({ field: prefixOf(where) + on, message: MESSAGES[on] }));
  return faults.length === 0 ? {} : { faults };
}

/** For an operation that finds it out by itself: a namespace of a list, which is not there or not the actor's to know. */
export function notKnown(part: Part): VaultError {
  return new VaultError("not_found", undefined, { detail: { faults: [{ field: part, message: MESSAGES[part] }] } });
}

type PartAt = Extract<Where, { on: Part }>;

function partsOf(where: Where): readonly PartAt[] {
  const environment = "environment" in where ? [{ on: "environment", environment: where.environment } as const] : [];
  const namespace = "namespace" in where ? [{ on: "namespace", namespace: where.namespace } as const] : [];
  const workload =
    "workload" in where
      ? [{ on: "workload", namespace: where.namespace, workload: where.workload, in: "any" } as const]
      : [];
  return [...environment, ...namespace, ...workload];
}

function prefixOf(where: Where): string {
  return where.on === "scope" && where.side !== undefined ? `${where.side}.` : "";
}

async function knows(reader: Reader, { subject, facts }: Known, part: PartAt, now: Date): Promise<boolean> {
  const found = await find(reader, { subject, facts }, subject.org, part);
  if (found === null) return false;
  // What is visible does not hang on what is asked for.
  const isVisible = found.places.some((place) => decide(subject, "workload.view", place, facts, now).visible);
  return isVisible || facts.grants.some((grant) => isInTime(grant, now) && isAbout(grant, found.scope, part.on));
}

/** Who holds a grant on one workload knows its environment and namespace by name, though neither is open as a whole. */
function isAbout(grant: Row<"grants">, { environment, namespace, workload }: EventScope, part: Part): boolean {
  switch (part) {
    case "environment":
      return environment !== null && grant.environmentId === environment.id;
    case "namespace":
      return namespace !== null && grant.namespaceId === namespace.id;
    case "workload":
      return workload !== null && grant.workloadId === workload.id;
  }
}
