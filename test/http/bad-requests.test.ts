import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GOOD, start } from "./fixture.ts";
import type { Fixture } from "./fixture.ts";

/** Stands where a secret could stand. Neither an answer nor a log line may repeat it. */
const CANARY = "canary.7f3a-VALUE";
const SECRET = "/v1/environments/dev/namespaces/default/secrets/DB_URL";
const GRANTS = "/v1/grants";
const GRANT = { principal: "ann", role: "viewer" };
const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

/** Method, path, headers (the usual ones stand unless overwritten), body. */
interface Bad {
  readonly name: string;
  readonly status: number;
  readonly code: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly credential?: string | null;
  /** The fields that the faults name. */
  readonly fields?: readonly string[];
}

const BAD: readonly Bad[] = [
  // Path
  { name: "a path with an escaped slash", path: `/v1/users/ann%2f${CANARY}`, status: 400, code: "bad_request" },
  { name: "a path with an escaped backslash", path: `/v1/users/ann%5C${CANARY}`, status: 400, code: "bad_request" },
  { name: "a path with dot segments", path: `/v1/users/../${CANARY}`, status: 400, code: "bad_request" },
  { name: "a path with a single dot", path: "/v1/./users", status: 400, code: "bad_request" },
  { name: "a path with escaped dot segments", path: "/v1/users/%2e%2E/grants", status: 400, code: "bad_request" },
  { name: "a path with a half-escaped dot segment", path: "/v1/users/.%2e", status: 400, code: "bad_request" },
  { name: "a path with an empty segment", path: "/v1//users", status: 400, code: "bad_request" },
  { name: "a path that begins with two slashes", path: "//v1/users", status: 400, code: "bad_request" },
  { name: "a path with NUL", path: "/v1/users/ann%00", status: 400, code: "bad_request" },
  { name: "a path with a line break", path: "/v1/users/ann%0d%0aX", status: 400, code: "bad_request" },
  { name: "a path with DEL", path: "/v1/users/ann%7F", status: 400, code: "bad_request" },
  { name: "a path with a cut escape", path: "/v1/users/ann%4", status: 400, code: "bad_request" },
  { name: "a path with an escape of nothing", path: "/v1/users/%zz", status: 400, code: "bad_request" },
  { name: "a path that is not UTF-8", path: "/v1/users/%ff%fe", status: 400, code: "bad_request" },
  { name: "a path with an overlong escape of a slash", path: "/v1/users/%c0%af", status: 400, code: "bad_request" },
  { name: "a path with a fragment", path: "/v1/users#x", status: 400, code: "bad_request" },
  { name: "a path with a backslash", path: "/v1\\users", status: 400, code: "bad_request" },
  { name: "a target with a host", path: "http://other.test/v1/users", status: 400, code: "bad_request" },
  {
    name: "a target of more than 8 KiB",
    path: `/v1/users?after=${"a".repeat(9_000)}`,
    status: 414,
    code: "uri_too_long",
  },
  {
    name: "a name that fits no pattern",
    path: `/v1/users/${CANARY}`,
    status: 400,
    code: "invalid_input",
    fields: ["user"],
  },
  {
    name: "a reserved name",
    path: "/v1/environments/self",
    status: 400,
    code: "invalid_input",
    fields: ["environment"],
  },
  {
    name: "an escaped name that fits no pattern",
    path: "/v1/environments/d%65V",
    status: 400,
    code: "invalid_input",
    fields: ["environment"],
  },
  {
    name: "an id of another kind",
    path: "/v1/injections/prn_00000000000000000000000000",
    status: 400,
    code: "invalid_input",
    fields: ["id"],
  },
  { name: "a path that nothing stands at", path: `/v1/${CANARY}`, status: 404, code: "not_found" },
  { name: "a known path in other letters", path: "/V1/users", status: 404, code: "not_found" },
  { name: "a known path with a slash more", path: "/v1/users/", status: 404, code: "not_found" },
  { name: "the root", path: "/", status: 404, code: "not_found" },
  // Query
  { name: "an unknown parameter", path: `/v1/users?${CANARY}=1`, status: 400, code: "invalid_input", fields: ["?"] },
  {
    name: "a parameter twice",
    path: "/v1/users?limit=1&limit=2",
    status: 400,
    code: "invalid_input",
    fields: ["limit"],
  },
  {
    name: "a parameter twice, once escaped",
    path: "/v1/users?limit=1&%6cimit=2",
    status: 400,
    code: "invalid_input",
    fields: ["limit"],
  },
  {
    name: "a parameter where none is taken",
    path: `/v1/whoami?x=${CANARY}`,
    status: 400,
    code: "invalid_input",
    fields: ["x"],
  },
  {
    name: "a parameter that is wrong",
    path: `/v1/users?limit=${CANARY}`,
    status: 400,
    code: "invalid_input",
    fields: ["limit"],
  },
  {
    name: "a parameter above its limit",
    path: "/v1/users?limit=1001",
    status: 400,
    code: "invalid_input",
    fields: ["limit"],
  },
  { name: "a parameter with a bad escape", path: "/v1/users?after=%E0%A4%A", status: 400, code: "bad_request" },
  { name: "an empty parameter", path: "/v1/users?limit=1&&", status: 400, code: "invalid_input" },
  { name: "a parameter named __proto__", path: "/v1/users?__proto__=1", status: 400, code: "invalid_input" },
  {
    name: "a value that is not in the list",
    path: `/v1/injections?state=${CANARY}`,
    status: 400,
    code: "invalid_input",
    fields: ["state"],
  },
  // Methods
  {
    name: "a method that the path does not offer",
    method: "PUT",
    path: "/v1/users",
    status: 405,
    code: "method_not_allowed",
  },
  { name: "TRACE", method: "TRACE", path: "/v1/users", status: 405, code: "method_not_allowed" },
  { name: "OPTIONS", method: "OPTIONS", path: "/v1/users", status: 405, code: "method_not_allowed" },
  { name: "CONNECT", method: "CONNECT", path: "other.test:443", status: 405, code: "method_not_allowed" },
  { name: "a WebDAV method", method: "PROPFIND", path: "/v1/users", status: 405, code: "method_not_allowed" },
  {
    name: "a method that HTTP does not know",
    method: CANARY.slice(0, 6).toUpperCase(),
    path: "/v1/users",
    status: 400,
    code: "bad_request",
  },
  // Credentials
  { name: "no credential", credential: null, path: "/v1/whoami", status: 401, code: "unauthenticated" },
  { name: "a wrong credential", credential: CANARY, path: "/v1/whoami", status: 401, code: "unauthenticated" },
  {
    name: "another scheme",
    headers: { Authorization: `Basic ${CANARY}` },
    path: "/v1/whoami",
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "a credential with spaces",
    headers: { Authorization: `Bearer ${GOOD} ${CANARY}` },
    path: "/v1/whoami",
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "an exchange without a token",
    credential: null,
    method: "POST",
    path: "/v1/exchange",
    status: 401,
    code: "unauthenticated",
  },
  // Headers
  { name: "an odd Host", headers: { Host: `a b${CANARY}` }, path: "/v1/whoami", status: 400, code: "bad_request" },
  {
    name: "an expectation that nobody knows",
    headers: { Expect: CANARY },
    path: "/v1/whoami",
    status: 400,
    code: "bad_request",
  },
  {
    name: "an If-Match without quotes",
    method: "PATCH",
    path: SECRET,
    headers: { "If-Match": CANARY },
    body: {},
    status: 400,
    code: "invalid_input",
    fields: ["If-Match"],
  },
  {
    name: "a weak If-Match",
    method: "PATCH",
    path: SECRET,
    headers: { "If-Match": 'W/"3"' },
    body: {},
    status: 400,
    code: "invalid_input",
    fields: ["If-Match"],
  },
  {
    name: "an If-Match that would not be heeded",
    method: "POST",
    path: GRANTS,
    headers: { "If-Match": '"3"' },
    body: GRANT,
    status: 400,
    code: "invalid_input",
    fields: ["If-Match"],
  },
  {
    name: "an If-None-Match with a version",
    method: "PUT",
    path: SECRET,
    headers: { "If-None-Match": '"3"' },
    body: { value: "x" },
    status: 400,
    code: "invalid_input",
    fields: ["If-None-Match"],
  },
  {
    name: "an odd Idempotency-Key",
    method: "POST",
    path: GRANTS,
    headers: { "Idempotency-Key": `${CANARY} x` },
    body: GRANT,
    status: 400,
    code: "invalid_input",
    fields: ["Idempotency-Key"],
  },
  {
    name: "an Idempotency-Key that would not be heeded",
    method: "PATCH",
    path: SECRET,
    headers: { "Idempotency-Key": "0123456789abcdef" },
    body: {},
    status: 400,
    code: "invalid_input",
    fields: ["Idempotency-Key"],
  },
  {
    name: "headers of more than 16 KiB",
    headers: { "X-Large": CANARY.repeat(1_100) },
    path: "/v1/whoami",
    status: 431,
    code: "headers_too_large",
  },
  {
    name: "more than 100 headers",
    headers: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`X-${n}`, "1"])),
    path: "/v1/whoami",
    status: 431,
    code: "headers_too_large",
  },
  // Bodies
  { name: "a body with GET", path: "/v1/whoami", body: { x: CANARY }, status: 400, code: "bad_request" },
  { name: "a body with DELETE", method: "DELETE", path: SECRET, body: { x: CANARY }, status: 400, code: "bad_request" },
  {
    name: "a body where none is taken",
    method: "POST",
    path: `${SECRET}/restore`,
    body: { x: CANARY },
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "no body where one is expected",
    method: "POST",
    path: GRANTS,
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "a body of another type",
    method: "POST",
    path: GRANTS,
    headers: { "Content-Type": "text/plain" },
    body: GRANT,
    status: 415,
    code: "unsupported_media_type",
  },
  {
    name: "a form",
    method: "POST",
    path: GRANTS,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: `a=${CANARY}`,
    status: 415,
    code: "unsupported_media_type",
  },
  {
    name: "a body in another charset",
    method: "POST",
    path: GRANTS,
    headers: { "Content-Type": "application/json; charset=utf-16" },
    body: GRANT,
    status: 415,
    code: "unsupported_media_type",
  },
  {
    name: "a type that only begins like JSON",
    method: "POST",
    path: GRANTS,
    headers: { "Content-Type": "application/jsonp" },
    body: GRANT,
    status: 415,
    code: "unsupported_media_type",
  },
  {
    name: "a compressed body",
    method: "POST",
    path: GRANTS,
    headers: { "Content-Encoding": "gzip" },
    body: GRANT,
    status: 415,
    code: "unsupported_media_type",
  },
  {
    name: "a body of more than 1 MiB, announced",
    method: "POST",
    path: GRANTS,
    body: `"${CANARY.repeat(70_000)}"`,
    status: 413,
    code: "payload_too_large",
  },
  {
    name: "a body of spaces",
    method: "POST",
    path: GRANTS,
    body: "   ",
    status: 400,
    code: "bad_request",
    fields: ["body"],
  },
  {
    name: "a body that is not JSON",
    method: "POST",
    path: GRANTS,
    body: `{"principal": ${CANARY}}`,
    status: 400,
    code: "bad_request",
    fields: ["body"],
  },
  {
    name: "a body that is cut",
    method: "POST",
    path: GRANTS,
    body: `{"principal": "${CANARY}`,
    status: 400,
    code: "bad_request",
    fields: ["body"],
  },
  {
    name: "a body with something after it",
    method: "POST",
    path: GRANTS,
    body: `${JSON.stringify(GRANT)} ${CANARY}`,
    status: 400,
    code: "bad_request",
  },
  {
    name: "a body with a byte order mark",
    method: "POST",
    path: GRANTS,
    body: `\ufeff${JSON.stringify(GRANT)}`,
    status: 400,
    code: "bad_request",
  },
  {
    name: "a body with comments",
    method: "POST",
    path: GRANTS,
    body: `/* ${CANARY} */ {}`,
    status: 400,
    code: "bad_request",
  },
  {
    name: "a key twice",
    method: "POST",
    path: GRANTS,
    body: `{"principal":"ann","principal":"${CANARY}","role":"viewer"}`,
    status: 400,
    code: "bad_request",
  },
  {
    name: "a key twice, once escaped",
    method: "POST",
    path: GRANTS,
    body: '{"principal":"ann","\\u0070rincipal":"bob","role":"viewer"}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "a key named __proto__",
    method: "POST",
    path: GRANTS,
    body: '{"principal":"ann","role":"viewer","__proto__":{"x":1}}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "a key named __proto__, escaped",
    method: "POST",
    path: GRANTS,
    body: '{"\\u005f_proto__":{"x":1}}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "a lone surrogate",
    method: "POST",
    path: GRANTS,
    body: '{"principal":"\\ud800","role":"viewer"}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "80 kB of brackets",
    method: "POST",
    path: GRANTS,
    body: "[".repeat(80_000),
    status: 400,
    code: "bad_request",
  },
  { name: "33 levels", method: "POST", path: GRANTS, body: deep(33), status: 400, code: "bad_request" },
  {
    name: "32 levels of the wrong thing",
    method: "POST",
    path: GRANTS,
    body: deep(32),
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "a number without end",
    method: "POST",
    path: GRANTS,
    body: `{"x":${"9".repeat(5_000)}}`,
    status: 400,
    code: "bad_request",
  },
  {
    name: "a number that is infinite",
    method: "POST",
    path: GRANTS,
    body: '{"x":1e999}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "a whole number that a double rounds",
    method: "POST",
    path: GRANTS,
    body: '{"x":9007199254740993}',
    status: 400,
    code: "bad_request",
  },
  {
    name: "null for a body",
    method: "POST",
    path: GRANTS,
    body: "null",
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "a list for a body",
    method: "POST",
    path: GRANTS,
    body: [CANARY],
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "a text for a body",
    method: "POST",
    path: GRANTS,
    body: `"${CANARY}"`,
    status: 400,
    code: "invalid_input",
    fields: ["body"],
  },
  {
    name: "an unknown field",
    method: "POST",
    path: GRANTS,
    body: { ...GRANT, colour: CANARY },
    status: 400,
    code: "invalid_input",
    fields: ["colour"],
  },
  {
    name: "a field whose name is odd",
    method: "POST",
    path: GRANTS,
    body: { ...GRANT, [CANARY]: 1 },
    status: 400,
    code: "invalid_input",
    fields: ["?"],
  },
  {
    name: "a token for a field's name",
    method: "POST",
    path: GRANTS,
    body: { ...GRANT, [`sp_inj_${"a".repeat(109)}`]: 1 },
    status: 400,
    code: "invalid_input",
    fields: ["?"],
  },
  {
    name: "a missing field",
    method: "POST",
    path: GRANTS,
    body: { principal: "ann" },
    status: 400,
    code: "invalid_input",
    fields: ["role"],
  },
  {
    name: "a field of the wrong type",
    method: "POST",
    path: GRANTS,
    body: { principal: 7, role: [CANARY] },
    status: 400,
    code: "invalid_input",
    fields: ["principal", "role"],
  },
  {
    name: "a name with the wrong letters",
    method: "POST",
    path: GRANTS,
    body: { principal: CANARY, role: "viewer" },
    status: 400,
    code: "invalid_input",
    fields: ["principal"],
  },
  {
    name: "a time that is none",
    method: "POST",
    path: GRANTS,
    body: { ...GRANT, endsAt: CANARY },
    status: 400,
    code: "invalid_input",
    fields: ["endsAt"],
  },
  {
    name: "a value of more than 64 KiB",
    method: "PUT",
    path: SECRET,
    body: { value: CANARY.repeat(6_000) },
    status: 400,
    code: "invalid_input",
    fields: ["value"],
  },
  {
    name: "an encoding that is not offered",
    method: "PUT",
    path: SECRET,
    body: { value: "x", encoding: CANARY },
    status: 400,
    code: "invalid_input",
    fields: ["encoding"],
  },
  {
    name: "a control character in a line",
    method: "POST",
    path: GRANTS,
    body: { ...GRANT, reason: `${CANARY}\n` },
    status: 400,
    code: "invalid_input",
    fields: ["reason"],
  },
  {
    name: "a variable's name that cannot be one",
    method: "POST",
    path: "/v1/namespaces/default/workloads/etl/manifests",
    body: { variables: { [CANARY]: { value: "x" } } },
    status: 400,
    code: "invalid_input",
    fields: ["variables.?"],
  },
  {
    name: "a variable that says nothing",
    method: "POST",
    path: "/v1/namespaces/default/workloads/etl/manifests",
    body: { variables: { LEVEL: { secret: CANARY, required: 1 } } },
    status: 400,
    code: "invalid_input",
    fields: ["variables.LEVEL.secret", "variables.LEVEL.required"],
  },
  {
    name: "a variable in two ways",
    method: "POST",
    path: "/v1/namespaces/default/workloads/etl/manifests",
    body: { variables: { LEVEL: { secret: "A", value: CANARY } } },
    status: 400,
    code: "invalid_input",
    fields: ["variables.LEVEL"],
  },
  {
    name: "an address list with no address",
    method: "POST",
    path: "/v1/namespaces/default/workloads/etl/tokens",
    body: { environment: "dev", cidrs: [CANARY] },
    status: 400,
    code: "invalid_input",
    fields: ["cidrs.0"],
  },
];

const usual = `Host: vault.test\r\nAuthorization: Bearer ${GOOD}\r\nConnection: close\r\n`;
const json = "Content-Type: application/json\r\n";

describe("A bad request is refused with its own code, without repeating what it held (R71, R78)", () => {
  let vault: Fixture;
  beforeAll(async () => {
    vault = await start({ doors: { limits: { failures: { count: 1_000, seconds: 10 } } } });
  });
  afterAll(() => vault.close());

  test.each(BAD)(
    "$name",
    async ({ method = "GET", path = "/v1/whoami", headers = {}, body, credential, status, code, fields }) => {
      const answer = await vault.send(method, path, {
        headers,
        body,
        ...(credential === undefined ? {} : { credential }),
      });
      expect(answer.body).toMatchObject({ status, code, requestId: answer.headers["x-request-id"] });
      expect(answer.status).toBe(status);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
      if (fields) expect(answer.body.faults.map((fault: { field: string }) => fault.field)).toEqual(fields);
      expectSilence(answer.text);
    },
  );

  test("nor does the log repeat it, and each refusal was counted", () => {
    expect(vault.lines.length).toBeGreaterThanOrEqual(BAD.length);
    expect(vault.counted).toHaveLength(vault.lines.filter((line) => line.message === "request").length);
    expect(vault.settled).toEqual([]);
    expect(vault.lines.filter((line) => line.level !== "info")).toEqual([]);
    expectSilence(JSON.stringify(vault.lines));
    expectSilence(JSON.stringify(vault.counted));
  });

  function expectSilence(text: string): void {
    for (const form of [CANARY, CANARY.toUpperCase(), encodeURIComponent(CANARY), CANARY.slice(0, 6).toUpperCase()]) {
      expect(text.includes(form)).toBe(false);
    }
  }
});

describe("A body that is refused before it was read", () => {
  test.each(["Content-Length: 6291456", "Transfer-Encoding: chunked"])(
    "still gets its answer, while it is sent on (%s)",
    async (length) => {
      const vault = await start();
      const chunk = "x".repeat(64 * 1024);
      const piece = length.startsWith("C") ? chunk : `10000\r\n${chunk}\r\n`;
      const answer = await vault.raw(`POST /v1/grants HTTP/1.1\r\n${usual}${json}${length}\r\n\r\n${piece.repeat(96)}`);
      expect([answer.status, answer.body.code, answer.headers.connection]).toEqual([413, "payload_too_large", "close"]);
      await vault.close();
    },
  );
});

describe("What is next to a bad request is taken", () => {
  let vault: Fixture;
  beforeAll(async () => {
    vault = await start();
  });
  afterAll(() => vault.close());

  test.each([
    ["an escaped letter in a name", "GET", "/v1/environments/d%65v", undefined],
    ["a login with @ and +", "GET", "/v1/users/ann+x@example.test", undefined],
    ["an escaped @", "GET", "/v1/users/ann%40example.test", undefined],
    ["an empty query", "GET", "/v1/users?", undefined],
    ["a parameter with an escape", "GET", "/v1/users?%6Cimit=1%30", undefined],
    [
      "an emoji, escaped as a pair",
      "POST",
      GRANTS,
      '{"principal":"ann","role":"viewer","reason":"\\ud83d\\ude00 \\u0041"}',
    ],
    [
      "two objects with the same key",
      "POST",
      "/v1/namespaces/default/workloads/etl/manifests",
      '{"variables":{"A":{"value":"1"},"B":{"value":"2"}}}',
    ],
    [
      "a variable named like a part of objects",
      "POST",
      "/v1/namespaces/default/workloads/etl/manifests",
      '{"variables":{"constructor":{"value":"1"}}}',
    ],
  ])("%s", async (_name, method, path, body) => {
    const answer = await vault.send(method, path, { body });
    expect([answer.status, answer.body.code]).toEqual([method === "POST" ? 201 : 200, undefined]);
  });

  test("a body in chunks, asked for with 100-continue", async () => {
    const answer = await vault.raw(
      `POST /v1/grants HTTP/1.1\r\n${usual}${json}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `21\r\n{"principal":"ann","role":"viewer\r\n2\r\n"}\r\n0\r\n\r\n`,
    );
    expect(answer.text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
  });
});
