import type { Id } from "#base";
import type { Row } from "#storage";

/** What an operation is about, by the names that the caller gave. The guard looks them up after it knows who asks. */
export type Where =
  | { readonly on: "self" }
  | { readonly on: "instance" }
  /** An org that is being made: the permit's rows are the new org's, its event the instance's. */
  | { readonly on: "new-org"; readonly org: Id<"org"> }
  | { readonly on: "org" }
  | { readonly on: "environment"; readonly environment: string }
  /** In any environment of the namespace. */
  | { readonly on: "namespace"; readonly namespace: string }
  | {
      readonly on: "scope";
      readonly environment: string;
      readonly namespace: string;
      /** Of an operation on two scopes: under which field this one was asked for. */
      readonly side?: "from" | "to";
    }
  /** `any`: in one environment at least. `deployed`: in every environment where it is deployed, or any if in none. */
  | { readonly on: "workload"; readonly namespace: string; readonly workload: string; readonly in: "any" | "deployed" }
  /** A launch, where it takes place. */
  | { readonly on: "injection"; readonly id: Id<"inj"> }
  | { readonly on: "workload-in"; readonly namespace: string; readonly workload: string; readonly environment: string };

type Environment = Row<"environments">;
type Namespace = Row<"namespaces">;
type Workload = Row<"workloads">;

/** The rows that the guard found on the way. */
export interface PlaceOf {
  self: null;
  instance: null;
  "new-org": null;
  org: null;
  environment: { readonly environment: Environment };
  namespace: { readonly namespace: Namespace };
  scope: { readonly environment: Environment; readonly namespace: Namespace };
  workload: {
    readonly namespace: Namespace;
    readonly workload: Workload;
    /** For `deployed`: the deployments that were decided on. A change that builds on them expects them to stand. */
    readonly deployments: readonly Row<"deployments">[];
  };
  "workload-in": { readonly environment: Environment; readonly namespace: Namespace; readonly workload: Workload };
  injection: PlaceOf["workload-in"] & { readonly injection: Row<"injections"> };
}

export type ScopePlace = PlaceOf["scope"];
export type WorkloadPlace = PlaceOf["workload"];
export type LaunchPlace = PlaceOf["workload-in"];

/** The place in words for a refusal: only what the caller wrote. */
export function wordsOf(where: Where): string {
  switch (where.on) {
    case "self":
    case "instance":
    case "org":
    case "injection":
      return where.on;
    case "new-org":
      return "instance";
    case "environment":
      return where.environment;
    case "namespace":
      return `*/${where.namespace}`;
    case "scope":
      return `${where.environment}/${where.namespace}`;
    case "workload":
      return `${where.namespace}/${where.workload}`;
    case "workload-in":
      return `${where.namespace}/${where.workload} in ${where.environment}`;
  }
}
