import { afterEach, describe, expect, test } from "vitest";
import { Redacted, VaultError } from "#base";
import type { Id } from "#base";
import { CATALOG, loadOpenApi, loadWire } from "#contract";
import { Reply, STATUS, openHandlers, Metrics } from "#http";
import type { Handlers } from "#http";
import { GOOD, enter, settle, start } from "./fixture.ts";
import type { Fixture, Overrides } from "./fixture.ts";

const CANARY = "canary-7f3a-value";
let vault: Fixture | null = null;
afterEach(async () => {
  await vault?.close();
  vault = null;
});

async function vaultWith(handlers: Partial<Handlers>, doors: Overrides["doors"] = {}): Promise<Fixture> {
  vault = await start({ handlers, doors });
  return vault;
}

const SECRET = "/v1/environments/dev/namespaces/default/secrets/DB_URL";
const PAGE = { items: [], next: null };
const METADATA = { tags: ["a"] };

describe("No answer leaves before its audit event (R71)", () => {
  test("a read's permit is settled as a success, before the answer", async () => {
    let answered = false;
    const order: string[] = [];
    const door = await vaultWith(
      { "user.list": async ({ call }) => (enter(call, "member.manage"), PAGE) },
      {
        settle: async (permit, outcome) => {
          await new Promise((resolve) => setTimeout(resolve, 30));
          order.push(`${permit.action} ${outcome.result} ${answered ? "late" : "first"}`);
          settle(permit);
        },
      },
    );
    const answer = await door.send("GET", "/v1/users");
    answered = true;
    expect([answer.status, answer.body]).toEqual([200, PAGE]);
    expect(order).toEqual(["member.manage success first"]);
  });

  test("nothing is shown when the audit log cannot take it: 503, and the cause only in the log", async () => {
    const door = await vaultWith(
      {
        "user.list": async ({ call }) => (
          enter(call, "member.manage"),
          { items: [{ login: CANARY } as never], next: null }
        ),
      },
      { settle: () => Promise.reject(new Error(`disk full at ${CANARY}`)) },
    );
    const answer = await door.send("GET", "/v1/users");
    expect([answer.status, answer.body.code, answer.headers["retry-after"]]).toEqual([503, "store_unavailable", "5"]);
    expect(answer.text + JSON.stringify(door.lines)).not.toContain(CANARY);
    expect(door.lines.some((line) => line.level === "error")).toBe(true);
  });

  test("nor is a refusal: without its event it says only that the store fails", async () => {
    const door = await vaultWith(
      {
        "user.list": async ({ call }) => {
          enter(call, "member.manage");
          throw new VaultError("forbidden");
        },
      },
      { settle: () => Promise.reject(new VaultError("store_unavailable")) },
    );
    expect((await door.send("GET", "/v1/users")).body.code).toBe("store_unavailable");
  });

  test("an error that says something worse than the failing audit log stands", async () => {
    const door = await vaultWith(
      {
        "secret.update": async ({ call }) => {
          enter(call, "secret.write");
          throw new VaultError("outcome_unknown");
        },
      },
      { settle: () => Promise.reject(new VaultError("store_unavailable")) },
    );
    const answer = await door.send("PATCH", SECRET, { body: METADATA });
    expect([answer.status, answer.body.code]).toEqual([500, "outcome_unknown"]);
  });

  test("a store that says it settled and did not is believed in nothing", async () => {
    const door = await vaultWith(
      { "user.list": async ({ call }) => (enter(call, "member.manage"), PAGE) },
      { settle: async () => {} },
    );
    expect((await door.send("GET", "/v1/users")).body.code).toBe("store_unavailable");
  });

  test.each(["secret.update", "secret.reveal"] as const)(
    "%s that gives its answer without its event fails",
    async (id) => {
      const { method, path, permission } = CATALOG[id];
      const door = await vaultWith({ [id]: async ({ call }: never) => (enter(call, permission), { value: CANARY }) });
      const url = path.replace("{environment}", "dev").replace("{namespace}", "default").replace("{secret}", "DB_URL");
      const answer = await door.send(method, url, { body: id === "secret.reveal" ? { reason: "because" } : METADATA });
      expect([answer.status, answer.body.code]).toEqual([500, "internal"]);
      expect(answer.text).not.toContain(CANARY);
      expect(door.settled).toEqual([{ action: permission, outcome: { result: "failed", code: "internal" } }]);
      expect(JSON.stringify(door.lines)).toContain(`${id} succeeded without its audit event`);
    },
  );

  test("an answer without any permit fails, and names the operation in the log", async () => {
    const door = await vaultWith({ "user.list": async () => PAGE });
    const answer = await door.send("GET", "/v1/users");
    expect([answer.status, answer.body.code]).toEqual([500, "internal"]);
    expect(JSON.stringify(door.lines)).toContain("user.list answered without a permit");
    expect(door.counted).toMatchObject([{ operation: "user.list", reason: "failed" }]);
  });

  test("so does a refusal without any permit: it could say what exists to somebody nobody decided on", async () => {
    const door = await vaultWith({ "user.get": () => Promise.reject(new VaultError("not_found")) });
    expect((await door.send("GET", "/v1/users/ann")).body.code).toBe("internal");
  });

  test("a guard that asks for another permission than the catalog fails before anything is done", async () => {
    let reached = false;
    const door = await vaultWith({
      "secret.update": async ({ call }) => {
        enter(call, "secret.list");
        reached = true;
        return {} as never;
      },
    });
    const answer = await door.send("PATCH", SECRET, { body: METADATA });
    expect([answer.status, answer.body.code, reached]).toEqual([500, "internal", false]);
    expect(door.settled).toEqual([{ action: "secret.list", outcome: { result: "failed", code: "internal" } }]);
  });

  test("what nobody needs a credential for has no event", async () => {
    const document = await loadOpenApi("1.2.3");
    const door = await vaultWith(
      openHandlers(async () => ({ ready: false, checks: { store: "read-only" } }), document, {
        to: "off",
        metrics: new Metrics({ version: "1.2.3", store: "sqlite" }, () => Promise.reject(new Error("nobody asks"))),
      }),
    );
    expect((await door.send("GET", "/healthz", { credential: null })).body).toEqual({ status: "ok" });
    const ready = await door.send("GET", "/readyz", { credential: null });
    expect([ready.status, ready.body]).toEqual([503, { status: "unavailable", checks: { store: "read-only" } }]);
    expect((await door.send("GET", "/v1/openapi.json", { credential: null })).body).toEqual(document);
    const head = await door.send("HEAD", "/healthz", { credential: null });
    expect([head.status, head.body, head.headers["content-length"]]).toEqual([200, "", "15"]);
    expect([door.settled, door.counted]).toEqual([[], []]);
  });

  test("HEAD on what has an audit event is refused", async () => {
    const door = await vaultWith({});
    const answer = await door.send("HEAD", "/v1/users");
    expect([answer.status, answer.headers.allow]).toEqual([405, "POST, GET"]);
  });
});

describe("An error", () => {
  test.each([
    ["forbidden", "refused"],
    ["not_found", "refused"],
    ["launch_refused", "refused"],
    ["last_owner", "refused"],
    ["conflict", "failed"],
    ["precondition_failed", "failed"],
    ["store_unavailable", "failed"],
  ] as const)("%s ends its operation as %s", async (code, result) => {
    const door = await vaultWith({
      "user.list": async ({ call }) => {
        enter(call, "member.manage");
        throw new VaultError(code);
      },
    });
    const answer = await door.send("GET", "/v1/users");
    expect([answer.status, answer.body.code]).toEqual([STATUS[code], code]);
    expect(door.settled).toEqual([{ action: "member.manage", outcome: { result, code } }]);
    expect(door.counted).toEqual([]);
  });

  test("names what is missing to who may know, and what to do", async () => {
    const missing = { permission: "member.manage", on: "org" };
    const door = await vaultWith({
      "user.list": async ({ call }) => {
        enter(call, "member.manage");
        throw new VaultError("forbidden", "Only admins see users", { detail: { missing }, cause: new Error(CANARY) });
      },
    });
    const answer = await door.send("GET", "/v1/users");
    expect(answer.body).toEqual({
      type: "urn:sallyport:problem:forbidden",
      title: "Not allowed",
      status: 403,
      code: "forbidden",
      detail: "Only admins see users",
      remedy: expect.any(String),
      requestId: answer.headers["x-request-id"],
      missing,
    });
  });

  test("that nobody threw on purpose says nothing, and its message is not logged: it may hold input", async () => {
    const door = await vaultWith({
      "user.list": async ({ call }) => {
        enter(call, "member.manage");
        const cause = Object.assign(new Error(`cause ${CANARY}`), { code: "SQLITE_FULL" });
        throw new TypeError(`${CANARY}\n    at ${CANARY} (/x.js:1:1)`, { cause });
      },
    });
    const answer = await door.send("GET", "/v1/users");
    expect([answer.status, answer.body.code, answer.body.detail]).toEqual([500, "internal", undefined]);
    const line = door.lines.find((found) => found.level === "error");
    expect(line).toMatchObject({
      operation: "user.list",
      error: { cause: { name: "TypeError", cause: { name: "Error", code: "SQLITE_FULL" } } },
    });
    expect(JSON.stringify(line)).toContain("operation.test.ts");
    expect(answer.text + JSON.stringify(door.lines)).not.toContain(CANARY);
  });

  test("from 500 on shows none of its fields", async () => {
    const door = await vaultWith({
      "user.list": async ({ call }) => {
        enter(call, "member.manage");
        throw new VaultError("integrity_failed", `row ${CANARY}`, { detail: { id: CANARY, usedBy: [CANARY] } });
      },
    });
    const answer = await door.send("GET", "/v1/users");
    expect([answer.status, answer.body.code, answer.text.includes(CANARY)]).toEqual([500, "integrity_failed", false]);
  });

  test("of an unknown token is a count and not an event, as of an unknown credential", async () => {
    const door = await vaultWith({ "token.exchange": () => Promise.reject(new VaultError("token_invalid")) });
    const answer = await door.send("POST", "/v1/exchange", { credential: "sp_inj_unknown" });
    expect([answer.status, answer.body.code, answer.headers["www-authenticate"]]).toEqual([
      401,
      "token_invalid",
      'Bearer realm="sallyport"',
    ]);
    await door.send("GET", "/v1/users", { credential: "sp_ses_unknown" });
    await door.send("GET", "/v1/users", { credential: null });
    expect(door.counted).toEqual([
      { operation: "token.exchange", reason: "unknown_credential", address: "127.0.0.1" },
      { operation: "user.list", reason: "unknown_credential", address: "127.0.0.1" },
      { operation: "user.list", reason: "no_credential", address: "127.0.0.1" },
    ]);
  });

  test("of a store that fails while somebody signs in is no wrong password", async () => {
    const door = await vaultWith({}, { authenticate: () => Promise.reject(new VaultError("store_unavailable")) });
    expect((await door.send("GET", "/v1/users")).body.code).toBe("store_unavailable");
    expect(door.counted).toMatchObject([{ reason: "failed" }]);
  });
});

describe("A handler is given what the contract says", () => {
  test("the actor, the path, the query, the body and the headers, parsed", async () => {
    const seen: unknown[] = [];
    const door = await vaultWith({
      "secret.write": async ({ caller, params, body, headers, query, call }) => {
        settle(enter(call, "secret.write"));
        seen.push(caller.type, params, body, headers, query, call.operation, call.address);
        return Reply.json({} as never, { version: 4, location: "/v1/somewhere", status: 201 });
      },
      "user.list": async ({ query, call }) => {
        enter(call, "member.manage");
        seen.push(query);
        return PAGE;
      },
    });
    const answer = await door.send("PUT", SECRET, {
      body: { value: "x", rotateBy: "2030-01-01T00:00:00Z" },
      headers: { "If-Match": '"3"' },
    });
    expect([answer.status, answer.headers.etag, answer.headers.location]).toEqual([201, '"4"', "/v1/somewhere"]);
    await door.send("GET", "/v1/users?limit=7");
    expect(seen).toEqual([
      "user",
      { environment: "dev", namespace: "default", secret: "DB_URL" },
      { value: "x", rotateBy: new Date("2030-01-01T00:00:00Z") },
      { ifMatch: 3 },
      undefined,
      "secret.write",
      "127.0.0.1",
      { limit: 7 },
    ]);
  });

  test("the token itself where it is the authority, wrapped, and the runner's beside it", async () => {
    const seen: unknown[] = [];
    const door = await vaultWith({
      "token.exchange": async ({ caller, headers, query, call }) => {
        settle(enter(call, "public"));
        seen.push(String(caller), caller.reveal(), headers, query);
        return Reply.bytes(Buffer.from("A='1'\n"), "text/plain; charset=utf-8", { lease: new Redacted("sp_lease_x") });
      },
    });
    const answer = await door.send("POST", "/v1/exchange?format=shell", {
      credential: "sp_inj_token",
      headers: { "Sallyport-Runner": "sp_svc_runner", "Idempotency-Key": "0123456789abcdef", Accept: "text/plain" },
    });
    expect([answer.status, answer.headers["content-type"], answer.body]).toEqual([
      200,
      "text/plain; charset=utf-8",
      "A='1'\n",
    ]);
    expect(answer.headers["sallyport-lease"]).toBe("sp_lease_x");
    const headers = { runner: "sp_svc_runner", idempotencyKey: "0123456789abcdef", accept: "text/plain" };
    expect(seen).toEqual(["[redacted]", "sp_inj_token", headers, { format: "shell" }]);
  });

  test("nobody at the sign-in, whatever the Authorization header says", async () => {
    const door = await vaultWith({
      "session.create": async ({ caller, call }) => {
        settle(enter(call, "public"));
        return { caller } as never;
      },
    });
    const answer = await door.send("POST", "/v1/sign-in", { body: { login: "ann", password: "x" } });
    expect([answer.status, answer.body, door.clients]).toEqual([200, { caller: null }, []]);
  });

  test("a header that cannot be sent fails before the event is written", async () => {
    const door = await vaultWith({
      "user.list": async ({ call }) => (enter(call, "member.manage"), Reply.json(PAGE, { location: "/a\r\nb" })),
    });
    expect((await door.send("GET", "/v1/users")).body.code).toBe("internal");
    expect(door.settled).toEqual([{ action: "member.manage", outcome: { result: "failed", code: "internal" } }]);
  });

  test("answers are checked against their schemas where that is asked for", async () => {
    const wrong = async ({ call }: Parameters<Handlers["user.list"]>[0]) => (
      enter(call, "member.manage"),
      { items: [], next: null, more: CANARY }
    );
    const checked = await start({ handlers: { "user.list": wrong }, doors: { checkAnswers: true } });
    const answer = await checked.send("GET", "/v1/users");
    expect([answer.status, answer.body.code, answer.text.includes(CANARY)]).toEqual([500, "internal", false]);
    await checked.close();
    const door = await vaultWith({ "user.list": wrong });
    expect((await door.send("GET", "/v1/users")).status).toBe(200);
  });
});

describe("Every answer", () => {
  test("has the security headers, is never cached, and has its request id", async () => {
    const door = await vaultWith({});
    for (const path of ["/v1/users", "/v1/nowhere", "/v1/users/%00"]) {
      const { headers } = await door.send("GET", path);
      expect(headers).toMatchObject({
        "content-security-policy": "default-src 'none';frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "x-request-id": expect.stringMatching(/^request-\d{6}$/),
        date: expect.any(String),
      });
      expect(headers["x-powered-by"] ?? headers.etag ?? headers["strict-transport-security"]).toBeUndefined();
    }
  });

  test("takes the client's request id where it may stand in a log, else makes one", async () => {
    const door = await vaultWith({});
    const id = async (given: string) =>
      (await door.send("GET", "/v1/users", { headers: { "X-Request-Id": given } })).headers["x-request-id"];
    expect(await id("deploy-42.step_7")).toBe("deploy-42.step_7");
    for (const bad of ["short", "a".repeat(65), "with space", "bad\tid-here", "<script>alert"]) {
      expect(await id(bad)).toMatch(/^request-/);
    }
  });

  test("leaves one line in the log, of these fields and no others (R71)", async () => {
    const door = await vaultWith({});
    await door.send("GET", `/v1/users?after=${CANARY}`, { headers: { "User-Agent": CANARY } });
    await door.send("GET", `/v1/${CANARY}`);
    expect(door.lines).toEqual([
      {
        level: "info",
        message: "request",
        requestId: "request-000001",
        operation: "user.list",
        status: 200,
        code: null,
        ms: expect.any(Number),
        address: "127.0.0.1",
        actor: { type: "user", id: "prn_somebody" as Id<"prn"> },
      },
      {
        level: "info",
        message: "request",
        requestId: "request-000002",
        operation: null,
        status: 404,
        code: "not_found",
        ms: expect.any(Number),
        address: "127.0.0.1",
        actor: null,
      },
    ]);
  });
});

test("The router, the catalog, the wire and the OpenAPI document hold the same operations", async () => {
  const door = await vaultWith({});
  const document = (await loadOpenApi("1.0.0")) as { paths: Record<string, Record<string, { operationId: string }>> };
  const described = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const catalogued = Object.values(CATALOG).map(({ method, path }) => `${method} ${path}`);
  expect([...door.app.routes].sort()).toEqual([...catalogued].sort());
  expect(described.sort()).toEqual([...catalogued].sort());
  expect(new Set(catalogued).size).toBe(catalogued.length);
  expect(Object.keys(await loadWire()).sort()).toEqual(Object.keys(CATALOG).sort());
});

test("Every operation is reached by its own path, and refused without a credential unless it needs none", async () => {
  const door = await vaultWith({}, { limits: { failures: { count: 1_000, seconds: 10 } } });
  const bodies = new Set(Object.entries(await loadWire()).flatMap(([id, wire]) => ("body" in wire ? [id] : [])));
  for (const [id, { method, path, auth }] of Object.entries(CATALOG)) {
    const url = path.replace(/\{(\w+)\}/g, "x");
    const answer = await door.send(method, url, { credential: null, ...(bodies.has(id) ? { body: {} } : {}) });
    const line = door.lines.findLast((found) => found.message === "request");
    expect([id, line?.operation]).toEqual([id, id]);
    if (auth !== "open" && auth !== "sign-in")
      expect([id, answer.status, answer.body.code]).toEqual([id, 401, "unauthenticated"]);
    expect(answer.text).not.toContain(GOOD);
  }
});
