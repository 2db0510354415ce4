import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MINUTE } from "#base";
import type { Response } from "#contract";
import type { Client } from "../harness.ts";
import { LaunchPad } from "./launch-pad.ts";

type Injection = Response<"injection.get">;

describe("Launches in the list", () => {
  let pad: LaunchPad;

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("HIDDEN_NAME", "hidden-value");
    await pad.deploy("job", { SHOWN_AS: { secret: "HIDDEN_NAME" } });
    await pad.deploy("other", { LEVEL: { value: "info" } });
  });
  afterAll(() => pad.close());

  async function launch(by: Client, workload = "job", environment = "prod"): Promise<Injection["id"]> {
    const answer = await pad.tryMint(by, workload, { environment, note: `by ${workload}` });
    const [item] = answer.body.items;
    if (item === undefined) throw new Error(answer.text);
    return item.injectionId;
  }
  const listed = async (who: Client, query: object = {}): Promise<Injection["id"][]> =>
    (await who.do("injection.list", { query: { limit: "200", ...query } })).items.map((one) => one.id);

  it("shows operators all launches of their scope, without the name or value of a secret (R72, R73)", async () => {
    const ids = [await launch(pad.owner), await launch(pad.contributor), await launch(pad.operator)];
    const bearer = await pad.mint(pad.owner, "job");
    await pad.receive(bearer);
    const answer = await pad.operator.try("injection.list", { query: {} });
    expect(answer.body.items.map((one) => one.id)).toEqual(expect.arrayContaining(ids));
    expect(answer.text).not.toMatch(/HIDDEN_NAME|SHOWN_AS|hidden-value|sp_inj_|sp_lease_/);
    expect(await pad.eventsOf(answer)).toMatchObject([{ action: "injection.list", result: "success" }]);
    const one = await pad.operator.try("injection.get", { params: { id: ids[0] as never } });
    expect(one.body).toMatchObject({ workload: "ops/job", environment: "prod", mintedBy: "owner", note: "by job" });
    expect(one.text).not.toMatch(/HIDDEN_NAME|SHOWN_AS|hidden-value|sp_inj_/);
  });

  it("shows a member without a right to look only those that the member began (R144)", async () => {
    const user = await pad.vault.user("mel");
    await pad.owner.do("environment.create", { body: { name: "lab", mode: "private" } });
    await pad.deploy("job", { A: { value: "1" } }, "lab");
    const grant = await pad.owner.do("grant.create", {
      body: { principal: "mel", role: "operator", environment: "lab" },
    });
    const theirs = await launch(pad.owner, "job", "lab");
    const own = await launch(user, "job", "lab");
    expect(await listed(user, { environment: "lab" })).toEqual([own, theirs]);
    await pad.owner.do("grant.delete", { params: { id: grant.id } });
    expect(await listed(user, { environment: "lab" })).toEqual([own]);
    expect(await user.code("injection.get", { params: { id: theirs } })).toBe("not_found");
    expect((await user.do("injection.get", { params: { id: own } })).id).toBe(own);
    expect(await user.code("injection.revoke", { params: { id: theirs } })).toBe("not_found");
  });

  it("shows guests nothing that was not granted, owners and admins everything (R143, R145)", async () => {
    const admin = await pad.vault.user("ada", "admin");
    const guest = await pad.vault.user("gus", "guest");
    const ids = [await launch(pad.contributor), await launch(pad.owner, "job", "lab")];
    for (const one of [admin, pad.owner]) expect(await listed(one)).toEqual(expect.arrayContaining(ids));
    expect(await listed(guest)).toEqual([]);
    expect(await guest.code("injection.get", { params: { id: ids[0] as never } })).toBe("not_found");
  });

  it("shows a grant on one workload that workload's launches, where it was granted, and no others (R142)", async () => {
    const user = await pad.vault.user("wim", "guest");
    await pad.owner.do("grant.create", {
      body: { principal: "wim", role: "viewer", environment: "prod", namespace: "ops", workload: "other" },
    });
    await pad.deploy("other", { LEVEL: { value: "x" } }, "lab");
    const [inProd, elsewhere, another] = [
      await launch(pad.owner, "other"),
      await launch(pad.owner, "other", "lab"),
      await launch(pad.owner, "job"),
    ];
    expect(await listed(user)).toEqual([inProd]);
    for (const id of [elsewhere, another])
      expect(await user.code("injection.get", { params: { id } })).toBe("not_found");
    expect(await listed(user, { workload: "job" })).toEqual([]);
  });

  it("hides an explicit workload's launches from who has only the scope, also when asked for by name", async () => {
    await pad.owner.do("workload.create", {
      params: { namespace: "ops" },
      body: { name: "closed", access: "explicit" },
    });
    await pad.deploy("closed", { LEVEL: { value: "x" } });
    const id = await launch(pad.owner, "closed");
    expect(await listed(pad.operator)).not.toContain(id);
    expect(await listed(pad.operator, { workload: "closed" })).toEqual([]);
    expect(await pad.operator.code("injection.get", { params: { id } })).toBe("not_found");
    expect(await pad.operator.code("injection.revoke", { params: { id } })).toBe("not_found");
    expect(await listed(pad.owner, { workload: "closed" })).toEqual([id]);
  });

  it("knows nothing of another org's launches", async () => {
    const other = await pad.vault.org("foreign");
    const id = await launch(pad.owner);
    expect(await listed(other)).toEqual([]);
    expect(await other.code("injection.get", { params: { id } })).toBe("not_found");
    expect(await other.code("injection.revoke", { params: { id } })).toBe("not_found");
  });

  it("filters by state, as it is now", async () => {
    const workload = "other";
    const minted = await launch(pad.owner, workload);
    const revoked = await launch(pad.owner, workload);
    await pad.owner.do("injection.revoke", { params: { id: revoked } });
    const bearer = await pad.mint(pad.owner, workload);
    const exchanged = (await pad.exchange(bearer)).body.injectionId;
    const of = (state: string) => listed(pad.owner, { state, workload, environment: "prod" });
    expect(await of("minted")).toContain(minted);
    expect(await of("revoked")).toEqual([revoked]);
    expect(await of("exchanged")).toEqual([exchanged]);
    expect(await of("expired")).not.toContain(minted);
    pad.clock.forward(16 * MINUTE);
    expect(await of("minted")).toEqual([]);
    expect(await of("expired")).toContain(minted);
    expect(await of("revoked")).toEqual([revoked]);
  });

  it("pages from the newest to the oldest without a gap", async () => {
    const all = await listed(pad.owner);
    const paged: Injection["id"][] = [];
    let after: string | null = null;
    do {
      const page: Response<"injection.list"> = await pad.owner.do("injection.list", {
        query: { limit: "3", ...(after === null ? {} : { after }) },
      });
      paged.push(...page.items.map((one) => one.id));
      after = page.next;
    } while (after !== null);
    expect(paged).toEqual(all);
    expect(all).toEqual([...all].sort().reverse());
    expect(await listed(pad.owner, { environment: "nowhere" })).toEqual([]);
    expect(await listed(pad.owner, { namespace: "nowhere" })).toEqual([]);
  });

  it("revokes a token before its use, by who may run there and by nobody else, as often as one likes", async () => {
    const bearer = await pad.mint(pad.operator, "job");
    const { injectionId: id } = await bearer.do("token.lookup");
    const viewer = await pad.vault.user("vic", "guest");
    await pad.owner.do("grant.create", { body: { principal: "vic", role: "viewer", environment: "prod" } });
    expect(await viewer.code("injection.revoke", { params: { id } })).toBe("forbidden");
    const revoked = await pad.operator.try("injection.revoke", { params: { id } });
    expect(revoked.body).toMatchObject({ state: "revoked", lease: null });
    expect(await pad.eventsOf(revoked)).toMatchObject([{ action: "injection.revoke", target: { id } }]);
    expect((await pad.operator.do("injection.revoke", { params: { id } })).state).toBe("revoked");
    const refused = await pad.exchange(bearer, { runner: pad.host });
    expect(refused.body.code).toBe("token_invalid");
    expect(await pad.eventsOf(refused)).toMatchObject([{ code: "token_invalid", facts: { why: "revoked" } }]);
  });
});
