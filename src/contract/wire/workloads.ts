import { z } from "zod";
import { FORMAT_NAMES } from "../format.ts";
import { cidr, idOf, line, listOf, name, page, text, time, variableName, version, versionText } from "../fields.ts";
import type { Wire } from "./shape.ts";

const required = z.boolean().optional();
const REFERENCE =
  /^(?:(?:[a-z0-9][a-z0-9_-]{0,62}\/)?[a-z0-9][a-z0-9_-]{0,62}\/)?[A-Za-z_][A-Za-z0-9_]{0,127}(?:@[1-9][0-9]{0,9})?$/;

/** `NAME`, `namespace/NAME` or `environment/namespace/NAME`, each with `@version` if pinned. */
export const reference = z
  .string()
  .regex(REFERENCE, "NAME, namespace/NAME or environment/namespace/NAME, with @version if pinned");
const variableText = (max: number) =>
  text(max)
    // eslint-disable-next-line no-control-regex -- it is what is refused
    .regex(/^[^\u0000]*$/, "not text that a variable can hold")
    .refine((given) => !/\p{Cs}/u.test(given), "not text that a variable can hold");

export const variable = z.union(
  [
    z.strictObject({ secret: reference, required }),
    z.strictObject({ value: variableText(16_384) }),
    z.strictObject({
      template: variableText(16_384).meta({
        description:
          "Text with `${NAME}`, `${namespace/NAME}` or `${environment/namespace/NAME}` in it; `$$` is a dollar sign.",
      }),
      required,
    }),
  ],
  'one of { "secret": "…" }, { "value": "…" } or { "template": "…" }',
);

const MOST_VARIABLES = 100;
/** Either a list of variables, or `all`: every `inject` secret of the launch's scope under its own name. */
const manifestBody = z.union(
  [
    z.strictObject({
      variables: z
        .record(variableName, variable)
        .refine((all) => Object.keys(all).length <= MOST_VARIABLES, "at most 100 variables")
        .meta({
          maxProperties: MOST_VARIABLES,
          description:
            "A name that changes how programs load (`PATH`, `LD_PRELOAD`) is taken only where an admin allowed it.",
        }),
      note: line(500).optional(),
    }),
    z.strictObject({ all: z.literal(true), note: line(500).optional() }),
  ],
  '{ "variables": { NAME: { "secret": "…" } } } or { "all": true }',
);
/** As a reader sees it: a masked variable says only that a secret is behind it, and not which or under what name. */
const shownManifest = z.strictObject({
  id: idOf("man"),
  version,
  all: z.boolean(),
  variables: z.record(z.string(), variable).nullable(),
  maskedVariables: z.int(),
  diff: z.array(
    z.strictObject({
      variable: z.string().nullable(),
      change: z.enum(["added", "removed", "changed"]),
      before: variable.nullable(),
      after: variable.nullable(),
    }),
  ),
  note: z.string(),
  createdAt: time,
  createdBy: z.string(),
});
const deployment = z.strictObject({
  environment: name,
  version: version.nullable(),
  follow: z.boolean(),
  deployedAt: time,
  deployedBy: z.string(),
});
const workload = z.strictObject({
  id: idOf("wkl"),
  namespace: name,
  name,
  description: z.string(),
  state: z.enum(["active", "disabled"]),
  access: z.enum(["inherit", "explicit"]),
  allowedVariables: z.array(z.string()),
  latestVersion: version.nullable(),
  createdAt: time,
  createdBy: z.string(),
  deployments: z.array(deployment),
});
const inNamespace = { params: z.strictObject({ namespace: name }) };
const inWorkload = { params: z.strictObject({ namespace: name, workload: name }) };
const inDeployment = { params: z.strictObject({ namespace: name, workload: name, environment: name }) };

const lease = z.strictObject({
  id: idOf("lea"),
  state: z.enum(["active", "ended", "revoked", "expired"]),
  createdAt: time,
  expiresAt: time,
  endedAt: time.nullable(),
  exitCode: z.int().nullable(),
});
const injection = z.strictObject({
  id: idOf("inj"),
  workload: z.string(),
  environment: name,
  manifestVersion: version,
  state: z.enum(["minted", "exchanged", "revoked", "expired"]),
  bound: z.boolean(),
  note: z.string(),
  mintedBy: z.string(),
  mintedAt: time,
  expiresAt: time,
  exchangedAt: time.nullable(),
  exchangedFrom: z.string().nullable(),
  exchangedBy: z.string().nullable(),
  lease: lease.nullable(),
});

/** What Kubernetes takes for the name of a Secret (a subdomain of RFC 1123) and of a namespace (a label of it). */
const LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const kubernetesName = z
  .string()
  .max(253)
  .regex(new RegExp(`^${LABEL}(?:\\.${LABEL})*$`), "a Kubernetes name: small letters, digits, - and .");
const kubernetesNamespace = z
  .string()
  .max(63)
  .regex(new RegExp(`^${LABEL}$`), "a Kubernetes namespace: small letters, digits and -");
const ONLY_KUBERNETES = { description: "Only with `format=kubernetes`." };
const exchangeQuery = z
  .strictObject({
    format: z.enum(FORMAT_NAMES).optional(),
    name: kubernetesName.meta(ONLY_KUBERNETES).optional(),
    namespace: kubernetesNamespace.meta(ONLY_KUBERNETES).optional(),
  })
  .superRefine(({ format, ...manifest }, context) => {
    if (format === "kubernetes") return;
    for (const field of ["name", "namespace"] as const)
      if (manifest[field] !== undefined)
        context.addIssue({ code: "custom", path: [field], message: "only with format=kubernetes" });
  });

/** Workloads, manifests, deployments, tokens, launches and leases. */
export const workloadsWire = {
  "workload.create": {
    ...inNamespace,
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      name,
      description: line(500).optional(),
      access: z.enum(["inherit", "explicit"]).optional(),
    }),
    response: workload,
  },
  "workload.search": { query: z.strictObject(page), response: listOf(workload) },
  "workload.list": { ...inNamespace, query: z.strictObject(page), response: listOf(workload) },
  "workload.get": { ...inWorkload, response: workload },
  "workload.update": {
    ...inWorkload,
    body: z.strictObject({
      description: line(500).optional(),
      state: z.enum(["active", "disabled"]).optional(),
      access: z.enum(["inherit", "explicit"]).optional(),
      allowedVariables: z.array(variableName).max(50).optional(),
    }),
    response: workload,
  },
  "workload.delete": { ...inWorkload, response: z.undefined() },
  "manifest.save": { ...inWorkload, headers: ["If-Match"], body: manifestBody, response: shownManifest },
  "manifest.list": { ...inWorkload, query: z.strictObject(page), response: listOf(shownManifest) },
  "manifest.get": {
    params: z.strictObject({ namespace: name, workload: name, version: versionText }),
    response: shownManifest,
  },
  "deployment.set": {
    ...inDeployment,
    body: z.strictObject({
      version: z
        .union([version, z.literal("latest")])
        .meta({ description: "`latest`, where the environment is open, follows the newest. The newest, if not given." })
        .optional(),
    }),
    response: deployment,
  },
  "deployment.delete": { ...inDeployment, response: z.undefined() },
  "token.mint": {
    ...inWorkload,
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      environment: name,
      ttlSeconds: z.int().min(1).max(900).optional(),
      cidrs: z.array(cidr).max(50).optional(),
      note: line(500).optional(),
      count: z.int().min(1).max(1000).optional(),
    }),
    response: z.strictObject({
      items: z.array(z.strictObject({ token: z.string(), injectionId: idOf("inj") })),
      environment: name,
      workload: z.string(),
      manifestVersion: version,
      bound: z.boolean(),
      expiresAt: time,
    }),
  },
  "token.exchange": {
    query: exchangeQuery,
    headers: ["Idempotency-Key", "Sallyport-Runner", "Accept"],
    response: z.strictObject({
      injectionId: idOf("inj"),
      workload: z.string(),
      environment: name,
      manifestVersion: version,
      variables: z.record(z.string(), z.strictObject({ value: z.string(), encoding: z.enum(["utf8", "base64"]) })),
      lease: z.strictObject({ token: z.string(), expiresAt: time }),
    }),
  },
  "token.lookup": {
    response: z.strictObject({
      injectionId: idOf("inj"),
      workload: z.string(),
      environment: name,
      manifestVersion: version,
      state: z.enum(["minted", "exchanged", "revoked", "expired"]),
      bound: z.boolean(),
      expiresAt: time,
    }),
  },
  "injection.list": {
    query: z.strictObject({
      ...page,
      environment: name.optional(),
      namespace: name.optional(),
      workload: name.optional(),
      state: z.enum(["minted", "exchanged", "revoked", "expired"]).optional(),
    }),
    response: listOf(injection),
  },
  "injection.get": { params: z.strictObject({ id: idOf("inj") }), response: injection },
  "injection.revoke": { params: z.strictObject({ id: idOf("inj") }), response: injection },
  "lease.get": { response: lease.extend({ injectionId: idOf("inj"), workload: z.string(), environment: name }) },
  "lease.renew": { response: lease },
  "lease.end": { body: z.strictObject({ exitCode: z.int().min(0).max(255).optional() }), response: lease },
} as const satisfies Record<string, Wire>;
