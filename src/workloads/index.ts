/**
 * workloads: the programs that are launched, and what they ask for.
 *
 * A manifest is a versioned list of variables and references; it never holds a value of a secret. A deployment says which
 * version a workload has in an environment and binds its references to secrets by id. Whoever may not list secrets sees
 * neither the names of secrets nor those of the variables they fill.
 */
export { Deployments } from "./deployments.ts";
export { authorMayReference, deployedAt, manifestVersion } from "./deployed.ts";
export type { Deployed } from "./deployed.ts";
export type { VariableDiff, Variables } from "./manifest.ts";
export { Manifests } from "./manifests.ts";
export type { ManifestView } from "./manifests.ts";
export { parseTemplate } from "./reference.ts";
export type { Reference, TemplatePart } from "./reference.ts";
export { resolveManifest } from "./resolve.ts";
export type { Need, Resolved } from "./resolve.ts";
export { Uses } from "./uses.ts";
export type { UseView, UsesView } from "./uses.ts";
export { Workloads } from "./workloads.ts";
export type { DeploymentView, WorkloadAt, WorkloadUpdate, WorkloadView } from "./workloads.ts";
