import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, TestVault } from "../harness.ts";

interface Link {
  readonly operationId: string;
  readonly parameters: Readonly<Record<string, string>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
}
interface Described {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly links?: Readonly<Record<string, Link>> }>>;
}
type Values = Readonly<Record<string, string>>;

const AT = { environment: "dev", namespace: "default" };
const ETL = { namespace: "default", workload: "etl" };

/** How each operation with links is asked in earnest: after those above it. */
const MADE: Readonly<
  Record<string, { readonly params?: Values; readonly body: object; readonly to: readonly string[] }>
> = {
  "user.create": { body: { login: "bea", role: "member" }, to: ["user.get", "user.update"] },
  "service-user.create": {
    body: { name: "etl-host", kind: "runner" },
    to: ["service-user.get", "service-user.update"],
  },
  "environment.create": { body: { name: "staging" }, to: ["environment.get", "environment.update"] },
  "namespace.create": { body: { name: "pipelines" }, to: ["workload.list"] },
  "secret.write": {
    params: { ...AT, secret: "DB_URL" },
    body: { value: "a value" },
    to: ["secret.get", "secret.update", "secret.uses", "secret.versions"],
  },
  "workload.create": {
    params: { namespace: "default" },
    body: { name: "etl" },
    to: ["workload.get", "workload.update", "manifest.list"],
  },
  "manifest.save": { params: ETL, body: { variables: { DB_URL: { secret: "DB_URL" } } }, to: ["manifest.get"] },
};

describe("The links of the OpenAPI document", () => {
  let vault: TestVault;
  const links = new Map<string, Readonly<Record<string, Link>>>();
  beforeAll(async () => {
    vault = await startVault();
    const document = (await vault.anonymous.do("openapi.get")) as unknown as Document;
    for (const one of Object.values(document.paths).flatMap((path) => Object.values(path)))
      for (const answer of Object.values(one.responses))
        if (answer.links !== undefined) links.set(one.operationId, answer.links);
  });
  afterAll(() => vault.close());

  test("lead from what makes something to what shows or changes it, and from nowhere else", () => {
    const found = [...links].map(([from, to]) => [from, Object.keys(to).sort()]);
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(Object.entries(MADE).map(([from, { to }]) => [from, [...to].sort()])),
    );
    for (const [name, { operationId, parameters }] of [...links.values()].flatMap((to) => Object.entries(to))) {
      expect([name, operationId in CATALOG]).toEqual([operationId, true]);
      const { path } = CATALOG[operationId as OperationId];
      expect(Object.keys(parameters).sort()).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, one]) => one).sort());
    }
  });

  test("hold in real answers: what they say, filled in, is asked for and is there", async () => {
    let followed = 0;
    for (const [from, { params = {}, body }] of Object.entries(MADE)) {
      const made = await ask(vault.owner, from, params, body);
      expect([from, made.status]).toEqual([from, CATALOG[from as OperationId].status]);
      for (const { operationId, parameters } of Object.values(links.get(from) ?? {})) {
        const filled = Object.fromEntries(
          Object.entries(parameters).map(([name, expression]) => [name, resolved(expression, params, made.body)]),
        );
        const { method } = CATALOG[operationId as OperationId];
        const answer = await ask(vault.owner, operationId, filled, method === "GET" ? undefined : {});
        // A change of nothing may be refused as that, but not because nothing is there.
        expect([from, operationId, method === "GET" ? answer.status : answer.status !== 404]).toEqual([
          from,
          operationId,
          method === "GET" ? 200 : true,
        ]);
        followed += 1;
      }
      // With the name of nothing it is not there: what was found above is what was made.
      const shows = Object.values(links.get(from) ?? {}).find(
        ({ operationId }) => CATALOG[operationId as OperationId].method === "GET",
      );
      const nothing = Object.entries(shows?.parameters ?? {}).map(([name, expression]) =>
        expression.startsWith("$request")
          ? [name, params[name] ?? ""]
          : [name, name === "version" ? "9999" : "nowhere"],
      );
      const missing = await ask(vault.owner, shows?.operationId ?? "", Object.fromEntries(nothing) as Values);
      expect([from, missing.status]).toEqual([from, 404]);
    }
    expect(followed).toBe(Object.values(MADE).flatMap(({ to }) => to).length);
  });
});

/** A runtime expression of the two kinds that there are. */
function resolved(expression: string, params: Values, body: unknown): string {
  const name = /^\$request\.path\.(\w+)$/.exec(expression)?.[1];
  const pointer = /^\$response\.body#((?:\/\w+)+)$/.exec(expression)?.[1];
  const value =
    name === undefined
      ? pointer
          ?.slice(1)
          .split("/")
          .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], body)
      : params[name];
  if (typeof value !== "string" && typeof value !== "number") throw new Error(`${expression} is not in the answer`);
  return String(value);
}

/** By an id that only the document knows. */
function ask(client: Client, id: string, params: Values, body?: object): Promise<Answer<unknown>> {
  const given = { params, ...(body === undefined ? {} : { body }) };
  return client.try(id as "org.update", given as never);
}
