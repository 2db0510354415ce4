import type { Response } from "#contract";
import type { InjectionView, LeaseView } from "#injection";
import { Redacted } from "#base";
import type { DeploymentView, ManifestView, WorkloadView } from "#workloads";
import { acceptedFormat } from "../accepted.ts";
import type { Handlers } from "../operation.ts";
import { Reply } from "../reply.ts";
import type { Rooms } from "./rooms.ts";
import { isoOf, pageOf } from "./shape.ts";

type WorkloadHandlers = Pick<
  Handlers,
  | "workload.create"
  | "workload.search"
  | "workload.list"
  | "workload.get"
  | "workload.update"
  | "workload.delete"
  | "manifest.save"
  | "manifest.list"
  | "manifest.get"
  | "deployment.set"
  | "deployment.delete"
  | "token.mint"
  | "token.exchange"
  | "token.lookup"
  | "injection.list"
  | "injection.get"
  | "injection.revoke"
  | "lease.get"
  | "lease.renew"
  | "lease.end"
>;

/** Workloads, manifests, deployments, tokens, launches and leases. */
export function workloadRoutes({
  workloads,
  manifests,
  deployments,
  mint,
  exchange,
  injections,
  leases,
}: Rooms): WorkloadHandlers {
  return {
    "workload.create": async ({ caller, params, body }) =>
      shapeWorkload(await workloads.create(caller, { namespace: params.namespace, workload: body.name }, body)),
    "workload.search": async ({ caller, query }) => pageOf(await workloads.search(caller, query), shapeWorkload),
    "workload.list": async ({ caller, params, query }) =>
      pageOf(await workloads.list(caller, params.namespace, query), shapeWorkload),
    "workload.get": async ({ caller, params }) => shapeWorkload(await workloads.get(caller, params)),
    "workload.update": async ({ caller, params, body }) => shapeWorkload(await workloads.update(caller, params, body)),
    "workload.delete": async ({ caller, params }) => workloads.delete(caller, params) as Promise<undefined>,

    "manifest.save": async ({ caller, params, body, headers }) => {
      const variables = "variables" in body ? body.variables : null;
      return withVersion(
        shapeManifest(await manifests.save(caller, params, variables, body.note ?? "", headers.ifMatch)),
      );
    },
    "manifest.list": async ({ caller, params, query }) =>
      pageOf(await manifests.list(caller, params, query), shapeManifest),
    "manifest.get": async ({ caller, params }) =>
      withVersion(shapeManifest(await manifests.get(caller, params, params.version))),
    "deployment.set": async ({ caller, params, body }) =>
      shapeDeployment(await deployments.set(caller, params, params.environment, body.version)),
    "deployment.delete": async ({ caller, params }) =>
      deployments.delete(caller, params, params.environment) as Promise<undefined>,

    "token.mint": async ({ caller, params, body }) => {
      const minted = await mint.mint(caller, params, body);
      const items = minted.items.map(({ token, injectionId }) => ({ token: token.reveal(), injectionId }));
      return { ...minted, items, expiresAt: isoOf(minted.expiresAt) };
    },
    "token.exchange": async ({ caller, call, query, headers }) => {
      const done = await exchange.exchange(call, {
        token: caller,
        runner: headers.runner === undefined ? null : new Redacted(headers.runner),
        idempotencyKey: headers.idempotencyKey ?? null,
        format: query.format ?? acceptedFormat(headers.accept),
        manifest: { ...(query.name && { name: query.name }), ...(query.namespace && { namespace: query.namespace }) },
      });
      const { text, lease, ...body } = done;
      if (text !== null) return Reply.bytes(text.body, text.contentType, { lease: lease.token });
      return { ...body, lease: { token: lease.token.reveal(), expiresAt: isoOf(lease.expiresAt) } };
    },
    "token.lookup": async ({ caller, call }) => {
      const found = await exchange.lookup(call, caller);
      return { ...found, expiresAt: isoOf(found.expiresAt) };
    },
    "injection.list": async ({ caller, query }) => pageOf(await injections.list(caller, query), shapeInjection),
    "injection.get": async ({ caller, params }) => shapeInjection(await injections.get(caller, params.id)),
    "injection.revoke": async ({ caller, params }) => shapeInjection(await injections.revoke(caller, params.id)),

    "lease.get": async ({ caller, call }) => {
      const held = await leases.get(call, caller);
      return {
        ...shapeLease(held),
        injectionId: held.injectionId,
        workload: held.workload,
        environment: held.environment,
      };
    },
    "lease.renew": async ({ caller, call }) => shapeLease(await leases.renew(call, caller)),
    "lease.end": async ({ caller, call, body }) => shapeLease(await leases.end(call, caller, body.exitCode ?? null)),
  };
}

function withVersion(body: Response<"manifest.get">): Reply<Response<"manifest.get">> {
  return Reply.json(body, { version: body.version });
}

function shapeDeployment(view: DeploymentView) {
  return { ...view, deployedAt: isoOf(view.deployedAt) };
}

function shapeWorkload(view: WorkloadView): Response<"workload.get"> {
  return {
    id: view.id,
    namespace: view.namespace,
    name: view.name,
    description: view.description,
    state: view.state === "active" ? "active" : "disabled",
    access: view.access,
    allowedVariables: [...view.allowedVariables],
    latestVersion: view.latestVersion,
    createdAt: isoOf(view.createdAt),
    createdBy: view.by,
    deployments: view.deployments.map(shapeDeployment),
  };
}

function shapeManifest(view: ManifestView): Response<"manifest.get"> {
  return {
    ...view,
    variables: view.variables === null ? null : { ...view.variables },
    diff: [...view.diff],
    createdAt: isoOf(view.createdAt),
  };
}

function shapeLease(view: LeaseView): Response<"lease.end"> {
  return {
    id: view.id,
    state: view.state,
    createdAt: isoOf(view.createdAt),
    expiresAt: isoOf(view.expiresAt),
    endedAt: isoOf(view.endedAt),
    exitCode: view.exitCode,
  };
}

function shapeInjection(view: InjectionView): Response<"injection.get"> {
  return {
    ...view,
    mintedAt: isoOf(view.mintedAt),
    expiresAt: isoOf(view.expiresAt),
    exchangedAt: isoOf(view.exchangedAt),
    lease: view.lease === null ? null : shapeLease(view.lease),
  };
}
