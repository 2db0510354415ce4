import { describe, expect, test } from "vitest";
import { FairQueue } from "../../src/http/fair-queue.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function drained(done: readonly unknown[], count: number): Promise<void> {
  for (let turns = 0; done.length < count && turns < 1_000; turns++) await turn();
}

describe("What waits to be begun", () => {
  test("is begun at once where there is room in this turn, and the rest in later ones, none lost", async () => {
    const queue = new FairQueue(3);
    const begun: number[] = [];
    for (let n = 0; n < 10; n++) queue.add("a", () => void begun.push(n));
    expect(begun).toEqual([0, 1, 2]);
    await turn();
    expect(begun.length).toBeLessThanOrEqual(6);
    await drained(begun, 10);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    queue.add("a", () => void begun.push(10));
    await drained(begun, 11);
    expect(begun).toHaveLength(11);
  });

  test("of one source does not wait behind the hundreds of another", async () => {
    const queue = new FairQueue(2);
    const begun: string[] = [];
    for (let n = 0; n < 300; n++) queue.add("flood", () => void begun.push("flood"));
    queue.add("one", () => void begun.push("one"));
    queue.add("two", () => void begun.push("two"));
    await drained(begun, 302);
    expect(begun).toHaveLength(302);
    // Two were begun at once; then each has its turn.
    expect(begun.slice(0, 5)).toEqual(["flood", "flood", "flood", "one", "two"]);
  });

  test("leaves the event loop its turns, also where each that is begun adds another", async () => {
    const queue = new FairQueue(2);
    let begun = 0;
    const again = () => {
      begun++;
      if (begun < 1_000) queue.add("a", again);
    };
    queue.add("a", again);
    let turns = 0;
    while (begun < 1_000 && turns < 10_000) {
      turns++;
      await turn();
    }
    expect(begun).toBe(1_000);
    expect(turns).toBeGreaterThan(400);
  });
});
