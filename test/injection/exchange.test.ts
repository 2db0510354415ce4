import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HOUR, MINUTE, SECOND } from "#base";
import { LaunchPad } from "./launch-pad.ts";

describe("The exchange", () => {
  let pad: LaunchPad;

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("DB_USER", "etl");
    await pad.write("DB_PASS", "p'a\"ss`\n");
    await pad.write("CERT", Buffer.from([0, 0xff, 0x80, 0x0a]));
    await pad.deploy("job", {
      DSN: { template: "postgres://${DB_USER}:${DB_PASS}@db/$$app" },
      CERT: { secret: "CERT" },
      LEVEL: { value: "info" },
      MAYBE: { secret: "ABSENT", required: false },
    });
    await pad.deploy("plain", { USER: { secret: "DB_USER" }, LEVEL: { value: "info" } });
  });
  afterAll(() => pad.close());

  it("gives exactly the variables of the manifest, once, and a lease (R65, R69, R70)", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    const answer = await pad.exchange(bearer);
    expect(answer.status).toBe(200);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(answer.body).toMatchObject({
      workload: "ops/job",
      environment: "prod",
      manifestVersion: 1,
      variables: {
        DSN: { value: "postgres://etl:p'a\"ss`\n@db/$app", encoding: "utf8" },
        CERT: { value: Buffer.from([0, 0xff, 0x80, 0x0a]).toString("base64"), encoding: "base64" },
        LEVEL: { value: "info", encoding: "utf8" },
      },
    });
    expect(Object.keys(answer.body.variables)).toEqual(["DSN", "CERT", "LEVEL"]);
    expect(await pad.bearer(answer.body.lease.token).do("lease.get")).toMatchObject({
      state: "active",
      injectionId: answer.body.injectionId,
      workload: "ops/job",
      environment: "prod",
    });
    expect(await pad.outcome(bearer)).toBe("token_invalid");
    const [event, ...others] = await pad.eventsOf(answer);
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      action: "token.exchange",
      result: "success",
      target: { type: "injection", id: answer.body.injectionId },
      facts: { format: "json", variables: 3, manifestVersion: 1 },
    });
    expect(event?.secrets?.map(({ name, version }) => [name, version]).sort()).toEqual([
      ["CERT", 1],
      ["DB_PASS", 1],
      ["DB_USER", 1],
    ]);
    expect(JSON.stringify(event)).not.toContain("p'a");
  });

  it("writes dotenv and shell where they are asked for, with the lease in a header", async () => {
    const shell = await pad.exchange(await pad.mint(pad.owner, "plain"), { format: "shell" });
    expect(shell.text).toBe("export USER='etl'\nexport LEVEL='info'\n");
    const dotenv = await pad.exchange(await pad.mint(pad.owner, "plain"), { format: "dotenv" });
    expect(dotenv.text).toBe("USER='etl'\nLEVEL='info'\n");
    expect(dotenv.headers["content-type"]).toContain("text/plain");
    const accepted = await pad.exchange(await pad.mint(pad.owner, "plain"), { accept: "text/plain" });
    expect(accepted.text).toBe("USER='etl'\nLEVEL='info'\n");
    for (const answer of [shell, dotenv, accepted]) {
      const lease = String(answer.headers["sallyport-lease"]);
      expect((await pad.bearer(lease).do("lease.get")).state).toBe("active");
    }
    for (const accept of ["application/json", "*/*", "text/plain;q=0.5, application/json", "text/plain, */*"]) {
      const json = await pad.exchange(await pad.mint(pad.owner, "plain"), { accept });
      expect(json.headers["content-type"], accept).toContain("application/json");
      expect(json.headers["sallyport-lease"]).toBeUndefined();
    }
  });

  it.each([
    ["json", "application/json", '{"injectionId":'],
    ["dotenv", "text/plain; charset=utf-8", "USER='etl'\nLEVEL='info'\n"],
    ["shell", "application/octet-stream", "export USER='etl'\nexport LEVEL='info'\n"],
    ["docker", "text/plain; charset=utf-8", "# For docker --env-file."],
    ["systemd", "text/plain; charset=utf-8", "USER='etl'\nLEVEL='info'\n"],
    ["yaml", "application/yaml", '"USER": "etl"\n"LEVEL": "info"\n'],
    [
      "kubernetes",
      "application/yaml",
      'apiVersion: v1\nkind: Secret\nmetadata:\n  name: "plain"\ntype: Opaque\ndata:\n',
    ],
    ["toml", "application/toml", 'USER = "etl"\nLEVEL = "info"\n'],
    ["properties", "text/plain; charset=utf-8", "USER=etl\nLEVEL=info\n"],
    ["tfvars", "text/plain; charset=utf-8", 'USER = "etl"\nLEVEL = "info"\n'],
  ] as const)("answers ?format=%s as %s, whatever is accepted, and uses the token", async (format, type, begin) => {
    const bearer = await pad.mint(pad.owner, "plain");
    const answer = await pad.exchange(bearer, { format, accept: "image/png" });
    expect([answer.status, answer.headers["content-type"], answer.text.slice(0, begin.length)]).toEqual([
      200,
      type,
      begin,
    ]);
    expect(answer.headers["sallyport-lease"] === undefined).toBe(format === "json");
    expect(await pad.outcome(bearer)).toBe("token_invalid");
    const [event] = await pad.eventsOf(answer);
    expect(event).toMatchObject({ action: "token.exchange", result: "success", facts: { format, variables: 2 } });
  });

  it("names a Kubernetes Secret after its workload, or as it is told, and nothing else", async () => {
    await pad.deploy("under_score-", { LEVEL: { value: "info" } });
    const named = async (options: { name?: string; namespace?: string }) => {
      const answer = await pad.exchange(await pad.mint(pad.owner, "under_score-"), {
        format: "kubernetes",
        ...options,
      });
      return answer.text.split("\n").slice(2, 5).join("|");
    };
    expect(await named({})).toBe('metadata:|  name: "under-score"|type: Opaque');
    expect(await named({ name: "a".repeat(253) })).toContain("aaa");
    expect(await named({ name: "a.b-c", namespace: "jobs" })).toBe('metadata:|  name: "a.b-c"|  namespace: "jobs"');

    const bearer = await pad.mint(pad.owner, "plain");
    const refused = async (options: { format?: "yaml" | "kubernetes"; name?: string; namespace?: string }) => {
      const { body } = await pad.exchange(bearer, options);
      return [body.code, [...new Set(body.faults?.map(({ field }) => field))]];
    };
    for (const name of ["", "A", "a_b", "-a", "a-", "a..b", 'a"', "a\n", "a".repeat(254)])
      expect(await refused({ format: "kubernetes", name }), name).toEqual(["invalid_input", ["name"]]);
    for (const namespace of ["a.b", "A", "a\n", "a".repeat(64)])
      expect(await refused({ format: "kubernetes", namespace }), namespace).toEqual(["invalid_input", ["namespace"]]);
    expect(await refused({ format: "yaml", name: "a" })).toEqual(["invalid_input", ["name"]]);
    expect(await refused({ namespace: "a" })).toEqual(["invalid_input", ["namespace"]]);
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("leaves the token unused when the format is not offered or cannot carry a value", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    expect((await pad.exchange(bearer, { accept: "image/png" })).body.code).toBe("not_acceptable");
    expect((await bearer.try("token.exchange", { query: { format: "xml" as never } })).body.code).toBe("invalid_input");
    const refused = await pad.exchange(bearer, { format: "dotenv" });
    expect(refused.body).toMatchObject({
      code: "not_representable",
      variables: [
        { variable: "DSN", reason: 'its value holds a single quote together with one of " \\ $ `' },
        { variable: "CERT", reason: "its value is not UTF-8 text" },
      ],
    });
    const shell = await pad.exchange(bearer, { format: "shell" });
    expect(shell.body).toMatchObject({ code: "not_representable", variables: [{ variable: "CERT" }] });
    const [event, ...others] = await pad.eventsOf(shell);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ action: "token.exchange", code: "not_representable", target: { type: "injection" } });
    expect(event?.result).not.toBe("success");
    expect(await pad.state(bearer)).toBe("minted");
    expect(await pad.outcome(bearer)).toBe("200");
  });

  it("takes a runner's credential with a bound token: this org's, granted there, not ended (R72)", async () => {
    const bearer = await pad.mint(pad.operator, "plain");
    expect(await pad.outcome(bearer)).toBe("runner_required");
    const other = await pad.vault.org("other");
    const foreign = (await other.do("service-user.create", { body: { name: "host", kind: "runner" } })).token.token;
    expect(await pad.outcome(bearer, { runner: pad.bearer(foreign) })).toBe("runner_required");
    const idle = await pad.vault.service("idle", "runner");
    expect(await pad.outcome(bearer, { runner: idle })).toBe("runner_required");
    await pad.owner.do("grant.create", { body: { principal: "idle", role: "runner", environment: "dev" } });
    expect(await pad.outcome(bearer, { runner: idle }), "a grant elsewhere").toBe("runner_required");
    expect(await pad.outcome(bearer, { runner: pad.owner }), "a person's session").toBe("runner_required");
    expect(await pad.outcome(bearer, { runner: bearer }), "the token itself").toBe("runner_required");
    expect(await pad.outcome(bearer, { runner: pad.bearer("sp_svc_nonsense") })).toBe("runner_required");
    const expiresAt = new Date(pad.clock.now().getTime() + MINUTE).toISOString();
    const shortLived = await pad.owner.do("service-token.create", {
      params: { serviceUser: "host" },
      body: { expiresAt },
    });
    pad.clock.forward(2 * MINUTE);
    expect(await pad.outcome(bearer, { runner: pad.bearer(shortLived.token) }), "expired").toBe("runner_required");
    expect(await pad.state(bearer)).toBe("minted");
    const done = await pad.exchange(bearer, { runner: pad.host });
    expect(done.status).toBe(200);
    const [event] = await pad.eventsOf(done);
    expect(event?.actor).toMatchObject({ type: "service", name: "host" });
    expect(event?.onBehalfOf).toMatch(/^prn_/);
    const seen = await pad.operator.do("injection.get", { params: { id: done.body.injectionId } });
    expect(seen).toMatchObject({ state: "exchanged", exchangedBy: "host", mintedBy: "otto", bound: true });
  });

  it("refuses a runner whose own addresses do not hold the client's", async () => {
    const bound = await pad.owner.do("service-token.create", {
      params: { serviceUser: "host" },
      body: { cidrs: ["192.0.2.0/24"] },
    });
    const bearer = await pad.mint(pad.operator, "plain");
    expect(await pad.outcome(bearer, { runner: pad.bearer(bound.token), from: "198.51.100.1" })).toBe(
      "runner_required",
    );
    expect(await pad.outcome(bearer, { runner: pad.bearer(bound.token), from: "192.0.2.7" })).toBe("200");
  });

  it("gives a token bound to addresses to those addresses only, in both families", async () => {
    const cidrs = ["192.0.2.0/24", "2001:db8::/32"];
    for (const [from, wanted] of [
      ["198.51.100.1", "token_invalid"],
      ["2001:db9::1", "token_invalid"],
      [undefined, "token_invalid"],
      ["192.0.2.200", "200"],
      ["2001:db8:1::1", "200"],
      ["::ffff:192.0.2.200", "200"],
    ] as const) {
      const bearer = await pad.mint(pad.owner, "plain", { cidrs });
      expect(await pad.outcome(bearer, from === undefined ? {} : { from }), from).toBe(wanted);
      expect(await pad.state(bearer)).toBe(wanted === "200" ? "exchanged" : "minted");
    }
  });

  it("refuses an expired token, to the second", async () => {
    const bearer = await pad.mint(pad.owner, "plain", { ttlSeconds: 60 });
    pad.clock.forward(59 * SECOND - 500);
    expect(await pad.state(bearer)).toBe("minted");
    pad.clock.forward(1_500);
    expect(await pad.state(bearer)).toBe("expired");
    const refused = await pad.exchange(bearer);
    expect(refused.body.code).toBe("token_invalid");
    const [event, ...others] = await pad.eventsOf(refused);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ result: "refused", code: "token_invalid", facts: { why: "expired" } });
  });

  it("tells nobody apart who holds an unknown, used, expired or revoked token", async () => {
    const used = await pad.mint(pad.owner, "plain");
    await pad.receive(used);
    const expired = await pad.mint(pad.owner, "plain", { ttlSeconds: 1 });
    pad.clock.forward(2 * SECOND);
    const revoked = await pad.tryMint(pad.owner, "plain");
    const [item] = revoked.body.items;
    await pad.owner.do("injection.revoke", { params: { id: item?.injectionId as never } });
    const token = used.token ?? "";
    const forged = token.slice(0, 70) + (token[70] === "a" ? "b" : "a") + token.slice(71);
    const seen = new Set<string>();
    for (const bearer of [used, expired, pad.bearer(item?.token ?? ""), pad.bearer(forged), pad.bearer("sp_inj_x")]) {
      const { status, body } = await pad.exchange(bearer);
      const { requestId, ...said } = body;
      expect(requestId).toMatch(/^req_/);
      seen.add(JSON.stringify([status, said]));
    }
    expect([...seen]).toHaveLength(1);
    expect([...seen][0]).toContain("token_invalid");
    expect(await pad.outcome(pad.owner), "a session is no injection token").toBe("token_invalid");
    expect(await pad.outcome(pad.vault.anonymous)).toBe("unauthenticated");
  });

  it("does not take a token of one org with another org's id in it", async () => {
    const other = await pad.vault.org("third");
    await other.do("namespace.create", { body: { name: "ops" } });
    const mine = (await pad.mint(pad.owner, "plain")).token ?? "";
    await other.do("workload.create", { params: { namespace: "ops" }, body: { name: "plain" } });
    await other.do("manifest.save", {
      params: { namespace: "ops", workload: "plain" },
      body: { variables: { LEVEL: { value: "other" } } },
    });
    await other.do("deployment.set", {
      params: { namespace: "ops", workload: "plain", environment: "prod" },
      body: {},
    });
    const minted = await other.do("token.mint", {
      params: { namespace: "ops", workload: "plain" },
      body: { environment: "prod" },
    });
    const theirs = minted.items[0]?.token ?? "";
    const prefix = "sp_inj_".length;
    const swapped = [mine.slice(0, prefix) + theirs.slice(prefix, prefix + 26) + mine.slice(prefix + 26)];
    for (const token of swapped) expect(await pad.outcome(pad.bearer(token))).toBe("token_invalid");
    expect(await pad.outcome(pad.bearer(mine))).toBe("200");
    expect(await pad.outcome(pad.bearer(theirs))).toBe("200");
  });

  it("looks a token up without using it, and says no name of a secret or variable (R73)", async () => {
    const bearer = await pad.mint(pad.operator, "job");
    for (let turn = 0; turn < 3; turn += 1) {
      const looked = await bearer.try("token.lookup");
      expect(looked.body).toMatchObject({ workload: "ops/job", environment: "prod", state: "minted", bound: true });
      expect(looked.text).not.toMatch(/DB_|DSN|CERT|LEVEL/);
      expect(await pad.eventsOf(looked)).toMatchObject([{ action: "token.lookup", result: "success" }]);
    }
    expect(await pad.outcome(bearer, { runner: pad.host })).toBe("200");
    expect(await pad.state(bearer)).toBe("exchanged");
    expect(await pad.vault.anonymous.code("token.lookup")).toBe("unauthenticated");
    expect(await pad.bearer("sp_inj_none").code("token.lookup")).toBe("token_invalid");
  });

  it("takes no body and no credential in the query", async () => {
    const bearer = await pad.mint(pad.owner, "plain");
    expect((await bearer.try("token.exchange", { query: {}, body: { token: "x" } as never })).status).toBe(400);
    expect((await bearer.try("token.exchange", { query: { token: "x" } as never })).body.code).toBe("invalid_input");
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("delivers a template's secrets of other versions and refuses one that is not text", async () => {
    await pad.deploy("mixed", { BAD: { template: "cert=${CERT}" } });
    const bearer = await pad.mint(pad.owner, "mixed");
    const answer = await pad.exchange(bearer);
    expect(answer.body).toMatchObject({
      code: "launch_refused",
      variables: [{ variable: "BAD", reason: "its template takes a value that is not text" }],
    });
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("delivers what the default workload's manifest, all, holds: every secret of the scope under its own name", async () => {
    await pad.write("ONE", "1", "dev");
    await pad.write("TWO", "2", "dev");
    const bearer = await pad.mint(pad.owner, "default", { environment: "dev" });
    expect(await pad.receive(bearer)).toEqual({ ONE: "1", TWO: "2" });
  });

  it("never delivers a name that changes how programs load, unless an admin allowed it for the workload", async () => {
    await pad.write("NODE_OPTIONS", "--require /tmp/evil.js", "dev");
    await pad.write("LD_PRELOAD", "/tmp/evil.so", "dev");
    const all = await pad.receive(await pad.mint(pad.owner, "default", { environment: "dev" }));
    expect(all).toEqual({ ONE: "1", TWO: "2" });
    const params = { namespace: "ops", workload: "default" };
    await pad.owner.do("workload.update", { params, body: { allowedVariables: ["NODE_OPTIONS"] } });
    const allowed = await pad.receive(await pad.mint(pad.owner, "default", { environment: "dev" }));
    expect(allowed).toEqual({ ONE: "1", TWO: "2", NODE_OPTIONS: "--require /tmp/evil.js" });
    await pad.owner.do("workload.update", { params, body: { allowedVariables: [] } });
    for (const secret of ["NODE_OPTIONS", "LD_PRELOAD"])
      await pad.owner.do("secret.delete", { params: { environment: "dev", namespace: "ops", secret } });
  });

  it("refuses a launch whose manifest uses a dangerous name that is allowed no more", async () => {
    await pad.owner.do("workload.create", { params: { namespace: "ops" }, body: { name: "tuned" } });
    const params = { namespace: "ops", workload: "tuned" };
    await pad.owner.do("workload.update", { params, body: { allowedVariables: ["NODE_OPTIONS"] } });
    await pad.deploy("tuned", { NODE_OPTIONS: { value: "--max-old-space-size=99" } });
    const bearer = await pad.mint(pad.owner, "tuned");
    await pad.owner.do("workload.update", { params, body: { allowedVariables: [] } });
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    expect((await pad.tryMint(pad.owner, "tuned")).body.code).toBe("launch_refused");
    await pad.owner.do("workload.update", { params, body: { allowedVariables: ["NODE_OPTIONS"] } });
    expect(await pad.outcome(bearer)).toBe("200");
  });

  it("delivers a scope of 1,000 secrets", { timeout: 120_000 }, async () => {
    await pad.owner.do("namespace.create", { body: { name: "many" } });
    const named = Array.from({ length: 1000 }, (_, at) => ({ name: `N${String(at)}`, value: String(at) }));
    for (const half of [named.slice(0, 500), named.slice(500)])
      await pad.owner.do("secret.bulk", {
        params: { environment: "dev", namespace: "many" },
        body: { secrets: half },
      });
    const minted = await pad.owner.do("token.mint", {
      params: { namespace: "many", workload: "default" },
      body: { environment: "dev" },
    });
    const answer = await pad.exchange(pad.bearer(minted.items[0]?.token ?? ""));
    expect(answer.status, answer.text.slice(0, 200)).toBe(200);
    expect(Object.keys(answer.body.variables)).toHaveLength(1000);
    expect(answer.body.variables.N777?.value).toBe("777");
  });

  it("refuses a template that would grow beyond what an environment can hold, before it grows", async () => {
    await pad.write("BIG", "x".repeat(64 * 1024));
    await pad.deploy("bomb", { BOMB: { template: "${BIG}".repeat(2_000) } });
    const bearer = await pad.mint(pad.owner, "bomb");
    const before = process.memoryUsage().rss;
    const answer = await pad.exchange(bearer);
    expect(answer.body).toMatchObject({
      code: "launch_refused",
      variables: [{ variable: "BOMB", reason: "its template makes more than 64 KiB" }],
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("refuses a token that lay around for hours, and knows it still", async () => {
    const bearer = await pad.mint(pad.owner, "plain");
    pad.clock.forward(20 * MINUTE);
    expect(await pad.state(bearer)).toBe("expired");
    pad.clock.forward(2 * HOUR);
    expect(await pad.outcome(bearer)).toBe("token_invalid");
  });
});
