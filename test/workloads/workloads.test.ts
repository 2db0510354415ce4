import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClientRequest, Response } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

type Variables = Extract<ClientRequest<"manifest.save">["body"], { variables: unknown }>["variables"];
type Role = "contributor" | "builder" | "operator" | "viewer" | "auditor";

let vault: TestVault;
let owner: Client;
/** Guests with one role on the namespace default, in every environment. */
const people: Partial<Record<Role, Client>> = {};
const as = (role: Role): Client => {
  const who = people[role];
  if (who === undefined) throw new Error(`nobody is ${role}`);
  return who;
};

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  for (const role of ["contributor", "builder", "operator", "viewer", "auditor"] as const) {
    people[role] = await vault.user(role, "guest");
    await owner.do("grant.create", { body: { principal: role, role, namespace: "default" } });
  }
  for (const name of ["payments", "content-ops"]) await owner.do("namespace.create", { body: { name } });
  for (const [environment, namespace, secret, value] of [
    ["dev", "default", "DB_PASS", "dev-db"],
    ["prod", "default", "DB_PASS", "prod-db"],
    ["prod", "default", "DB_USER", "etl"],
    ["prod", "payments", "STRIPE_KEY", "sk-live"],
    ["dev", "payments", "STRIPE_KEY", "sk-test"],
  ] as const)
    await owner.do("secret.write", { params: { environment, namespace, secret }, body: { value } });
});
afterAll(() => vault.close());

const at = (workload: string, namespace = "default") => ({ namespace, workload });
const create = (workload: string, by: Client = owner, access?: "explicit") =>
  by.do("workload.create", {
    params: { namespace: "default" },
    body: { name: workload, ...(access === undefined ? {} : { access }) },
  });
const save = (workload: string, variables: Variables, by: Client = owner) =>
  by.try("manifest.save", { params: at(workload), body: { variables } });
const deploy = (workload: string, environment: string, by: Client = owner, version?: number | "latest") =>
  by.try("deployment.set", {
    params: { ...at(workload), environment },
    body: version === undefined ? {} : { version },
  });
const mint = (workload: string, environment: string, by: Client = owner, namespace = "default") =>
  by.try("token.mint", { params: at(workload, namespace), body: { environment } });
const code = (answer: Answer<Problem>): string => (answer.status < 400 ? "ok" : answer.body.code);
/** The values that a launch by this person gets, or the code of what refused it. */
async function launch(
  workload: string,
  environment: string,
  by: Client = owner,
): Promise<Record<string, string> | string> {
  const minted = await mint(workload, environment, by);
  if (minted.status !== 201) return minted.body.code;
  const bearer = vault.anonymous.as(minted.body.items[0]?.token ?? "");
  const given = await bearer.try("token.exchange", { query: {} });
  if (given.status !== 200) return given.body.code;
  const { variables } = given.body as Response<"token.exchange">;
  return Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, value]));
}
const reasons = (answer: Answer<Problem>): Record<string, string> => {
  expect(answer.body.code).toBe("reference_refused");
  return Object.fromEntries((answer.body.variables ?? []).map(({ variable, reason }) => [variable, reason]));
};

describe("a manifest", () => {
  beforeAll(() => create("shape"));

  it.each([
    ["a reference that is none", { A: { secret: "a/b/c/d" } }],
    ["an empty reference", { A: { secret: "" } }],
    ["a reference to a version that is none", { A: { secret: "KEY@0" } }],
    ["a template that is not closed", { A: { template: "x${KEY" } }],
    ["a template with no reference in it", { A: { template: "${not a name}" } }],
    ["a variable that is two things", { A: { secret: "KEY", value: "x" } }],
    ["a variable that is nothing", { A: {} }],
    ["a variable with a field nobody knows", { A: { secret: "KEY", optional: true } }],
    ["a name that is none", { "A-B": { value: "x" } }],
    ["an empty name", { "": { value: "x" } }],
    ["a literal with a NUL", { A: { value: "a\u0000b" } }],
  ])("with %s is refused", async (_, variables) => {
    expect(code(await save("shape", variables as never))).toBe("invalid_input");
  });

  it("with 101 variables is refused, and with 100 taken", async () => {
    const many = (count: number): Variables =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`V${String(index)}`, { value: "x" }]));
    expect(code(await save("shape", many(101)))).toBe("invalid_input");
    expect(code(await save("shape", many(100)))).toBe("ok");
  });

  it("with a variable named __proto__ is refused and changes nothing of the program", async () => {
    const body = '{"variables":{"__proto__":{"value":"x"},"constructor":{"value":"x"}}}';
    const { send } = await import("../harness.ts");
    const answer = await send(vault.url, {
      method: "POST",
      path: "/v1/namespaces/default/workloads/shape/manifests",
      headers: { authorization: `Bearer ${owner.token ?? ""}` },
      body,
    });
    expect(answer.status).toBe(400);
    expect(({} as Record<string, unknown>).value).toBeUndefined();
    expect(code(await save("shape", { constructor: { value: "x" }, toString: { value: "y" } }))).toBe("ok");
  });

  it.each([
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PATH",
    "BASH_ENV",
    "PYTHONPATH",
    "GIT_SSH_COMMAND",
    "SALLYPORT_TOKEN",
    "ld_preload",
  ])("does not set %s, which changes how programs load", async (name) => {
    expect(code(await save("shape", { [name]: { value: "x" } }))).toBe("invalid_input");
  });

  it("sets such a name when an admin allowed it for this workload, and stops when it is allowed no more", async () => {
    await create("special");
    const variables = { NODE_OPTIONS: { value: "--max-old-space-size=64" } };
    expect(
      code(
        await as("contributor").try("workload.update", {
          params: at("special"),
          body: { allowedVariables: ["NODE_OPTIONS"] },
        }),
      ),
    ).toBe("forbidden");
    await owner.do("workload.update", { params: at("special"), body: { allowedVariables: ["NODE_OPTIONS"] } });
    expect(code(await save("special", variables))).toBe("ok");
    expect(code(await save("special", { LD_PRELOAD: { value: "x" } }))).toBe("invalid_input");
    expect(await launch("special", "dev")).toEqual({ NODE_OPTIONS: "--max-old-space-size=64" });
    await owner.do("workload.update", { params: at("special"), body: { allowedVariables: [] } });
    expect(code(await deploy("special", "prod"))).toBe("invalid_input");
    expect(await launch("special", "dev")).toBe("launch_refused");
  });

  it("is a version with author, note and diff each time, and old versions stay (R159, R164)", async () => {
    await create("history");
    const builder = as("builder");
    const first = await builder.do("manifest.save", {
      params: at("history"),
      body: { variables: { A: { secret: "DB_PASS" }, B: { value: "1" } }, note: "first" },
    });
    expect(first).toMatchObject({ version: 1, createdBy: "builder", note: "first", maskedVariables: 0 });
    expect(first.diff.map(({ variable, change }) => [variable, change])).toEqual([
      ["A", "added"],
      ["B", "added"],
    ]);
    const second = await owner.do("manifest.save", {
      params: at("history"),
      body: { variables: { B: { value: "2" }, C: { template: "${DB_PASS}" } } },
    });
    expect(second.diff).toEqual([
      { variable: "A", change: "removed", before: { secret: "DB_PASS" }, after: null },
      { variable: "B", change: "changed", before: { value: "1" }, after: { value: "2" } },
      { variable: "C", change: "added", before: null, after: { template: "${DB_PASS}" } },
    ]);
    const { items } = await owner.do("manifest.list", { params: at("history"), query: {} });
    expect(items.map((one) => one.version)).toEqual([2, 1]);
    expect((await owner.do("manifest.get", { params: { ...at("history"), version: "1" } })).variables).toEqual({
      A: { secret: "DB_PASS" },
      B: { value: "1" },
    });
    expect(await owner.code("manifest.get", { params: { ...at("history"), version: "3" } })).toBe("not_found");
    const [event] = (await owner.do("audit.list", { query: { action: "manifest.save" } })).items;
    expect(event?.changes).toContainEqual({ field: "B", before: { value: "1" }, after: { value: "2" } });
  });

  it("saved on top of a version that is not the latest is refused, and one of ten at once succeeds (R16)", async () => {
    await create("edited");
    const saveOn = (version: number, value: string) =>
      owner.try("manifest.save", {
        params: at("edited"),
        body: { variables: { A: { value } } },
        headers: { "If-Match": `"${String(version)}"` },
      });
    expect(code(await saveOn(1, "x"))).toBe("precondition_failed");
    await save("edited", { A: { value: "0" } });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => saveOn(1, String(index))));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201, 412]));
  });

  it("is made by contributors and builders, not by operators, viewers and auditors (R45, R46, R23, R24, R38)", async () => {
    for (const role of ["contributor", "builder"] as const) {
      await create(`of-${role}`, as(role));
      expect(code(await save(`of-${role}`, { A: { value: "x" } }, as(role)))).toBe("ok");
    }
    for (const role of ["operator", "viewer", "auditor"] as const) {
      expect(await as(role).code("workload.create", { params: { namespace: "default" }, body: { name: "mine" } })).toBe(
        "forbidden",
      );
      expect(code(await save("history", { A: { value: "x" } }, as(role)))).toBe("forbidden");
      expect(code(await deploy("history", "dev", as(role)))).toBe("forbidden");
    }
  });

  it.each(["operator", "viewer"] as const)(
    "shows a(n) %s literal variables only, in lists, diffs and the log (R72, R73)",
    async (role) => {
      const who = as(role);
      const get = await who.try("manifest.get", { params: { ...at("history"), version: "2" } });
      expect(get.body).toMatchObject({ variables: { B: { value: "2" } }, maskedVariables: 1 });
      expect(get.body.diff).toEqual([
        { variable: "B", change: "changed", before: { value: "1" }, after: { value: "2" } },
      ]);
      for (const answer of [
        get,
        await who.try("manifest.list", { params: at("history"), query: {} }),
        await who.try("workload.get", { params: at("history") }),
        await who.try("audit.list", { query: { limit: "1000" } }),
      ]) {
        expect(answer.status).toBe(200);
        expect(answer.text).not.toMatch(/DB_PASS|DB_USER|STRIPE/);
      }
    },
  );

  it("is refused to an operator at launch without a name, and to a builder with it (R73)", async () => {
    await create("broken");
    await save("broken", { GONE: { secret: "ABSENT" }, FINE: { secret: "DB_PASS" } });
    await owner.do("grant.create", { body: { principal: "operator", role: "operator", environment: "dev" } });
    const told = async (who: Client): Promise<Answer<Problem>> => mint("broken", "dev", who);
    const operator = await told(as("operator"));
    expect(operator.body.code).toBe("launch_refused");
    expect(operator.text).not.toMatch(/ABSENT|GONE|DB_PASS/);
    const builder = await told(as("builder"));
    expect(builder.body.variables).toEqual([{ variable: "GONE", reason: expect.any(String) as string }]);
  });
});

describe("a deployment", () => {
  it("is of the latest version unless one is named, in an environment at a time (C23)", async () => {
    await create("etl", as("builder"));
    await save("etl", { LEVEL: { value: "1" } }, as("builder"));
    await save("etl", { LEVEL: { value: "2" } }, as("builder"));
    expect((await deploy("etl", "prod", as("builder"), 1)).body).toMatchObject({
      environment: "prod",
      version: 1,
      follow: false,
    });
    expect(await launch("etl", "prod")).toEqual({ LEVEL: "1" });
    expect(await launch("etl", "dev")).toEqual({ LEVEL: "2" });
    expect((await deploy("etl", "prod", as("builder"))).body.version).toBe(2);
    expect(code(await deploy("etl", "prod", as("builder"), 9))).toBe("not_found");
    expect(code(await deploy("etl", "prod", as("builder"), "latest"))).toBe("invalid_input");
    const view = await as("viewer").do("workload.get", { params: at("etl") });
    expect(view.deployments).toMatchObject([{ environment: "prod", version: 2, deployedBy: "builder" }]);
    await as("builder").do("deployment.delete", { params: { ...at("etl"), environment: "prod" } });
    expect(await launch("etl", "prod")).toBe("not_deployed");
    expect(await as("builder").code("deployment.delete", { params: { ...at("etl"), environment: "prod" } })).toBe(
      "not_deployed",
    );
  });

  it("without a manifest is none", async () => {
    await create("empty");
    expect(code(await deploy("empty", "prod"))).toBe("not_deployed");
    expect(await launch("empty", "dev")).toBe("not_deployed");
  });

  it("names each variable that may not be, to those who may know", async () => {
    await create("wrong");
    await save("wrong", {
      FINE: { secret: "DB_PASS" },
      GONE: { secret: "ABSENT" },
      OTHER: { secret: "payments/STRIPE_KEY" },
      DSN: { template: "x://${DB_USER}:${NOTHING}@db" },
      MAYBE: { secret: "ABSENT", required: false },
    });
    expect(Object.keys(reasons(await deploy("wrong", "prod"))).sort()).toEqual(["DSN", "GONE", "OTHER"]);
    expect(Object.keys(reasons(await deploy("wrong", "prod", as("builder")))).sort()).toEqual(["DSN", "GONE", "OTHER"]);
  });

  it("reaches another namespace only where the secret's policy offers it, and then as the workload's builder (R67, R74)", async () => {
    await create("shop", as("builder"));
    await save("shop", { KEY: { secret: "payments/STRIPE_KEY" } }, as("builder"));
    const offer = (policy: object | null) =>
      owner.do("secret.policy", {
        params: { environment: "prod", namespace: "payments", secret: "STRIPE_KEY" },
        body: policy as never,
      });
    expect(code(await deploy("shop", "prod"))).toBe("reference_refused");
    expect(code(await deploy("shop", "prod", as("builder")))).toBe("reference_refused");
    await offer({ namespaces: ["payments", "default"] });
    expect(code(await deploy("shop", "prod", as("builder")))).toBe("ok");
    expect(await launch("shop", "prod")).toEqual({ KEY: "sk-live" });
    await offer({ namespaces: ["payments"], workloads: ["default/shop"] });
    expect(await launch("shop", "prod")).toEqual({ KEY: "sk-live" });
    await offer({ namespaces: ["payments"], workloads: ["default/wrong"] });
    expect(await launch("shop", "prod")).toBe("launch_refused");
    await offer(null);
    expect(await launch("shop", "prod")).toBe("launch_refused");
  });

  it("of a secret whose policy names roles takes one of them (R67)", async () => {
    await owner.do("secret.write", {
      params: { environment: "prod", namespace: "default", secret: "LIMITED" },
      body: { value: "x" },
    });
    await owner.do("secret.policy", {
      params: { environment: "prod", namespace: "default", secret: "LIMITED" },
      body: { roles: ["contributor", "admin"] },
    });
    await create("limited");
    await save("limited", { KEY: { secret: "LIMITED" } });
    expect(reasons(await deploy("limited", "prod", as("builder"))).KEY).toMatch(/roles/);
    expect(code(await deploy("limited", "prod"))).toBe("reference_refused");
    expect(code(await deploy("limited", "prod", as("contributor")))).toBe("ok");
  });

  it("of what is followed asks the same of its author (C23, R67)", async () => {
    const params = { environment: "dev", namespace: "default", secret: "DEV_LIMITED" };
    await owner.do("secret.write", { params, body: { value: "x" } });
    await owner.do("secret.policy", { params, body: { roles: ["contributor"] } });
    await create("followed");
    await save("followed", { KEY: { secret: "DEV_LIMITED" } }, as("builder"));
    expect(await launch("followed", "dev")).toBe("launch_refused");
    await save("followed", { KEY: { secret: "DEV_LIMITED" } }, as("contributor"));
    expect(await launch("followed", "dev")).toEqual({ KEY: "x" });
  });

  it("does not tell a builder what is where it may reference nothing, nor whether there is such a place (R12, R15)", async () => {
    await owner.do("environment.create", { body: { name: "hidden", mode: "private" } });
    await owner.do("environment.create", { body: { name: "lab", mode: "open" } });
    for (const environment of ["hidden", "lab"])
      await owner.do("secret.write", {
        params: { environment, namespace: "payments", secret: "REAL" },
        body: { value: "x" },
      });
    const dev = await vault.user("dev-only", "guest");
    await owner.do("grant.create", {
      body: { principal: "dev-only", role: "builder", environment: "dev", namespace: "default" },
    });
    await create("probe", dev);
    const answer = async (secret: string, required: boolean): Promise<unknown> => {
      await save("probe", { X: { secret, required } }, dev);
      const deployed = await deploy("probe", "dev", dev);
      const launched = await mint("probe", "dev", dev);
      return [deployed.status, deployed.body.variables, launched.status, launched.body.variables];
    };
    for (const required of [true, false]) {
      const absent = await answer("absent/payments/REAL", required);
      expect((absent as unknown[])[0]).toBe(422);
      for (const secret of [
        "hidden/payments/REAL",
        "hidden/payments/NONE",
        "hidden/nowhere/REAL",
        "lab/payments/REAL",
        "lab/payments/NONE",
        "prod/payments/STRIPE_KEY",
      ])
        expect([secret, await answer(secret, required)]).toEqual([secret, absent]);
      expect(await answer("payments/STRIPE_KEY", required)).toEqual(await answer("payments/NONE", required));
    }
  });

  it("binds by id: a secret deleted and made anew under its name is another one (R80)", async () => {
    const params = { environment: "prod", namespace: "default", secret: "BOUND" };
    await owner.do("secret.write", { params, body: { value: "old" } });
    await create("binding");
    await save("binding", { KEY: { secret: "BOUND" }, DSN: { template: "<${BOUND}>" } });
    await deploy("binding", "prod");
    await owner.do("secret.write", { params, body: { value: "newer" } });
    expect(await launch("binding", "prod")).toEqual({ KEY: "newer", DSN: "<newer>" });
    await owner.do("secret.delete", { params });
    expect(await launch("binding", "prod")).toBe("launch_refused");
    await owner.do("secret.write", { params, body: { value: "another" } });
    expect(await launch("binding", "prod")).toBe("launch_refused");
    await owner.do("secret.delete", { params });
    await owner.do("secret.destroy", { params, body: {} });
    await owner.do("secret.restore", { params });
    expect(await launch("binding", "prod")).toEqual({ KEY: "newer", DSN: "<newer>" });
  });

  it("does not follow a name into an environment made anew", async () => {
    const scope = { environment: "agent-9", namespace: "default" };
    const found = async (value: string): Promise<void> => {
      await owner.do("environment.create", { body: { name: "agent-9" } });
      await owner.do("secret.write", { params: { ...scope, secret: "KEY" }, body: { value } });
    };
    await found("first");
    await create("agent");
    await save("agent", { KEY: { secret: "KEY" } });
    await deploy("agent", "agent-9");
    expect(await launch("agent", "agent-9")).toEqual({ KEY: "first" });
    await owner.do("environment.delete", { params: { environment: "agent-9" }, query: { confirm: "agent-9" } });
    await found("second");
    expect(await launch("agent", "agent-9")).toBe("not_deployed");
  });

  it("takes a pinned version, also after newer ones, which stays as long as it is deployed; one that is not there is not deployed", async () => {
    const params = { environment: "prod", namespace: "default", secret: "PIN" };
    for (const value of ["one", "two"]) await owner.do("secret.write", { params, body: { value } });
    await create("pinned");
    await save("pinned", { KEY: { secret: "PIN@1" }, NOW: { secret: "PIN" } });
    await deploy("pinned", "prod");
    expect(await launch("pinned", "prod")).toEqual({ KEY: "one", NOW: "two" });
    expect(await owner.code("secret.destroy", { params, body: { versions: [1] } })).toBe("in_use");
    const at = { namespace: "default", workload: "pinned", environment: "prod" };
    await owner.do("deployment.delete", { params: at });
    await owner.do("secret.destroy", { params, body: { versions: [1] } });
    for (const [version, pin] of [
      [1, "PIN@1"],
      [2, "PIN@3"],
    ] as const) {
      if (version > 1) await save("pinned", { KEY: { secret: pin } });
      const refused = await owner.try("deployment.set", { params: at, body: { version } });
      expect([pin, refused.status, refused.body]).toMatchObject([
        pin,
        422,
        { code: "reference_refused", variables: [{ variable: "KEY", reason: /not there, or was destroyed/ }] },
      ]);
    }
    await save("pinned", { KEY: { secret: "PIN@2" } });
    await deploy("pinned", "prod");
    expect(await launch("pinned", "prod")).toEqual({ KEY: "two" });
  });
});

describe("from one environment into another", () => {
  const environments = { test: "open", prod: "restricted", other: "restricted", vaulted: "private" } as const;
  beforeAll(async () => {
    for (const [name, mode] of Object.entries(environments)) {
      if (name !== "prod") await owner.do("environment.create", { body: { name, mode } });
      await owner.do("secret.write", {
        params: { environment: name, namespace: "default", secret: "CROSS" },
        body: { value: `of ${name}` },
      });
    }
  });

  it.each([
    ["dev", "test", true, "R113"],
    ["test", "prod", false, "R114, R121, R130"],
    ["dev", "prod", false, "R114, R15"],
    ["prod", "test", true, "R115, R121, R125, R131"],
    ["prod", "other", false, "R116, R121, R134"],
    ["other", "prod", false, "R116, R134"],
    ["prod", "prod", true, "R117, R124, R133"],
    ["vaulted", "vaulted", true, "R117"],
    ["vaulted", "test", true, "R118"],
    ["test", "vaulted", false, "R118"],
    ["prod", "vaulted", false, "R118"],
  ] as const)("%s into %s: %s, for owners too (%s, R119)", async (from, to, allowed, _) => {
    const workload = `${from}-into-${to}`;
    await create(workload);
    await save(workload, { KEY: { secret: `${to}/default/CROSS` } });
    const deployed = await deploy(workload, from);
    if (allowed) {
      expect(code(deployed)).toBe("ok");
      expect(await launch(workload, from)).toEqual({ KEY: `of ${to}` });
    } else {
      expect(reasons(deployed)).toEqual({ KEY: `${from} may not reach into ${to}` });
      expect(["launch_refused", "not_deployed"]).toContain(await launch(workload, from));
    }
  });

  it("is looked at again when a token is minted and when it is exchanged (R118, R119, R120)", async () => {
    await create("reaching");
    await save("reaching", { KEY: { secret: "test/default/CROSS" } });
    await deploy("reaching", "prod");
    const minted = await mint("reaching", "prod");
    const bearer = vault.anonymous.as(minted.body.items[0]?.token ?? "");
    const mode = (word: "open" | "restricted") =>
      owner.do("environment.update", { params: { environment: "test" }, body: { mode: word } });
    await mode("restricted");
    expect(code(await mint("reaching", "prod"))).toBe("launch_refused");
    expect(await bearer.code("token.exchange", { query: {} })).toBe("launch_refused");
    await mode("open");
    expect((await bearer.do("token.exchange", { query: {} })).variables.KEY?.value).toBe("of test");
  });
});

describe("following the latest", () => {
  it("is for open environments, and only by authors who may deploy there (C23)", async () => {
    await create("latest");
    await save("latest", { V: { value: "1" } });
    expect(await launch("latest", "dev")).toEqual({ V: "1" });
    expect((await deploy("latest", "dev", owner, "latest")).body).toMatchObject({ follow: true, version: null });
    const elsewhere = await vault.user("elsewhere", "guest");
    await owner.do("grant.create", { body: { principal: "elsewhere", role: "builder", environment: "prod" } });
    expect(code(await save("latest", { V: { value: "2" } }, elsewhere))).toBe("ok");
    expect(await launch("latest", "dev")).toEqual({ V: "1" });
    await save("latest", { V: { value: "3" } }, as("builder"));
    expect(await launch("latest", "dev")).toEqual({ V: "3" });
    await owner.do("environment.update", { params: { environment: "dev" }, body: { mode: "restricted" } });
    expect(await launch("latest", "dev")).toBe("not_deployed");
    await owner.do("environment.update", { params: { environment: "dev" }, body: { mode: "open" } });
    await deploy("latest", "dev", owner, 1);
    expect(await launch("latest", "dev")).toEqual({ V: "1" });
  });

  it("ends for what an author wrote when the author may deploy no more (R37)", async () => {
    const leaver = await vault.user("leaver", "guest");
    const { id } = await owner.do("grant.create", {
      body: { principal: "leaver", role: "builder", namespace: "default" },
    });
    await create("left");
    await save("left", { V: { value: "1" } });
    await save("left", { V: { value: "2" } }, leaver);
    expect(await launch("left", "dev")).toEqual({ V: "2" });
    await owner.do("grant.delete", { params: { id } });
    expect(await launch("left", "dev")).toEqual({ V: "1" });
  });
});

describe("an explicit workload", () => {
  it("is seen, run and edited by those it was shared with, each to their measure (R59–R64)", async () => {
    const support = await vault.user("support", "guest");
    for (const name of ["escalation-triage", "ticket-summarizer", "database-migration"]) {
      await create(name, owner, "explicit");
      await save(name, { LEVEL: { value: "info" } });
      if (name !== "database-migration")
        await owner.do("grant.create", {
          body: { principal: "support", role: "operator", namespace: "default", workload: name },
        });
    }
    for (const name of ["escalation-triage", "ticket-summarizer"]) {
      expect(code(await mint(name, "dev", support))).toBe("ok");
      expect((await support.do("workload.get", { params: at(name) })).name).toBe(name);
      expect(code(await save(name, { LEVEL: { value: "debug" } }, support))).toBe("forbidden");
    }
    expect(code(await mint("database-migration", "dev", support))).toBe("not_found");
    expect(await support.code("workload.get", { params: at("database-migration") })).toBe("not_found");
    const names = (await support.do("workload.search", { query: {} })).items.map((one) => one.name);
    expect(names.sort()).toEqual(["escalation-triage", "ticket-summarizer"]);
    expect((await support.do("workload.list", { params: { namespace: "default" }, query: {} })).items).toHaveLength(2);
  });

  it("is closed to the roles of its namespace, in lists as well (R63)", async () => {
    for (const role of ["contributor", "builder", "operator", "viewer", "auditor"] as const) {
      expect(await as(role).code("workload.get", { params: at("database-migration") })).toBe("not_found");
      expect(code(await mint("database-migration", "dev", as(role)))).toBe("not_found");
      const { items } = await as(role).do("workload.search", { query: { limit: "1000" } });
      expect(items.map((one) => one.name)).not.toContain("database-migration");
      expect(items.map((one) => one.name)).toContain("etl");
    }
  });

  it("is its creator's to build and launch, and no more (R59)", async () => {
    const maker = await vault.user("maker");
    await maker.do("workload.create", { params: { namespace: "default" }, body: { name: "mine", access: "explicit" } });
    expect(code(await save("mine", { LEVEL: { value: "info" } }, maker))).toBe("ok");
    expect(code(await mint("mine", "dev", maker))).toBe("ok");
    expect(await maker.code("workload.delete", { params: at("mine") })).toBe("forbidden");
    const other = await vault.user("other");
    expect(await other.code("workload.get", { params: at("mine") })).toBe("not_found");
  });

  it("becomes and ceases to be one by whoever manages grants", async () => {
    await create("closing", as("contributor"));
    const access = (who: Client, word: "explicit" | "inherit") =>
      who.try("workload.update", { params: at("closing"), body: { access: word } });
    expect((await access(as("contributor"), "explicit")).body).toMatchObject({
      code: "forbidden",
      missing: { permission: "grant.manage" },
    });
    expect((await access(owner, "explicit")).status).toBe(200);
    expect(await as("viewer").code("workload.get", { params: at("closing") })).toBe("not_found");
    expect((await access(owner, "inherit")).status).toBe(200);
    expect((await as("viewer").do("workload.get", { params: at("closing") })).access).toBe("inherit");
  });
});

describe("disabling and deleting a workload", () => {
  it("takes the permission wherever it is deployed (R47, C10)", async () => {
    const devOnly = await vault.user("dev-contributor", "guest");
    // The other open environments follow what the owner saves: whoever stops the workload stops it there too.
    const { items } = await owner.do("environment.list", { query: {} });
    for (const { name: environment } of items.filter(({ mode }) => mode === "open"))
      await owner.do("grant.create", { body: { principal: "dev-contributor", role: "contributor", environment } });
    await create("wide");
    await save("wide", { V: { value: "1" } });
    await deploy("wide", "dev");
    const disable = () => devOnly.try("workload.update", { params: at("wide"), body: { state: "disabled" } });
    expect((await disable()).status).toBe(200);
    await owner.do("workload.update", { params: at("wide"), body: { state: "active" } });
    await deploy("wide", "prod");
    expect(code(await disable())).toBe("forbidden");
    expect(await devOnly.code("workload.delete", { params: at("wide") })).toBe("forbidden");
    for (const role of ["builder", "operator", "viewer"] as const)
      expect(await as(role).code("workload.delete", { params: at("wide") })).toBe("forbidden");
  });

  it("stops launches: those minted too, and for good when it is deleted", async () => {
    const token = async (): Promise<Client> =>
      vault.anonymous.as((await mint("wide", "prod")).body.items[0]?.token ?? "");
    const waiting = await token();
    await owner.do("workload.update", { params: at("wide"), body: { state: "disabled" } });
    expect(code(await mint("wide", "prod"))).toBe("disabled");
    expect(code(await save("wide", { V: { value: "2" } }))).toBe("disabled");
    expect(await waiting.code("token.exchange", { query: {} })).toBe("launch_refused");
    await owner.do("workload.update", { params: at("wide"), body: { state: "active" } });
    await as("contributor").do("workload.delete", { params: at("wide") });
    expect(await waiting.code("token.exchange", { query: {} })).toBe("token_invalid");
    expect(await owner.code("workload.get", { params: at("wide") })).toBe("not_found");
    await create("wide");
    expect((await owner.do("workload.get", { params: at("wide") })).deployments).toEqual([]);
    expect(await waiting.code("token.exchange", { query: {} })).toBe("token_invalid");
    expect(await owner.code("workload.create", { params: { namespace: "default" }, body: { name: "wide" } })).toBe(
      "already_exists",
    );
  });

  it("and a deployment at the same time never leave a deleted workload that launches", async () => {
    for (let round = 0; round < 5; round += 1) {
      const name = `racing-${String(round)}`;
      await create(name);
      await save(name, { V: { value: "1" } });
      const answers = await Promise.all([
        owner.try("workload.delete", { params: at(name) }),
        deploy(name, "prod"),
        deploy(name, "dev"),
      ]);
      for (const answer of answers) expect([200, 204, 404, 409]).toContain(answer.status);
      if (answers[0].status === 204) expect(code(await mint(name, "prod"))).toBe("not_found");
    }
  });
});

describe("the default workload", () => {
  it("takes every secret of the scope under its own name, and stays (R169)", async () => {
    await owner.do("secret.write", {
      params: { environment: "dev", namespace: "content-ops", secret: "TOKEN" },
      body: { value: "t" },
    });
    const minted = await mint("default", "dev", owner, "content-ops");
    const given = await vault.anonymous.as(minted.body.items[0]?.token ?? "").do("token.exchange", { query: {} });
    expect(given.variables).toEqual({ TOKEN: { value: "t", encoding: "utf8" } });
    expect(code(await mint("default", "prod", owner, "content-ops"))).toBe("not_deployed");
    expect(await owner.code("workload.delete", { params: at("default", "content-ops") })).toBe("in_use");
  });

  it("leaves out what a policy keeps for others, and names that change how programs load", async () => {
    const write = (secret: string) =>
      owner.do("secret.write", {
        params: { environment: "dev", namespace: "content-ops", secret },
        body: { value: secret },
      });
    for (const secret of ["NODE_OPTIONS", "LD_PRELOAD", "FOR_SHOP", "FOR_OWNERS"]) await write(secret);
    const policy = (secret: string, body: object) =>
      owner.do("secret.policy", {
        params: { environment: "dev", namespace: "content-ops", secret },
        body: body,
      });
    await policy("FOR_SHOP", { workloads: ["default/shop"], namespaces: [] });
    await policy("FOR_OWNERS", { roles: ["owner"] });
    const names = async (): Promise<string[]> => {
      const minted = await mint("default", "dev", owner, "content-ops");
      const given = await vault.anonymous.as(minted.body.items[0]?.token ?? "").do("token.exchange", { query: {} });
      return Object.keys(given.variables);
    };
    expect(await names()).toEqual(["TOKEN"]);
    await owner.do("deployment.set", { params: { ...at("default", "content-ops"), environment: "dev" }, body: {} });
    expect(await names()).toEqual(["TOKEN"]);
    await owner.do("workload.update", {
      params: at("default", "content-ops"),
      body: { allowedVariables: ["NODE_OPTIONS"] },
    });
    expect((await names()).sort()).toEqual(["NODE_OPTIONS", "TOKEN"]);
  });
});
