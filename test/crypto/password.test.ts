import { describe, expect, test } from "vitest";
import { Redacted } from "#base";
import { PasswordHasher, checkPassword } from "#crypto";
import { Gate } from "../../src/crypto/gate.ts";

const weak = { memoryKiB: 64, passes: 1, lanes: 1 };
const hasher = new PasswordHasher({ insecureParams: weak });
const password = new Redacted("correct horse battery");
const phcOf = (cost: string) => `$argon2id$v=19$${cost}$${"A".repeat(22)}$${"A".repeat(43)}`;

describe("A password", () => {
  test("is hashed with argon2id, its parameters stored, and verifies", async () => {
    const phc = await hasher.hash(password);
    expect(phc).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(phc).not.toBe(await hasher.hash(password));
    expect(await hasher.verify(phc, password)).toBe(true);
    expect(await hasher.verify(phc, new Redacted("correct horse batterz"))).toBe(false);
    expect(await hasher.verify(phc, new Redacted(""))).toBe(false);
  });

  test("costs 64 MiB, three passes and four lanes unless the settings say otherwise", async () => {
    const usual = new PasswordHasher();
    const phc = await usual.hash(password);
    expect(phc).toContain("$m=65536,t=3,p=4$");
    expect(await usual.verify(phc, password)).toBe(true);
    expect(usual.needsRehash(phc)).toBe(false);
    expect(usual.needsRehash(await hasher.hash(password))).toBe(true);
  });

  test("is the same however its accents were typed", async () => {
    const phc = await hasher.hash(new Redacted("pa\u00dfw\u00f6rter \u00e9\u00e9n"));
    expect(await hasher.verify(phc, new Redacted("pa\u00dfwo\u0308rter e\u0301e\u0301n"))).toBe(true);
  });

  test.each([
    ["eleven char", "at least 12 characters"],
    ["", "at least 12 characters"],
    ["e\u0301".repeat(11), "at least 12 characters"],
    ["\u{1f511}".repeat(11), "at least 12 characters"],
    ["a".repeat(4097), "at most 4096 bytes"],
    ["\u00e9".repeat(2049), "at most 4096 bytes"],
    ["\ud800 and eleven more", "not valid text"],
  ])("is refused with a sentence: %j", async (bad, why) => {
    expect(checkPassword(bad)).toContain(why);
    await expect(hasher.hash(new Redacted(bad))).rejects.toMatchObject({ code: "invalid_input" });
  });

  test.each(["twelve chars", "a".repeat(1024), "\u{1f511}".repeat(1024)])("is taken: %j", (good) => {
    expect(checkPassword(good)).toBeNull();
  });

  test("that is too long is checked and is wrong", async () => {
    const phc = await hasher.hash(password);
    expect(await hasher.verify(phc, new Redacted("a".repeat(100_000)))).toBe(false);
  });

  test("of nobody is wrong after the same work", async () => {
    const medium = new PasswordHasher({ params: { memoryKiB: 19_456, passes: 2, lanes: 1 } });
    const phc = await medium.hash(password);
    await medium.verify(null, password);
    const known = await medianMs(() => medium.verify(phc, new Redacted("wrong password")));
    const unknown = await medianMs(() => medium.verify(null, password));
    const long = await medianMs(() => medium.verify(phc, new Redacted("a".repeat(2000))));
    expect(await medium.verify(null, password)).toBe(false);
    for (const ms of [unknown, long]) {
      expect(ms).toBeGreaterThan(known / 3);
      expect(ms).toBeLessThan(known * 3);
    }
  });
});

describe("A password hasher", () => {
  test.each([
    { memoryKiB: 19_455, passes: 2, lanes: 1 },
    { memoryKiB: 65_536, passes: 1, lanes: 4 },
    { memoryKiB: 65_536, passes: 3, lanes: 0 },
    { memoryKiB: 2 ** 30, passes: 3, lanes: 1 },
    { memoryKiB: 65_536.5, passes: 3, lanes: 1 },
  ])("refuses parameters below OWASP's floor and beyond reason: %j", (params) => {
    expect(() => new PasswordHasher({ params })).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });

  test("takes OWASP's floor", () => {
    expect(() => new PasswordHasher({ params: { memoryKiB: 19_456, passes: 2, lanes: 1 } })).not.toThrow();
  });

  test.each([
    "",
    "plain",
    "$2b$12$abcdefghijklmnopqrstuv",
    phcOf("m=65536,t=3,p=4").replace("argon2id", "argon2i"),
    phcOf("m=65536,t=3,p=4").replace("v=19", "v=16"),
    phcOf("m=9999999,t=3,p=4"),
    phcOf("m=65536,t=99,p=4"),
    phcOf("m=65536,t=3,p=4").slice(0, -30),
  ])("does no work for a stored hash that is none of its own: %j", async (phc) => {
    await expect(hasher.verify(phc, password)).rejects.toMatchObject({ code: "integrity_failed" });
    expect(() => hasher.needsRehash(phc)).toThrow(expect.objectContaining({ code: "integrity_failed" }));
  });

  test("does so many hashes at a time, lets so many wait and tells the rest when to come again", async () => {
    const busy = new PasswordHasher({
      concurrency: 1,
      queue: 2,
      insecureParams: { memoryKiB: 1024, passes: 1, lanes: 1 },
    });
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => busy.verify(null, password)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      expect(result.reason).toMatchObject({ code: "overloaded", detail: { retryAfterSeconds: 2 } });
    }
    expect(await busy.verify(null, password)).toBe(false);
  });
});

describe("The gate before the hashes", () => {
  test("never runs more than its limit, keeps the order, and goes on after a failure", async () => {
    const gate = new Gate({ concurrency: 2, queue: 20, retryAfterSeconds: 1 });
    let running = 0;
    let most = 0;
    const done: number[] = [];
    const jobs = Array.from({ length: 20 }, (_, n) =>
      gate.run(async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 1));
        running -= 1;
        if (n % 5 === 0) throw new Error("a hash failed");
        done.push(n);
      }),
    );
    const results = await Promise.allSettled(jobs);
    expect(most).toBe(2);
    expect(results.filter(({ status }) => status === "rejected")).toHaveLength(4);
    expect(done).toEqual([...done].sort((a, b) => a - b));
  });
});

async function medianMs(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[2] ?? 0;
}
