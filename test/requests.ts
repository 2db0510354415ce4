import type { ClientRequest, OperationId } from "#contract";
import { PASSWORD } from "./harness.ts";

/** What the requests are about. */
export interface Names {
  readonly environment: string;
  readonly namespace: string;
  readonly secret: string;
  readonly workload: string;
  readonly user: string;
  readonly serviceUser: string;
  readonly session: string;
  readonly credential: string;
  readonly grant: string;
  readonly injection: string;
}

export type Requests = { readonly [Id in OperationId]: Partial<ClientRequest<Id>> };

/** A well-formed request of every operation there is, about these things. An operation without one does not compile. */
export function requestsAbout(names: Names): Requests {
  const { environment, namespace, secret, workload, user, serviceUser } = names;
  const scope = { environment, namespace };
  const inSecret = { params: { ...scope, secret } };
  const inWorkload = { params: { namespace, workload } };
  // Ids are branded; what a stranger sends is text.
  const id = (text: string): never => ({ id: text }) as never;
  return {
    "health.live": {},
    "health.ready": {},
    "metrics.get": {},
    "openapi.get": {},
    "status.get": {},
    "session.create": { body: { login: user, password: "not the password" } },
    "session.end": {},
    "session.list": {},
    "session.revoke": { params: id(names.session) },
    "whoami.get": {},
    "set-up.complete": { body: { password: PASSWORD } },
    "password.change": { body: { current: "not the password", password: PASSWORD } },
    "user.create": { body: { login: "new-user" } },
    "user.list": { query: {} },
    "user.get": { params: { user } },
    "user.update": { params: { user }, body: { state: "disabled" } },
    "user.invite": { params: { user } },
    "user.delete": { params: { user } },
    "service-user.create": { body: { name: "new-bot", kind: "ci" } },
    "service-user.list": { query: {} },
    "service-user.get": { params: { serviceUser } },
    "service-user.update": { params: { serviceUser }, body: { state: "disabled" } },
    "service-user.delete": { params: { serviceUser } },
    "service-token.create": { params: { serviceUser }, body: {} },
    "service-token.delete": { params: { serviceUser, id: names.credential } },
    "role.list": {},
    "grant.create": { body: { principal: user, role: "viewer", environment, namespace, workload } },
    "grant.list": { query: { principal: user } },
    "grant.delete": { params: id(names.grant) },
    "org.create": { body: { name: "new-org", owner: "boss" } },
    "org.list": { query: {} },
    "org.get": {},
    "org.update": { body: { reveal: "nobody" } },
    "environment.create": { body: { name: "new-env" } },
    "environment.list": { query: {} },
    "environment.get": { params: { environment } },
    "environment.update": { params: { environment }, body: { mode: "open" } },
    "environment.delete": { params: { environment }, query: { confirm: environment } },
    "namespace.create": { body: { name: "new-ns" } },
    "namespace.list": { query: {} },
    "namespace.delete": { params: { namespace } },
    "secret.search": { query: {} },
    "secret.list": { params: scope, query: {} },
    "secret.bulk": { params: scope, body: { secrets: [{ name: secret, value: "theirs" }] } },
    "secret.copy": { body: { from: scope, to: scope, names: [secret], rename: { [secret]: "THEIRS" } } },
    "secret.compare": { body: { from: scope, to: scope } },
    "secret.generate": { ...inSecret, body: { kind: "hex" } },
    "secret.uses": inSecret,
    "secret.write": { ...inSecret, body: { value: "theirs" } },
    "secret.get": inSecret,
    "secret.update": { ...inSecret, body: { description: "theirs" } },
    "secret.policy": { ...inSecret, body: null },
    "secret.versions": inSecret,
    "secret.reveal": { ...inSecret, body: { reason: "just a look" } },
    "secret.rollback": { ...inSecret, body: { version: 1 } },
    "secret.delete": inSecret,
    "secret.restore": inSecret,
    "secret.destroy": { ...inSecret, body: { versions: [1] } },
    "workload.create": { params: { namespace }, body: { name: "new-workload" } },
    "workload.search": { query: {} },
    "workload.list": { params: { namespace }, query: {} },
    "workload.get": inWorkload,
    "workload.update": { ...inWorkload, body: { state: "disabled" } },
    "workload.delete": inWorkload,
    "manifest.save": { ...inWorkload, body: { all: true } },
    "manifest.list": { ...inWorkload, query: {} },
    "manifest.get": { params: { namespace, workload, version: "1" } },
    "deployment.set": { params: { namespace, workload, environment }, body: {} },
    "deployment.delete": { params: { namespace, workload, environment } },
    "token.mint": { ...inWorkload, body: { environment } },
    "token.exchange": { query: {} },
    "token.lookup": {},
    "injection.list": { query: { environment, namespace, workload } },
    "injection.get": { params: id(names.injection) },
    "injection.revoke": { params: id(names.injection) },
    "lease.get": {},
    "lease.renew": {},
    "lease.end": { body: {} },
    "audit.list": { query: {} },
    "audit.checkpoints": { query: {} },
    "audit.verify": {},
    "instance-audit.list": { query: {} },
    "instance-audit.checkpoints": { query: {} },
    "instance-audit.verify": {},
  };
}
