import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { generateValue } from "#crypto";
import type { GeneratedKind } from "#crypto";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

const SHAPES: [GeneratedKind, usual: RegExp, fewest: number, shortest: RegExp][] = [
  ["hex", /^[0-9a-f]{64}$/, 16, /^[0-9a-f]{32}$/],
  ["base64url", /^[\w-]{43}$/, 16, /^[\w-]{22}$/],
  ["alnum", /^[A-Za-z0-9]{32}$/, 22, /^[A-Za-z0-9]{22}$/],
  ["passphrase", /^[a-z]+(-[a-z]+){7}$/, 7, /^[a-z]+(-[a-z]+){6}$/],
];

describe("a generated value", () => {
  it.each(SHAPES)("of %s has its shape, and no length that could be guessed", async (kind, usual, fewest, shortest) => {
    expect((await generateValue(kind)).reveal().toString()).toMatch(usual);
    expect((await generateValue(kind, fewest)).reveal().toString()).toMatch(shortest);
    for (const length of [1, fewest - 1])
      await expect(generateValue(kind, length)).rejects.toMatchObject({
        code: "invalid_input",
        detail: { faults: [{ field: "length", message: expect.stringContaining(String(fewest)) as string }] },
      });
    expect(String(await generateValue(kind))).toBe("[redacted]");
  });

  it("is another each time (n = 1,000 of each kind)", async () => {
    for (const [kind, , fewest] of SHAPES) {
      const made = await Promise.all(Array.from({ length: 1_000 }, () => generateValue(kind, fewest)));
      expect(new Set(made.map((one) => one.reveal().toString())).size).toBe(1_000);
    }
  });

  it("takes each letter and each word as often as any other", async () => {
    const letters = new Map<string, number>();
    for (const letter of (await generateValue("alnum", 62_000)).reveal().toString())
      letters.set(letter, (letters.get(letter) ?? 0) + 1);
    expect(letters.size).toBe(62);
    // 1,000 of each are expected; six standard deviations are 190.
    for (const count of letters.values()) expect(Math.abs(count - 1_000)).toBeLessThan(200);
    const words = (await generateValue("passphrase", 100_000)).reveal().toString().split("-");
    expect(words.every((word) => wordlist.includes(word))).toBe(true);
    expect(new Set(words).size).toBe(2_048);
  });
});

describe("secret.generate", () => {
  let vault: TestVault;
  let owner: Client;
  const params = { environment: "dev", namespace: "default", secret: "GENERATED" };

  beforeAll(async () => {
    vault = await startVault();
    ({ owner } = vault);
  });
  afterAll(() => vault.close());

  it("writes a value that stands in no answer, event or log line", async () => {
    const first = await owner.try("secret.generate", { params, body: { kind: "base64url", tags: ["made"] } });
    expect(first.body).toMatchObject({ version: 1, created: true, changed: true, tags: ["made"] });
    expect(first.headers.etag).toBe('"1"');
    const again = await owner.try("secret.generate", { params, body: { kind: "passphrase", length: 9 } });
    expect(again.body).toMatchObject({ version: 2, created: false, changed: true, tags: ["made"] });
    const log = await owner.try("audit.list", { query: { limit: "1000" } });
    expect(log.body.items.find((event) => event.action === "secret.generate")?.facts).toMatchObject({
      generated: "passphrase",
      version: 2,
    });
    for (const version of [1, 2]) {
      const body = { reason: "the test looks", version };
      const { value } = await owner.do("secret.reveal", { params, body });
      expect(value.length).toBeGreaterThan(30);
      for (const text of [first.text, again.text, log.text, JSON.stringify(vault.log)])
        expect(text).not.toContain(value);
    }
  });

  it("takes conditions, and says which length would be safe", async () => {
    const body = { kind: "hex" } as const;
    expect(await owner.code("secret.generate", { params, body, headers: { "If-None-Match": "*" } })).toBe(
      "precondition_failed",
    );
    expect(await owner.code("secret.generate", { params, body, headers: { "If-Match": '"1"' } })).toBe(
      "precondition_failed",
    );
    const short = await owner.try("secret.generate", { params, body: { kind: "hex", length: 15 } });
    expect(short.body).toMatchObject({
      code: "invalid_input",
      faults: [{ field: "length", message: "too short to be safe: hex takes at least 16 bytes" }],
    });
    expect((await owner.do("secret.get", { params })).version).toBe(2);
  });

  it("is for who may write: allow and deny", async () => {
    const table: [Client, string | null][] = [
      [await vault.user("mia"), null],
      [await vault.user("gus", "guest"), "not_found"],
      [await vault.org("others"), "not_found"],
      [vault.anonymous, "unauthenticated"],
    ];
    await owner.do("secret.write", { params: { ...params, environment: "prod" }, body: { value: "x" } });
    await owner.do("environment.create", { body: { name: "only-ours", mode: "open" } });
    for (const [who, code] of table) {
      const answer = await who.try("secret.generate", {
        params: { ...params, environment: "only-ours" },
        body: { kind: "hex" },
      });
      expect(answer.status === 200 ? null : answer.body.code).toBe(code);
    }
    expect(
      await (
        await vault.user("max")
      ).code("secret.generate", {
        params: { ...params, environment: "prod" },
        body: { kind: "hex" },
      }),
    ).toBe("forbidden");
  });
});
