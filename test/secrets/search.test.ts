import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DAY } from "#base";
import type { ClientRequest } from "#contract";
import { TestClock } from "../clock.ts";
import { PASSWORD, startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

type Query = ClientRequest<"secret.search">["query"];

const clock = new TestClock();
let vault: TestVault;
let owner: Client;
let ann: Client;
let stranger: Client;
let guest: Client;
const dev = { environment: "dev", namespace: "default" };
/** When each of these days began. */
const days: string[] = [];
const nextDay = (): void => {
  clock.forward(DAY);
  days.push(clock.now().toISOString());
  clock.forward(1_000);
};

/** A session does not last for days. */
const signIn = async (login: string, org = "main"): Promise<Client> =>
  vault.anonymous.as((await vault.anonymous.do("session.create", { body: { org, login, password: PASSWORD } })).token);

beforeAll(async () => {
  vault = await startVault({ overrides: { clock } });
  ({ owner } = vault);
  await owner.do("environment.create", { body: { name: "secluded", mode: "private" } });
  await owner.do("namespace.create", { body: { name: "payments" } });
  stranger = await vault.org("search-strangers");
  guest = await vault.user("gus", "guest");
  await vault.user("ann");
  await owner.do("grant.create", { body: { principal: "ann", role: "contributor", environment: "dev" } });
  const write = (who: Client, secret: string, scope: Partial<typeof dev> = {}, more: object = {}) =>
    who.do("secret.write", { params: { ...dev, ...scope, secret }, body: { value: "x", ...more } });
  await write(owner, "EARLY_KEY", {}, { tags: ["db", "main_db"], owner: "team-a", rotateBy: "2040-01-01T00:00:00Z" });
  await write(owner, "Mixed_Case", { namespace: "payments" }, { tags: ["mainxdb"], owner: "team-b" });
  await write(owner, "ONLY_OURS", { environment: "secluded" }, { tags: ["db"], owner: "team-a" });
  nextDay();
  [ann, owner] = [await signIn("ann"), await signIn("owner")];
  await write(ann, "LATER_KEY", {}, { owner: "team-a", rotateBy: "2039-01-01T00:00:00Z" });
  await write(owner, "UNDERxSCORE");
  nextDay();
  [ann, owner] = [await signIn("ann"), await signIn("owner")];
  await ann.do("secret.update", { params: { ...dev, secret: "EARLY_KEY" }, body: { description: "looked at" } });
});
afterAll(() => vault.close());

const names = async (query: Query, who: Client = owner): Promise<string[]> =>
  (await who.do("secret.search", { query })).items.map((one) => one.name);
const ALL = ["EARLY_KEY", "LATER_KEY", "Mixed_Case", "ONLY_OURS", "UNDERxSCORE"];

describe("a search", () => {
  it("finds by each filter, alone and together, and nothing else", async () => {
    const [second = "", third = ""] = days;
    const table: [Query, string[]][] = [
      [{}, ALL],
      [{ contains: "key" }, ["EARLY_KEY", "LATER_KEY"]],
      [{ contains: "D_C" }, ["Mixed_Case"]],
      [{ contains: "R_S" }, []],
      [{ contains: "%" }, []],
      [{ contains: "key", prefix: "LATER" }, ["LATER_KEY"]],
      [{ prefix: "key" }, []],
      [{ tag: "db" }, ["EARLY_KEY", "ONLY_OURS"]],
      [{ tag: "main_db" }, ["EARLY_KEY"]],
      [{ tag: "d" }, []],
      [{ owner: "team-a" }, ["EARLY_KEY", "LATER_KEY", "ONLY_OURS"]],
      [{ owner: "team" }, []],
      [{ author: "ann" }, ["EARLY_KEY", "LATER_KEY"]],
      [{ author: "owner" }, ["Mixed_Case", "ONLY_OURS", "UNDERxSCORE"]],
      [{ author: "nobody-of-that-name" }, []],
      [{ environment: "secluded" }, ["ONLY_OURS"]],
      [{ environment: "never" }, []],
      [{ namespace: "payments" }, ["Mixed_Case"]],
      [{ namespace: "never" }, []],
      [{ environment: "dev", namespace: "default", contains: "K" }, ["EARLY_KEY", "LATER_KEY"]],
      [{ createdBefore: second }, ["EARLY_KEY", "Mixed_Case", "ONLY_OURS"]],
      [{ createdAfter: second }, ["LATER_KEY", "UNDERxSCORE"]],
      [{ createdAfter: second, createdBefore: third }, ["LATER_KEY", "UNDERxSCORE"]],
      [{ createdAfter: third }, []],
      [{ updatedAfter: third }, ["EARLY_KEY"]],
      [{ updatedBefore: second }, ["Mixed_Case", "ONLY_OURS"]],
      [{ usedBefore: second }, ALL],
      [{ usedAfter: second }, []],
      [{ usedAfter: second, usedBefore: third }, []],
      [{ rotateBefore: "2039-06-01T00:00:00Z" }, ["LATER_KEY"]],
      [{ rotateBefore: "2041-01-01T00:00:00Z", owner: "team-a" }, ["EARLY_KEY", "LATER_KEY"]],
    ];
    for (const [query, found] of table) expect([query, await names(query)]).toEqual([query, found]);
  });

  it("reaches the scopes that its reader may list and no other, whatever is asked; names tell of no existence", async () => {
    expect(await names({}, ann)).toEqual(["EARLY_KEY", "LATER_KEY", "Mixed_Case", "UNDERxSCORE"]);
    for (const query of [
      { environment: "secluded" },
      { environment: "never" },
      { contains: "OURS" },
      { tag: "db", owner: "team-a", environment: "secluded" },
    ])
      expect([query, await ann.do("secret.search", { query })]).toEqual([query, { items: [], next: null }]);
    stranger = await signIn("owner", "search-strangers");
    for (const query of [{}, { contains: "E" }, { author: "ann" }, { usedBefore: clock.now().toISOString() }])
      expect(await names(query, stranger)).toEqual([]);
    guest = await signIn("gus");
    expect(await names({ usedBefore: clock.now().toISOString() }, guest)).toEqual([]);
  });

  it("is paged after it is filtered: each page is full, and together they are all", async () => {
    const secrets = Array.from({ length: 40 }, (_, n) => ({
      name: `PAGE_${String(n)}`,
      value: "x",
      tags: [n % 2 === 0 ? "even" : "odd"],
    }));
    await owner.do("secret.bulk", { params: dev, body: { secrets } });
    const found: string[] = [];
    let after: string | undefined;
    for (let page = 0; page < 4; page += 1) {
      const answer = await ann.do("secret.search", {
        query: { tag: "even", contains: "page_", limit: "5", ...(after === undefined ? {} : { after }) },
      });
      expect(answer.items).toHaveLength(5);
      found.push(...answer.items.map((one) => one.name));
      after = answer.next ?? undefined;
    }
    expect(after).toBeUndefined();
    expect(new Set(found).size).toBe(20);
    expect(found).toEqual([...found].sort());
  });

  it("refuses what is no filter", async () => {
    for (const query of [
      { contains: "" },
      { contains: "x\u0000" },
      { tag: "Not A Tag" },
      { usedBefore: "yesterday" },
      { containing: "x" },
    ])
      expect([query, await owner.code("secret.search", { query })]).toEqual([query, "invalid_input"]);
  });
});
