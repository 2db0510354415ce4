import { afterEach, describe, expect, test, vi } from "vitest";
import { Meter } from "../../src/http/meter.ts";

afterEach(() => void vi.useRealTimers());

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

  test("keeps no more counts than it has room for: beyond 20,000 keys the new ones share theirs", async () => {
    const meter = new Meter({ count: 1, seconds: 600 });
    for (let n = 0; n < 20_000; n++) await meter.take(`crowd ${n}`);
    // 4,096 counts of one each: whatever comes beside them is refused.
    expect(await refusedOf(meter, "late", 10_000)).toBeGreaterThanOrEqual(10_000 - 4_096);
  });

  test("counts what began in the window before as still there", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 600_000 * 1_000 - 1_000 });
    const meter = new Meter({ count: 1, seconds: 600 });
    for (let n = 0; n < 20_000; n++) await meter.take(`crowd ${n}`);
    vi.setSystemTime(600_000 * 1_000 + 1_000);
    expect(await refusedOf(meter, "late", 10_000)).toBeGreaterThanOrEqual(10_000 - 4_096);
    vi.setSystemTime(600_000 * 1_002);
    expect(await refusedOf(meter, "later", 10_000)).toBe(0);
  });
});

/** How many of so many new keys, each once. */
async function refusedOf(meter: Meter, name: string, keys: number): Promise<number> {
  let refused = 0;
  for (let n = 0; n < keys; n++) if ((await meter.take(`${name} ${n}`)) > 0) refused++;
  return refused;
}
