import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import { PASSWORD, startVault } from "./harness.ts";
import type { Answer, Client, Problem, TestVault } from "./harness.ts";
import { requestsAbout } from "./requests.ts";
import type { Names, Requests } from "./requests.ts";

let vault: TestVault;
/** The owner of one tenant, whose things these are, and of another, who has nothing. */
let ours: Client;
let theirs: Client;
let names: Names;
let requests: Requests;
const boundTokens: string[] = [];
const theirAnswers: { id: OperationId; answer: Answer<unknown> }[] = [];

/** Words and ids of ours that they never send. */
const unsaid: string[] = [
  "a-unsaid-env",
  "a-unsaid-ns",
  "A_UNSAID",
  "a-unsaid-workload",
  "a-unsaid-user",
  "a-unsaid-bot",
];

beforeAll(async () => {
  vault = await startVault();
  const { setUpToken } = await vault.owner.do("org.create", { body: { name: "ours", owner: "anna" } });
  ours = await signUp(setUpToken);
  theirs = await vault.org("theirs");
  await theirs.do("environment.create", { body: { name: "b-env" } });

  const suffixes = ["", "-unsaid"];
  for (const more of suffixes) {
    const environment = `a${more}-env`;
    const namespace = `a${more}-ns`;
    const secret = more === "" ? "A_SECRET" : "A_UNSAID";
    const workload = `a${more}-workload`;
    unsaid.push((await ours.do("environment.create", { body: { name: environment } })).id);
    unsaid.push((await ours.do("namespace.create", { body: { name: namespace } })).id);
    const params = { environment, namespace, secret };
    unsaid.push((await ours.do("secret.write", { params, body: { value: "value-of-ours" } })).id);
    unsaid.push((await ours.do("workload.create", { params: { namespace }, body: { name: workload } })).id);
    await ours.do("manifest.save", { params: { namespace, workload }, body: { variables: { KEY: { secret } } } });
    await ours.do("deployment.set", { params: { namespace, workload, environment }, body: {} });
    unsaid.push((await ours.do("user.create", { body: { login: `a${more}-user`, role: "guest" } })).user.id);
    await ours.do("service-user.create", { body: { name: `a${more}-bot`, kind: "runner" } });
  }
  const operator = await signUp((await ours.do("user.invite", { params: { user: "a-user" } })).setUpToken);
  const grant = await ours.do("grant.create", { body: { principal: "a-user", role: "operator" } });
  const minted = await operator.do("token.mint", {
    params: { namespace: "a-ns", workload: "a-workload" },
    body: { environment: "a-env" },
  });
  boundTokens.push(...minted.items.map((item) => item.token));
  names = {
    environment: "a-env",
    namespace: "a-ns",
    secret: "A_SECRET",
    workload: "a-workload",
    user: "a-user",
    serviceUser: "a-bot",
    session: (await ours.do("session.list")).items[0]?.id ?? "",
    credential: (await ours.do("service-user.get", { params: { serviceUser: "a-bot" } })).tokens[0]?.id ?? "",
    grant: grant.id,
    injection: minted.items[0]?.injectionId ?? "",
  };
  requests = requestsAbout(names);
});
afterAll(() => vault.close());

async function signUp(setUpToken: string): Promise<Client> {
  const bearer = vault.anonymous.as(setUpToken);
  return bearer.as((await bearer.do("set-up.complete", { body: { password: PASSWORD } })).token);
}

const call = async (id: OperationId): Promise<Answer<Problem>> => {
  const answer = (await theirs.try(id, requests[id] as never)) as unknown as Answer<Problem>;
  theirAnswers.push({ id, answer });
  return answer;
};

/** All that we can see of what is ours, but for when we looked. */
async function inventory(): Promise<string> {
  const page = { query: {} };
  const inWorkload = { namespace: "a-ns", workload: "a-workload" };
  const all = await Promise.all([
    ours.do("environment.list", page),
    ours.do("namespace.list", page),
    ours.do("secret.search", page),
    ours.do("workload.search", page),
    ours.do("manifest.list", { params: inWorkload, query: {} }),
    ours.do("user.list", page),
    ours.do("service-user.list", page),
    ours.do("service-user.get", { params: { serviceUser: "a-bot" } }),
    ours.do("grant.list", page),
    ours.do("injection.list", page),
    ours.do("org.get"),
    ours.do("secret.versions", { params: { environment: "a-env", namespace: "a-ns", secret: "A_SECRET" } }),
    ours.do("session.list").then(({ items }) => items.map((item) => item.id)),
  ]);
  return JSON.stringify(all);
}

const actorOperations = (Object.keys(CATALOG) as OperationId[]).filter((id) => CATALOG[id].auth === "actor");
/** Those that name something of ours, in the path or in the body. */
const about = actorOperations.filter(
  (id) => CATALOG[id].path.includes("{") || ["grant.create", "secret.copy", "secret.compare"].includes(id),
);
/** Lists and settings of the caller's own org. */
const own = actorOperations.filter(
  (id) => !about.includes(id) && ["read"].includes(CATALOG[id].effect) && CATALOG[id].permission !== "instance.admin",
);

describe("a tenant", () => {
  it("has operations about names, and lists, enough to be worth the looking", () => {
    expect(about.length).toBeGreaterThan(35);
    expect(own.length).toBeGreaterThan(10);
  });

  it("finds nothing under another's names and ids, whatever the operation, and changes nothing (R11, R12, R13, R19)", async () => {
    const before = await inventory();
    for (const id of about) {
      const answer = await call(id);
      expect([id, answer.status, answer.body.code]).toEqual([id, 404, "not_found"]);
    }
    expect(await inventory()).toBe(before);
  });

  it("is answered about another's things as about things that never were (R12)", async () => {
    const swap = (text: string): string =>
      `${text.slice(0, 4)}${[...text.slice(4)].reverse().join("")}`.replace(/^(...)_[^0]/, "$1_0");
    const absent = requestsAbout({
      environment: "never-env",
      namespace: "never-ns",
      secret: "NEVER",
      workload: "never-workload",
      user: "never-user",
      serviceUser: "never-bot",
      session: swap(names.session),
      credential: swap(names.credential),
      grant: swap(names.grant),
      injection: swap(names.injection),
    });
    for (const id of about) {
      const [real, never] = [await call(id), await theirs.try(id, absent[id] as never)].map(
        ({ status, body }) => [status, { ...(body as object), requestId: "" }] as const,
      );
      expect([id, real]).toEqual([id, never]);
    }
  });

  it("lists, searches and counts only its own (R13, R20)", async () => {
    for (const id of own) {
      const answer = await call(id);
      expect([id, answer.status]).toEqual([id, 200]);
    }
    expect((await theirs.do("environment.list", { query: {} })).items.map((one) => one.name)).toEqual([
      "b-env",
      "dev",
      "prod",
    ]);
    expect((await theirs.do("user.list", { query: {} })).items.map((one) => one.login)).toEqual(["owner"]);
    for (const items of [
      (await theirs.do("secret.search", { query: {} })).items,
      (await theirs.do("service-user.list", { query: {} })).items,
      (await theirs.do("grant.list", { query: {} })).items,
      (await theirs.do("injection.list", { query: {} })).items,
    ])
      expect(items).toEqual([]);
  });

  it("does not see the instance, nor make orgs, however much it owns (R12)", async () => {
    for (const id of actorOperations.filter((one) => CATALOG[one].permission === "instance.admin"))
      expect([id, (await call(id)).body.code]).toEqual([id, "not_found"]);
  });

  it("holds nothing of another's in any answer, nor in its own log (R13)", async () => {
    const log = await theirs.try("audit.list", { query: { limit: "1000" } });
    expect(theirAnswers.length).toBeGreaterThan(about.length);
    for (const { id, answer } of [...theirAnswers, { id: "audit.list", answer: log }]) {
      for (const word of [...unsaid, "value-of-ours"])
        if (answer.text.includes(word)) throw new Error(`${id} told of ${word}: ${answer.text}`);
    }
  });

  it("leaves no trace in another's log (R11, R13)", async () => {
    const ids = new Set(theirAnswers.map(({ answer }) => answer.headers["x-request-id"]));
    const { items } = await ours.do("audit.list", { query: { limit: "1000" } });
    expect(items.length).toBeGreaterThan(0);
    expect(items.filter((event) => ids.has(event.requestId))).toEqual([]);
    expect(new Set(items.map((event) => event.actor.name))).not.toContain("owner");
  });

  it("makes its own under the same names, and each keeps its own (R1, R11)", async () => {
    const params = { environment: "a-env", namespace: "a-ns", secret: "A_SECRET" };
    await theirs.do("environment.create", { body: { name: "a-env" } });
    await theirs.do("namespace.create", { body: { name: "a-ns" } });
    await theirs.do("secret.write", { params, body: { value: "value-of-theirs" } });
    const reveal = async (who: Client): Promise<string> =>
      (await who.do("secret.reveal", { params, body: { reason: "to compare" } })).value;
    expect(await reveal(ours)).toBe("value-of-ours");
    expect(await reveal(theirs)).toBe("value-of-theirs");
    await theirs.do("user.create", { body: { login: "anna" } });
    await theirs.do("environment.delete", { params: { environment: "a-env" }, query: { confirm: "a-env" } });
    expect(await reveal(ours)).toBe("value-of-ours");
  });

  it("takes no delivery of another's launch with its own runner (R19)", async () => {
    const issued = await theirs.do("service-user.create", { body: { name: "their-runner", kind: "runner" } });
    await theirs.do("grant.create", { body: { principal: "their-runner", role: "runner" } });
    const bearer = vault.anonymous.as(boundTokens[0] ?? "");
    const refused = await bearer.try("token.exchange", {
      query: {},
      headers: { "Sallyport-Runner": issued.token.token },
    });
    expect(refused.body.code).toBe("runner_required");
    expect((await bearer.do("token.lookup")).state).toBe("minted");
  });

  it("signs nobody in with another's password, nor without saying which org is meant", async () => {
    const signIn = (org?: string) =>
      vault.anonymous.try("session.create", {
        body: { login: "anna", password: PASSWORD, ...(org === undefined ? {} : { org }) },
      });
    expect((await signIn("ours")).status).toBe(200);
    expect((await signIn("theirs")).body.code).toBe("sign_in_failed");
    expect((await signIn()).body.code).toBe("sign_in_failed");
    expect((await signIn("main")).body.code).toBe("sign_in_failed");
  });
});
