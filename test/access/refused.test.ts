import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";
import { requestsAbout } from "../requests.ts";
import type { Requests } from "../requests.ts";

const OPERATIONS = Object.keys(CATALOG) as OperationId[];
const authOf = (id: OperationId): string => CATALOG[id].auth;

/** What anybody with a credential may do, on what is the own. */
const OWN: ReadonlySet<OperationId> = new Set<OperationId>([
  "status.get",
  "session.list",
  "whoami.get",
  "role.list",
  "org.get",
]);
/** Lists that show whoever may see nothing nothing. */
const EMPTY: ReadonlySet<OperationId> = new Set<OperationId>([
  "environment.list",
  "namespace.list",
  "secret.search",
  "workload.search",
  "injection.list",
  "audit.list",
]);
/** Refused for what they say, not for who asks: a wrong password, a session that is not the own. */
const OTHERWISE: Partial<Record<OperationId, string>> = {
  "password.change": "sign_in_failed",
  "session.revoke": "not_found",
};

let folder: string;
let vault: TestVault;
let requests: Requests;
let guest: Client;
let agent: Client;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-"));
  vault = await startVault({ folder });
  const { owner } = vault;
  const scope = { environment: "prod", namespace: "default" };
  await owner.do("secret.write", { params: { ...scope, secret: "KEY" }, body: { value: "never-shown" } });
  await owner.do("workload.create", { params: { namespace: "default" }, body: { name: "etl" } });
  await owner.do("manifest.save", {
    params: { namespace: "default", workload: "etl" },
    body: { variables: { KEY: { secret: "KEY" } } },
  });
  await owner.do("deployment.set", {
    params: { namespace: "default", workload: "etl", environment: "prod" },
    body: {},
  });
  const minted = await owner.do("token.mint", {
    params: { namespace: "default", workload: "etl" },
    body: { environment: "prod" },
  });
  guest = await vault.user("gus", "guest");
  agent = await vault.service("idle-agent", "agent");
  const grant = await owner.do("grant.create", {
    body: { principal: "gus", role: "contributor", startsAt: "2200-01-01T00:00:00Z" },
  });
  requests = requestsAbout({
    ...scope,
    secret: "KEY",
    workload: "etl",
    user: "owner",
    serviceUser: "idle-agent",
    session: (await owner.do("session.list")).items[0]?.id ?? "",
    credential: (await owner.do("service-user.get", { params: { serviceUser: "idle-agent" } })).tokens[0]?.id ?? "",
    grant: grant.id,
    injection: minted.items[0]?.injectionId ?? "",
  });
});
afterAll(async () => {
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

const ask = async (who: Client, id: OperationId): Promise<Answer<Problem & { items?: unknown[] }>> =>
  await who.try(id, requests[id] as never);

describe("whoever has no permission", () => {
  const actorOperations = OPERATIONS.filter((id) => authOf(id) === "actor" && id !== "session.end");

  it.each(["guest", "agent"] as const)(
    "as a %s is refused every operation, but for the own (R5, R135)",
    async (kind) => {
      const who = kind === "guest" ? guest : agent;
      const answers = new Map<OperationId, Answer<unknown>>();
      for (const id of actorOperations) {
        const answer = await ask(who, id);
        answers.set(id, answer);
        const { status, body, text } = answer;
        expect([id, text.includes("never-shown")]).toEqual([id, false]);
        if (OWN.has(id)) expect([id, status]).toEqual([id, 200]);
        else if (id === "audit.list") expect([id, status]).toEqual([id, 200]);
        else if (EMPTY.has(id)) expect([id, status, body.items]).toEqual([id, 200, []]);
        else if (OTHERWISE[id] !== undefined) expect([id, body.code]).toEqual([id, OTHERWISE[id]]);
        else expect([id, ["forbidden", "not_found"].includes(body.code)]).toEqual([id, true]);
      }
      const { items } = await vault.owner.do("audit.list", { query: { limit: "1000" } });
      for (const [id, { status, headers }] of answers) {
        const events = items.filter((event) => event.requestId === headers["x-request-id"]);
        expect([id, events.map((event) => [event.action, event.result])]).toEqual([
          id,
          [[id, status < 400 ? "success" : "refused"]],
        ]);
      }
    },
  );

  it("sees in the log what it did itself, and nothing else", async () => {
    const { items } = await guest.do("audit.list", { query: { limit: "1000" } });
    expect(new Set(items.map((event) => event.actor.name))).toEqual(new Set(["gus"]));
  });

  it("has changed nothing", async () => {
    const { owner } = vault;
    expect(
      (await owner.do("secret.get", { params: { environment: "prod", namespace: "default", secret: "KEY" } })).version,
    ).toBe(1);
    expect((await owner.do("org.get")).reveal).toBe("admins");
    expect((await owner.do("environment.list", { query: {} })).items.map((one) => one.name)).toEqual(["dev", "prod"]);
    expect((await owner.do("user.list", { query: {} })).items.map((one) => one.login)).toEqual(["gus", "owner"]);
    expect((await owner.do("injection.list", { query: {} })).items).toMatchObject([{ state: "minted" }]);
  });
});

describe("whoever has no credential", () => {
  it("is refused every operation that is not open, and counted (DESIGN 8)", async () => {
    const closed = OPERATIONS.filter((id) => authOf(id) !== "open");
    const wrongKind = vault.anonymous.as(guest.token);
    for (const id of closed) {
      const bare = await ask(vault.anonymous, id);
      expect([id, bare.status]).toEqual([id, 401]);
      expect([id, bare.headers["www-authenticate"]]).toEqual([id, 'Bearer realm="sallyport"']);
      const forged = await ask(vault.anonymous.as(`${(guest.token ?? "").slice(0, -8)}aaaaaaaa`), id);
      if (authOf(id) !== "sign-in") expect([id, forged.status]).toEqual([id, 401]);
      // A session is not an injection token, a lease or a set-up credential.
      if (!["actor", "sign-in"].includes(authOf(id)))
        expect([id, (await ask(wrongKind, id)).status]).toEqual([id, 401]);
    }
    for (const id of OPERATIONS.filter((one) => authOf(one) === "open"))
      expect([id, (await ask(vault.anonymous, id)).status]).toEqual([id, 200]);

    const counted = async (): Promise<number> => {
      const inInstance = await vault.owner.do("instance-audit.list", {
        query: { action: "unknown.counted", limit: "1000" },
      });
      const inOrg = await vault.owner.do("audit.list", {
        query: { action: "unknown.counted", limit: "1000" },
      });
      return [...inInstance.items, ...inOrg.items].reduce((sum, event) => sum + Number(event.facts?.count ?? 0), 0);
    };
    // What was counted becomes events when the minute is over or the vault closes.
    await vault.close();
    vault = await startVault({ folder });
    const others = closed.filter((id) => !["actor", "sign-in"].includes(authOf(id)));
    expect(await counted()).toBeGreaterThanOrEqual(closed.length * 2 - 1 + others.length);
    expect((await vault.owner.do("audit.verify")).intact).toBe(true);
  });
});
