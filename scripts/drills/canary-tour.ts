import { CATALOG, FORMAT_NAMES } from "#contract";
import type { ClientRequest, OperationId, Response } from "#contract";
import type { Client } from "../../test/harness.ts";
import { canaryOf, tokenCanary } from "./canary-forms.ts";
import type { Canary } from "./canary-forms.ts";
import type { Heard } from "./canary-places.ts";

type Given<Id extends OperationId> = Partial<ClientRequest<Id>> & { readonly headers?: Record<string, string> };

/** The secrets of the tour, and what the vault issued on the way. */
export interface Secrets {
  readonly value: Canary;
  readonly binary: Canary;
  readonly template: Canary;
  readonly password: Canary;
  /** The tour adds what it is given. */
  readonly issued: Canary[];
}

/** Calls every operation of the catalog once at least, so that it succeeds. Returns those that never did. */
export async function tour(
  anonymous: Client,
  setUpToken: string,
  secrets: Secrets,
  heard: Heard,
): Promise<OperationId[]> {
  const done = new Set<OperationId>();

  async function ask<Id extends OperationId>(who: Client, id: Id, given: Given<Id> = {}): Promise<Response<Id>> {
    const answer = await who.try(id, given);
    heard.add(`the answer of ${id}`, withoutWhatIsMeant(id, answer.text));
    if (answer.status >= 400) throw new Error(`${id} answered ${String(answer.status)}`);
    done.add(id);
    return answer.body;
  }
  function issue(name: string, token: string): Client {
    secrets.issued.push(tokenCanary(`${name} ${String(secrets.issued.length)}`, token));
    return anonymous.as(token);
  }
  const password = secrets.password.text;
  const scope = { environment: "prod", namespace: "default" };

  // Nobody and everybody.
  for (const id of ["health.live", "health.ready", "metrics.get", "openapi.get"] as const) await ask(anonymous, id);
  const owner = issue(
    "session",
    (await ask(issue("set-up", setUpToken), "set-up.complete", { body: { password } })).token,
  );
  for (const id of ["status.get", "whoami.get", "org.get", "role.list"] as const) await ask(owner, id);
  issue("session", (await ask(anonymous, "session.create", { body: { login: "owner", password } })).token);
  const sessions = await ask(owner, "session.list");
  const other = sessions.items.find((one) => !one.current);
  if (other !== undefined) await ask(owner, "session.revoke", { params: { id: other.id } });
  const third = issue(
    "session",
    (await ask(anonymous, "session.create", { body: { login: "owner", password } })).token,
  );
  await ask(third, "session.end");
  const changed = `${password} changed`;
  await ask(owner, "password.change", { body: { current: password, password: changed } });
  await ask(owner, "password.change", { body: { current: changed, password } });

  // People, machines, places.
  await ask(owner, "org.list", { query: {} });
  await ask(owner, "org.update", { body: { viewerAudit: "scope" } });
  issue("set-up", (await ask(owner, "org.create", { body: { name: "second", owner: "boss" } })).setUpToken);
  const bea = { user: "bea" };
  issue("set-up", (await ask(owner, "user.create", { body: { login: "bea", role: "member" } })).setUpToken);
  await ask(owner, "user.update", { params: bea, body: { role: "member" } });
  const invited = await ask(owner, "user.invite", { params: bea });
  const builder = issue(
    "session",
    (await ask(issue("set-up", invited.setUpToken), "set-up.complete", { body: { password } })).token,
  );
  await ask(owner, "user.list", { query: {} });
  await ask(owner, "user.get", { params: bea });
  const host = await ask(owner, "service-user.create", { body: { name: "host", kind: "runner" } });
  const runner = issue("service token", host.token.token);
  await ask(owner, "service-user.list", { query: {} });
  await ask(owner, "service-user.get", { params: { serviceUser: "host" } });
  await ask(owner, "service-user.update", { params: { serviceUser: "host" }, body: { description: "a host" } });
  const spare = await ask(owner, "service-token.create", { params: { serviceUser: "host" }, body: {} });
  issue("service token", spare.token);
  await ask(owner, "service-token.delete", { params: { serviceUser: "host", id: spare.id } });
  const grant = await ask(owner, "grant.create", { body: { principal: "host", role: "runner", environment: "prod" } });
  await ask(owner, "grant.list", { query: {} });
  await ask(owner, "environment.create", { body: { name: "gone" } });
  await ask(owner, "environment.list", { query: {} });
  await ask(owner, "environment.get", { params: { environment: "gone" } });
  await ask(owner, "environment.update", { params: { environment: "gone" }, body: { mode: "private" } });
  await ask(owner, "environment.delete", { params: { environment: "gone" }, query: { confirm: "gone" } });
  await ask(owner, "namespace.create", { body: { name: "gone" } });
  await ask(owner, "namespace.list", { query: {} });
  await ask(owner, "namespace.delete", { params: { namespace: "gone" } });

  // Secrets.
  const named = (secret: string) => ({ ...scope, secret });
  await ask(owner, "secret.write", { params: named("VALUE"), body: { value: "before" } });
  await ask(owner, "secret.write", { params: named("VALUE"), body: { value: secrets.value.text } });
  const binary = Buffer.concat([Buffer.from([0xff, 0]), Buffer.from(secrets.binary.text)]).toString("base64");
  await ask(owner, "secret.write", { params: named("BINARY"), body: { value: binary, encoding: "base64" } });
  await ask(owner, "secret.write", { params: named("PART"), body: { value: secrets.template.text } });
  for (const query of [{}, { prefix: "V" }]) await ask(owner, "secret.search", { query });
  await ask(owner, "secret.list", { params: scope, query: {} });
  await ask(owner, "secret.get", { params: named("VALUE") });
  await ask(owner, "secret.update", { params: named("VALUE"), body: { description: "what it is for" } });
  await ask(owner, "secret.policy", { params: named("PART"), body: { namespaces: ["default"] } });
  await ask(owner, "secret.versions", { params: named("VALUE") });
  await ask(owner, "secret.reveal", { params: named("VALUE"), body: { reason: "drill" } });
  await ask(owner, "secret.write", { params: named("VALUE"), body: { value: `${secrets.value.text} newer` } });
  await ask(owner, "secret.rollback", { params: named("VALUE"), body: { version: 2 } });
  await ask(owner, "secret.destroy", { params: named("VALUE"), body: { versions: [3] } });
  await ask(owner, "secret.delete", { params: named("BINARY") });
  await ask(owner, "secret.restore", { params: named("BINARY") });

  // Many at once, and from place to place.
  const item = (name: string) => ({ name, value: secrets.value.text, description: "one of many" });
  const many = [item("MANY_A"), item("MANY_B"), { name: "MANY_C", value: binary, encoding: "base64" as const }];
  const key2 = { "Idempotency-Key": secrets.template.text.slice(0, 36) };
  await ask(owner, "secret.bulk", { params: scope, body: { secrets: many, preview: true } });
  await ask(owner, "secret.bulk", { params: scope, body: { secrets: many }, headers: key2 });
  const others = many.map((one) => ({ ...one, value: `${secrets.value.text} other`, encoding: "utf8" as const }));
  await heardRefusal("a bulk write with a key that was used", owner, "secret.bulk", {
    params: scope,
    body: { secrets: others },
    headers: key2,
  });
  const stale = many.map((one) => ({ ...one, ifVersion: 9 }));
  await heardRefusal("a stale bulk write", owner, "secret.bulk", { params: scope, body: { secrets: stale } });
  const dev = { environment: "dev", namespace: "default" };
  const names = ["MANY_A", "MANY_B", "VALUE"];
  for (const more of [{ preview: true }, {}, { overwrite: true }])
    await ask(owner, "secret.copy", { body: { from: scope, to: dev, names, ...more } });
  await heardRefusal("a copy over what is there", owner, "secret.copy", { body: { from: scope, to: dev, names } });
  await ask(owner, "secret.copy", {
    body: { from: scope, to: dev, names: ["MANY_C"], rename: { MANY_C: "MOVED" }, move: true },
  });
  // Commands will take all of dev, as text.
  await ask(owner, "secret.delete", { params: { ...dev, secret: "MOVED" } });
  await ask(owner, "secret.compare", { body: { from: scope, to: dev } });
  await ask(owner, "secret.compare", { body: { from: scope, to: dev, values: true, reason: "drill" } });
  for (const kind of ["hex", "base64url", "alnum", "passphrase"] as const) {
    const params = named(`MADE_${kind.toUpperCase()}`);
    await ask(owner, "secret.generate", { params, body: { kind } });
    const { value } = await ask(owner, "secret.reveal", { params, body: { reason: "drill" } });
    secrets.issued.push(canaryOf(`a generated value (${kind})`, value, value));
  }
  await ask(owner, "secret.uses", { params: named("VALUE") });
  for (const query of [{ contains: "many" }, { author: "owner" }, { usedBefore: new Date().toISOString() }])
    await ask(owner, "secret.search", { query });

  // Workloads and launches.
  const job = { namespace: "default", workload: "job" };
  await ask(owner, "workload.create", { params: { namespace: "default" }, body: { name: "job" } });
  const variables = {
    VALUE: { secret: "VALUE" },
    BINARY: { secret: "BINARY" },
    DSN: { template: "user:${PART}@host" },
    LEVEL: { value: "info" },
  };
  await ask(owner, "manifest.save", { params: job, body: { variables } });
  await ask(owner, "deployment.set", { params: { ...job, environment: "prod" }, body: {} });
  for (const who of [owner, builder]) {
    await ask(who, "workload.search", { query: {} });
    await ask(who, "workload.list", { params: { namespace: "default" }, query: {} });
    await ask(who, "workload.get", { params: job });
    await ask(who, "manifest.list", { params: job, query: {} });
    await ask(who, "manifest.get", { params: { ...job, version: "1" } });
    await ask(who, "injection.list", { query: {} });
    await ask(who, "audit.list", { query: {} });
  }
  await ask(owner, "workload.update", { params: job, body: { description: "a job" } });
  const minted = await ask(owner, "token.mint", { params: job, body: { environment: "prod", count: 4 } });
  const [first, other2, shell, unused] = minted.items.map((item) => issue("injection token", item.token));
  if (first === undefined || other2 === undefined || shell === undefined || unused === undefined)
    throw new Error("no tokens");
  await ask(first, "token.lookup");
  const key = { "Idempotency-Key": secrets.value.text.slice(0, 36) };
  const given = await ask(first, "token.exchange", { query: {}, headers: key });
  issue("lease", given.lease.token);
  const lease = issue("lease", (await ask(first, "token.exchange", { query: {}, headers: key })).lease.token);
  await heardRefusal("an exchange of a used token", first, "token.exchange", { query: {} });
  // None of them can carry the binary value; what they say of it is heard.
  for (const format of FORMAT_NAMES.filter((one) => one !== "json" && one !== "kubernetes" && one !== "shell"))
    await heardRefusal(`an exchange as ${format}`, other2, "token.exchange", { query: { format } });
  await heardRefusal("an exchange as shell", shell, "token.exchange", { query: { format: "shell" } });
  await heardRefusal("an exchange as nothing that there is", shell, "token.exchange", {
    query: {},
    headers: { Accept: "image/png" },
  });
  await ask(owner, "secret.uses", { params: named("VALUE") });
  await ask(owner, "secret.get", { params: named("VALUE") });
  issue(
    "lease",
    (await ask(other2, "token.exchange", { query: {}, headers: { "Sallyport-Runner": runner.token ?? "" } })).lease
      .token,
  );
  await ask(lease, "lease.get");
  await ask(lease, "lease.renew");
  await ask(lease, "lease.end", { body: { exitCode: 0 } });
  await ask(owner, "injection.get", { params: { id: given.injectionId } });
  const left = minted.items[3];
  if (left !== undefined) await ask(owner, "injection.revoke", { params: { id: left.injectionId } });

  // The audit log, and the end of things.
  for (const id of ["audit.verify", "instance-audit.verify"] as const) await ask(owner, id);
  for (const id of ["audit.list", "audit.checkpoints", "instance-audit.list", "instance-audit.checkpoints"] as const)
    await ask(owner, id, { query: {} });
  await ask(owner, "deployment.delete", { params: { ...job, environment: "prod" } });
  await ask(owner, "workload.delete", { params: job });
  await ask(owner, "grant.delete", { params: { id: grant.id } });
  await ask(owner, "service-user.delete", { params: { serviceUser: "host" } });
  await ask(owner, "user.delete", { params: bea });

  return (Object.keys(CATALOG) as OperationId[]).filter((id) => !done.has(id));

  async function heardRefusal<Id extends OperationId>(
    what: string,
    who: Client,
    id: Id,
    request: Given<Id>,
  ): Promise<void> {
    const answer = await who.try(id, request);
    if (answer.status < 400) throw new Error(`${what} was answered`);
    heard.add(what, answer.text);
  }
}

/** A value or a credential may stand in the field that is there for it, of an operation that hands one out; nowhere else. */
function withoutWhatIsMeant(id: OperationId, text: string): string {
  return CATALOG[id].effect === "value"
    ? text.replace(/"(token|setUpToken|value)":"(?:[^"\\]|\\.)*"/g, '"$1":""')
    : text;
}
