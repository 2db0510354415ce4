import { describe, expect, test } from "vitest";
import { CATALOG, loadOpenApi } from "#contract";
import { newCanary } from "../../scripts/drills/canary-forms.ts";
import { Chance } from "../../scripts/fuzz/chance.ts";
import { Judge } from "../../scripts/fuzz/judge.ts";
import type { OpenApi } from "../../scripts/fuzz/judge.ts";
import { fuzz } from "../../scripts/fuzz/run.ts";
import type { Answer } from "../harness.ts";

const SEED = 20261121;

describe("The fuzz", () => {
  test("walks every operation of a real vault, and finds nothing", { timeout: 240_000 }, async () => {
    const { n, findings, seen } = await fuzz({ seed: SEED, seconds: 0, atLeast: 500 });
    expect(findings).toEqual([]);
    expect(n).toBeGreaterThanOrEqual(500);
    expect([...seen.keys()].sort()).toEqual(Object.keys(CATALOG).sort());
    // It is let in, and it is refused.
    const statuses = new Set([...seen.values()].flatMap((counts) => [...counts.keys()]));
    for (const status of [200, 201, 400, 401, 403, 404]) expect(statuses).toContain(status);
  });

  test("finds what is broken on purpose", { timeout: 240_000 }, async () => {
    const broken = await fuzz({
      seed: SEED,
      seconds: 0,
      atLeast: 300,
      tamper: (id, answer) => {
        if (id === "health.live" && answer.status === 200) return { ...answer, body: { status: 1 } };
        if (id === "health.ready" && answer.status === 200) return { ...answer, status: 206 };
        if (id === "injection.get" && answer.status >= 400) return { ...answer, status: 500 };
        return answer;
      },
    });
    const found = new Set(broken.findings.map(({ operation }) => operation));
    expect([...found].sort()).toEqual(["health.live", "health.ready", "injection.get"]);
  });

  test("draws the same from the same seed, and something else from another", () => {
    const drawn = (seed: number, nth: number) => {
      const chance = Chance.of(seed, nth);
      return Array.from({ length: 20 }, () => chance.below(1_000));
    };
    expect(drawn(7, 3)).toEqual(drawn(7, 3));
    expect(drawn(7, 4)).not.toEqual(drawn(7, 3));
    expect(drawn(8, 3)).not.toEqual(drawn(7, 3));
    expect(new Set(drawn(7, 3)).size).toBeGreaterThan(15);
  });
});

describe("An answer", async () => {
  const judge = new Judge(JSON.parse(JSON.stringify(await loadOpenApi("1.2.3"))) as OpenApi);
  const value = newCanary("a value");
  const token = `sp_ses_${"0".repeat(61)}${"k".repeat(48)}`;
  const NAMESPACES = { id: "namespace.list", method: "GET", path: "/v1/namespaces" };
  const REVEAL = { id: "secret.reveal", method: "POST", path: CATALOG["secret.reveal"].path };
  const headers = { "x-request-id": "req_12345678", "cache-control": "no-store", "x-content-type-options": "nosniff" };
  const json = { ...headers, "content-type": "application/json" };

  const answer = (status: number, body: unknown, over: Record<string, string | undefined> = json): Answer<unknown> => ({
    status,
    body,
    text: body === undefined ? "" : JSON.stringify(body),
    headers: over,
  });
  const refusal = (over: object = {}, more: Record<string, string> = {}): Answer<unknown> =>
    answer(
      403,
      {
        type: "urn:sallyport:problem:forbidden",
        title: "Not allowed",
        status: 403,
        code: "forbidden",
        remedy: "Ask.",
        requestId: "req_12345678",
        ...over,
      },
      { ...json, "content-type": "application/problem+json", ...more },
    );
  const faults = (one: Answer<unknown>, of = NAMESPACES) => judge.faults(of, one, [value], [token.slice(-48)]);
  const PAGE = { items: [], next: null };

  test("that is as described has no fault", () => {
    expect(faults(answer(200, PAGE))).toEqual([]);
    expect(faults(refusal())).toEqual([]);
    expect(
      faults(answer(204, undefined, headers), { id: "session.end", method: "POST", path: "/v1/sign-out" }),
    ).toEqual([]);
  });

  test.each([
    ["a failure", { ...refusal({ status: 500, code: "internal" }), status: 500 }, "500"],
    [
      "a refusal of a store that does not answer",
      { ...refusal({ status: 503, code: "store_unavailable" }), status: 503 },
      "503",
    ],
    ["a status that is not described", answer(202, PAGE), "not described"],
    ["a redirect", answer(302, PAGE), "not described"],
    ["a type that is not described", answer(200, PAGE, { ...json, "content-type": "text/html" }), "type"],
    ["no type", answer(200, PAGE, headers), "type"],
    ["a field that is missing", answer(200, { items: [] }), "schema"],
    ["a field of another type", answer(200, { items: [], next: 7 }), "schema"],
    ["a field too many", answer(200, { ...PAGE, more: 1 }), "schema"],
    ["an item that is wrong", answer(200, { items: [{}], next: null }), "schema"],
    ["a refusal without a problem", answer(403, PAGE), "without a problem"],
    ["a problem of another status", refusal({ status: 404 }), "another status"],
    ["a code of another status", refusal({ code: "not_found" }), "another status"],
    ["a code that nobody knows", refusal({ code: "no_idea" }), "schema"],
    ["a problem with more than it may say", refusal({ stack: "at x" }), "schema"],
    ["another request id", refusal({ requestId: "req_87654321" }), "request id"],
    ["no request id", answer(200, PAGE, { ...json, "x-request-id": undefined }), "X-Request-Id"],
    ["an answer that may be cached", answer(200, PAGE, { ...json, "cache-control": "private" }), "no-store"],
    [
      "an answer whose type may be guessed",
      answer(200, PAGE, { ...json, "x-content-type-options": undefined }),
      "nosniff",
    ],
    ["the software's name", answer(200, PAGE, { ...json, "x-powered-by": "Express" }), "software"],
    [
      "401 without a challenge",
      { ...refusal({ status: 401, code: "unauthenticated" }), status: 401 },
      "WWW-Authenticate",
    ],
    ["405 without what is allowed", { ...refusal({ status: 405, code: "method_not_allowed" }), status: 405 }, "Allow"],
    ["429 without a time", { ...refusal({ status: 429, code: "rate_limited" }), status: 429 }, "Retry-After"],
    ["a value", refusal({ detail: value.text }), "a value"],
    ["a value in base64", refusal({ detail: Buffer.from(value.text).toString("base64") }), "a value"],
    ["a value in a header", refusal({}, { allow: encodeURIComponent(value.text) }), "a value"],
    ["a credential", refusal({ detail: token }), "a credential"],
  ])("with %s has one", (_name, one, fault) => {
    expect(faults(one).join("; ")).toContain(fault);
  });

  test("that hands out a value may hold it, and no credential", () => {
    const given = (text: string) =>
      faults(answer(200, { value: text, encoding: "utf8", version: 1 }), REVEAL).join("; ");
    expect(given(value.text)).not.toContain("a value");
    expect(given(token)).toContain("a credential");
  });
});
