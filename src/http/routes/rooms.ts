import type { Id } from "#base";
import type { AuditView, Environments, Grants, Guard, Namespaces, OrgSettings } from "#access";
import type { Orgs, ServiceUsers, Sessions, SignIn, Users } from "#identity";
import type { Exchange, Injections, Leases, Mint } from "#injection";
import type { Bulk, Comparison, Copies, Destruction, Secrets, Versions } from "#secrets";
import type { Store } from "#storage";
import type { Deployments, Manifests, Uses, Workloads } from "#workloads";
import type { Response } from "#contract";

/** What the routes call: one object a part of the domain, made by the composition root. */
export interface Rooms {
  readonly guard: Guard;
  readonly store: Store;
  readonly audit: AuditView;
  readonly environments: Environments;
  readonly namespaces: Namespaces;
  readonly grants: Grants;
  readonly orgSettings: OrgSettings;
  readonly orgs: Orgs;
  readonly users: Users;
  readonly serviceUsers: ServiceUsers;
  readonly sessions: Sessions;
  readonly signIn: SignIn;
  readonly secrets: Secrets;
  readonly versions: Versions;
  readonly destruction: Destruction;
  readonly bulk: Bulk;
  readonly copies: Copies;
  readonly comparison: Comparison;
  readonly uses: Uses;
  readonly workloads: Workloads;
  readonly manifests: Manifests;
  readonly deployments: Deployments;
  readonly mint: Mint;
  readonly exchange: Exchange;
  readonly injections: Injections;
  readonly leases: Leases;
  /** What the process says of itself to somebody of this org; what is of all orgs together only where `whole` is said. */
  readonly status: (org: Id<"org">, whole: boolean) => Promise<Response<"status.get">>;
}
