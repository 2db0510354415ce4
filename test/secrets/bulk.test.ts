import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClientRequest, Response } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

let vault: TestVault;
let owner: Client;
let writer: Client;
const dev = { environment: "dev", namespace: "default" };

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  await owner.do("environment.create", { body: { name: "secluded", mode: "private" } });
  writer = await vault.user("wanda", "guest");
  await owner.do("grant.create", { body: { principal: "wanda", role: "contributor", environment: "dev" } });
});
afterAll(() => vault.close());

type Item = ClientRequest<"secret.bulk">["body"]["secrets"][number];
type Bulk = Answer<Response<"secret.bulk"> & Problem>;
const bulk = (who: Client, secrets: readonly Item[], more: { preview?: boolean } = {}, params = dev): Promise<Bulk> =>
  who.try("secret.bulk", { params, body: { secrets: [...secrets], ...more } });
const brief = ({ body }: Bulk): string[] =>
  body.items.map(({ name, action, version }) => `${name} ${action} ${String(version)}`);
const reveal = async (secret: string): Promise<string> =>
  (await owner.do("secret.reveal", { params: { ...dev, secret }, body: { reason: "the test looks" } })).value;
const events = async (action: string) => (await owner.do("audit.list", { query: { action, limit: "1000" } })).items;

describe("many secrets at once", () => {
  it("are made, written and described in one commit with one event that lists them with their versions", async () => {
    await owner.do("secret.write", { params: { ...dev, secret: "OLD" }, body: { value: "old" } });
    await owner.do("secret.write", { params: { ...dev, secret: "TOLD" }, body: { value: "kept" } });
    const before = (await events("secret.bulk")).length;
    const answer = await bulk(writer, [
      { name: "NEW", value: "new", tags: ["fresh"], owner: "team" },
      { name: "OLD", value: "newer" },
      { name: "TOLD", description: "said" },
      { name: "BYTES", value: Buffer.from([0, 255]).toString("base64"), encoding: "base64" },
    ]);
    expect(answer.status).toBe(200);
    expect(answer.body.preview).toBe(false);
    expect(brief(answer)).toEqual(["NEW create 1", "OLD write 2", "TOLD describe 1", "BYTES create 1"]);
    expect([await reveal("NEW"), await reveal("OLD"), await reveal("TOLD")]).toEqual(["new", "newer", "kept"]);
    expect(await owner.do("secret.get", { params: { ...dev, secret: "NEW" } })).toMatchObject({
      tags: ["fresh"],
      owner: "team",
      createdBy: "wanda",
    });
    expect((await owner.do("secret.get", { params: { ...dev, secret: "TOLD" } })).description).toBe("said");
    const [event, ...others] = await events("secret.bulk");
    expect(others).toHaveLength(before);
    expect(event).toMatchObject({
      result: "success",
      environment: { name: "dev" },
      facts: { created: 2, written: 1, described: 1, unchanged: 0 },
      changes: [{ field: "TOLD.description", before: "", after: "said" }],
    });
    expect(event?.secrets?.map(({ name, version }) => `${name} ${String(version)}`).sort()).toEqual([
      "BYTES 1",
      "NEW 1",
      "OLD 2",
      "TOLD 1",
    ]);
  });

  it("are all there or none: one item that cannot be leaves nothing of the others, and names itself", async () => {
    await owner.do("secret.write", { params: { ...dev, secret: "STAYS" }, body: { value: "as it was" } });
    const good: Item[] = [
      { name: "NEVER", value: "made" },
      { name: "STAYS", value: "changed" },
    ];
    const cases: [Item, string, number][] = [
      [{ name: "ABSENT", description: "of nothing" }, "invalid_input", 400],
      [{ name: "ABSENT", value: "x", ifVersion: 1 }, "precondition_failed", 412],
      [{ name: "OTHER", value: "x".repeat(65_537) }, "payload_too_large", 413],
    ];
    for (const [bad, code, status] of cases) {
      const refused = await bulk(writer, [...good, bad]);
      expect([refused.status, refused.body.code]).toEqual([status, code]);
      expect(refused.body.faults?.map((fault) => fault.field)).toEqual(["secrets.2"]);
      expect(refused.body.faults?.[0]?.message).toContain(bad.name);
    }
    expect(await owner.code("secret.get", { params: { ...dev, secret: "NEVER" } })).toBe("not_found");
    expect(await reveal("STAYS")).toBe("as it was");
  });

  it("are held to the versions that were expected: 0 is one that is not there", async () => {
    expect(brief(await bulk(writer, [{ name: "EXPECTED", value: "1", ifVersion: 0 }]))).toEqual(["EXPECTED create 1"]);
    const taken = await bulk(writer, [{ name: "EXPECTED", value: "2", ifVersion: 0 }]);
    expect(taken.body.faults).toEqual([{ field: "secrets.0", message: "EXPECTED is at version 1" }]);
    expect(brief(await bulk(writer, [{ name: "EXPECTED", value: "2", ifVersion: 1 }]))).toEqual(["EXPECTED write 2"]);
    expect((await bulk(writer, [{ name: "EXPECTED", description: "d", ifVersion: 1 }])).body.code).toBe(
      "precondition_failed",
    );
  });

  it("are only told of in a preview, which changes nothing but the log", async () => {
    await owner.do("secret.write", { params: { ...dev, secret: "HERE" }, body: { value: "same" } });
    const items: Item[] = [
      { name: "HERE", value: "same" },
      { name: "THERE", value: "x" },
      { name: "NOWHERE", description: "d" },
      { name: "HERE_TOO", value: "y" },
    ];
    const told = await bulk(owner, items, { preview: true });
    expect(told.body.preview).toBe(true);
    expect(brief(told)).toEqual([
      "HERE unchanged 1",
      "THERE create null",
      "NOWHERE missing null",
      "HERE_TOO create null",
    ]);
    expect(await owner.code("secret.get", { params: { ...dev, secret: "THERE" } })).toBe("not_found");
    const [event] = await events("secret.bulk");
    expect(event).toMatchObject({ result: "success", facts: { preview: true, names: 4 }, secrets: null });
  });

  it("say that a value is the same only to who may reveal it: a writer cannot guess, by preview or by write", async () => {
    await owner.do("secret.write", { params: { ...dev, secret: "GUESS" }, body: { value: "hunter2" } });
    const right: Item[] = [{ name: "GUESS", value: "hunter2" }];
    const wrong: Item[] = [{ name: "GUESS", value: "hunter3" }];
    for (const guess of [right, wrong])
      expect(brief(await bulk(writer, guess, { preview: true }))).toEqual(["GUESS write 1"]);
    expect(brief(await bulk(owner, right, { preview: true }))).toEqual(["GUESS unchanged 1"]);
    expect(brief(await bulk(owner, wrong, { preview: true }))).toEqual(["GUESS write 1"]);
    expect(brief(await bulk(owner, [{ name: "GUESS", value: "hunter2", owner: "me" }]))).toEqual(["GUESS describe 1"]);
    expect(brief(await bulk(owner, right))).toEqual(["GUESS unchanged 1"]);
    expect(brief(await bulk(writer, right))).toEqual(["GUESS write 2"]);
    await owner.do("org.update", { body: { reveal: "nobody" } });
    expect(brief(await bulk(owner, right, { preview: true }))).toEqual(["GUESS write 2"]);
    await owner.do("org.update", { body: { reveal: "admins" } });
  });

  it("fit 500 in one request, and no more", async () => {
    const many = Array.from({ length: 500 }, (_, n) => ({ name: `MANY_${String(n)}`, value: `v${String(n)}` }));
    expect((await bulk(writer, many)).body.items.filter((one) => one.action === "create")).toHaveLength(500);
    expect((await bulk(writer, many)).body.items.filter((one) => one.version === 2)).toHaveLength(500);
    expect((await bulk(writer, [...many, { name: "MORE", value: "x" }])).body.code).toBe("invalid_input");
    expect((await bulk(writer, [])).body.code).toBe("invalid_input");
    expect((await bulk(writer, many.slice(0, 1).concat(many.slice(0, 1)))).body.code).toBe("invalid_input");
  });

  it("lose no write among single writes and other bulk writes of the same names, in whatever order (n = 60)", async () => {
    const names = ["RACE_A", "RACE_B", "RACE_C", "RACE_D"];
    const round = Array.from({ length: 20 }, (_, n) => {
      const turned = n % 2 === 0 ? names : [...names].reverse();
      const items = turned.map((name) => ({ name, value: `bulk ${String(n)}` }));
      const secret = names[n % 4] ?? "";
      return [
        bulk(writer, items),
        writer.try("secret.write", { params: { ...dev, secret }, body: { value: `single ${String(n)}` } }),
        owner.try("secret.generate", { params: { ...dev, secret }, body: { kind: "hex" } }),
      ];
    }).flat();
    const answers = await Promise.all(round);
    expect(answers.filter((answer) => answer.status !== 200)).toEqual([]);
    const versions = await Promise.all(
      names.map(async (secret) => (await owner.do("secret.versions", { params: { ...dev, secret } })).items),
    );
    // 20 of each from the bulk writes, 5 from single ones and 5 generated.
    expect(versions.map((all) => all.map((one) => one.version))).toEqual(
      names.map(() => Array.from({ length: 30 }, (_, n) => 30 - n)),
    );
    expect((await owner.do("audit.verify")).intact).toBe(true);
  });

  it("are not made twice by a repeat under the same key", async () => {
    const request = {
      params: dev,
      body: { secrets: [{ name: "ONCE", value: "1" }] },
      headers: { "Idempotency-Key": "a-key-that-is-long-enough" },
    };
    expect((await writer.try("secret.bulk", request)).status).toBe(200);
    expect((await writer.try("secret.bulk", request)).body.code).toBe("idempotency_reused");
    expect((await owner.do("secret.versions", { params: { ...dev, secret: "ONCE" } })).items).toHaveLength(1);
  });

  it("use up the key also where nothing had to change; a preview and a refusal do not", async () => {
    await owner.do("secret.write", { params: { ...dev, secret: "IDLE" }, body: { value: "as it is" } });
    const request = (key: string, value: string, preview = false) =>
      owner.try("secret.bulk", {
        params: dev,
        body: { secrets: [{ name: "IDLE", value }], preview },
        headers: { "Idempotency-Key": key },
      });
    const idle = "a-key-of-an-idle-write";
    expect(brief(await request(idle, "as it is", true))).toEqual(["IDLE unchanged 1"]);
    expect(brief(await request(idle, "as it is"))).toEqual(["IDLE unchanged 1"]);
    const id = (await owner.do("namespace.list")).items.find(({ name }) => name === "default")?.id;
    for (const value of ["as it is", "another"])
      expect((await request(idle, value)).body).toMatchObject({ code: "idempotency_reused", id });
    expect(await reveal("IDLE")).toBe("as it is");
    expect(brief(await request("another-key-of-its-own", "another"))).toEqual(["IDLE write 2"]);

    const refused = "a-key-of-a-refused-write";
    const missing = await owner.try("secret.bulk", {
      params: dev,
      body: { secrets: [{ name: "IDLE", ifVersion: 9, value: "x" }] },
      headers: { "Idempotency-Key": refused },
    });
    expect(missing.body.code).toBe("precondition_failed");
    expect(brief(await request(refused, "a third"))).toEqual(["IDLE write 3"]);
  });

  it("take no base64 that is not, and a fault names the item and never the value", async () => {
    const refused = await bulk(writer, [
      { name: "FINE", value: "YQ==", encoding: "base64" },
      { name: "BAD", value: "canary-in-base64", encoding: "base64" },
    ]);
    expect(refused.body).toMatchObject({ code: "invalid_input", faults: [{ field: "secrets.1.value" }] });
    expect(refused.text).not.toContain("canary");
  });
});

describe("writing many is for who may write", () => {
  const item = [{ name: "DENIED", value: "x" }];

  it("allow and deny", async () => {
    const table: [who: string, client: Client, scope: typeof dev, code: string | null][] = [
      ["allow an owner anywhere", owner, { environment: "secluded", namespace: "default" }, null],
      ["allow a contributor", writer, dev, null],
      ["deny outside the grant", writer, { environment: "prod", namespace: "default" }, "not_found"],
      ["deny in a private environment", writer, { environment: "secluded", namespace: "default" }, "not_found"],
      [
        "deny a viewer by default",
        await vault.user("vera"),
        { environment: "prod", namespace: "default" },
        "forbidden",
      ],
      ["deny another org", await vault.org("others"), { environment: "secluded", namespace: "default" }, "not_found"],
      ["deny nobody", vault.anonymous, dev, "unauthenticated"],
    ];
    const builder = await vault.user("bea", "guest");
    await owner.do("grant.create", { body: { principal: "bea", role: "builder", environment: "dev" } });
    table.push(["deny a builder, who holds no secret.write", builder, dev, "forbidden"]);
    for (const [who, client, scope, code] of table)
      for (const preview of [true, false]) {
        const answer = await bulk(client, item, { preview }, scope);
        expect([who, answer.status === 200 ? null : answer.body.code]).toEqual([who, code]);
      }
  });
});
