import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startVault } from "./harness.ts";
import type { Client, TestVault } from "./harness.ts";

describe("the main job", () => {
  let vault: TestVault;
  let owner: Client;
  let builder: Client;
  let operator: Client;
  let runner: Client;
  const scope = { environment: "prod", namespace: "data-pipelines" };
  const etl = { namespace: "data-pipelines", workload: "etl" };

  beforeAll(async () => {
    vault = await startVault();
    ({ owner } = vault);
    await owner.do("namespace.create", { body: { name: "data-pipelines" } });
    builder = await vault.user("bea");
    operator = await vault.user("otto", "guest");
    runner = await vault.service("prod-runner", "runner");
    await owner.do("grant.create", { body: { principal: "bea", role: "builder", environment: "prod" } });
    await owner.do("grant.create", { body: { principal: "otto", role: "operator", environment: "prod" } });
    await owner.do("grant.create", {
      body: {
        principal: "prod-runner",
        role: "runner",
        environment: "prod",
        namespace: "data-pipelines",
        workload: "default",
      },
    });
  });
  afterAll(() => vault.close());

  it("goes from a written secret to its variables, once (R65, R69, R70)", async () => {
    for (const [secret, value] of [
      ["DB_USER", "etl"],
      ["DB_PASS", "p'a\"ss`\n"],
    ] as const) {
      await owner.do("secret.write", { params: { ...scope, secret }, body: { value } });
    }
    const listed = await builder.do("secret.list", { params: scope, query: {} });
    expect(listed.items.map((one) => one.name)).toEqual(["DB_PASS", "DB_USER"]);
    expect(
      await builder.code("secret.reveal", { params: { ...scope, secret: "DB_PASS" }, body: { reason: "curious" } }),
    ).toBe("forbidden");

    await builder.do("workload.create", { params: { namespace: "data-pipelines" }, body: { name: "etl" } });
    await builder.do("manifest.save", {
      params: etl,
      body: {
        variables: {
          DSN: { template: "postgres://${DB_USER}:${DB_PASS}@db/$$app" },
          PASSWORD: { secret: "DB_PASS" },
          LEVEL: { value: "info" },
          MAYBE: { secret: "ABSENT", required: false },
        },
      },
    });
    await builder.do("deployment.set", { params: { ...etl, environment: "prod" }, body: {} });
    await owner.do("grant.create", {
      body: {
        principal: "prod-runner",
        role: "runner",
        environment: "prod",
        namespace: "data-pipelines",
        workload: "etl",
      },
    });

    const minted = await operator.do("token.mint", { params: etl, body: { environment: "prod" } });
    expect(minted.bound).toBe(true);
    const token = minted.items[0]?.token ?? "";
    const bearer = vault.anonymous.as(token);
    expect(await bearer.code("token.exchange", { query: {} })).toBe("runner_required");
    const given = await bearer.do("token.exchange", { query: {}, headers: { "Sallyport-Runner": runner.token ?? "" } });
    expect(given.variables).toEqual({
      DSN: { value: "postgres://etl:p'a\"ss`\n@db/$app", encoding: "utf8" },
      PASSWORD: { value: "p'a\"ss`\n", encoding: "utf8" },
      LEVEL: { value: "info", encoding: "utf8" },
    });
    expect(
      await bearer.code("token.exchange", { query: {}, headers: { "Sallyport-Runner": runner.token ?? "" } }),
    ).toBe("token_invalid");

    const events = await owner.do("audit.list", { query: { action: "token.replayed" } });
    expect(events.items).toHaveLength(1);
    const verdict = await owner.do("audit.verify");
    expect(verdict).toMatchObject({ intact: true, faults: [] });
  });

  it("lets an operator see neither a secret's name nor the variable it fills (R72, R73)", async () => {
    const manifest = await operator.do("manifest.get", { params: { ...etl, version: "1" } });
    expect(manifest.variables).toEqual({ LEVEL: { value: "info" } });
    expect(manifest.maskedVariables).toBe(3);
    expect(await operator.code("secret.list", { params: scope, query: {} })).toBe("forbidden");
    const log = await operator.try("audit.list", { query: {} });
    expect(log.text).not.toContain("DB_PASS");
  });
});
