import { describe, expect, test } from "vitest";
import { Meter } from "../../src/http/meter.ts";

describe("A meter", () => {
  test("takes as many as its count in a window, and says how long to wait for the next", async () => {
    const meter = new Meter({ count: 3, seconds: 60 });
    expect([await meter.take("a"), await meter.take("a"), await meter.take("a")]).toEqual([0, 0, 0]);
    const wait = await meter.take("a");
    expect(wait).toBeGreaterThan(50_000);
    expect(wait).toBeLessThanOrEqual(60_000);
    expect(await meter.wait("a")).toBeGreaterThan(50_000);
    expect([await meter.take("b"), await meter.wait("b")]).toEqual([0, 0]);
  });

  test("takes again when its window is over", async () => {
    const meter = new Meter({ count: 1, seconds: 1 });
    await meter.take("a");
    expect(await meter.take("a")).toBeGreaterThan(0);
    await expect.poll(() => meter.wait("a"), { timeout: 60_000 }).toBe(0);
    expect(await meter.take("a")).toBe(0);
  });

  test("counts nothing when it is only asked", async () => {
    const meter = new Meter({ count: 2, seconds: 60 });
    for (let n = 0; n < 100; n++) expect(await meter.wait("a")).toBe(0);
    expect([await meter.take("a"), await meter.take("a")]).toEqual([0, 0]);
  });

  test("of 300,000 sources holds up neither the first nor the last, and stays small", async () => {
    const meter = new Meter({ count: 2_000, seconds: 60 });
    await meter.take("warm");
    const before = process.memoryUsage().heapUsed;
    let most = 0;
    let refused = 0;
    for (let n = 0; n < 300_000; n++) {
      if ((await meter.take(`2001:db8:${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}::/64`)) > 0) refused++;
      if (n % 50_000 === 0) most = Math.max(most, process.memoryUsage().heapUsed);
    }
    // What is garbage and not yet collected counts here as well.
    expect(most - before).toBeLessThan(150 * 1024 * 1024);
    expect(refused).toBe(0);
    expect([await meter.wait("warm"), await meter.wait("2001:db8:0:1::/64"), await meter.wait("new")]).toEqual([
      0, 0, 0,
    ]);
  });

  test("still refuses one source that floods among too many, and hardly any other", async () => {
    const meter = new Meter({ count: 5, seconds: 600 });
    for (let n = 0; n < 25_000; n++) await meter.take(`crowd ${n}`);
    let refused = 0;
    for (let n = 0; n < 50; n++) if ((await meter.take("flood")) > 0) refused++;
    expect(refused).toBeGreaterThanOrEqual(44);
    expect(await meter.wait("flood")).toBeGreaterThan(0);
    // It shares its count with one source in four thousand.
    const others = Array.from({ length: 200 }, (_, n) => `other ${n}`);
    const held = (await Promise.all(others.map((other) => meter.wait(other)))).filter((wait) => wait > 0);
    expect(held.length).toBeLessThanOrEqual(10);
  });
});
