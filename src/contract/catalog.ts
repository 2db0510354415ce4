import type { Permission } from "#base";

/** Who may knock: what kind of credential an operation takes. */
export type Auth =
  /** Nobody in particular, and no audit event: liveness and documents. */
  | "open"
  /** Login and password in the body. */
  | "sign-in"
  /** A user's session, a service user's token, or the machine's own socket. */
  | "actor"
  /** A one-time set-up credential (`sp_set_`). */
  | "set-up"
  /** An injection token (`sp_inj_`). */
  | "injection"
  /** A lease (`sp_lease_`). */
  | "lease";

/** What happens: `read` shows, `write` changes, `value` hands out a value or a credential. */
export type Effect = "read" | "write" | "value";

export interface Operation {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly auth: Auth;
  /** What the guard asks for. `public` is for the few without an actor; there is no operation without this line. */
  readonly permission: Permission | "public";
  readonly effect: Effect;
  readonly status: 200 | 201 | 204;
  readonly summary: string;
}

const SECRET = "/v1/environments/{environment}/namespaces/{namespace}/secrets/{secret}";
const WORKLOAD = "/v1/namespaces/{namespace}/workloads/{workload}";

/** Every operation there is: the router, the guard's expectations, the OpenAPI document and the CLI are read from this table. */
export const CATALOG = {
  "health.live": { method: "GET", path: "/healthz", auth: "open", permission: "public", effect: "read", status: 200, summary: "The process runs" },
  "health.ready": { method: "GET", path: "/readyz", auth: "open", permission: "public", effect: "read", status: 200, summary: "Unsealed, store and audit log writable" },
  "openapi.get": { method: "GET", path: "/v1/openapi.json", auth: "open", permission: "public", effect: "read", status: 200, summary: "This document" },
  "status.get": { method: "GET", path: "/v1/status", auth: "actor", permission: "self", effect: "read", status: 200, summary: "Version, store and audit state of the instance" },

  "session.create": { method: "POST", path: "/v1/sign-in", auth: "sign-in", permission: "public", effect: "value", status: 200, summary: "Sign in with login and password" },
  "session.end": { method: "POST", path: "/v1/sign-out", auth: "actor", permission: "self", effect: "write", status: 204, summary: "End this session" },
  "session.list": { method: "GET", path: "/v1/sessions", auth: "actor", permission: "self", effect: "read", status: 200, summary: "Your sessions" },
  "session.revoke": { method: "DELETE", path: "/v1/sessions/{id}", auth: "actor", permission: "self", effect: "write", status: 204, summary: "End one of your sessions" },
  "whoami.get": { method: "GET", path: "/v1/whoami", auth: "actor", permission: "self", effect: "read", status: 200, summary: "Who you are and what you may do where" },
  "set-up.complete": { method: "POST", path: "/v1/set-up", auth: "set-up", permission: "public", effect: "value", status: 200, summary: "Choose a password with a one-time set-up credential, and sign in" },
  "password.change": { method: "POST", path: "/v1/password", auth: "actor", permission: "self", effect: "write", status: 204, summary: "Change your password; your other sessions end" },

  "user.create": { method: "POST", path: "/v1/users", auth: "actor", permission: "member.manage", effect: "value", status: 201, summary: "Invite a user; the set-up credential is shown once" },
  "user.list": { method: "GET", path: "/v1/users", auth: "actor", permission: "member.manage", effect: "read", status: 200, summary: "List users" },
  "user.get": { method: "GET", path: "/v1/users/{user}", auth: "actor", permission: "member.manage", effect: "read", status: 200, summary: "One user" },
  "user.update": { method: "PATCH", path: "/v1/users/{user}", auth: "actor", permission: "member.manage", effect: "write", status: 200, summary: "Change role or state; sessions end" },
  "user.invite": { method: "POST", path: "/v1/users/{user}/invitation", auth: "actor", permission: "member.manage", effect: "value", status: 200, summary: "A new set-up credential, which also resets the password when used" },
  "user.delete": { method: "DELETE", path: "/v1/users/{user}", auth: "actor", permission: "member.manage", effect: "write", status: 204, summary: "Delete a user; access ends at once" },

  "service-user.create": { method: "POST", path: "/v1/service-users", auth: "actor", permission: "member.manage", effect: "value", status: 201, summary: "Create a service user; its token is shown once" },
  "service-user.list": { method: "GET", path: "/v1/service-users", auth: "actor", permission: "member.manage", effect: "read", status: 200, summary: "List service users" },
  "service-user.get": { method: "GET", path: "/v1/service-users/{serviceUser}", auth: "actor", permission: "member.manage", effect: "read", status: 200, summary: "One service user with its tokens' metadata" },
  "service-user.update": { method: "PATCH", path: "/v1/service-users/{serviceUser}", auth: "actor", permission: "member.manage", effect: "write", status: 200, summary: "Enable or disable a service user" },
  "service-user.delete": { method: "DELETE", path: "/v1/service-users/{serviceUser}", auth: "actor", permission: "member.manage", effect: "write", status: 204, summary: "Delete a service user; access ends at once" },
  "service-token.create": { method: "POST", path: "/v1/service-users/{serviceUser}/tokens", auth: "actor", permission: "member.manage", effect: "value", status: 201, summary: "Another token for a service user, shown once" },
  "service-token.delete": { method: "DELETE", path: "/v1/service-users/{serviceUser}/tokens/{id}", auth: "actor", permission: "member.manage", effect: "write", status: 204, summary: "End a token" },

  "role.list": { method: "GET", path: "/v1/roles", auth: "actor", permission: "self", effect: "read", status: 200, summary: "Roles and their permissions" },
  "grant.create": { method: "POST", path: "/v1/grants", auth: "actor", permission: "grant.manage", effect: "write", status: 201, summary: "Give a principal a role on a scope" },
  "grant.list": { method: "GET", path: "/v1/grants", auth: "actor", permission: "grant.manage", effect: "read", status: 200, summary: "List grants" },
  "grant.delete": { method: "DELETE", path: "/v1/grants/{id}", auth: "actor", permission: "grant.manage", effect: "write", status: 204, summary: "Take a grant away; the default applies again" },

  "org.create": { method: "POST", path: "/v1/orgs", auth: "actor", permission: "instance.admin", effect: "value", status: 201, summary: "Create an org; its owner's set-up credential is shown once" },
  "org.list": { method: "GET", path: "/v1/orgs", auth: "actor", permission: "instance.admin", effect: "read", status: 200, summary: "List the orgs of this instance" },
  "org.get": { method: "GET", path: "/v1/org", auth: "actor", permission: "self", effect: "read", status: 200, summary: "Your org and its settings" },
  "org.update": { method: "PATCH", path: "/v1/org", auth: "actor", permission: "org.manage", effect: "write", status: 200, summary: "Change the org's settings" },

  "environment.create": { method: "POST", path: "/v1/environments", auth: "actor", permission: "environment.manage", effect: "write", status: 201, summary: "Create an environment" },
  "environment.list": { method: "GET", path: "/v1/environments", auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "Environments you can see" },
  "environment.get": { method: "GET", path: "/v1/environments/{environment}", auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "One environment" },
  "environment.update": { method: "PATCH", path: "/v1/environments/{environment}", auth: "actor", permission: "environment.manage", effect: "write", status: 200, summary: "Change mode, local runs or state" },
  "environment.delete": { method: "DELETE", path: "/v1/environments/{environment}", auth: "actor", permission: "environment.manage", effect: "write", status: 204, summary: "Delete an environment: disabled at once, its keys destroyed later" },
  "namespace.create": { method: "POST", path: "/v1/namespaces", auth: "actor", permission: "namespace.manage", effect: "write", status: 201, summary: "Create a namespace" },
  "namespace.list": { method: "GET", path: "/v1/namespaces", auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "Namespaces you can see" },
  "namespace.delete": { method: "DELETE", path: "/v1/namespaces/{namespace}", auth: "actor", permission: "namespace.manage", effect: "write", status: 204, summary: "Delete an empty namespace" },

  "secret.search": { method: "GET", path: "/v1/secrets", auth: "actor", permission: "secret.list", effect: "read", status: 200, summary: "Names and metadata over all scopes you may list" },
  "secret.list": { method: "GET", path: "/v1/environments/{environment}/namespaces/{namespace}/secrets", auth: "actor", permission: "secret.list", effect: "read", status: 200, summary: "Names and metadata in a scope" },
  "secret.write": { method: "PUT", path: SECRET, auth: "actor", permission: "secret.write", effect: "write", status: 200, summary: "Write a value: a new version" },
  "secret.get": { method: "GET", path: SECRET, auth: "actor", permission: "secret.list", effect: "read", status: 200, summary: "Metadata; never the value" },
  "secret.update": { method: "PATCH", path: SECRET, auth: "actor", permission: "secret.write", effect: "write", status: 200, summary: "Change description, tags, owner, rotate-by" },
  "secret.policy": { method: "PUT", path: `${SECRET}/policy`, auth: "actor", permission: "secret.policy", effect: "write", status: 200, summary: "Say which namespaces, workloads and roles may reference it" },
  "secret.versions": { method: "GET", path: `${SECRET}/versions`, auth: "actor", permission: "secret.list", effect: "read", status: 200, summary: "Versions with author and time" },
  "secret.reveal": { method: "POST", path: `${SECRET}/reveal`, auth: "actor", permission: "secret.reveal", effect: "value", status: 200, summary: "Show a value, for a stated reason" },
  "secret.rollback": { method: "POST", path: `${SECRET}/rollback`, auth: "actor", permission: "secret.write", effect: "write", status: 200, summary: "Make an earlier version's value the newest version" },
  "secret.delete": { method: "DELETE", path: SECRET, auth: "actor", permission: "secret.delete", effect: "write", status: 204, summary: "Delete; restorable for 30 days" },
  "secret.restore": { method: "POST", path: `${SECRET}/restore`, auth: "actor", permission: "secret.write", effect: "write", status: 200, summary: "Bring back a deleted secret" },
  "secret.destroy": { method: "POST", path: `${SECRET}/destroy`, auth: "actor", permission: "secret.delete", effect: "write", status: 204, summary: "Destroy versions, or a deleted secret for good" },

  "workload.create": { method: "POST", path: "/v1/namespaces/{namespace}/workloads", auth: "actor", permission: "workload.create", effect: "write", status: 201, summary: "Register a workload" },
  "workload.search": { method: "GET", path: "/v1/workloads", auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "Workloads over all namespaces you can see" },
  "workload.list": { method: "GET", path: "/v1/namespaces/{namespace}/workloads", auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "Workloads of a namespace" },
  "workload.get": { method: "GET", path: WORKLOAD, auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "A workload with its deployments" },
  "workload.update": { method: "PATCH", path: WORKLOAD, auth: "actor", permission: "workload.delete", effect: "write", status: 200, summary: "Enable or disable; describe" },
  "workload.delete": { method: "DELETE", path: WORKLOAD, auth: "actor", permission: "workload.delete", effect: "write", status: 204, summary: "Delete a workload; its tokens and leases end" },
  "manifest.save": { method: "POST", path: `${WORKLOAD}/manifests`, auth: "actor", permission: "workload.edit", effect: "write", status: 201, summary: "Save a manifest: a new version" },
  "manifest.list": { method: "GET", path: `${WORKLOAD}/manifests`, auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "Manifest versions with author and diff" },
  "manifest.get": { method: "GET", path: `${WORKLOAD}/manifests/{version}`, auth: "actor", permission: "workload.view", effect: "read", status: 200, summary: "One manifest version" },
  "deployment.set": { method: "PUT", path: `${WORKLOAD}/deployments/{environment}`, auth: "actor", permission: "workload.deploy", effect: "write", status: 200, summary: "Deploy a manifest version to an environment" },
  "deployment.delete": { method: "DELETE", path: `${WORKLOAD}/deployments/{environment}`, auth: "actor", permission: "workload.deploy", effect: "write", status: 204, summary: "Undeploy from an environment" },

  "token.mint": { method: "POST", path: `${WORKLOAD}/tokens`, auth: "actor", permission: "workload.run", effect: "value", status: 201, summary: "Mint single-use injection tokens" },
  "token.exchange": { method: "POST", path: "/v1/exchange", auth: "injection", permission: "public", effect: "value", status: 200, summary: "Exchange an injection token for its variables, once" },
  "token.lookup": { method: "POST", path: "/v1/injection-tokens/lookup", auth: "injection", permission: "public", effect: "read", status: 200, summary: "What a token would launch, without using it" },
  "injection.list": { method: "GET", path: "/v1/injections", auth: "actor", permission: "injection.view", effect: "read", status: 200, summary: "Launches you can see" },
  "injection.get": { method: "GET", path: "/v1/injections/{id}", auth: "actor", permission: "injection.view", effect: "read", status: 200, summary: "One launch from mint to end" },
  "injection.revoke": { method: "POST", path: "/v1/injections/{id}/revoke", auth: "actor", permission: "workload.run", effect: "write", status: 200, summary: "Revoke a token that was not used, or end the launch's lease" },
  "lease.get": { method: "GET", path: "/v1/leases/self", auth: "lease", permission: "public", effect: "read", status: 200, summary: "This lease" },
  "lease.renew": { method: "POST", path: "/v1/leases/self/renew", auth: "lease", permission: "public", effect: "write", status: 200, summary: "Extend this lease while the launch would still be allowed" },
  "lease.end": { method: "POST", path: "/v1/leases/self/end", auth: "lease", permission: "public", effect: "write", status: 200, summary: "End this lease, with the exit code" },

  "audit.list": { method: "GET", path: "/v1/audit/events", auth: "actor", permission: "audit.read", effect: "read", status: 200, summary: "Audit events you may read" },
  "audit.checkpoints": { method: "GET", path: "/v1/audit/checkpoints", auth: "actor", permission: "audit.read.org", effect: "read", status: 200, summary: "Signed checkpoints and the key that verifies them" },
  "audit.verify": { method: "POST", path: "/v1/audit/verify", auth: "actor", permission: "audit.read.org", effect: "read", status: 200, summary: "Verify the org's whole chain against its checkpoints" },
  "instance-audit.list": { method: "GET", path: "/v1/instance/audit/events", auth: "actor", permission: "instance.admin", effect: "read", status: 200, summary: "Events of the instance's own chain" },
  "instance-audit.checkpoints": { method: "GET", path: "/v1/instance/audit/checkpoints", auth: "actor", permission: "instance.admin", effect: "read", status: 200, summary: "Checkpoints of the instance's own chain" },
  "instance-audit.verify": { method: "POST", path: "/v1/instance/audit/verify", auth: "actor", permission: "instance.admin", effect: "read", status: 200, summary: "Verify the instance's own chain" },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof CATALOG;
