import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DAY, MINUTE, SECOND } from "#base";
import { TestClock } from "../clock.ts";
import { PASSWORD, send, startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

const clock = new TestClock();
let vault: TestVault;
let owner: Client;

beforeAll(async () => {
  vault = await startVault({ overrides: { clock } });
  ({ owner } = vault);
});
afterAll(() => vault.close());

const signIn = (login: string, password = PASSWORD, org?: string) =>
  vault.anonymous.try("session.create", { body: { login, password, ...(org === undefined ? {} : { org }) } });
const session = async (login: string, password = PASSWORD): Promise<Client> =>
  vault.anonymous.as((await vault.anonymous.do("session.create", { body: { login, password } })).token);
const alive = async (who: Client): Promise<boolean> => (await who.try("whoami.get")).status === 200;
const faultless = ({ status, body }: Answer<Problem>): unknown => {
  const { requestId: _, ...rest } = body;
  return { status, rest };
};

describe("a set-up credential", () => {
  it("sets the password once, signs in, and is worth nothing afterwards", async () => {
    const { setUpToken, user } = await owner.do("user.create", { body: { login: "sue" } });
    expect(user).toMatchObject({ login: "sue", role: "member", state: "invited" });
    const bearer = vault.anonymous.as(setUpToken);
    const signedIn = await bearer.do("set-up.complete", { body: { password: PASSWORD } });
    expect(signedIn).toMatchObject({ org: "main", login: "sue", idleSeconds: 1800 });
    expect(await alive(vault.anonymous.as(signedIn.token))).toBe(true);
    expect(await bearer.code("set-up.complete", { body: { password: `${PASSWORD}!` } })).toBe("token_invalid");
    expect(await bearer.code("whoami.get")).toBe("unauthenticated");
    expect((await signIn("sue")).status).toBe(200);
  });

  it("is used once by however many at the same time", async () => {
    const { setUpToken } = await owner.do("user.create", { body: { login: "race" } });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        vault.anonymous.as(setUpToken).try("set-up.complete", { body: { password: `${PASSWORD} ${String(at)}` } }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    for (const answer of answers.filter((one) => one.status !== 200)) expect(answer.body.code).toBe("token_invalid");
  });

  it.each([
    ["short", "elevenchars"],
    ["empty", ""],
    ["longer than 1,024 characters", "ä".repeat(1_025)],
    ["no text", `\ud800${"x".repeat(20)}`],
  ])("takes no password that is %s, and stays good", async (kind, password) => {
    const login = `weak.${kind.replaceAll(/\W/g, "-").slice(0, 20)}`;
    const { setUpToken } = await owner.do("user.create", { body: { login } });
    const bearer = vault.anonymous.as(setUpToken);
    const refused = await bearer.try("set-up.complete", { body: { password } });
    expect(refused.body.code).toBe(kind === "no text" ? "bad_request" : "invalid_input");
    if (password !== "") expect(refused.text).not.toContain(password);
    expect((await bearer.try("set-up.complete", { body: { password: PASSWORD } })).status).toBe(200);
  });

  it("ends after three days, with the next invitation, and with its user", async () => {
    const first = await owner.do("user.create", { body: { login: "late" } });
    const second = await owner.do("user.invite", { params: { user: "late" } });
    const complete = (token: string) =>
      vault.anonymous.as(token).try("set-up.complete", { body: { password: PASSWORD } });
    expect((await complete(first.setUpToken)).body.code).toBe("token_invalid");
    clock.forward(3 * DAY + SECOND);
    owner = await session("owner");
    expect((await complete(second.setUpToken)).body.code).toBe("token_invalid");
    const third = await owner.do("user.invite", { params: { user: "late" } });
    await owner.do("user.delete", { params: { user: "late" } });
    expect((await complete(third.setUpToken)).body.code).toBe("token_invalid");
  });

  it("of a used invitation resets the password and ends all sessions", async () => {
    const bob = await user("bob");
    const { setUpToken } = await owner.do("user.invite", { params: { user: "bob" } });
    expect(await alive(bob)).toBe(true);
    await vault.anonymous.as(setUpToken).do("set-up.complete", { body: { password: "another good passphrase" } });
    expect(await alive(bob)).toBe(false);
    expect((await signIn("bob")).body.code).toBe("sign_in_failed");
  });
});

describe("signing in", () => {
  it("fails alike for wrong, unknown, disabled, invited and deleted, to the letter", async () => {
    for (const login of ["wanda", "dora", "dead"]) await user(login);
    await owner.do("user.create", { body: { login: "ivy" } });
    await owner.do("user.update", { params: { user: "dora" }, body: { state: "disabled" } });
    await owner.do("user.delete", { params: { user: "dead" } });
    const wrong = await signIn("wanda", "not the right password");
    expect(wrong.status).toBe(401);
    expect(wrong.body.code).toBe("sign_in_failed");
    for (const other of [
      await signIn("nobody"),
      await signIn("dora"),
      await signIn("ivy"),
      await signIn("dead"),
      await signIn("wanda", "x"),
      await signIn("wanda", "x".repeat(1024)),
      await signIn("wanda", PASSWORD, "no-such-org"),
      await signIn("no such name! \u0000"),
    ])
      expect(faultless(other)).toEqual(faultless(wrong));
  });

  it("takes a name as people write it, and the org that is the only one", async () => {
    expect((await signIn(" OWNER ")).status).toBe(200);
    expect((await signIn("owner", PASSWORD, "main")).status).toBe(200);
  });

  it("is not for service users (R112)", async () => {
    await owner.do("service-user.create", { body: { name: "robot", kind: "ci" } });
    expect((await signIn("robot")).body.code).toBe("sign_in_failed");
  });

  it("is delayed more with each failure, for unknown names too, however the org is named, and forgotten by success", async () => {
    await user("slow");
    for (const login of ["slow", "ghost"]) {
      for (let tries = 0; tries < 5; tries += 1)
        expect((await signIn(login, "wrong password", tries % 2 === 0 ? "main" : undefined)).body.code).toBe(
          "sign_in_failed",
        );
      const held = await signIn(login);
      expect([held.status, held.body.code]).toEqual([429, "rate_limited"]);
      expect(Number(held.headers["retry-after"])).toBe(1);
      expect((await signIn(login, PASSWORD, "main")).body.code).toBe("rate_limited");
    }
    clock.forward(2 * SECOND);
    expect((await signIn("slow", "wrong password")).body.code).toBe("sign_in_failed");
    expect(Number((await signIn("slow")).headers["retry-after"])).toBe(2);
    clock.forward(3 * SECOND);
    expect((await signIn("slow")).status).toBe(200);
    expect((await signIn("slow", "wrong password")).body.code).toBe("sign_in_failed");
    expect((await signIn("slow")).status).toBe(200);
  });

  it("is delayed as much by guesses at the same time as by guesses in a row", async () => {
    await user("burst");
    const answers = await Promise.all(Array.from({ length: 30 }, () => signIn("burst", "wrong password")));
    expect(answers.filter((answer) => answer.body.code === "sign_in_failed")).toHaveLength(5);
    expect(answers.filter((answer) => answer.body.code === "rate_limited")).toHaveLength(25);
  });

  it("of one person many times at once succeeds each time", async () => {
    await user("many");
    const answers = await Promise.all(Array.from({ length: 10 }, () => signIn("many")));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
  });
});

describe("a session", () => {
  it("ends half an hour after its last request (R146, R178)", async () => {
    const who = await user("idle");
    clock.forward(29 * MINUTE);
    expect(await alive(who)).toBe(true);
    clock.forward(29 * MINUTE);
    expect(await alive(who)).toBe(true);
    clock.forward(30 * MINUTE);
    expect(await alive(who)).toBe(false);
    owner = await session("owner");
  });

  it("ends twelve hours after it began, whatever happens", async () => {
    const who = await user("busy");
    for (let at = 0; at < 28; at += 1) {
      clock.forward(25 * MINUTE);
      expect(await alive(who)).toBe(true);
    }
    clock.forward(21 * MINUTE);
    expect(await alive(who)).toBe(false);
    owner = await session("owner");
  });

  it("ends when it is signed out, and only that one (R147)", async () => {
    const one = await user("sid");
    const other = await session("sid");
    expect((await other.do("session.list")).items).toHaveLength(2);
    await one.do("session.end");
    expect(await alive(one)).toBe(false);
    expect((await other.do("session.list")).items).toMatchObject([{ current: true }]);
  });

  it("is revoked by its own user and by nobody else", async () => {
    const one = await user("rita");
    const other = await session("rita");
    const id = (await one.do("session.list")).items.find((item) => item.current)?.id ?? "";
    expect(await owner.code("session.revoke", { params: { id } })).toBe("not_found");
    await other.do("session.revoke", { params: { id } });
    expect(await alive(one)).toBe(false);
    expect(await other.code("session.revoke", { params: { id } })).toBe("not_found");
  });

  it("survives its own password change, and no other does (R180)", async () => {
    const one = await user("petra");
    const other = await session("petra");
    const changed = "quite another passphrase";
    expect(await one.code("password.change", { body: { current: "wrong one", password: changed } })).toBe(
      "sign_in_failed",
    );
    expect(await one.code("password.change", { body: { current: PASSWORD, password: "short" } })).toBe("invalid_input");
    await one.do("password.change", { body: { current: PASSWORD, password: changed } });
    expect(await alive(one)).toBe(true);
    expect(await alive(other)).toBe(false);
    expect((await signIn("petra")).body.code).toBe("sign_in_failed");
    expect((await signIn("petra", changed)).status).toBe(200);
  });

  it.each([
    ["a new role", { role: "guest" }],
    ["being disabled", { state: "disabled" }],
  ] as const)("ends with %s, on the next request (R37, R180)", async (word, update) => {
    const login = `ends-${word.replaceAll(" ", "-")}`;
    const who = await user(login);
    await owner.do("user.update", { params: { user: login }, body: update });
    expect(await alive(who)).toBe(false);
  });

  it("ends with its user, whose name made anew is another (R148)", async () => {
    const who = await user("phoenix");
    await owner.do("grant.create", { body: { principal: "phoenix", role: "contributor" } });
    await owner.do("user.delete", { params: { user: "phoenix" } });
    expect(await alive(who)).toBe(false);
    expect((await signIn("phoenix")).body.code).toBe("sign_in_failed");
    const again = await user("phoenix");
    expect((await again.do("whoami.get")).grants).toEqual([]);
    expect(await alive(who)).toBe(false);
  });
});

describe("owners", () => {
  it("are made, changed, invited and deleted by owners only (R27, R28)", async () => {
    const admin = await user("adam", "admin");
    await user("olga", "owner");
    await user("mark");
    const refused = async (answer: Promise<Answer<unknown>>): Promise<void> => {
      expect((await answer).body).toMatchObject({
        code: "forbidden",
        missing: { permission: "owner.assign", on: "org" },
      });
    };
    await refused(admin.try("user.create", { body: { login: "new", role: "owner" } }));
    await refused(admin.try("user.update", { params: { user: "mark" }, body: { role: "owner" } }));
    await refused(admin.try("user.update", { params: { user: "adam" }, body: { role: "owner" } }));
    await refused(admin.try("user.update", { params: { user: "olga" }, body: { role: "member" } }));
    await refused(admin.try("user.update", { params: { user: "olga" }, body: { state: "disabled" } }));
    await refused(admin.try("user.invite", { params: { user: "olga" } }));
    await refused(admin.try("user.delete", { params: { user: "olga" } }));
    expect((await admin.do("user.update", { params: { user: "mark" }, body: { role: "admin" } })).role).toBe("admin");
    await owner.do("user.delete", { params: { user: "olga" } });
  });

  it("that a member becomes has no set-up credential left over that an admin has seen (R28)", async () => {
    const admin = await user("aron", "admin");
    const { setUpToken } = await admin.do("user.create", { body: { login: "rising" } });
    await owner.do("user.update", { params: { user: "rising" }, body: { role: "owner" } });
    expect(await vault.anonymous.as(setUpToken).code("set-up.complete", { body: { password: PASSWORD } })).toBe(
      "token_invalid",
    );
    await owner.do("user.delete", { params: { user: "rising" } });
  });

  it("who hold the instance are invited anew only by those who hold it", async () => {
    const second = await user("otis", "owner");
    const refused = await second.try("user.invite", { params: { user: "owner" } });
    expect(refused.body).toMatchObject({ code: "forbidden", missing: { permission: "instance.admin" } });
    await owner.do("user.delete", { params: { user: "otis" } });
  });

  it("stay, the last one: alone, beside one who never came, and beside one who is disabled", async () => {
    const leave = [
      () => owner.code("user.delete", { params: { user: "owner" } }),
      () => owner.code("user.update", { params: { user: "owner" }, body: { role: "admin" } }),
      () => owner.code("user.update", { params: { user: "owner" }, body: { state: "disabled" } }),
    ];
    for (const attempt of leave) expect(await attempt()).toBe("last_owner");
    await owner.do("user.create", { body: { login: "never", role: "owner" } });
    await user("off", "owner");
    await owner.do("user.update", { params: { user: "off" }, body: { state: "disabled" } });
    for (const attempt of leave) expect(await attempt()).toBe("last_owner");
    await owner.do("user.update", { params: { user: "never" }, body: { state: "disabled" } });
    expect((await owner.do("user.update", { params: { user: "never" }, body: { state: "active" } })).state).toBe(
      "invited",
    );
    for (const attempt of leave) expect(await attempt()).toBe("last_owner");
    await owner.do("user.delete", { params: { user: "off" } });
    await owner.do("user.update", { params: { user: "never" }, body: { role: "member" } });
    await owner.do("user.delete", { params: { user: "never" } });
  });

  it("stay, the last one, when two leave at the same time", async () => {
    for (let round = 0; round < 5; round += 1) {
      const login = `twin-${String(round)}`;
      const twin = await user(login, "owner");
      const answers = await Promise.all([
        owner.try("user.update", { params: { user: login }, body: { role: "member" } }),
        twin.try("user.update", { params: { user: "owner" }, body: { role: "member" } }),
      ]);
      const lost = (await owner.try("whoami.get")).status !== 200;
      const { items } = await (lost ? twin : owner).do("user.list", { query: { limit: "1000" } });
      expect(items.filter((one) => one.role === "owner" && one.state === "active")).toHaveLength(1);
      const statuses = answers.map((answer) => answer.status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      // Whose request is read after the other's took effect is no owner any more, and has no session.
      for (const status of statuses) expect([200, 401, 403, 409]).toContain(status);
      if (!lost) continue;
      await twin.do("user.update", { params: { user: "owner" }, body: { role: "owner" } });
      await twin.do("user.update", { params: { user: login }, body: { role: "member" } });
      owner = await session("owner");
    }
  });
});

describe("users", () => {
  it("are listed and looked at by owners and admins, and nobody else (R43, R54)", async () => {
    const member = await user("plain");
    const guest = await user("ghostly", "guest");
    for (const who of [member, guest]) {
      expect(await who.code("user.list", { query: {} })).toBe("forbidden");
      expect(await who.code("user.get", { params: { user: "owner" } })).toBe("forbidden");
      expect(await who.code("user.create", { body: { login: "friend" } })).toBe("forbidden");
      expect(await who.code("user.update", { params: { user: "plain" }, body: { role: "admin" } })).toBe("forbidden");
      expect(await who.code("user.delete", { params: { user: "owner" } })).toBe("forbidden");
      expect(await who.code("service-user.create", { body: { name: "bot", kind: "ci" } })).toBe("forbidden");
    }
    expect((await owner.do("user.get", { params: { user: "plain" } })).role).toBe("member");
    expect(await owner.code("user.get", { params: { user: "absent" } })).toBe("not_found");
  });

  it("have exactly one org role, and one name among users and service users (R30)", async () => {
    await owner.do("service-user.create", { body: { name: "shared-name", kind: "ci" } });
    expect(await owner.code("user.create", { body: { login: "shared-name" } })).toBe("already_exists");
    expect(await owner.code("user.create", { body: { login: "owner" } })).toBe("already_exists");
    expect(await owner.code("user.get", { params: { user: "shared-name" } })).toBe("not_found");
    expect(await owner.code("user.create", { body: { login: "two", role: "member,admin" as never } })).toBe(
      "invalid_input",
    );
    for (const login of ["Upper", "a b", "", "a@b@c", "x".repeat(64)])
      expect(await owner.code("user.create", { body: { login } })).toBe("invalid_input");
    expect((await owner.do("user.create", { body: { login: "a.b+c@example.org" } })).user.login).toBe(
      "a.b+c@example.org",
    );
  });
});

describe("the machine's own socket", () => {
  it("is the owner while the owner is alone, and only the instance afterwards (R169)", async () => {
    const solo = await startVault();
    try {
      const call = (method: string, path: string, body?: unknown) =>
        send(solo.url, {
          method,
          path,
          socketPath: solo.vault.socketPath ?? "",
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      expect((await call("GET", "/v1/whoami")).body).toMatchObject({ type: "machine", role: "owner", name: "owner" });
      const secret = "/v1/environments/dev/namespaces/default/secrets/X";
      expect((await call("PUT", secret, { value: "1" })).status).toBe(200);
      const made = await call("POST", "/v1/namespaces/default/workloads", { name: "own", access: "explicit" });
      expect(made.status).toBe(201);
      await solo.service("bot", "ci");
      expect((await call("GET", secret)).status).toBe(200);

      await solo.owner.do("user.create", { body: { login: "second" } });
      expect((await call("GET", "/v1/whoami")).body).toMatchObject({ name: "machine", role: "guest", grants: [] });
      for (const [method, path, body] of [
        ["GET", secret],
        ["PUT", secret, { value: "2" }],
        ["POST", `${secret}/reveal`, { reason: "because" }],
        ["GET", "/v1/namespaces/default/workloads/own"],
        ["POST", "/v1/namespaces/default/workloads/own/tokens", { environment: "dev" }],
        ["POST", "/v1/namespaces/default/workloads/default/tokens", { environment: "dev" }],
      ] as const)
        expect([path, (await call(method, path, body)).status]).toEqual([path, 404]);
      expect((await call("GET", "/v1/users")).status).toBe(403);
      expect((await call("GET", "/v1/secrets")).body).toMatchObject({ items: [] });
      expect((await call("GET", "/v1/injections")).body).toMatchObject({ items: [] });
      const log = (await call("GET", "/v1/audit/events")).body as { items: { actor: { name: string } }[] };
      expect(new Set(log.items.map((event) => event.actor.name))).toEqual(new Set(["machine"]));
      expect((await call("GET", "/v1/orgs")).status).toBe(200);
      expect((await call("POST", "/v1/orgs", { name: "tenant", owner: "boss" })).status).toBe(201);
      expect((await call("GET", "/v1/instance/audit/events")).status).toBe(200);
    } finally {
      await solo.close();
    }
  });
});

async function user(login: string, role: "owner" | "admin" | "member" | "guest" = "member"): Promise<Client> {
  const { setUpToken } = await owner.do("user.create", { body: { login, role } });
  return vault.anonymous.as(
    (await vault.anonymous.as(setUpToken).do("set-up.complete", { body: { password: PASSWORD } })).token,
  );
}
