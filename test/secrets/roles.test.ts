import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { GRANT_ROLES } from "#base";
import type { ServiceKind } from "#base";
import { Writes } from "#secrets";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

/**
 * Who may move values about, written out a second time beside the table of permissions. `x` may; `.` is `forbidden`; `-` is
 * `not_found`, as if the place were not there. Columns: the roles, then a guest without a grant, and another org's owner.
 */
const TABLE = `
bulk             x x x . . . . . . - -
bulk-preview     x x x . . . . . . - -
generate         x x x . . . . . . - -
copy-into        x x x . . . . . . - -
copy-from        x x x . . . . . . - -
copy-preview     x x x . . . . . . - -
move-from        x x x . . . . . . - -
compare-names    x x x x . . x . . - -
compare-from     x x x x . . x . . - -
compare-values   x x . . . . . . . - -
uses             x x x x . . x . . - -
`;
const COLUMNS = ["owner", "admin", ...GRANT_ROLES, "nobody", "stranger"] as const;
type Column = (typeof COLUMNS)[number];
const CODES: Readonly<Record<string, string>> = { x: "allowed", ".": "forbidden", "-": "not_found" };

/** Where the role counts: private, so that nothing comes of the environment's mode. */
const place = { environment: "vaulted", namespace: "default" };
/** Where everybody of the org contributes. */
const workshop = { environment: "dev", namespace: "default" };
const at = (scope: typeof place, secret: string) => ({ ...scope, secret });

let vault: TestVault;
let owner: Client;
const people = new Map<Column, Client>();

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  await owner.do("environment.create", { body: { name: "vaulted", mode: "private" } });
  for (const scope of [place, workshop])
    await owner.do("secret.write", { params: at(scope, "SHARED"), body: { value: "the same" } });
  people.set("owner", owner);
  people.set("admin", await vault.user("admin", "admin"));
  people.set("stranger", await vault.org("strangers"));
  for (const role of [...GRANT_ROLES, "nobody"] as const) {
    people.set(role, await vault.user(role, "guest"));
    await owner.do("grant.create", { body: { principal: role, role: "contributor", environment: "dev" } });
    if (role !== "nobody") await owner.do("grant.create", { body: { principal: role, role, environment: "vaulted" } });
  }
});
afterAll(() => vault.close());

type Tried = Promise<Answer<Problem>>;
let made = 0;
/** What each line of the table does, with names of its own. */
const DEEDS: Readonly<Record<string, (who: Client) => Tried>> = {
  bulk: (who) => who.try("secret.bulk", { params: place, body: { secrets: [{ name: fresh(), value: "x" }] } }),
  "bulk-preview": (who) =>
    who.try("secret.bulk", { params: place, body: { secrets: [{ name: fresh(), value: "x" }], preview: true } }),
  generate: (who) => who.try("secret.generate", { params: at(place, fresh()), body: { kind: "hex" } }),
  "copy-into": (who) => copy(who, workshop, place, { rename: { SHARED: fresh() } }),
  "copy-from": (who) => copy(who, place, workshop, { rename: { SHARED: fresh() } }),
  "copy-preview": (who) => copy(who, place, workshop, { rename: { SHARED: fresh() }, preview: true }),
  "move-from": async (who) => {
    const name = fresh();
    await owner.do("secret.write", { params: at(place, name), body: { value: "x" } });
    return copy(who, place, workshop, { names: [name], move: true });
  },
  "compare-names": (who) => who.try("secret.compare", { body: { from: workshop, to: place } }),
  "compare-from": (who) => who.try("secret.compare", { body: { from: place, to: workshop } }),
  "compare-values": (who) =>
    who.try("secret.compare", { body: { from: place, to: workshop, values: true, reason: "the table" } }),
  uses: (who) => who.try("secret.uses", { params: at(place, "SHARED") }),
};
const fresh = (): string => `N_${String((made += 1))}`;
const copy = (who: Client, from: typeof place, to: typeof place, more: object): Tried =>
  who.try("secret.copy", { body: { from, to, names: ["SHARED"], ...more } });
const codeOf = ({ status, body }: Answer<Problem>): string => (status < 400 ? "allowed" : body.code);
const tried = (deed: string, who: Client): Tried => {
  const tryIt = DEEDS[deed];
  if (tryIt === undefined) throw new Error(`nobody says how to ${deed}`);
  return tryIt(who);
};
const person = (column: Column): Client => {
  const known = people.get(column);
  if (known === undefined) throw new Error(`nobody stands for ${column}`);
  return known;
};

const lines = TABLE.trim()
  .split("\n")
  .map((line) => {
    const [deed = "", ...marks] = line.split(/\s+/);
    return [deed, marks] as const;
  });

describe("who may write many, generate, copy, compare and ask for uses (R52)", () => {
  it("is said of every deed and every role", () => {
    expect(lines.map(([deed]) => deed).sort()).toEqual(Object.keys(DEEDS).sort());
    for (const [, marks] of lines) expect(marks).toHaveLength(COLUMNS.length);
  });

  it.each(lines)("%s", async (deed, marks) => {
    const names = async () =>
      (
        await Promise.all(
          [place, workshop].map((params) => owner.do("secret.list", { params, query: { limit: "1000" } })),
        )
      ).flatMap(({ items }) => items.map(({ environment, name, version }) => [environment, name, version]));
    for (const [index, column] of COLUMNS.entries()) {
      const before = await names();
      const answer = await tried(deed, person(column));
      expect([column, codeOf(answer)]).toEqual([column, CODES[marks[index] ?? ""]]);
      // What was refused did nothing. (The move's own secret was the owner's to make.)
      if (answer.status >= 400 && deed !== "move-from") expect([column, await names()]).toEqual([column, before]);
    }
    expect(codeOf(await tried(deed, vault.anonymous))).toBe("unauthenticated");
  });

  it("holds for machines: by kind nothing in a private place, by a grant what its role gives", async () => {
    const grants: [ServiceKind, "contributor" | "runner" | "service" | null, string[]][] = [
      ["ci", null, []],
      ["agent", null, []],
      ["runner", null, []],
      ["ci", "contributor", ["bulk", "bulk-preview", "generate", "compare-names", "compare-from", "uses"]],
      ["agent", "runner", []],
      ["runner", "service", []],
    ];
    for (const [at, [kind, role, may]] of grants.entries()) {
      const name = `machine-${String(at)}`;
      const machine = await vault.service(name, kind);
      // A contributor at the other end already, so that only this end is in question.
      await owner.do("grant.create", { body: { principal: name, role: "contributor", environment: "dev" } });
      if (role !== null) await owner.do("grant.create", { body: { principal: name, role, environment: "vaulted" } });
      const copies = role === "contributor" ? ["copy-into", "copy-from", "copy-preview", "move-from"] : [];
      for (const [deed, tryIt] of Object.entries(DEEDS)) {
        const expected = [...may, ...copies].includes(deed) ? "allowed" : role === null ? "not_found" : "forbidden";
        expect([kind, role, deed, codeOf(await tryIt(machine))]).toEqual([kind, role, deed, expected]);
      }
    }
  });

  it("ends with the grant, and begins no earlier", async () => {
    const later = await vault.user("later", "guest");
    await owner.do("grant.create", { body: { principal: "later", role: "contributor", environment: "dev" } });
    const body = { principal: "later", role: "contributor", environment: "vaulted" } as const;
    await owner.do("grant.create", { body: { ...body, startsAt: new Date(Date.now() + 3_600_000).toISOString() } });
    for (const [deed, tryIt] of Object.entries(DEEDS))
      expect([deed, codeOf(await tryIt(later))]).toEqual([deed, "not_found"]);
    const { id } = await owner.do("grant.create", { body });
    expect(codeOf(await copy(later, place, workshop, { rename: { SHARED: fresh() } }))).toBe("allowed");
    await owner.do("grant.delete", { params: { id } });
    for (const [deed, tryIt] of Object.entries(DEEDS))
      expect([deed, codeOf(await tryIt(later))]).toEqual([deed, "not_found"]);
  });
});

describe("a secret that only a tool may use (delivery: broker)", () => {
  const value = "brokered-canary-91c4";
  const reveal = (scope: typeof place, secret: string) =>
    owner.try("secret.reveal", { params: at(scope, secret), body: { reason: "the test looks" } });
  const get = (scope: typeof place, secret: string) => owner.do("secret.get", { params: at(scope, secret) });
  const isClosed = async (scope: typeof place, secret: string) => {
    expect((await get(scope, secret)).delivery).toBe("broker");
    const answer = await reveal(scope, secret);
    expect([secret, codeOf(answer)]).toEqual([secret, "disabled"]);
    expect(answer.text).not.toContain(value);
  };

  /** No operation makes one yet: this is the write that one will do. */
  async function broker(scope: typeof place, secret: string, text = value): Promise<void> {
    const real = Object.getOwnPropertyDescriptor(Writes.prototype, "add")?.value as Writes["add"];
    const spy = vi.spyOn(Writes.prototype, "add").mockImplementation(function (this: Writes, permit, change, drafts) {
      const brokered = drafts.map((draft) => ({ ...draft, delivery: "broker" as const }));
      return real.call(this, permit, change, brokered);
    });
    try {
      await owner.do("secret.write", { params: at(scope, secret), body: { value: text } });
    } finally {
      spy.mockRestore();
    }
  }

  it("is never revealed, and stays so through writes, generated values, rollbacks and restores", async () => {
    await broker(place, "LIVES");
    await isClosed(place, "LIVES");
    const params = at(place, "LIVES");
    await owner.do("secret.write", { params, body: { value: "another" } });
    await owner.do("secret.bulk", { params: place, body: { secrets: [{ name: "LIVES", value: "a third" }] } });
    await owner.do("secret.generate", { params, body: { kind: "hex" } });
    await owner.do("secret.rollback", { params, body: { version: 1 } });
    await owner.do("secret.delete", { params });
    await owner.do("secret.restore", { params });
    expect((await get(place, "LIVES")).version).toBe(5);
    await isClosed(place, "LIVES");
    const older = await owner.try("secret.reveal", { params, body: { reason: "older", version: 2 } });
    expect(codeOf(older)).toBe("disabled");
  });

  it("is never said to be unchanged, by one write, by many or by a preview", async () => {
    await broker(place, "GUESSED");
    await owner.do("secret.write", { params: at(place, "PLAIN"), body: { value } });
    const secrets = ["GUESSED", "PLAIN"].map((name) => ({ name, value }));
    for (const preview of [true, false]) {
      const { items } = await owner.do("secret.bulk", { params: place, body: { secrets, preview } });
      expect(items.map(({ name, action }) => `${name} ${action}`)).toEqual(["GUESSED write", "PLAIN unchanged"]);
    }
    const one = await owner.do("secret.write", { params: at(place, "GUESSED"), body: { value } });
    expect([one.changed, one.version]).toEqual([true, 3]);
    await isClosed(place, "GUESSED");
  });

  it("is never compared, on whichever side it is, and the log does not say that it was", async () => {
    await broker(place, "LEFT");
    await owner.do("secret.write", { params: at(workshop, "LEFT"), body: { value } });
    await broker(workshop, "RIGHT");
    await owner.do("secret.write", { params: at(place, "RIGHT"), body: { value } });
    for (const scope of [place, workshop]) {
      await broker(scope, "BOTH");
      await owner.do("secret.write", { params: at(scope, "NEITHER"), body: { value } });
    }
    const body = { from: place, to: workshop, values: true, reason: "brokered ones" };
    const { items } = await owner.do("secret.compare", { body });
    const same = Object.fromEntries(items.map((one) => [one.name, one.same]));
    expect(same).toMatchObject({ LEFT: null, RIGHT: null, BOTH: null, NEITHER: true });
    const [event] = (await owner.do("audit.list", { query: { action: "secret.compare", limit: "1" } })).items;
    const logged = event?.secrets?.map(({ name }) => name) ?? [];
    expect(logged).toContain("NEITHER");
    for (const name of ["LEFT", "RIGHT", "BOTH"]) expect(logged).not.toContain(name);
  });

  it("makes whatever it is copied to its like, and nothing that is copied over it opens it", async () => {
    await broker(place, "ORIGIN");
    await owner.do("secret.write", { params: at(workshop, "OPEN"), body: { value: "was open" } });
    const over = async (from: typeof place, to: typeof place, name: string, as: string) =>
      codeOf(await copy(owner, from, to, { names: [name], rename: { [name]: as }, overwrite: true }));
    expect(await over(place, workshop, "ORIGIN", "COPY")).toBe("allowed");
    expect(await over(place, workshop, "ORIGIN", "OPEN")).toBe("allowed");
    expect(await over(place, place, "ORIGIN", "BESIDE")).toBe("allowed");
    await owner.do("secret.write", { params: at(workshop, "READABLE"), body: { value: "readable" } });
    expect(await over(workshop, workshop, "READABLE", "COPY")).toBe("allowed");
    for (const name of ["COPY", "OPEN"]) await isClosed(workshop, name);
    await isClosed(place, "BESIDE");
    // Neither does what the name held before it was closed.
    await owner.do("secret.rollback", { params: at(workshop, "OPEN"), body: { version: 1 } });
    await isClosed(workshop, "OPEN");
    expect(codeOf(await copy(owner, place, workshop, { names: ["ORIGIN"], move: true }))).toBe("allowed");
    await isClosed(workshop, "ORIGIN");
    // The one that was read stays one that is read.
    expect(codeOf(await reveal(workshop, "READABLE"))).toBe("allowed");
  });

  it("is in no launch, and no copy brings it into one", async () => {
    await broker(place, "TOOL_ONLY");
    expect(codeOf(await copy(owner, place, workshop, { names: ["TOOL_ONLY"] }))).toBe("allowed");
    const params = { namespace: "default", workload: "launched" };
    await owner.do("workload.create", { params, body: { name: "launched" } });
    await owner.do("manifest.save", { params, body: { variables: { KEY: { secret: "TOOL_ONLY" } } } });
    const set = await owner.try("deployment.set", { params: { ...params, environment: "dev" }, body: {} });
    const mint = await owner.try("token.mint", { params, body: { environment: "dev" } });
    expect([set.status, mint.status].some((status) => status >= 400)).toBe(true);
    expect(`${set.text} ${mint.text}`).toContain("can only be used through a tool");
    expect(`${set.text} ${mint.text}`).not.toContain(value);
  });

  it("is written, copied and asked about by those who may do so with any other, and by nobody else", async () => {
    await broker(place, "SHARED");
    const allowed: Readonly<Record<string, Column>> = {
      "copy-from": "contributor",
      "copy-preview": "contributor",
      uses: "builder",
    };
    for (const [deed, column] of Object.entries(allowed)) {
      expect([deed, codeOf(await tried(deed, person(column)))]).toEqual([deed, "allowed"]);
      for (const other of ["operator", "runner", "nobody"] as const)
        expect([deed, other, codeOf(await tried(deed, person(other)))]).not.toContain("allowed");
    }
  });
});
